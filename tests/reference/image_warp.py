"""Box resampling, one output pixel at a time: area-weighted where it shrinks, bilinear where it grows."""

from __future__ import annotations

import math

import numpy as np


def axis_weights(start: float, length: float, num_source: int, num_out: int) -> np.ndarray:
    """(num_out, num_source) weights along one axis."""
    weights = np.zeros((num_out, num_source))
    step = length / num_out
    for out in range(num_out):
        low, high = start + out * step, start + (out + 1) * step
        if step > 1.0:
            for source in range(num_source):
                weights[out, source] = max(0.0, min(high, source + 1) - max(low, source)) / step
            continue
        centre = (low + high) / 2
        if not 0.0 <= centre < num_source:
            continue
        position = min(max(centre - 0.5, 0.0), num_source - 1.0)
        first = math.floor(position)
        weights[out, first] += 1.0 - (position - first)
        if position > first:
            weights[out, first + 1] += position - first
    return weights


def warp_image(
    image: np.ndarray, box: tuple[float, float, float, float], width_px: int, height_px: int
) -> np.ndarray:
    """(H, W, C) values to (C, height_px, width_px); `box` is left, top, width, height."""
    left, top, width, height = box
    columns = axis_weights(left, width, image.shape[1], width_px)
    rows = axis_weights(top, height, image.shape[0], height_px)
    return np.stack([rows @ channel @ columns.T for channel in image.astype(np.float64).transpose(2, 0, 1)])
