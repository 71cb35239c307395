"""Bilinear sampling with align_corners=True and zeros outside, texel by texel."""

import math

import numpy as np
from numpy.typing import NDArray


def sample_features(feature_map: NDArray[np.floating], xy: NDArray[np.floating]) -> NDArray[np.float64]:
    """Sample a map (1, C, H, W) at view coordinates (N, 2); returns (N, C)."""
    _, num_channels, height, width = feature_map.shape
    samples = np.zeros((len(xy), num_channels))
    for i, (x, y) in enumerate(xy.astype(np.float64)):
        if math.isnan(x) or math.isnan(y):
            samples[i] = math.nan
            continue
        column, row = (x + 1) / 2 * (width - 1), (y + 1) / 2 * (height - 1)
        if not (-1 < column < width and -1 < row < height):
            continue
        for r in (math.floor(row), math.floor(row) + 1):
            for c in (math.floor(column), math.floor(column) + 1):
                if 0 <= r < height and 0 <= c < width:
                    weight = (1 - abs(row - r)) * (1 - abs(column - c))
                    samples[i] += weight * feature_map[0, :, r, c].astype(np.float64)
    return samples
