"""Drawn photographs: red people before a blue wall, and their masks."""

from __future__ import annotations

import numpy as np

RED = np.array([220, 60, 40], np.uint8)
BLUE = np.array([40, 60, 220], np.uint8)


def disc(height_px: int, width_px: int, row: float, column: float, radius_px: float) -> np.ndarray:
    """(H, W) bool, true where the pixel's centre lies within the circle."""
    rows, columns = np.mgrid[0:height_px, 0:width_px] + 0.5
    return (rows - row) ** 2 + (columns - column) ** 2 < radius_px**2


def person(height_px: int = 240, width_px: int = 200) -> np.ndarray:
    """(H, W) bool: a head and a round body, off centre and free of the borders."""
    head = disc(height_px, width_px, 0.30 * height_px, 0.45 * width_px, 0.10 * height_px)
    body = disc(height_px, width_px, 0.60 * height_px, 0.45 * width_px, 0.25 * height_px)
    return head | body


def photograph(mask: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8: red where the mask is true, blue elsewhere, lighter to the right."""
    rgb = np.where(mask[..., None], RED, BLUE).astype(np.float64)
    light = np.linspace(0.8, 1.1, mask.shape[1])[None, :, None]
    return np.clip(rgb * light, 0, 255).astype(np.uint8)


def as_bytes(mask: np.ndarray) -> np.ndarray:
    """A bool mask as uint8, 255 on the person."""
    return mask.astype(np.uint8) * np.uint8(255)
