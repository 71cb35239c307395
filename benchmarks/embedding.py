"""What the library costs beside the Python package, and what it keeps in memory.

    python benchmarks/embedding.py [--library libjiff.so] [--resolution 128] [--repeats 9] [--memory 100]

Both paths run the same bundle with OpenVINO in one process, by turns, so that whatever else the machine does
meets both. Times are the medians of the repeats; the overhead is that of jiff_reconstruct over
Reconstructor.__call__. Without --library it is built first, which takes a minute or two.

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


def milliseconds(run: Callable[[], object]) -> float:
    begin = time.perf_counter()
    run()
    return (time.perf_counter() - begin) * 1000.0


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

    times: dict[str, list[float]] = {"Python": [], "library": []}
    for _ in range(repeats):
        times["Python"].append(milliseconds(lambda: python(rgb, resolution=resolution)))
        times["library"].append(milliseconds(by_library))
    python_ms, library_ms = (statistics.median(times[name]) for name in ("Python", "library"))
    print(
        f"Python {python_ms:.1f} ms, library {library_ms:.1f} ms: overhead {library_ms / python_ms - 1:+.1%}"
    )
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
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--memory", type=int, default=0, metavar="COUNT")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = arguments.library or build_and_install(Path(folder)).shared_library
        library = Library(path.resolve())
    print(library.jiff_build_info().decode())
    with Image.open(arguments.photo) as photo:
        rgb = np.asarray(photo.convert("RGB"))
    if arguments.repeats > 0:
        measure_overhead(library, arguments.bundle, rgb, arguments.resolution, arguments.repeats)
    if arguments.memory > 0:
        measure_memory(library, arguments.bundle, rgb, arguments.resolution, arguments.memory)


if __name__ == "__main__":
    main()
