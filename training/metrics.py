"""Distances between a reconstruction and the truth, as the field reports them.

All meshes and points are in one coordinate system, in metres; distances come back in centimetres.
"""

from __future__ import annotations

import igl
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

Points = NDArray[np.float64]
Faces = NDArray[np.int64]


def sample_surface(vertices: Points, faces: Faces, num_points: int, seed: int = 0) -> Points:
    """Area-weighted random points on a triangle mesh, (num_points, 3)."""
    random = np.random.default_rng(seed)
    corners = vertices[faces]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    chosen = corners[random.choice(len(faces), num_points, p=area / area.sum())]
    u, v = random.random((2, num_points, 1))
    beyond = u + v > 1
    u, v = np.where(beyond, 1 - u, u), np.where(beyond, 1 - v, v)
    return chosen[:, 0] + u * (chosen[:, 1] - chosen[:, 0]) + v * (chosen[:, 2] - chosen[:, 0])


def distance_to_surface_cm(points: Points, vertices: Points, faces: Faces) -> NDArray[np.float64]:
    """Distance of every point to the nearest point of a mesh, (N,)."""
    squared = igl.point_mesh_squared_distance(points, vertices, faces)[0]
    return 100 * np.sqrt(squared)


def inside(points: Points, vertices: Points, faces: Faces) -> NDArray[np.bool_]:
    """Which points a closed mesh contains, by winding number, (N,)."""
    return igl.fast_winding_number(vertices, faces, points) > 0.5


def intersection_over_union(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """Of two sets given by membership of the same uniform points. Two empty sets agree fully."""
    union = int((a | b).sum())
    return float((a & b).sum()) / union if union else 1.0


def nearest(points: Points, targets: Points) -> NDArray[np.int64]:
    """Index of the nearest target of every point, (N,)."""
    return cKDTree(targets).query(points)[1]


def visible_vertices(view: Points, faces: Faces, grid: int = 256, slack: float = 0.02) -> NDArray[np.bool_]:
    """Vertices that the camera sees, (V,).

    A vertex is seen if it faces the camera and no other vertex in its neighbourhood of a
    `grid` x `grid` picture is nearer by more than `slack`.

    Parameters
    ----------
    view
        Vertices in view coordinates (x right, y down, z toward the camera); dense enough that every
        covered cell of the grid holds one.
    """
    corners = view[faces]
    # View coordinates are left-handed, so a front-facing triangle has a negative cross product z.
    facing = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])[:, 2]
    normal_z = np.zeros(len(view))
    np.add.at(normal_z, faces.ravel(), np.repeat(-facing, 3))
    cell = np.clip(((view[:, :2] + 1) / 2 * grid).astype(int), 0, grid - 1)
    nearest_z = np.full((grid + 2, grid + 2), -np.inf)
    np.maximum.at(nearest_z, (cell[:, 1] + 1, cell[:, 0] + 1), view[:, 2])
    front = nearest_z[1:-1, 1:-1].copy()
    for dy in (0, 1, 2):
        for dx in (0, 1, 2):
            front = np.maximum(front, nearest_z[dy : dy + grid, dx : dx + grid])
    return (normal_z > 0) & (view[:, 2] >= front[cell[:, 1], cell[:, 0]] - slack)
