"""Farthest-point sampling, one distance at a time, in float32 as the operator computes it."""

import numpy as np
from numpy.typing import NDArray


def farthest_point_sampling(points: NDArray[np.float32], num_samples: int) -> NDArray[np.int32]:
    """Indices of points (N, 3): point 0, then each time the one farthest from all chosen ones."""
    chosen = [0]
    while len(chosen) < num_samples:
        nearest = [min(squared_distance(point, points[c]) for c in chosen) for point in points]
        chosen.append(int(np.argmax(nearest)))
    return np.array(chosen, np.int32)


def squared_distance(a: NDArray[np.float32], b: NDArray[np.float32]) -> np.float32:
    """Of two points (3,), x, y, z added in this order."""
    x, y, z = a - b
    return x * x + y * y + z * z
