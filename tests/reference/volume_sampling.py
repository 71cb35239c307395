"""Trilinear sampling with voxel centres at (i + 0.5) / R and zeros outside, voxel by voxel."""

import math

import numpy as np
from numpy.typing import NDArray


def cube_coordinates(
    scale: NDArray[np.float32], offset: NDArray[np.float32], points: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Points (N, 3) of the view in the unit cube, clamped to [0, 0.999]."""
    cube = points.astype(np.float64) * scale + offset
    return np.where(cube >= 1, 0.999, np.where(cube < 0, 0, cube))


def sample_volume(volume: NDArray[np.floating], coordinates: NDArray[np.floating]) -> NDArray[np.float64]:
    """Sample a volume (1, C, D, H, W) at coordinates (N, 3) in the unit cube; returns (N, C)."""
    _, num_channels, depth, height, width = volume.shape
    samples = np.zeros((len(coordinates), num_channels))
    for n, coordinate in enumerate(coordinates.astype(np.float64)):
        if np.isnan(coordinate).any():
            samples[n] = math.nan
            continue
        x, y, z = coordinate * (width, height, depth) - 0.5
        if not (-1 < x < width and -1 < y < height and -1 < z < depth):
            continue
        for k in (math.floor(z), math.floor(z) + 1):
            for j in (math.floor(y), math.floor(y) + 1):
                for i in (math.floor(x), math.floor(x) + 1):
                    if 0 <= i < width and 0 <= j < height and 0 <= k < depth:
                        weight = (1 - abs(x - i)) * (1 - abs(y - j)) * (1 - abs(z - k))
                        samples[n] += weight * volume[0, :, k, j, i].astype(np.float64)
    return samples
