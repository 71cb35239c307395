"""Distances between a reconstruction and the truth, as the field reports them.

All meshes and points are in one coordinate system, in metres; distances come back in centimetres.
"""

from __future__ import annotations

import igl
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from jiffsdk.preview import rasterize

Points = NDArray[np.float64]
Faces = NDArray[np.int64]


def sample_surface(vertices: Points, faces: Faces, num_points: int, seed: int = 0) -> Points:
    """Area-weighted random points on a triangle mesh, (num_points, 3)."""
    return _sample(vertices, faces, num_points, seed)[0]


def _sample(vertices: Points, faces: Faces, num_points: int, seed: int) -> tuple[Points, Faces]:
    """Area-weighted random points, and the triangle that each lies on."""
    random = np.random.default_rng(seed)
    corners = vertices[faces]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    on = random.choice(len(faces), num_points, p=area / area.sum())
    chosen = corners[on]
    u, v = random.random((2, num_points, 1))
    beyond = u + v > 1
    u, v = np.where(beyond, 1 - u, u), np.where(beyond, 1 - v, v)
    points = chosen[:, 0] + u * (chosen[:, 1] - chosen[:, 0]) + v * (chosen[:, 2] - chosen[:, 0])
    return points, on


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


def normal_consistency(points: Points, normals: Points, vertices: Points, faces: Faces) -> float:
    """Mean absolute cosine between normals (N, 3) at points and those of the nearest triangles of a mesh."""
    nearest_face = igl.point_mesh_squared_distance(points, vertices, faces)[1]
    own = face_normals(vertices, faces[nearest_face])
    return float(np.abs((own * normals).sum(axis=1)).mean())


def face_normals(vertices: Points, faces: Faces) -> Points:
    """Unit normals of triangles, (F, 3); zero where a triangle has no area."""
    corners = vertices[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-20)


def sample_oriented(vertices: Points, faces: Faces, num_points: int, seed: int = 0) -> tuple[Points, Points]:
    """Area-weighted random points of a mesh and the unit normals there, (num_points, 3) each."""
    points, on = _sample(vertices, faces, num_points, seed)
    return points, face_normals(vertices, faces[on])


def front_depth(
    vertices: Points, faces: Faces, center: NDArray[np.float64], pixel_m: float, size_px: int
) -> NDArray[np.float64]:
    """How near to the camera a mesh reaches at the pixels of a square picture, metres; NaN beside it.

    Parameters
    ----------
    vertices
        (V, 3), metres, x right, y up, z toward the camera.
    center
        x, y of the picture's middle.
    """
    moved = (vertices - [center[0], center[1], 0]) / [pixel_m, pixel_m, 1]
    fragments = rasterize(moved, faces.astype(np.int32), size_px, size_px)
    depth = np.full(size_px * size_px, np.nan)
    depth[fragments.pixels] = fragments.interpolate(vertices[:, 2:], faces)[:, 0]
    return depth.reshape(size_px, size_px)


def face_distance_cm(
    front: NDArray[np.float64], true_front: NDArray[np.float64], is_face: NDArray[np.bool_]
) -> tuple[float, float]:
    """Mean distance of what the pixels of a face show (the paper's face L2), and the share not covered.

    The camera is orthographic: both points of a pixel lie on one line of sight.

    Parameters
    ----------
    front, true_front
        Of `front_depth`.
    is_face
        The pixels that count.
    """
    distance = 100 * np.abs(front - true_front)[is_face]
    covered = ~np.isnan(distance)
    if not covered.any():
        return float("nan"), 1.0
    return float(distance[covered].mean()), float(1 - covered.mean())


def structural_similarity(
    image: NDArray[np.floating], truth: NDArray[np.floating], counted: NDArray[np.bool_]
) -> float:
    """SSIM (paper ref. [62]) of pictures (H, W, 3) in [0, 1], averaged over the pixels that count (H, W)."""
    from skimage.metrics import structural_similarity as ssim

    _, by_pixel = ssim(image, truth, channel_axis=2, data_range=1.0, full=True)
    return float(by_pixel[counted].mean())
