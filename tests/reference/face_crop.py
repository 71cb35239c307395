"""The face's crop, by a library's least squares."""

from __future__ import annotations

import numpy as np

from reference.image_warp import warp_image

Box = tuple[float, float, float, float]


def face_crop_box(landmarks_px: np.ndarray, mean_face: np.ndarray, side_m: float) -> Box:
    """Left, top, width, height of the square around landmarks (5, 2), from the mean face's (5, 3)."""
    unknowns = np.column_stack([mean_face, np.ones(5)])
    rows = np.linalg.lstsq(unknowns, landmarks_px, rcond=None)[0][:3].T  # (2, 3), pixels for a metre
    side = side_m * (np.linalg.norm(rows[0]) + np.linalg.norm(rows[1])) / 2
    x, y = landmarks_px.mean(axis=0)
    return float(x - side / 2), float(y - side / 2), float(side), float(side)


def face_crop(rgb: np.ndarray, box: Box, size_px: int) -> np.ndarray:
    """(1, 3, size_px, size_px) in [-1, 1] of (H, W, 3) bytes."""
    return 2 * warp_image(rgb / 255.0, box, size_px, size_px)[None] - 1
