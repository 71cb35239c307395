"""How fast the operators are against other ways to compute the same, both in one process, by turns.

    python benchmarks/operators.py [--repeats 5] [--json operators.json]

Each row takes the best of the repeats of either side. `ratio` is the other's time over ours: above 1
ours is faster. JIFF_NUM_THREADS, OPENBLAS_NUM_THREADS and OMP_NUM_THREADS set the threads of each side.
"""

import argparse
import json
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from skimage import measure

from jiffsdk import _core

try:
    import torch
except ImportError:
    torch = None

SHAPE_HEADS = {
    "compact": [129, 256, 256, 128, 64, 1],
    "paper": [257, 1024, 512, 256, 128, 1],
}
DEPTH_SCALE = 1.28

Layers = list[tuple[NDArray[np.float32], NDArray[np.float32]]]


@dataclass(frozen=True)
class Row:
    """One comparison; times are the best of the repeats."""

    case: str
    ours_ms: float
    other: str
    other_ms: float
    note: str = ""

    @property
    def ratio(self) -> float:
        return self.other_ms / self.ours_ms


def best_times_ms(sides: dict[str, Callable[[], object]], num_repeats: int) -> dict[str, float]:
    """Run the sides by turns, once to warm up and then `num_repeats` times."""
    best = dict.fromkeys(sides, float("inf"))
    for repeat in range(num_repeats + 1):
        for name, run in sides.items():
            start = time.perf_counter()
            run()
            if repeat > 0:
                best[name] = min(best[name], 1e3 * (time.perf_counter() - start))
    return best


def rows_of(case: str, times_ms: dict[str, float], note: str) -> list[Row]:
    ours_ms = times_ms.pop("ours")
    return [Row(case, ours_ms, name, other_ms, note) for name, other_ms in times_ms.items()]


def random_head(widths: list[int]) -> Layers:
    rng = np.random.default_rng(0)
    layers, previous = [], 0
    for width in widths[1:]:
        weight = rng.normal(scale=(previous + widths[0]) ** -0.5, size=(width, previous + widths[0]))
        layers.append((weight.astype(np.float32), np.zeros(width, np.float32)))
        previous = width
    return layers


