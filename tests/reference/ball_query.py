"""The points around centres, one distance at a time, in float32 as the operator computes it."""

import numpy as np
from numpy.typing import NDArray

from reference.farthest_point_sampling import squared_distance


def ball_query(
    points: NDArray[np.float32], centers: NDArray[np.float32], radius: float, group_size: int
) -> NDArray[np.int32]:
    """For each centre the first `group_size` points within the radius; (M, group_size)."""
    squared_radius = np.float32(radius) * np.float32(radius)
    groups = []
    for center in centers:
        group = [i for i, point in enumerate(points) if squared_distance(point, center) <= squared_radius]
        group = group[:group_size]
        groups.append(group + [group[0]] * (group_size - len(group)))
    return np.array(groups, np.int32).reshape(-1, group_size)
