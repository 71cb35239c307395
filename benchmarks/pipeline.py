"""A whole reconstruction against the baseline pipeline, stage by stage.

    python benchmarks/pipeline.py [--configs compact paper] [--resolution N] [--repeats 3] [--full]
                                  [--clock cpu|wall] [--precision auto] [--json pipeline.json]

The baseline is written from the published descriptions: encoders in torch, eager, float32; the octree of
PIFu (see `surface.py`) with its heads in torch on batches of 10 000 points; scikit-image's marching cubes
on the dense grid; colours of the vertices in torch on such batches. The octree decides by the same
occupancies as ours, so both find one surface, and in the face region both ask the body's head and the
face's, which the published blend by distance mixes. Segmentation, detection, fit and
placement of the face, and distances from it, are one code on both sides and count on both; but the body's
surface that it is placed on costs torch's price a query there, with as few queries as ours. The baseline's
heads and encoders have random weights, which take as long as any. Hidden colours are left as the networks
have them, which is all that the baseline does. Our engine keeps its memory between runs
(`EngineOptions.keeps_memory`), as a program does that reconstructs again and again; not with `--give-back`.

`compact` is the default bundle at 256, `paper` the published sizes at 512 with random weights and the surface
of a person (`paper_bundle.py`; kept in build/). Without `--full` the baseline's queries and colours are timed
on a few batches and multiplied by their number.

Ours runs `--repeats` times by turns with the baseline's parts; medians. Columns: milliseconds, ratio to the
baseline; `bound`: the share of our time that the stage's multiply-adds would take at the machine's measured
rate in the precision that it has (heads: folded, at the ideal number of queries; encoders: of whole pictures,
so that those that are cut may pass 100 %).
Peak memory is of a process of its own that makes this reconstruction with as many threads. `--clock cpu`, the
default, counts processor time, which other work on the machine does not spoil; it takes one thread a side,
since threads that wait for others that do not run burn processor time.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from implicit_query import MATRIX, processor_name
from numpy.typing import NDArray
from surface import commit, octree_values

ROOT = Path(__file__).parents[1]
PHOTOGRAPH = ROOT / "examples" / "held_out_render.png"
PAPER_BUNDLE = ROOT / "build" / "paper_bundle"
BATCH = 10_000
RESOLUTIONS = {"compact": 256, "paper": 512}

Points = NDArray[np.float32]
Run = Callable[[], object]
Clock = Callable[[], float]


@dataclass
class Stage:
    """Times in milliseconds; None where a side has no such stage or no bound is known."""

    name: str
    ours_ms: float = 0.0
    baseline_ms: float = 0.0
    bound_ms: float | None = None
    queries: int | None = None
    baseline_queries: int | None = None
    ideal_queries: int | None = None


@dataclass
class Configuration:
    """One bundle at one resolution, with what the baseline is made of."""

    name: str
    bundle: Path
    resolution: int
    networks: Any = None
    stages: dict[str, Stage] = field(default_factory=dict)

    def stage(self, name: str) -> Stage:
        return self.stages.setdefault(name, Stage(name))


def bundle_of(name: str) -> Path:
    from jiffsdk.reconstructor import DEFAULT_BUNDLE

    if name == "compact":
        return DEFAULT_BUNDLE
    if not (PAPER_BUNDLE / "bundle.json").exists():
        print(f"building {PAPER_BUNDLE}", flush=True)
        subprocess.run(
            [sys.executable, str(Path(__file__).with_name("paper_bundle.py")), str(PAPER_BUNDLE)], check=True
        )
    return PAPER_BUNDLE


class Networks:
    """The baseline's networks, random weights, and how long each part of it takes."""

    def __init__(self, config_name: str) -> None:
        import torch

        from jiffexport.nets import ColorNet, FaceShapeNet, FineColorNet
        from jiffexport.nets import config as configs

        torch.manual_seed(0)
        prefix = config_name.upper()
        self.shape = FaceShapeNet(getattr(configs, f"{prefix}_FACE_SHAPE")).eval()
        self.color = ColorNet(getattr(configs, f"{prefix}_COLOR")).eval()
        self.fine = FineColorNet(getattr(configs, f"{prefix}_FINE_COLOR")).eval()
        shape, color, fine = self.shape.config.body, self.color.config, self.fine.config
        self.picture = torch.randn(1, shape.in_channels, shape.image_size_px, shape.image_size_px)
        self.large_picture = torch.randn(1, fine.in_channels, fine.image_size_px, fine.image_size_px)
        size = shape.feature_size
        self.shape_map = torch.randn(1, shape.feature_channels, size, size)
        self.color_map = torch.randn(1, color.feature_channels, size, size)
        self.head_map = self.shape_map
        self.head_inputs: tuple[Any, ...] = ()
        if head := self.shape.config.head_encoder:
            picture_px, size = head.picture_size_px, head.feature_size
            sizes = (4, picture_px), (shape.feature_channels, size), (2, size)
            self.head_inputs = tuple(torch.randn(1, channels, side, side) for channels, side in sizes)
            self.head_map = torch.randn(1, head.feature_channels, size, size)
        self.fine_map = torch.randn(
            1, fine.feature_channels, fine.image_size_px // 4, fine.image_size_px // 4
        )

    def encoders(self, vertices: Points, colors: Points) -> dict[str, Run]:
        import torch

        at, painted = torch.from_numpy(vertices)[None], torch.from_numpy(colors)[None]
        return {
            "encode_shape": lambda: self.shape.body.encoder.inference(self.picture),
            "encode_color": lambda: self.color.encoder.inference(self.picture),
            "encode_fine_color": lambda: self.fine.encoder.inference(self.large_picture),
            "encode_face_shape": lambda: self.encode_face_shape(at),
            "encode_face_color": lambda: self.fine.volume(at, painted),
        }

    def encode_face_shape(self, vertices: Any) -> object:
        """The face's volume, and the map of the head where it has one of its own."""
        volume = self.shape.volume(vertices)
        return volume, self.shape.head(*self.head_inputs) if self.head_inputs else None

    def prepare_volumes(self, vertices: Points, colors: Points) -> None:
        import torch

        with torch.inference_mode():
            at, painted = torch.from_numpy(vertices)[None], torch.from_numpy(colors)[None]
            self.shape_volume, self.shape_frame = self.shape.volume(at)
            self.color_volume, self.color_frame = self.fine.volume(at, painted)

    def ask(self, kind: str, points: Points) -> object:
        """What a batch of points (N, 3) of the view costs: "body", "face", "color" or "face_color".

        Those of the face region, "face" and "face_color", ask the other head as well, for the blend.
        """
        import torch

        at = torch.from_numpy(points)[None]
        if kind == "body":
            return self.shape.body.occupancy(self.shape_map, at)
        if kind == "face":
            body = self.shape.body.occupancy(self.shape_map, at)
            volume = self.shape_volume, self.shape_frame
            return body, self.shape.face_occupancy(self.head_map, *volume, at).joint
        layers = self.fine.config.coarse_layers
        coarse = self.color.activations(self.color_map, self.shape_map, at, layers)
        color = self.fine.color(self.fine_map, coarse, self.large_picture, at)
        if kind == "color":
            return color
        volume = self.color_volume, self.color_frame
        return color, self.fine.face_color(self.fine_map, coarse, self.large_picture, *volume, at).joint

    def folded_macs(self, kind: str) -> int:
        """Multiply-adds a point that are left when the maps' features are folded."""
        from jiffexport.volume_network import fold_final_conv

        def count(mlp: Any, num_mapped: int, hidden: int | None = None) -> int:
            return sum((layer.in_channels - num_mapped) * layer.out_channels for layer in mlp.layers[:hidden])

        def joint(network: Any, num_mapped: int) -> int:
            _, head = fold_final_conv(network.volume.unet3d, network.face_head)
            branches = count(head.branch_2d, num_mapped, -1) + count(head.branch_3d, 0, -1)
            return branches + count(head.joint, num_mapped)

        shape_channels, fine_channels = self.shape_map.shape[1], self.fine_map.shape[1]
        body = count(self.shape.body.head, shape_channels)
        if kind == "body":
            return body
        if kind == "face":
            return body + joint(self.shape, self.head_map.shape[1])
        layers = self.fine.config.coarse_layers
        coarse = count(self.color.head, shape_channels + self.color_map.shape[1], layers)
        color = coarse + count(self.fine.head, fine_channels)
        return color if kind == "color" else color + joint(self.fine, fine_channels)


