"""Pooling by voxel, point by point."""

import numpy as np
from numpy.typing import NDArray


def voxel_indices(coordinates: NDArray[np.float32], resolution: int) -> NDArray[np.int32]:
    """Voxels (N,) of coordinates (N, 3) in [0, 1)."""
    voxels = []
    for x, y, z in coordinates:
        i, j, k = (min(resolution - 1, int(np.float32(c) * np.float32(resolution))) for c in (x, y, z))
        voxels.append(i + resolution * (j + resolution * k))
    return np.array(voxels, np.int32)


def voxel_max(codes: NDArray[np.float32], voxels: NDArray[np.int32]) -> NDArray[np.float32]:
    """For each point the channel-wise largest code in its voxel, (N, C)."""
    pooled = np.empty_like(codes)
    for i, voxel in enumerate(voxels):
        pooled[i] = codes[voxels == voxel].max(axis=0)
    return pooled


def voxel_mean(codes: NDArray[np.float32], voxels: NDArray[np.int32], resolution: int) -> NDArray[np.float64]:
    """The mean code of each voxel, (C, R, R, R) as [z, y, x]."""
    volume = np.zeros((codes.shape[1], resolution, resolution, resolution))
    for voxel in set(voxels.tolist()):
        i, j, k = voxel % resolution, voxel // resolution % resolution, voxel // resolution**2
        volume[:, k, j, i] = codes[voxels == voxel].astype(np.float64).mean(axis=0)
    return volume
