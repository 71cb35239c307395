"""The implicit function point by point: sample, then the skip-concatenated MLP, in float64."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from reference.feature_sampling import sample_features

Layer = tuple[NDArray[np.floating], NDArray[np.floating]]


def query(
    layers: Sequence[Layer],
    maps: Sequence[NDArray[np.floating]],
    points: NDArray[np.floating],
    depth_scale: float = 1.0,
    activation: str = "sigmoid",
) -> NDArray[np.float64]:
    """Evaluate points (N, 3); returns (N, num_outputs)."""
    xy, z = points[:, :2], points[:, 2:].astype(np.float64)
    features = [sample_features(feature_map, xy) for feature_map in maps]
    raw = np.concatenate([*features, z * depth_scale], axis=1)
    hidden = np.zeros((len(points), 0))
    for i, (weight, bias) in enumerate(layers):
        hidden = np.concatenate([hidden, raw], axis=1) @ weight.T.astype(np.float64) + bias
        if i + 1 < len(layers):
            hidden = np.where(hidden > 0, hidden, 0.01 * hidden)
    values = 1 / (1 + np.exp(-hidden)) if activation == "sigmoid" else (np.tanh(hidden) + 1) / 2
    values[(np.abs(xy) > 1).any(axis=1)] = 0
    values[np.isnan(points).any(axis=1)] = np.nan
    return values
