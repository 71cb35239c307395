"""How fast points are evaluated, against the same networks in torch, both in one process by turns.

    python benchmarks/implicit_query.py [--threads 1] [--repeats 5] [--clock wall|cpu] [--json out.json]

The baseline is what the published implementation does: `grid_sample`, then 1 x 1 convolutions, in float32
on batches of 10 000 points. The sides are compared first. Ours runs in float32 and, where the processor has
them, in bf16 and int8. Points of body and face lie in neighbouring columns of a lattice of 256 (compact) or
512 (paper), colours are those of vertices of two sheets of such a mesh. Columns:

- us: microseconds a point, ours on maps that are folded already; fold: milliseconds to fold the texels that
  these points touch, once an image and head.
- ratio: torch's time over ours; with fold: over ours and the fold, as if the image had no more points.
- MMAC: million multiply-adds a point, as torch does them and after folding.
- of bound: the time that the folded multiply-adds take at the rate of torch's product of two 1024 x 1024
  matrices of the same precision, measured by turns with the rest, over our time.

`--clock cpu` counts processor time instead, for a machine that has other things to do; it takes --threads 1.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from jiffsdk._core import FoldedMaps

BATCH = 10_000
MATRIX = 1024
TOLERANCE = {"fp32": 1e-4, "bf16": 0.03, "int8": 0.06}

Points = NDArray[np.float32]
Run = Callable[[], object]


@dataclass(frozen=True)
class Case:
    """One head on one set of points."""

    name: str
    num_points: int
    ours: dict[str, Run]  # by precision
    fold: Run
    torch: Run
    macs: int
    folded_macs: int


@dataclass(frozen=True)
class Row:
    """Best times of one case, microseconds a point, and how fast the machine multiplied meanwhile."""

    name: str
    precision: str
    num_points: int
    ours_us: float
    fold_ms: float
    torch_us: float
    macs: int
    folded_macs: int
    gflops: float

    @property
    def ratio(self) -> float:
        return self.torch_us / self.ours_us

    @property
    def ratio_with_fold(self) -> float:
        return self.torch_us / (self.ours_us + 1e3 * self.fold_ms / self.num_points)

    @property
    def share_of_bound(self) -> float:
        return 2e-3 * self.folded_macs / self.gflops / self.ours_us


def grid_cells(num_cells: int, resolution: int) -> Points:
    """(x, y) of neighbouring columns of the lattice, row by row: (N, 2)."""
    side = int(np.ceil(num_cells**0.5))
    y, x = np.divmod(np.arange(num_cells), side)
    return ((np.stack([x, y], axis=1) - side / 2) * (2 / resolution)).astype(np.float32)


def lattice_points(num_points: int, run_length: int, resolution: int) -> Points:
    """Lattice points of a surface: `run_length` in each of neighbouring columns."""
    xy = grid_cells(-(-num_points // run_length), resolution).repeat(run_length, axis=0)[:num_points]
    z = np.random.default_rng(1).uniform(-0.5, 0.5, size=(num_points, 1))
    return np.concatenate([xy, z], axis=1).astype(np.float32)


def mesh_vertices(num_points: int, resolution: int, shuffled: bool = False) -> Points:
    """Vertices of two sheets, three in a column of cells: one on each of its edges."""
    rng = np.random.default_rng(1)
    sheet = grid_cells(-(-num_points // 6), resolution)
    xy = np.concatenate([sheet, sheet]).repeat(3, axis=0)[:num_points]
    along = rng.uniform(0, 2 / resolution, size=len(xy))
    xy[0::3, 0] += along[0::3]
    xy[1::3, 1] += along[1::3]
    z = rng.uniform(-0.5, 0.5, size=(len(xy), 1))
    vertices = np.concatenate([xy, z], axis=1).astype(np.float32)
    return rng.permutation(vertices) if shuffled else vertices


def build_cases(config_name: str, num_points: int, precisions: Sequence[str]) -> list[Case]:
    """The body, face and colour heads of the compact or the paper networks, random weights."""
    import torch

    from jiffexport.nets import config as configs
    from jiffexport.nets.head import ImplicitHead, SkipMlp, sample_features
    from jiffexport.nets.joint_head import JointHead
    from jiffexport.nets.volume_frame import VolumeFrame, sample_volume
    from jiffsdk import _core

    torch.manual_seed(0)
    shape = getattr(configs, f"{config_name}_FACE_SHAPE")
    coarse = getattr(configs, f"{config_name}_COLOR")
    fine = getattr(configs, f"{config_name}_FINE_COLOR")
    num_colors = 4 if fine.blends_image else 3
    frame = VolumeFrame(torch.tensor([[0.8, 0.8, 0.8]]), torch.tensor([[0.5, 0.5, 0.5]]))

    def layers(mlp: SkipMlp, hidden_only: bool = False) -> list[tuple[NDArray, NDArray]]:
        kept = mlp.layers[:-1] if hidden_only else mlp.layers
        return [(layer.weight[:, :, 0].detach().numpy(), layer.bias.detach().numpy()) for layer in kept]

    def multiply_adds(mlp: SkipMlp, num_mapped: int, hidden_only: bool = False) -> tuple[int, int]:
        kept = mlp.layers[:-1] if hidden_only else mlp.layers
        return (
            sum(layer.in_channels * layer.out_channels for layer in kept),
            sum((layer.in_channels - num_mapped) * layer.out_channels for layer in kept),
        )

    def add(name: str, head: ImplicitHead | JointHead, maps: list, num_own: int, points: Points) -> None:
        arrays = [feature_map.numpy() for feature_map in maps]
        num_mapped = sum(feature_map.shape[1] for feature_map in maps)
        activation = head.activation
        own = np.random.default_rng(2).normal(size=(len(points), num_own)).astype(np.float32)
        given_own = own if num_own else None
        if isinstance(head, JointHead):
            volume = torch.randn(1, head.branch_3d.layers[0].in_channels, 32, 32, 32)
            sampler = _core.VolumeSampler(volume.numpy())
            mlps = [layers(head.branch_2d, True), layers(head.branch_3d, True), layers(head.joint)]
            queries = {
                precision: _core.JointQuery(*mlps, head.depth_scale, activation, num_own, precision)
                for precision in precisions
            }
            counts = [
                multiply_adds(head.branch_2d, num_mapped, True),
                multiply_adds(head.branch_3d, 0, True),
                multiply_adds(head.joint, num_mapped),
            ]
        else:
            queries = {
                precision: _core.ImplicitQuery(layers(head), head.depth_scale, activation, num_own, precision)
                for precision in precisions
            }
            counts = [multiply_adds(head, num_mapped)]

        def ask(precision: str, folded: FoldedMaps) -> Points:
            if isinstance(head, ImplicitHead):
                return queries[precision].query(folded, points, given_own)
            placed = frame.scale[0].numpy(), frame.offset[0].numpy()
            return queries[precision].query(folded, sampler, *placed, points, given_own)

        def fold(precision: str) -> FoldedMaps:
            folded = queries[precision].fold(arrays)
            folded.prepare(points)
            return folded

        def ours(precision: str) -> Run:
            folded = fold(precision)
            return lambda: ask(precision, folded)

        @torch.inference_mode()
        def theirs() -> Points:
            values = []
            for begin in range(0, len(points), BATCH):
                at = torch.from_numpy(points[begin : begin + BATCH])[None]
                samples = [sample_features(feature_map, at) for feature_map in maps]
                if num_own:
                    samples.append(torch.from_numpy(own[begin : begin + BATCH]).T[None])
                samples_2d = torch.cat(samples, 1) if len(samples) > 1 else samples[0]
                if isinstance(head, ImplicitHead):
                    values.append(head(samples_2d, at[..., 2]))
                else:
                    samples_3d = sample_volume(volume, frame.coordinates(at))
                    values.append(joint_alone(head, samples_2d, samples_3d, at[..., 2]))
            return torch.cat(values, 2)[0].T.numpy()

        expected, sides = theirs(), {precision: ours(precision) for precision in precisions}
        for precision, run in sides.items():
            difference = np.abs(run() - expected).max()
            assert difference < TOLERANCE[precision], f"{name}: {precision} is off by {difference}"
        macs, folded_macs = (sum(count[i] for count in counts) for i in (0, 1))
        cases.append(
            Case(
                f"{config_name.lower()} {name}",
                len(points),
                sides,
                lambda: fold("fp32"),
                theirs,
                macs,
                folded_macs,
            )
        )

    def joint_alone(
        head: JointHead, samples_2d: torch.Tensor, samples_3d: torch.Tensor, depth: torch.Tensor
    ) -> torch.Tensor:
        """The joint output without those of the branches, which serve training alone."""
        raw_2d = torch.cat([samples_2d, (depth * head.depth_scale)[:, None]], 1)
        raw = torch.cat([raw_2d, samples_3d], 1)
        starts = [
            mlp.activations(given, len(mlp.layers) - 1)
            for mlp, given in ((head.branch_2d, raw_2d), (head.branch_3d, samples_3d))
        ]
        hidden = head.joint.activations(raw, len(head.joint.layers) - 1, torch.cat(starts, 1))
        logits = head.joint.output(hidden, raw)
        return torch.sigmoid(logits) if head.activation == "sigmoid" else (torch.tanh(logits) + 1) / 2

    cases: list[Case] = []
    shape_map = torch.randn(1, shape.body.feature_channels, 128, 128)
    color_map = torch.randn(1, coarse.feature_channels, 128, 128)
    fine_map = torch.randn(1, fine.feature_channels, 256, 256)
    body = ImplicitHead(
        shape.body.feature_channels, shape.body.hidden_widths, 1, shape.body.depth_scale, "sigmoid"
    )
    face = JointHead(
        shape.face_head, shape.features_2d, shape.volume.feature_channels, 1, shape.depth_scale, "sigmoid"
    )
    head_map = shape_map
    if shape.head_encoder is not None:
        size = shape.head_encoder.feature_size
        head_map = torch.randn(1, shape.features_2d, size, size)
    color = ImplicitHead(
        coarse.feature_channels + coarse.shape_feature_channels,
        coarse.hidden_widths,
        num_colors,
        coarse.depth_scale,
        "tanh",
    )
    channels_2d = fine.feature_channels + fine.coarse_channels
    fine_color = ImplicitHead(channels_2d, fine.hidden_widths, num_colors, fine.depth_scale, "tanh")
    face_color = JointHead(
        fine.face_head, channels_2d, fine.volume.feature_channels, num_colors, fine.depth_scale, "tanh"
    )
    resolution = 256 if config_name == "COMPACT" else 512
    vertices = mesh_vertices(num_points, resolution)
    for run_length in (1, 4, 64):
        points = lattice_points(num_points, run_length, resolution)
        add(f"body, {run_length} a column", body, [shape_map], 0, points)
    add("face, 4 a column", face, [head_map], 0, lattice_points(num_points, 4, resolution))
    add("colour", color, [shape_map, color_map], 0, vertices)
    shuffled = mesh_vertices(num_points, resolution, shuffled=True)
    add("colour, shuffled", color, [shape_map, color_map], 0, shuffled)
    add("fine colour", fine_color, [fine_map], fine.coarse_channels, vertices)
    add("face colour", face_color, [fine_map], fine.coarse_channels, vertices)
    return cases


def measure(case: Case, multiply: dict[str, Run], num_repeats: int, clock: Callable[[], float]) -> list[Row]:
    """Run the sides by turns, once to warm up and then `num_repeats` times; the best of each counts."""
    sides = {"fold": case.fold, "torch": case.torch}
    for precision, run in case.ours.items():
        sides |= {precision: run, f"{precision} matrices": multiply[precision]}
    best = dict.fromkeys(sides, float("inf"))
    for repeat in range(num_repeats + 1):
        for name, run in sides.items():
            start = clock()
            run()
            if repeat > 0:
                best[name] = min(best[name], clock() - start)
    per_point = 1e6 / case.num_points
    return [
        Row(
            case.name,
            precision,
            case.num_points,
            best[precision] * per_point,
            best["fold"] * 1e3,
            best["torch"] * per_point,
            case.macs,
            case.folded_macs,
            2e-9 * MATRIX**3 / best[f"{precision} matrices"],
        )
        for precision in case.ours
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--configs", nargs="+", default=["compact", "paper"], choices=["compact", "paper"])
    parser.add_argument("--num-points", type=int, default=20_000)
    parser.add_argument("--threads", type=int, default=1, help="threads of each side (default 1)")
    parser.add_argument("--repeats", type=int, default=5, help="timed runs of each side (default 5)")
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    parser.add_argument("--json", help="also write the rows to this file")
    arguments = parser.parse_args()
    if arguments.clock == "cpu" and arguments.threads != 1:
        parser.error("--clock cpu adds up the time of all threads, so it takes --threads 1")
    os.environ["JIFF_NUM_THREADS"] = str(arguments.threads)

    import torch

    from jiffsdk import _core

    torch.set_num_threads(arguments.threads)
    machine = {
        "processor": processor_name(),
        "simd_level": _core.simd_level(),
        "num_threads": arguments.threads,
        "clock": arguments.clock,
        "torch": torch.__version__,
    }
    print(", ".join(f"{key} {value}" for key, value in machine.items()))
    print(
        f"{'case':34} {'us':>7} {'torch':>7} {'ratio':>6} {'fold ms':>8} {'with fold':>10} "
        f"{'MMAC':>13} {'GFLOP/s':>8} {'of bound':>9}"
    )
    levels = _core.supported_simd_levels()
    numbers = torch.randn(MATRIX, MATRIX)
    multiply = {"fp32": lambda: numbers @ numbers}
    if "avx512_bf16" in levels:
        rounded = numbers.bfloat16()
        multiply["bf16"] = lambda: rounded @ rounded
    if "avx512_vnni" in levels:
        whole = (numbers * 30).to(torch.int8)
        multiply["int8"] = lambda: torch._int_mm(whole, whole)
    clock = time.perf_counter if arguments.clock == "wall" else time.process_time
    rows = []
    for config_name in arguments.configs:
        for case in build_cases(config_name.upper(), arguments.num_points, tuple(multiply)):
            for row in measure(case, multiply, arguments.repeats, clock):
                rows.append(row)
                print(
                    f"{row.name:29} {row.precision} {row.ours_us:7.2f} {row.torch_us:7.2f} {row.ratio:6.2f} "
                    f"{row.fold_ms:8.1f} {row.ratio_with_fold:10.2f} {row.macs / 1e6:6.3f} "
                    f"{row.folded_macs / 1e6:6.3f} {row.gflops:8.0f} {row.share_of_bound:9.0%}",
                    flush=True,
                )
    if arguments.json:
        computed = ("ratio", "ratio_with_fold", "share_of_bound")
        written = [{**asdict(row), **{name: getattr(row, name) for name in computed}} for row in rows]
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump({"machine": machine, "rows": written}, file, indent=2)


def processor_name() -> str:
    """As /proc/cpuinfo names it, where there is one."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.split(":")[1].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
