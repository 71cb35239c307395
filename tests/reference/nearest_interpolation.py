"""Interpolation from the three nearest sources, one target at a time."""

import numpy as np
from numpy.typing import NDArray

from reference.farthest_point_sampling import squared_distance


def interpolate_nearest(
    values: NDArray[np.float32], sources: NDArray[np.float32], targets: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Values (M, C) at sources (M, 3) carried to targets (N, 3); (N, C)."""
    carried = np.zeros((len(targets), values.shape[1]))
    for i, target in enumerate(targets):
        # The order is decided in float32, as in the operator; ties go to the lower index.
        nearest = sorted((squared_distance(source, target), m) for m, source in enumerate(sources))[:3]
        weights = [1 / (float(squared) + 1e-8) for squared, _ in nearest]
        for weight, (_, m) in zip(weights, nearest, strict=True):
            carried[i] += weight / sum(weights) * values[m].astype(np.float64)
    return carried