def timed_stages(reconstruct: Any, resolution: int, clock: Clock) -> tuple[dict[str, float], Any]:
    """Milliseconds by stage of one reconstruction, as its progress tells them, and the result."""
    from jiffsdk import ReconstructionOptions

    marks: list[tuple[str, float]] = []

    def note(stage: str, _: float) -> None:
        if not marks or marks[-1][0] != stage:
            marks.append((stage, clock()))

    options = ReconstructionOptions(  # as the baseline has them
        resolution, face_blend="distance", hidden_colors="network"
    )
    result = reconstruct(PHOTOGRAPH, progress=note, options=options)
    times = {}
    for (stage, begin), (_, end) in zip(marks, marks[1:], strict=False):
        times[stage] = 1e3 * (end - begin)
    return times, result


def occupancy_of(bundle: Path, precision: str) -> Callable[[Points], Points]:
    """The body head's occupancy of the photograph, at points (N, 3) of the view."""
    from safetensors.numpy import load_file

    from jiffsdk import Reconstructor, _core, engines
    from jiffsdk.verification import RecordingEngine

    manifest = json.loads((bundle / "bundle.json").read_text())
    head, encoder = manifest["heads"]["shape"], manifest["graphs"]["shape_encoder"]["file"]
    recording = RecordingEngine(engines.create("openvino"))
    Reconstructor(bundle, recording, precision="fp32")(PHOTOGRAPH, resolution=32)
    features = recording.take()[encoder][0][1]["features"]
    tensors = load_file(bundle / head["file"])
    layers = [
        (
            tensors[f"shape.layers.{i}.weight"].astype(np.float32),
            tensors[f"shape.layers.{i}.bias"].astype(np.float32),
        )
        for i in range(len(head["widths"]) - 1)
    ]
    query = _core.ImplicitQuery(layers, head["depth_scale"], "sigmoid", precision=precision)
    folded = query.fold([features])
    return lambda points: query.query(folded, points)[:, 0]


