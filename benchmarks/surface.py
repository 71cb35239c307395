"""How fast the surface is extracted, and for how many queries, against dense evaluation and an octree.

    python benchmarks/surface.py [--resolutions 128 256 512] [--repeats 3] [--json surface.json]

The field is a figure of capsules with soft edges. Two tables, both sides in one process, by turns:

- extraction alone: the field is a table look-up, whose time is taken off ours, against scikit-image's
  marching cubes on the dense grid of the same values;
- extraction with the compact head: each query runs the fused implicit function, as a reconstruction does.
  The octree (see `octree_values`) asks the same function and then runs scikit-image's marching cubes.

Times are the processor's, of all threads together: other work on the machine does not spoil them, and
what ours gains from several threads is not counted. `ratio` is the other's median time over ours: above 1
ours is faster. `asked` counts queries in parts of the ideal number, the lattice points of crossed cells.
"""

import argparse
import json
import platform
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from skimage import measure

from jiffsdk import _core

COMPACT_HEAD = [129, 256, 256, 128, 64, 1]
DEPTH_SCALE = 1.28

Field = Callable[[NDArray[np.int32]], NDArray[np.float32]]


@dataclass(frozen=True)
class Row:
    """One comparison; times are medians of the repeats, in milliseconds of all threads together."""

    case: str
    ours_ms: float
    other: str
    other_ms: float
    ours_asked: float
    other_asked: float
    num_ideal: int

    @property
    def ratio(self) -> float:
        return self.other_ms / self.ours_ms


class Lookup:
    """A field that is a table, and counts and times itself."""

    def __init__(self, values: NDArray[np.float32], work: Field | None = None) -> None:
        self.values, self.work = values, work
        self.num_asked, self.spent_ms = 0, 0.0

    def __call__(self, points: NDArray[np.int32]) -> NDArray[np.float32]:
        start = time.process_time()
        if self.work is not None:
            self.work(points)
        found = self.values[points[:, 2], points[:, 1], points[:, 0]]
        self.num_asked += len(points)
        self.spent_ms += 1e3 * (time.process_time() - start)
        return found


