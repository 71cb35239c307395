"""Placing a face and aligning it to a surface: all pairs compared, a library's least squares."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

DEPTH_CELL_M, FACING, MIN_SEEN, DAMPING, CONVERGED, LENGTH = 0.004, 0.3, 0.2, 1e-5, 1e-5, 0.1


def nearest_points(points: np.ndarray, queries: np.ndarray, reach: float) -> tuple[np.ndarray, np.ndarray]:
    """Index of the nearest point to each query, -1 beyond reach, and its distance (0 then)."""
    indices, distances = np.full(len(queries), -1), np.zeros(len(queries))
    for row, query in enumerate(queries):
        apart = [float(np.sqrt(((point - query) ** 2).sum())) for point in points.astype(np.float64)]
        if apart and min(apart) <= reach:
            indices[row], distances[row] = int(np.argmin(apart)), min(apart)
    return indices, distances


@dataclass
class Placement:
    """world = scale * rotation @ model + translation."""

    rotation: np.ndarray
    scale: float
    translation: np.ndarray

    def __call__(self, points: np.ndarray) -> np.ndarray:
        return self.scale * points.astype(np.float64) @ self.rotation.T + self.translation


def place_face(pose: np.ndarray, side_m: float, crop: tuple, frame: tuple, size_m: float) -> Placement:
    """Where the crop's own coordinates put the model, through the photo, into the frame's world."""
    rotation = Rotation.from_euler("xyz", pose[:3]).as_matrix()
    m_per_px = size_m / frame[2]
    center = np.array(crop[:2]) + crop[2] / 2 * (1 + pose[3:5])
    middle = np.array(frame[:2]) + np.array(frame[2:]) / 2
    x, y = (center - middle) * m_per_px
    return Placement(rotation, np.exp(pose[5]) * crop[2] / side_m * m_per_px, np.array([x, -y, 0.0]))


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    normals = np.zeros((len(vertices), 3))
    for face in faces:
        a, b, c = vertices[face].astype(np.float64)
        normals[face] += np.cross(b - a, c - a)
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    return normals / np.where(lengths > 0, lengths, 1)


def on_rim(num_vertices: int, faces: np.ndarray) -> np.ndarray:
    """Vertices of edges that only one triangle has."""
    edges = [tuple(sorted((face[k], face[(k + 1) % 3]))) for face in faces.tolist() for k in range(3)]
    flags = np.zeros(num_vertices, dtype=bool)
    for edge, count in Counter(edges).items():
        if count == 1:
            flags[list(edge)] = True
    return flags


def align_face(
    vertices: np.ndarray,
    faces: np.ndarray,
    start: Placement,
    surface: np.ndarray,
    surface_faces: np.ndarray,
    *,
    reach_m: float = 0.03,
    kept_share: float = 0.85,
    min_normal_cosine: float = 0.3,
    image_weight: float = 0.3,
    pose_weight: float = 0.0,
    num_iterations: int = 40,
    counted: np.ndarray | None = None,
    settles_in_depth: bool = False,
) -> tuple[Placement, float, float]:
    """The refined placement and the residuals before and after, without any safeguard."""
    model = vertices.astype(np.float64)
    normals = vertex_normals(vertices, faces)
    points = surface.astype(np.float64)
    surface_normals = vertex_normals(surface, surface_faces)
    seen = start(model)
    beside = (
        (points[:, :2] >= seen[:, :2].min(axis=0) - reach_m)
        & (points[:, :2] <= seen[:, :2].max(axis=0) + reach_m)
    ).all(axis=1)
    points, surface_normals = points[beside], surface_normals[beside]
    rim = on_rim(len(surface), surface_faces)[beside]

    is_counted = np.ones(len(model), bool) if counted is None else counted.astype(bool)

    def depth_shift(now: Placement) -> float:
        """The median gap to the surface's front, over what the camera sees of the vertices."""
        here, gaps = now(model), []
        areas = np.zeros(len(here))
        for face in faces:
            u, v = here[face[1]] - here[face[0]], here[face[2]] - here[face[0]]
            areas[face] += max(0.0, u[0] * v[1] - u[1] * v[0]) / 6
        for row in np.flatnonzero(is_counted & ((normals @ now.rotation.T)[:, 2] >= FACING)):
            cell = np.floor(here[row, :2] / DEPTH_CELL_M)
            same = (np.floor(points[:, :2] / DEPTH_CELL_M) == cell).all(axis=1) & (
                surface_normals[:, 2] >= FACING
            )
            if same.any():
                gaps.append((points[same, 2].max() - here[row, 2], areas[row]))
        ordered = np.array(sorted(gaps))
        below = np.cumsum(ordered[:, 1])
        return float(ordered[np.argmax(below >= below[-1] / 2), 0])

    begin = Placement(start.rotation, start.scale, start.translation + [0, 0, depth_shift(start)])

    def match(now: Placement) -> tuple[np.ndarray, np.ndarray]:
        apart = np.linalg.norm(now(model)[:, None] - points[None], axis=2)
        partner, distance = apart.argmin(axis=1), apart.min(axis=1)
        turned = normals @ now.rotation.T
        fits = is_counted & (distance <= reach_m) & ~rim[partner]
        fits &= np.einsum("na,na->n", turned, surface_normals[partner]) >= min_normal_cosine
        return np.where(fits, partner, -1), distance

    now = begin
    first_partner, first_distance = partner, distance = match(now)
    for _ in range(num_iterations):
        paired = partner >= 0
        ranked = np.sort(distance[paired])
        last = min(len(ranked) - 1, int(kept_share * len(ranked)))
        kept = paired & (distance <= ranked[last])
        here = now(model)
        center = here.mean(axis=0)
        q = (here - center) / LENGTH
        n = surface_normals[partner[kept]]
        rows = [np.column_stack([np.cross(q[kept], n), n, (q[kept] * n).sum(axis=1)])]
        values = [(n * (points[partner[kept]] - here[kept])).sum(axis=1)]
        back = begin(model) - here
        zero, one = np.zeros(len(q)), np.ones(len(q))
        root = np.sqrt(image_weight * (last + 1) / len(q))
        rows.append(root * np.column_stack([zero, q[:, 2], -q[:, 1], one, zero, zero, q[:, 0]]))
        rows.append(root * np.column_stack([-q[:, 2], zero, q[:, 0], zero, one, zero, q[:, 1]]))
        values += [root * back[:, 0], root * back[:, 1]]
        root = np.sqrt(pose_weight * (last + 1) / len(q))
        rows.append(root * np.column_stack([q[:, 1], -q[:, 0], zero, zero, zero, zero, q[:, 2]]))
        values.append(root * (back[:, 2] - back[:, 2].mean()))
        rows.append(np.sqrt(DAMPING * (last + 1)) * np.eye(7))
        values.append(np.zeros(7))
        x = np.linalg.lstsq(np.concatenate(rows), np.concatenate(values), rcond=None)[0]
        turn = Rotation.from_rotvec(x[:3] / LENGTH).as_matrix()
        growth = 1 + x[6] / LENGTH
        now = Placement(
            turn @ now.rotation,
            growth * now.scale,
            growth * turn @ (now.translation - center) + center + x[3:6],
        )
        partner, distance = match(now)
        if np.abs(x).max() <= CONVERGED:
            break
    both = (first_partner >= 0) & (partner >= 0)
    before, after = (np.sqrt((d[both] ** 2).mean()) for d in (first_distance, distance))
    if settles_in_depth:
        now = Placement(now.rotation, now.scale, now.translation + [0, 0, depth_shift(now)])
    return now, float(before), float(after)