class Octree:
    """The baseline's surface: what it asks, and the processor's share that is not the asking."""

    def __init__(self, occupancy: Callable[[Points], Points], resolution: int, clock: Clock) -> None:
        from skimage import measure

        self.asked: list[Points] = []
        self.asking_s = 0.0
        self._clock, self._occupancy, self._resolution = clock, occupancy, resolution
        begin = clock()
        columns = np.ones((resolution + 1, resolution + 1), np.uint8)
        values = octree_values(self._field, resolution, columns)
        self.bookkeeping_ms = 1e3 * (clock() - begin - self.asking_s)
        begin = clock()
        vertices = measure.marching_cubes(values, 0.5)[0]
        self.marching_cubes_ms = 1e3 * (clock() - begin)
        self.vertices = (vertices[:, ::-1] * (2 / resolution) - 1).astype(np.float32)

    def _field(self, points: NDArray[np.int32]) -> Points:
        begin = self._clock()
        view = (points * np.float32(2 / self._resolution) - 1).astype(np.float32)
        self.asked.append(view)
        values = self._occupancy(view)
        self.asking_s += self._clock() - begin
        return values


def batches_of(points: Points, most: int | None) -> Iterator[Points]:
    """Of `BATCH` points each; `most` of them spread over all, or every one."""
    starts = np.arange(0, len(points), BATCH)
    if most is not None and len(starts) > most:
        starts = starts[np.linspace(0, len(starts) - 2, most).astype(int)]
    for start in starts:
        yield points[start : start + BATCH]


