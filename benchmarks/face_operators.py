"""How fast the operators of the face are against other ways to compute the same, by turns in one process.

    python benchmarks/face_operators.py [--repeats 5]

The mesh and the sizes are those of the compact face networks. Each row takes the best of the repeats
of either side. `ratio` is the other's time over ours: above 1 ours is faster. JIFF_NUM_THREADS and
OMP_NUM_THREADS set the threads of each side.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, cKDTree

from jiffsdk import _core

try:
    import igl
except ImportError:
    igl = None
try:
    import torch
except ImportError:
    torch = None

Points = NDArray[np.float32]

NUM_VERTICES, NUM_CENTERS, NUM_CODES, RESOLUTION = 20_000, 256, 32, 48


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


def face_points(rng: np.random.Generator) -> Points:
    directions = rng.normal(size=(NUM_VERTICES, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return (0.5 + 0.35 * directions).astype(np.float32)


def numpy_farthest_points(points: Points, num_samples: int) -> list[int]:
    nearest, chosen = np.full(len(points), np.inf, np.float32), [0]
    while len(chosen) < num_samples:
        offsets = points - points[chosen[-1]]
        nearest = np.minimum(nearest, np.einsum("ij,ij->i", offsets, offsets))
        chosen.append(int(nearest.argmax()))
    return chosen


def kd_tree_interpolation(values: Points, sources: Points, targets: Points) -> Points:
    distance, index = cKDTree(sources).query(targets, k=3)
    weight = 1 / (distance**2 + 1e-8)
    weight /= weight.sum(axis=1, keepdims=True)
    return np.einsum("nk,nkc->nc", weight, values[index])


def numpy_voxel_mean(codes: Points, voxels: NDArray[np.int32], resolution: int) -> Points:
    sums = np.zeros((resolution**3, codes.shape[1]), np.float32)
    np.add.at(sums, voxels, codes)
    counts = np.bincount(voxels, minlength=resolution**3)
    return np.ascontiguousarray((sums / np.maximum(counts, 1)[:, None]).T)


def point_rows(points: Points, codes: Points, num_repeats: int) -> list[Row]:
    centers = points[_core.farthest_point_sampling(points, NUM_CENTERS)]
    voxels = _core.voxel_indices(points, RESOLUTION)
    cases: dict[str, dict[str, Callable[[], object]]] = {
        f"farthest points, {NUM_CENTERS} of {NUM_VERTICES}": {
            "ours": partial(_core.farthest_point_sampling, points, NUM_CENTERS),
            "NumPy": partial(numpy_farthest_points, points, NUM_CENTERS),
        },
        "balls, 16 points each": {
            "ours": partial(_core.ball_query, points, centers, 0.1, 16),
            "SciPy k-d tree": lambda: cKDTree(points).query_ball_point(centers, 0.1),
        },
        "interpolation to all vertices": {
            "ours": partial(_core.interpolate_nearest, codes[:NUM_CENTERS], centers, points),
            "SciPy k-d tree": partial(kd_tree_interpolation, codes[:NUM_CENTERS], centers, points),
        },
        f"voxel mean, {RESOLUTION}^3": {
            "ours": partial(_core.voxel_mean, codes, voxels, RESOLUTION),
            "NumPy add.at": partial(numpy_voxel_mean, codes, voxels, RESOLUTION),
        },
    }
    return [
        row for case, sides in cases.items() for row in rows_of(case, best_times_ms(sides, num_repeats), "")
    ]


def sampling_rows(rng: np.random.Generator, num_repeats: int) -> list[Row]:
    volume = rng.normal(size=(1, NUM_CODES, *[RESOLUTION] * 3)).astype(np.float32)
    queries = rng.uniform(size=(100_000, 3)).astype(np.float32)
    sides: dict[str, Callable[[], object]] = {"ours": lambda: _core.VolumeSampler(volume).sample(queries)}
    if torch:
        grid = torch.from_numpy(queries * 2 - 1)[None, None, None]
        sides["torch"] = lambda: torch.nn.functional.grid_sample(
            torch.from_numpy(volume), grid, align_corners=False
        )
    return rows_of("volume samples, 100 000", best_times_ms(sides, num_repeats), "")


def distance_rows(points: Points, rng: np.random.Generator, num_repeats: int) -> list[Row]:
    faces = ConvexHull(points).simplices.astype(np.int32)
    near = points[rng.integers(0, len(points), 20_000)] + rng.normal(scale=0.02, size=(20_000, 3))
    near = near.astype(np.float32)
    sides: dict[str, Callable[[], object]] = {
        "ours": lambda: _core.MeshDistance(points, faces).query(near),
    }
    if igl:
        wide_near, wide_points, wide_faces = near.astype(float), points.astype(float), faces.astype(np.int64)
        sides["libigl"] = lambda: igl.point_mesh_squared_distance(wide_near, wide_points, wide_faces)
    return rows_of(f"distance, 20 000 to {len(faces)} faces", best_times_ms(sides, num_repeats), "with tree")


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
    num_repeats = parser.parse_args().repeats
    rng = np.random.default_rng(0)
    points = face_points(rng)
    codes = rng.normal(size=(NUM_VERTICES, NUM_CODES)).astype(np.float32)
    rows = point_rows(points, codes, num_repeats)
    rows += sampling_rows(rng, num_repeats)
    rows += distance_rows(points, rng, num_repeats)
    print_table(rows)


if __name__ == "__main__":
    main()
