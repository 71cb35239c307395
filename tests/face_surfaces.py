"""A face made of formulas, and heads for it to be aligned to."""

from __future__ import annotations

import numpy as np


def face_depth(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Depth in metres of a face-like relief: a skull, a nose, brows, eyes and lips; not symmetric."""
    skull = 0.09 * np.sqrt(np.clip(1 - (x / 0.085) ** 2 - (y / 0.125) ** 2, 0.02, None))

    def bump(cx: float, cy: float, width: float, height: float) -> np.ndarray:
        return height * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * width**2))

    relief = bump(0, -0.005, 0.009, 0.022) + bump(0, 0.015, 0.007, 0.012) + bump(0, -0.035, 0.012, 0.006)
    eyes = bump(-0.03, 0.033, 0.010, -0.008) + bump(0.031, 0.034, 0.010, -0.007)
    return skull + relief + eyes + bump(0.002, -0.07, 0.012, 0.006)


def relief_mesh(
    num_x: int, num_y: int, half_width: float, half_height: float
) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (N, 3) float32 and triangles (F, 3) int32 of the relief over a rectangle."""
    x, y = np.meshgrid(
        np.linspace(-half_width, half_width, num_x), np.linspace(-half_height, half_height, num_y)
    )
    vertices = np.stack([x, y, face_depth(x, y)], axis=-1).reshape(-1, 3)
    vertices[:, 2] -= 0.08
    index = np.arange(num_x * num_y).reshape(num_y, num_x)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]
    faces = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)])
    return vertices.astype(np.float32), faces.astype(np.int32)