def octree_values(
    field: Field, resolution: int, columns: NDArray[np.uint8], num_initial: int = 64, threshold: float = 0.01
) -> NDArray[np.float32]:
    """The dense grid as the octree of PIFu (Saito et al. 2019, Sec. 3.1 and supplement) fills it.

    A first grid of about `num_initial` points a side is asked. A cell whose corners differ by less than
    `threshold` is filled with the middle of its least and greatest corner, unless its centre is known; the
    others are asked at half the step, down to single points. Only points of open columns are asked, as by
    ours.
    """
    values = np.zeros((resolution + 1,) * 3, np.float32)
    known = np.ones(values.shape, bool)
    known[1:-1, 1:-1, 1:-1] = columns.astype(bool)[None, 1:-1, 1:-1] == 0
    step = 1
    while step * num_initial < resolution:
        step *= 2
    while step > 0:
        grid = (slice(None, None, step),) * 3
        z, y, x = np.nonzero(~known[grid])
        if len(z) > 0:
            points = step * np.stack([x, y, z], axis=-1).astype(np.int32)
            points = points[np.lexsort((points[:, 2], points[:, 0], points[:, 1]))]
            values[points[:, 2], points[:, 1], points[:, 0]] = field(points)
            known[points[:, 2], points[:, 1], points[:, 0]] = True
        if step == 1:
            break
        coarse = values[grid]
        low, high = coarse[:-1, :-1, :-1].copy(), coarse[:-1, :-1, :-1].copy()
        for k, j, i in np.ndindex(2, 2, 2):
            n = len(coarse) - 1
            corner = coarse[k : k + n, j : j + n, i : i + n]
            np.minimum(low, corner, out=low)
            np.maximum(high, corner, out=high)
        undecided = ~known[(slice(step // 2, None, step),) * 3]
        for k, j, i in np.argwhere((high - low < threshold) & undecided) * step:
            cell = (slice(k, k + step), slice(j, j + step), slice(i, i + step))
            new = ~known[cell]
            middle = (low[k // step, j // step, i // step] + high[k // step, j // step, i // step]) / 2
            values[cell][new] = middle
            known[cell] = True
        step //= 2
    return values


def random_head(widths: list[int]) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    rng = np.random.default_rng(0)
    layers, previous = [], 0
    for width in widths[1:]:
        weight = rng.normal(scale=(previous + widths[0]) ** -0.5, size=(width, previous + widths[0]))
        layers.append((weight.astype(np.float32), np.zeros(width, np.float32)))
        previous = width
    return layers


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


def median_times_ms(sides: dict[str, Callable[[], float]], num_repeats: int) -> dict[str, float]:
    """Run the sides by turns, once to warm up; each gives the time it took."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for repeat in range(num_repeats + 1):
        for name, run in sides.items():
            spent = run()
            if repeat > 0:
                times[name].append(spent)
    return {name: statistics.median(values) for name, values in times.items()}


def rows_of(resolution: int, num_repeats: int) -> list[Row]:
    values = figure(resolution)
    columns = (values > 0.01).any(axis=0).astype(np.uint8)
    values *= columns[None]
    rng = np.random.default_rng(2)
    feature_map = rng.normal(size=(1, 128, 128, 128)).astype(np.float32)
    query = _core.ImplicitQuery(random_head(COMPACT_HEAD), DEPTH_SCALE)
    folded = query.fold([feature_map])

    def compact_head(points: NDArray[np.int32]) -> NDArray[np.float32]:
        return query.query(folded, (-1 + 2 / resolution * points).astype(np.float32))

    asked: dict[str, int] = {}
    ideal = 0

    def ours(work: Field | None, without_field: bool) -> float:
        nonlocal ideal
        field = Lookup(values, work)
        start = time.process_time()
        surface = _core.extract_surface(field, resolution, columns=columns)
        spent_ms = 1e3 * (time.process_time() - start)
        asked["ours"], ideal = surface["num_queries_asked"], surface["num_queries_ideal"]
        return spent_ms - field.spent_ms if without_field else spent_ms

    def dense(method: str) -> float:
        start = time.process_time()
        measure.marching_cubes(values, 0.5, method=method)
        return 1e3 * (time.process_time() - start)

    def octree() -> float:
        field = Lookup(values, compact_head)
        start = time.process_time()
        measure.marching_cubes(octree_values(field, resolution, columns), 0.5)
        asked["octree"] = field.num_asked
        return 1e3 * (time.process_time() - start)

    rows = []
    alone = median_times_ms(
        {
            "ours": partial(ours, None, True),
            "scikit-image, dense (Lewiner)": partial(dense, "lewiner"),
            "scikit-image, dense (Lorensen)": partial(dense, "lorensen"),
        },
        num_repeats,
    )
    num_points = int(columns[1:-1, 1:-1].sum()) * (resolution - 1)
    ours_ms = alone.pop("ours")
    for name, other_ms in alone.items():
        rows.append(
            Row(f"extraction alone {resolution}", ours_ms, name, other_ms, asked["ours"] / ideal,
                num_points / ideal, ideal)
        )  # fmt: skip
    if resolution <= 256:  # the octree's loops in Python take minutes above
        with_head = median_times_ms(
            {"ours": partial(ours, compact_head, False), "PIFu's octree": octree}, max(1, num_repeats // 2)
        )
        rows.append(
            Row(f"with compact head {resolution}", with_head["ours"], "PIFu's octree",
                with_head["PIFu's octree"], asked["ours"] / ideal, asked["octree"] / ideal, ideal)
        )  # fmt: skip
    return rows


def commit() -> str | None:
    try:
        run = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return run.stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--resolutions", type=int, nargs="+", default=[128, 256, 512])
    parser.add_argument("--repeats", type=int, default=3, help="timed runs of each side (default 3)")
    parser.add_argument("--json", help="also write the rows to this file")
    arguments = parser.parse_args()
    machine = {
        "processor": platform.processor() or platform.machine(),
        "simd_level": _core.simd_level(),
        "num_threads": _core.num_threads(),
        "commit": commit(),
    }
    print(", ".join(f"{key} {value}" for key, value in machine.items()))
    print(f"{'case':24} {'ours ms':>9} {'asked':>6} {'other':>32} {'other ms':>9} {'asked':>6} {'ratio':>6}")
    rows: list[Row] = []
    for resolution in arguments.resolutions:
        for row in rows_of(resolution, arguments.repeats):
            rows.append(row)
            print(
                f"{row.case:24} {row.ours_ms:9.1f} {row.ours_asked:6.2f} {row.other:>32} {row.other_ms:9.1f} "
                f"{row.other_asked:6.2f} {row.ratio:6.1f}",
                flush=True,
            )
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(
                {"machine": machine, "rows": [{**asdict(r), "ratio": r.ratio} for r in rows]}, file, indent=2
            )


if __name__ == "__main__":
    main()