def asking_ms(networks: Networks, kind: str, points: Points, most: int | None, clock: Clock) -> float:
    """All of `points` asked in batches, by as many of these as are timed."""
    import torch

    if len(points) == 0:
        return 0.0
    num_timed, spent_s = 0, 0.0
    with torch.inference_mode():
        networks.ask(kind, points[:BATCH])  # warm
        for batch in batches_of(points, most):
            begin = clock()
            networks.ask(kind, batch)
            spent_s += clock() - begin
            num_timed += len(batch)
    return 1e3 * spent_s * len(points) / num_timed


def distances_ms(vertices: Points, triangles: NDArray[np.int32], points: Points, clock: Clock) -> float:
    """Of `points` from the face's mesh, for the blend: our operator."""
    from jiffsdk import _core

    mesh = _core.MeshDistance(vertices, triangles)
    begin = clock()
    mesh.query(points)
    return 1e3 * (clock() - begin)


def face_region(result: Any) -> tuple[float, float, float, float]:
    """Left, right, top, bottom in the view: the fitted mesh's box, widened (docs/conventions.md)."""
    if not result.face.is_used:
        return 2.0, 2.0, 2.0, 2.0
    view = result.face.vertices * (2 / result.size_m) * np.array([1, -1, 1])
    (left, top), (right, bottom) = view[:, :2].min(0), view[:, :2].max(0)
    reach = 0.3 * max(right - left, bottom - top)
    return left - reach, right + reach, top - reach, bottom + reach


def is_in(points: Points, region: tuple[float, float, float, float]) -> NDArray[np.bool_]:
    left, right, top, bottom = region
    x, y = points[:, 0], points[:, 1]
    return (x >= left) & (x <= right) & (y >= top) & (y <= bottom)


def matrix_rates(clock: Clock) -> dict[str, float]:
    """Multiply-adds a second of torch's product of two square matrices, by precision."""
    import torch

    rates = {}
    numbers = torch.randn(MATRIX, MATRIX)
    matrices = {"fp32": numbers, "bf16": numbers.bfloat16(), "int8": (30 * numbers).to(torch.int8)}
    for name, matrix in matrices.items():
        multiply = torch._int_mm if name == "int8" else torch.matmul
        times = []
        for _ in range(6):
            begin = clock()
            multiply(matrix, matrix)
            times.append(clock() - begin)
        rates[name] = MATRIX**3 / min(times)
    return rates


def flops_of(run: Run) -> int:
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


def network_precision(arguments: argparse.Namespace) -> str:
    return "bf16" if arguments.precision in ("bf16", "int8") else "fp32"