def numpy_query(
    layers: Layers, feature_map: NDArray[np.float32], points: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Gather, blend and multiply: what one writes in NumPy; 4096 points at a time stay in cache."""
    height, width = feature_map.shape[2:]
    texels = np.ascontiguousarray(feature_map[0].transpose(1, 2, 0))
    values = []
    for begin in range(0, len(points), 4096):
        part = points[begin : begin + 4096]
        column, row = (part[:, 0] + 1) / 2 * (width - 1), (part[:, 1] + 1) / 2 * (height - 1)
        left = np.clip(column.astype(np.int64), 0, width - 2)
        top = np.clip(row.astype(np.int64), 0, height - 2)
        u, v = (column - left)[:, None].astype(np.float32), (row - top)[:, None].astype(np.float32)
        upper = texels[top, left] * (1 - u) + texels[top, left + 1] * u
        lower = texels[top + 1, left] * (1 - u) + texels[top + 1, left + 1] * u
        raw = np.concatenate([upper * (1 - v) + lower * v, part[:, 2:] * np.float32(DEPTH_SCALE)], axis=1)
        hidden = raw[:, :0]
        for i, (weight, bias) in enumerate(layers):
            hidden = np.concatenate([hidden, raw], axis=1) @ weight.T + bias
            if i + 1 < len(layers):
                hidden = np.where(hidden > 0, hidden, np.float32(0.01) * hidden)
        values.append(1 / (1 + np.exp(-hidden)))
    return np.concatenate(values)


def torch_query(layers: Layers, feature_map: NDArray[np.float32]) -> Callable[[NDArray[np.float32]], object]:
    """The same in torch: grid_sample and linear layers."""
    features = torch.from_numpy(feature_map)
    tensors = [(torch.from_numpy(weight), torch.from_numpy(bias)) for weight, bias in layers]

    @torch.inference_mode()
    def run(points: NDArray[np.float32]) -> object:
        values = []
        for part in torch.from_numpy(points).split(4096):
            sampled = torch.nn.functional.grid_sample(features, part[None, None, :, :2], align_corners=True)
            raw = torch.cat([sampled[0, :, 0].T, part[:, 2:] * DEPTH_SCALE], 1)
            hidden = raw[:, :0]
            for i, (weight, bias) in enumerate(tensors):
                hidden = torch.nn.functional.linear(torch.cat([hidden, raw], 1), weight, bias)
                if i + 1 < len(tensors):
                    hidden = torch.nn.functional.leaky_relu(hidden, 0.01)
            values.append(torch.sigmoid(hidden))
        return torch.cat(values)

    return run


def column_points(num_points: int, run_length: int) -> NDArray[np.float32]:
    """Points of a surface: runs along the depth over neighbouring columns."""
    num_runs = -(-num_points // run_length)
    side = int(np.ceil(num_runs**0.5))
    grid = np.stack(np.meshgrid(*[np.linspace(-0.6, 0.6, side)] * 2), axis=-1).reshape(-1, 2)[:num_runs]
    xy = grid.repeat(run_length, axis=0)[:num_points]
    z = np.random.default_rng(1).uniform(-0.5, 0.5, size=(num_points, 1))
    return np.concatenate([xy, z], axis=1).astype(np.float32)


def query_rows(num_repeats: int) -> list[Row]:
    rows = []
    for name, widths in SHAPE_HEADS.items():
        layers = random_head(widths)
        channels = widths[0] - 1
        feature_map = np.random.default_rng(2).normal(size=(1, channels, 128, 128)).astype(np.float32)
        ours = _core.ImplicitQuery(layers, DEPTH_SCALE)
        num_points = 40_000 if name == "compact" else 10_000
        theirs = torch_query(layers, feature_map) if torch else None
        for run_length in (1, 6, 255):
            points = column_points(num_points, run_length)
            error = np.abs(ours.query([feature_map], points) - numpy_query(layers, feature_map, points)).max()
            assert error < 1e-5, f"the sides disagree by {error}"
            sides: dict[str, Callable[[], object]] = {
                "ours": partial(ours.query, [feature_map], points),
                "NumPy": partial(numpy_query, layers, feature_map, points),
            }
            if theirs:
                sides["torch"] = partial(theirs, points)
            times = best_times_ms(sides, num_repeats)
            note = f"{num_points / times['ours'] / 1e3:.2f} M queries/s"
            rows += rows_of(f"query {name}, {run_length} a column", times, note)
    return rows


def product_rows(num_repeats: int) -> list[Row]:
    """The blocked product: a head that is hardly more than one layer, against NumPy's sgemm tile by tile."""
    rows = []
    num_tiles, tile_size = 64, 128
    num_points = num_tiles * tile_size
    for depth, width in ((256, 256), (256, 128)):
        rng = np.random.default_rng(3)
        layers = [  # the first layer makes `depth` hidden channels from the depth feature alone
            (rng.normal(size=(depth, 2)).astype(np.float32), np.zeros(depth, np.float32)),
            (rng.normal(size=(width, depth + 2)).astype(np.float32), np.zeros(width, np.float32)),
            (rng.normal(size=(1, width + 2)).astype(np.float32), np.zeros(1, np.float32)),
        ]
        ours = _core.ImplicitQuery(layers)
        feature_map = np.ones((1, 1, 2, 2), np.float32)
        points = column_points(num_points, num_points)
        a = rng.normal(size=(num_tiles, tile_size, depth)).astype(np.float32)
        b = rng.normal(size=(depth, width)).astype(np.float32)
        product = np.empty((tile_size, width), np.float32)
        sides: dict[str, Callable[[], object]] = {
            "ours": partial(ours.query, [feature_map], points),
            "NumPy sgemm": lambda a=a, b=b, product=product: [np.matmul(tile, b, out=product) for tile in a],
        }
        times = best_times_ms(sides, 4 * num_repeats)
        rates = {name: 2e-6 * num_points * depth * width / ms for name, ms in times.items()}
        note = f"{rates['ours']:.0f} GFLOP/s against {rates['NumPy sgemm']:.0f}"
        rows += rows_of(f"layer {depth} to {width}, tiles of {tile_size}", times, note)
    return rows


def figure(resolution: int) -> NDArray[np.float32]:
    """Occupancy [z, y, x] of a figure of capsules with soft edges, 2 % of the frame wide."""
    parts = [
        ((0, -0.15, 0), (0, 0.25, 0), 0.16),
        ((0, -0.42, 0), (0, -0.36, 0), 0.11),
        ((-0.2, -0.2, 0), (-0.45, 0.2, 0.1), 0.05),
        ((0.2, -0.2, 0), (0.45, 0.2, -0.1), 0.05),
        ((-0.09, 0.3, 0), (-0.12, 0.9, 0.05), 0.07),
        ((0.09, 0.3, 0), (0.12, 0.9, -0.05), 0.07),
    ]
    axis = np.linspace(-1, 1, resolution + 1)
    values = np.empty((resolution + 1,) * 3, np.float32)
    for begin in range(0, resolution + 1, 16):  # a few planes at a time stay in cache
        z, y, x = np.meshgrid(axis[begin : begin + 16], axis, axis, indexing="ij", sparse=True)
        distance = np.full((len(z), resolution + 1, resolution + 1), np.inf)
        for start, end, radius in parts:
            ax, ay, az = np.subtract(end, start)
            along = (x - start[0]) * ax + (y - start[1]) * ay + (z - start[2]) * az
            along = np.clip(along / (ax**2 + ay**2 + az**2), 0, 1)
            squared = sum(
                (c - s - along * a) ** 2
                for c, s, a in ((x, start[0], ax), (y, start[1], ay), (z, start[2], az))
            )
            distance = np.minimum(distance, np.sqrt(squared) - radius)
        values[begin : begin + 16] = 1 / (1 + np.exp(2.2 * distance / 0.02))
    for border in (0, -1):
        values[border] = values[:, border] = values[:, :, border] = 0
    return values


def extraction_rows(num_repeats: int) -> list[Row]:
    rows = []
    layers = random_head(SHAPE_HEADS["compact"])
    query = _core.ImplicitQuery(layers, DEPTH_SCALE)
    feature_map = np.random.default_rng(2).normal(size=(1, 128, 128, 128)).astype(np.float32)
    for resolution in (64, 128):
        values = figure(resolution)
        columns = (values > 0.01).any(axis=0).astype(np.uint8)

        def field(points: NDArray[np.int32], values: NDArray[np.float32] = values) -> NDArray[np.float32]:
            """Costs what the network's field costs, and is the figure."""
            view = (-1 + 2 / (values.shape[0] - 1) * points).astype(np.float32)
            query.query([feature_map], view)
            return values[points[:, 2], points[:, 1], points[:, 0]]

        def extract(dense: bool, field: Callable = field, columns: NDArray = columns) -> dict:
            return _core.extract_surface(field, columns.shape[0] - 1, dense=dense, columns=columns)

        sparse, dense = extract(False), extract(True)
        assert np.array_equal(sparse["vertices"], dense["vertices"]) and np.array_equal(
            sparse["faces"], dense["faces"]
        )
        sides = {
            "ours": partial(extract, False),
            "ours, dense": partial(extract, True),
        }
        asked, ideal = sparse["num_queries_asked"], sparse["num_queries_ideal"]
        note = f"asked {asked / ideal:.2f} of ideal, dense {dense['num_queries_asked'] / ideal:.1f}"
        rows += rows_of(
            f"extract {resolution}, compact head", best_times_ms(sides, max(1, num_repeats // 2)), note
        )
    return rows


def marching_cubes_rows(num_repeats: int) -> list[Row]:
    rows = []
    for resolution in (128, 192):
        values = figure(resolution)
        sides = {
            "ours": partial(_core.marching_cubes, values, 0.5),
            "scikit-image (Lewiner)": partial(measure.marching_cubes, values, 0.5),
            "scikit-image (Lorensen)": partial(measure.marching_cubes, values, 0.5, method="lorensen"),
        }
        note = f"{len(_core.marching_cubes(values, 0.5)[1])} faces"
        rows += rows_of(f"marching cubes {resolution}, dense", best_times_ms(sides, num_repeats), note)
    return rows


def print_table(rows: list[Row]) -> None:
    print(f"{'case':34} {'ours ms':>9} {'other':>24} {'other ms':>9} {'ratio':>6}  note")
    for row in rows:
        print(
            f"{row.case:34} {row.ours_ms:9.3f} "
            f"{row.other:>24} {row.other_ms:9.3f} {row.ratio:6.2f}  {row.note}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=5, help="timed runs of each side (default 5)")
    parser.add_argument("--json", help="also write the rows to this file")
    arguments = parser.parse_args()
    machine = {
        "processor": platform.processor() or platform.machine(),
        "simd_level": _core.simd_level(),
        "num_threads": _core.num_threads(),
        "numpy": np.__version__,
        "torch": torch.__version__ if torch else None,
    }
    print(", ".join(f"{key} {value}" for key, value in machine.items()))
    rows: list[Row] = []
    for measure_rows in (query_rows, product_rows, extraction_rows, marching_cubes_rows):
        rows += measure_rows(arguments.repeats)
    print_table(rows)
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(
                {"machine": machine, "rows": [{**asdict(r), "ratio": r.ratio} for r in rows]}, file, indent=2
            )


if __name__ == "__main__":
    main()
