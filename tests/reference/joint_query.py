"""The joint implicit function point by point: two branches, then the MLP on both, in float64."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from reference.implicit_query import Layer, activated, leaky_layers, product, raw_channels, valid
from reference.volume_sampling import cube_coordinates, sample_volume


def query(
    branch_2d: Sequence[Layer],
    branch_3d: Sequence[Layer],
    joint: Sequence[Layer],
    maps: Sequence[NDArray[np.floating]],
    volume: NDArray[np.floating],
    scale: NDArray[np.floating],
    offset: NDArray[np.floating],
    points: NDArray[np.floating],
    depth_scale: float = 1.0,
    activation: str = "sigmoid",
    point_features: NDArray[np.floating] | None = None,
    precision: str = "fp32",
) -> NDArray[np.float64]:
    """Evaluate points (N, 3) with features of their own (N, P) in a volume (1, C, D, H, W) whose cube lies
    at scale * view + offset, each (3,); returns (N, num_outputs)."""
    raw_2d = raw_channels(maps, points, depth_scale, point_features)
    raw_3d = sample_volume(volume, cube_coordinates(scale, offset, points))
    nothing = np.zeros((len(points), 0))
    multiply = product(precision, maps, points, raw_2d.shape[1] - 1)
    start = [
        leaky_layers(branch_2d, raw_2d, nothing, multiply),
        leaky_layers(branch_3d, raw_3d, nothing, product(precision, [], points, None)),
    ]
    raw = np.concatenate([raw_2d, raw_3d], axis=1)
    hidden = leaky_layers(joint[:-1], raw, np.concatenate(start, axis=1), multiply)
    return valid(activated(multiply(joint[-1], hidden, raw), activation), points)
