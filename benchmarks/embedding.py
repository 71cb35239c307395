"""What the library costs beside the Python package, and what it keeps in memory.

    python benchmarks/embedding.py [--library libjiff.so] [--resolution 128] [--repeats 20] [--memory 100]

Both paths run the same bundle with OpenVINO in one process, by turns, and which comes first changes from one
repeat to the next, so that whatever else the machine does meets both. The overhead is that of
jiff_reconstruct over Reconstructor.__call__: the median over the repeats of the ratio of their times. It is
told of the time on the clock and of the processor's time, of all threads; on a machine that is busy with
other things only the second means anything. Without --library it is built first, which takes a minute or two.

`--memory` then reconstructs so many times with the library alone and prints the resident memory after the
fifth and after the last, and after as many creations and destructions of a reconstructor.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from ctypes import c_void_p
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

import jiffsdk
from jiffsdk.reconstructor import DEFAULT_BUNDLE

ROOT = Path(__file__).parent.parent
sys.path.append(str(ROOT / "tests"))

from built_library import build_and_install  # noqa: E402
from c_api import Library, arrays_of, image_view  # noqa: E402


def resident_mib() -> float:
    """Resident memory of this process, MiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024.0
    raise RuntimeError("this system tells no resident memory")


@dataclass(frozen=True)
class Cost:
    """Milliseconds on the clock and of the processor."""

    clock_ms: float
    processor_ms: float


def cost(run: Callable[[], object]) -> Cost:
    clock, processor = time.perf_counter(), time.process_time()
    run()
    return Cost((time.perf_counter() - clock) * 1000.0, (time.process_time() - processor) * 1000.0)


def tell(what: str, python_ms: list[float], library_ms: list[float]) -> None:
    """Medians, and the quartiles of the ratio within a repeat."""
    ratios = [ours / theirs for ours, theirs in zip(library_ms, python_ms, strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    print(
        f"{what}: Python {statistics.median(python_ms):.1f} ms, "
        f"library {statistics.median(library_ms):.1f} ms; "
        f"overhead {middle - 1:+.1%} (quartiles {low - 1:+.1%}, {high - 1:+.1%})"
    )


def measure_overhead(
    library: Library, bundle_dir: Path, rgb: np.ndarray, resolution: int, repeats: int
) -> None:
    python = jiffsdk.Reconstructor(bundle_dir, engine="openvino")
    bundle = library.open_bundle(bundle_dir)
    native = library.create(bundle)
    view = image_view(rgb)

    def by_library() -> None:
        library.check(
            library.jiff_reconstruction_free(library.reconstruct(native, view, resolution=resolution))
        )

    person = python(rgb, resolution=resolution)
    handle = library.reconstruct(native, view, resolution=resolution)
    np.testing.assert_array_equal(arrays_of(library.mesh(handle))[0], person.vertices)
    library.check(library.jiff_reconstruction_free(handle))

    paths = {"Python": lambda: python(rgb, resolution=resolution), "library": by_library}
    costs: dict[str, list[Cost]] = {name: [] for name in paths}
    for repeat in range(repeats):
        for name in sorted(paths, reverse=repeat % 2 == 1):
            costs[name].append(cost(paths[name]))
    for what in ("clock", "processor"):
        tell(what, *([getattr(one, f"{what}_ms") for one in costs[name]] for name in ("Python", "library")))
    library.check(library.jiff_reconstructor_free(native))
    library.check(library.jiff_bundle_free(bundle))


def measure_memory(library: Library, bundle_dir: Path, rgb: np.ndarray, resolution: int, count: int) -> None:
    bundle = library.open_bundle(bundle_dir)
    native: c_void_p = library.create(bundle)
    view = image_view(rgb)

    def reconstruct_once() -> None:
        handle = library.reconstruct(native, view, resolution=resolution)
        library.check(library.jiff_reconstruction_free(handle))

    def create_once() -> None:
        library.check(library.jiff_reconstructor_free(library.create(bundle)))

    for name, run in (("reconstructions", reconstruct_once), ("creations", create_once)):
        after_fifth = 0.0
        for index in range(count):
            run()
            if index == 4:
                after_fifth = resident_mib()
        print(f"{count} {name}: {after_fifth:.1f} MiB after the fifth, {resident_mib():.1f} after the last")
    library.check(library.jiff_reconstructor_free(native))
    library.check(library.jiff_bundle_free(bundle))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--library", type=Path)
    parser.add_argument("--bundle", type=Path, default=DEFAULT_BUNDLE)
    parser.add_argument("--photo", type=Path, default=ROOT / "examples" / "astronaut.jpg")
    parser.add_argument("--resolution", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--memory", type=int, default=0, metavar="COUNT")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = arguments.library or build_and_install(Path(folder)).shared_library
        library = Library(path.resolve())
    print(library.jiff_build_info().decode())
    with Image.open(arguments.photo) as photo:
        rgb = np.asarray(photo.convert("RGB"))
    if arguments.repeats > 1:
        measure_overhead(library, arguments.bundle, rgb, arguments.resolution, arguments.repeats)
    if arguments.memory > 0:
        measure_memory(library, arguments.bundle, rgb, arguments.resolution, arguments.memory)


if __name__ == "__main__":
    main()