def measure(name: str, arguments: argparse.Namespace, clock: Clock) -> tuple[list[Stage], dict[str, Any]]:
    import torch

    from jiffsdk import EngineOptions, Reconstructor

    resolution = arguments.resolution or RESOLUTIONS[name]
    configuration = Configuration(name, bundle_of(name), resolution)
    options = EngineOptions(
        num_threads=arguments.threads,
        precision=network_precision(arguments),
        keeps_memory=not arguments.give_back,
    )
    reconstruct = Reconstructor(configuration.bundle, options, precision=arguments.precision)
    _, result = timed_stages(reconstruct, resolution, clock)  # warm
    octree = Octree(occupancy_of(configuration.bundle, reconstruct.precision), resolution, clock)
    networks = Networks(name)
    # Without a face its encoders are not run; the photograph of this benchmark shows one.
    face_vertices = (result.face.vertices * (2 / result.size_m) * np.array([1, -1, 1])).astype(np.float32)
    networks.prepare_volumes(face_vertices, result.face.colors)
    encoders = networks.encoders(face_vertices, result.face.colors)

    ours: dict[str, list[float]] = {}
    baseline: dict[str, list[float]] = {}
    for _ in range(arguments.repeats):
        times, result = timed_stages(reconstruct, resolution, clock)
        for stage, ms in times.items():
            ours.setdefault(stage, []).append(ms)
        with torch.inference_mode():
            for stage, run in encoders.items():
                begin = clock()
                run()
                baseline.setdefault(stage, []).append(1e3 * (clock() - begin))
    rates = matrix_rates(clock)

    region = face_region(result)
    asked = np.concatenate(octree.asked)
    most = None if arguments.full else arguments.batches
    parts: dict[str, float] = {}
    in_region = is_in(asked, region)
    for kind, points in (("body", asked[~in_region]), ("face", asked[in_region])):
        parts[kind] = asking_ms(networks, kind, points, most, clock)
    inside = is_in(octree.vertices, region)
    for kind, points in (("color", octree.vertices[~inside]), ("face_color", octree.vertices[inside])):
        parts[kind] = asking_ms(networks, kind, points, most, clock)

    per_query_ms = parts["body"] / max(int((~in_region).sum()), 1)
    blended = np.concatenate([asked[in_region], octree.vertices[inside]])
    parts["distances"] = distances_ms(face_vertices, result.face.triangles, blended, clock)

    vertices = (result.vertices * (2 / result.size_m) * np.array([1, -1, 1])).astype(np.float32)
    share = float(is_in(vertices, region).mean())
    head_rate = rates[reconstruct.precision]
    network_rate = rates[network_precision(arguments)]
    for stage, values in ours.items():
        row = configuration.stage(stage)
        row.ours_ms = statistics.median(values)
        row.baseline_ms = statistics.median(baseline[stage]) if stage in baseline else row.ours_ms
        if stage in encoders:
            row.bound_ms = 1e3 * flops_of(encoders[stage]) / 2 / network_rate
    extract, colorize = configuration.stage("extract"), configuration.stage("colorize")
    ours_per_query_ms = 1e3 * networks.folded_macs("body") / head_rate
    align = configuration.stage("align_face")
    align.queries = align.baseline_queries = result.face.num_queries
    align.baseline_ms += result.face.num_queries * (per_query_ms - ours_per_query_ms)
    extract.baseline_ms = parts["body"] + parts["face"] + octree.bookkeeping_ms + octree.marching_cubes_ms
    extract.baseline_ms += parts["distances"]
    extract.queries, extract.ideal_queries = result.queries.asked, result.queries.ideal
    extract.baseline_queries = len(asked)
    colorize.baseline_ms = parts["color"] + parts["face_color"]
    colorize.queries = colorize.ideal_queries = len(vertices)
    colorize.baseline_queries = len(octree.vertices)
    for row, kinds, count in (
        (extract, ("body", "face"), result.queries.ideal),
        (colorize, ("color", "face_color"), len(vertices)),
    ):
        macs = [networks.folded_macs(kind) for kind in kinds]
        row.bound_ms = 1e3 * count * ((1 - share) * macs[0] + share * macs[1]) / head_rate
    facts = {
        "resolution": resolution,
        "engine": reconstruct.engine,
        "head_precision": reconstruct.precision,
        "face": result.face.status,
        "num_vertices": len(vertices),
        "gigaflops": {name: 2e-9 * rate for name, rate in rates.items()},
        "octree_bookkeeping_ms": octree.bookkeeping_ms,
        "marching_cubes_ms": octree.marching_cubes_ms,
        "baseline_queries_ms": parts,
        "peak_memory_mb": peak_memory_mb(configuration.bundle, resolution, arguments),
    }
    return list(configuration.stages.values()), facts


PRINT_PEAK = """
import sys
from jiffsdk import EngineOptions, Reconstructor
bundle, photograph, resolution, threads, networks, heads, memory = sys.argv[1:]
options = EngineOptions(num_threads=int(threads), precision=networks, keeps_memory=memory == "kept")
Reconstructor(bundle, options, precision=heads)(photograph, resolution=int(resolution))
status = open("/proc/self/status").read()
print(int(status.split("VmHWM:")[1].split()[0]) / 1024)
"""


