"""What an encoder sees and where surface may lie, straight from docs/conventions.md."""

from __future__ import annotations

import numpy as np

from reference.image_warp import warp_image


def frame_image(
    rgb: np.ndarray, mask: np.ndarray, crop: tuple[float, float, float, float], size_px: int
) -> np.ndarray:
    """(4, S, S): colours premultiplied by the mask before resampling, and the mask."""
    alpha = mask[..., None] / 255.0
    return warp_image(np.concatenate([rgb / 255.0 * alpha, alpha], axis=2), crop, size_px, size_px)


def encoder_input(frame: np.ndarray, num_channels: int, size_px: int) -> np.ndarray:
    """(1, num_channels, size_px, size_px): (colour - 0.5) / 0.5 times the mask, then the mask, averaged."""
    alpha = frame[3]
    color = np.divide(frame[:3], alpha, out=np.zeros_like(frame[:3]), where=alpha > 0)
    channels = [*((color - 0.5) / 0.5 * alpha), alpha]
    block = frame.shape[1] // size_px
    pixels = np.stack(channels[:num_channels]).reshape(num_channels, size_px, block, size_px, block)
    return pixels.mean((2, 4))[None]


def silhouette_columns(frame: np.ndarray, resolution: int, dilation_px: int) -> np.ndarray:
    """(R + 1, R + 1) bool [y, x]: any silhouette pixel within `dilation_px` rows and columns."""
    silhouette = frame[3] > 0.5
    size_px = len(silhouette)
    columns = np.zeros((resolution + 1, resolution + 1), bool)
    for y in range(resolution + 1):
        for x in range(resolution + 1):
            row, column = (min(i * size_px // resolution, size_px - 1) for i in (y, x))
            window = silhouette[
                max(0, row - dilation_px) : row + dilation_px + 1,
                max(0, column - dilation_px) : column + dilation_px + 1,
            ]
            columns[y, x] = window.any()
    return columns
