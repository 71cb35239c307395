"""The distance from points to a mesh: every point to every triangle, no tree.

A triangle is its three edges, and its inside where the point projects there. The inside is found by solving
for the foot of the perpendicular, another way than the operator's.
"""

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]


def mesh_distance(
    vertices: NDArray[np.float32], faces: NDArray[np.int32], points: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Unsigned distances (N,) of points (N, 3)."""
    corners = vertices.astype(np.float64)[faces]
    return np.array([min(_to_triangle(p, *triangle) for triangle in corners) for p in points.astype(float)])


def _to_triangle(point: Vector, a: Vector, b: Vector, c: Vector) -> float:
    distances = [_to_segment(point, a, b), _to_segment(point, b, c), _to_segment(point, c, a)]
    edges = np.stack([b - a, c - a], axis=1)
    (s, t), _, rank, _ = np.linalg.lstsq(edges, point - a, rcond=1e-10)
    if rank == 2 and s >= 0 and t >= 0 and s + t <= 1:
        distances.append(float(np.linalg.norm(a + edges @ (s, t) - point)))
    return min(distances)


def _to_segment(point: Vector, a: Vector, b: Vector) -> float:
    length = float((b - a) @ (b - a))
    along = float(np.clip((point - a) @ (b - a) / length, 0, 1)) if length > 0 else 0.0
    return float(np.linalg.norm(a + along * (b - a) - point))