def peak_memory_mb(bundle: Path, resolution: int, arguments: argparse.Namespace) -> float:
    """Of a process that loads the bundle and reconstructs the photograph once."""
    words = [str(bundle), str(PHOTOGRAPH), str(resolution), str(arguments.threads)]
    words += [network_precision(arguments), arguments.precision]
    words.append("given back" if arguments.give_back else "kept")
    run = subprocess.run(
        [sys.executable, "-c", PRINT_PEAK, *words], check=True, capture_output=True, text=True
    )
    return float(run.stdout)


def show(name: str, stages: list[Stage], facts: dict[str, Any]) -> None:
    print(
        f"\n{name} at {facts['resolution']}: face {facts['face']}, {facts['num_vertices']} vertices, "
        f"heads in {facts['head_precision']}, peak memory {facts['peak_memory_mb']:.0f} MB, matrix products "
        + ", ".join(f"{rate:.0f} GFLOP/s in {kind}" for kind, rate in facts["gigaflops"].items())
    )
    print(
        f"{'stage':18} {'ours ms':>9} {'baseline':>9} {'ratio':>6} {'bound':>6} {'queries':>9} {'ideal':>9} "
        f"{'baseline':>9}"
    )
    total = Stage("total", sum(s.ours_ms for s in stages), sum(s.baseline_ms for s in stages))
    for stage in [*stages, total]:
        bound = "" if stage.bound_ms is None else f"{stage.bound_ms / stage.ours_ms:.0%}"
        counts = (stage.queries, stage.ideal_queries, stage.baseline_queries)
        print(
            f"{stage.name:18} {stage.ours_ms:9.0f} {stage.baseline_ms:9.0f} "
            f"{stage.baseline_ms / max(stage.ours_ms, 1e-3):6.1f} {bound:>6} "
            + " ".join(f"{'' if count is None else count:>9}" for count in counts)
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--configs", nargs="+", default=["compact", "paper"], choices=["compact", "paper"])
    parser.add_argument("--resolution", type=int, help="default: 256 for compact, 512 for paper")
    parser.add_argument("--repeats", type=int, default=3, help="timed runs of ours (default 3)")
    parser.add_argument("--batches", type=int, default=4, help="timed of each of the baseline's heads")
    parser.add_argument("--full", action="store_true", help="run all of the baseline's queries")
    parser.add_argument("--threads", type=int, default=1, help="of each side (default 1)")
    parser.add_argument("--clock", choices=["wall", "cpu"], default="cpu")
    parser.add_argument(
        "--precision",
        default="auto",
        choices=["auto", "fp32", "bf16", "int8"],
        help="of networks and heads; auto: heads in bf16 where the processor has it, networks in fp32; int8: "
        "heads in int8, networks in bf16",
    )
    parser.add_argument("--give-back", action="store_true", help="the engine gives memory back after a run")
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    arguments = parser.parse_args()
    if arguments.clock == "cpu" and arguments.threads != 1:
        parser.error("--clock cpu adds up the time of all threads, so it takes --threads 1")
    os.environ["JIFF_NUM_THREADS"] = str(arguments.threads)

    import torch

    from jiffsdk import _core

    torch.set_num_threads(arguments.threads)
    clock = time.perf_counter if arguments.clock == "wall" else time.process_time
    machine = {
        "processor": processor_name(),
        "system": platform.platform(),
        "simd_level": _core.simd_level(),
        "num_threads": arguments.threads,
        "clock": arguments.clock,
        "torch": torch.__version__,
        "memory of the engine": "given back" if arguments.give_back else "kept",
        "commit": commit(),
        "baseline": "full" if arguments.full else f"{arguments.batches} batches of each head",
    }
    print(", ".join(f"{key} {value}" for key, value in machine.items()), flush=True)
    written = []
    for name in arguments.configs:
        stages, facts = measure(name, arguments, clock)
        show(name, stages, facts)
        written.append({"config": name, **facts, "stages": [vars(stage) for stage in stages]})
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": machine, "configs": written}, indent=2))


if __name__ == "__main__":
    main()
