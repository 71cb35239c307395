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
    point_features: NDArray[np.floating] | None = None,
) -> NDArray[np.float64]:
    """Evaluate points (N, 3) with features of their own (N, P); returns (N, num_outputs)."""
    raw = raw_channels(maps, points, depth_scale, point_features)
    hidden = leaky_layers(layers[:-1], raw, np.zeros((len(points), 0)))
    return valid(activated(linear(layers[-1], hidden, raw), activation), points)


def activations(
    layers: Sequence[Layer],
    maps: Sequence[NDArray[np.floating]],
    points: NDArray[np.floating],
    num_layers: int,
    depth_scale: float = 1.0,
) -> NDArray[np.float64]:
    """What the first `num_layers` layers make of points (N, 3): (N, width)."""
    raw = raw_channels(maps, points, depth_scale, None)
    return valid(leaky_layers(layers[:num_layers], raw, np.zeros((len(points), 0))), points)


def raw_channels(
    maps: Sequence[NDArray[np.floating]],
    points: NDArray[np.floating],
    depth_scale: float,
    point_features: NDArray[np.floating] | None,
) -> NDArray[np.float64]:
    """Samples of the maps, the points' own features, depth: (N, C)."""
    own = np.zeros((len(points), 0)) if point_features is None else point_features.astype(np.float64)
    features = [sample_features(feature_map, points[:, :2]) for feature_map in maps]
    return np.concatenate([*features, own, points[:, 2:].astype(np.float64) * depth_scale], axis=1)


def linear(layer: Layer, hidden: NDArray[np.floating], raw: NDArray[np.floating]) -> NDArray[np.float64]:
    """One layer on [hidden, raw]."""
    weight, bias = layer
    return np.concatenate([hidden, raw], axis=1) @ weight.T.astype(np.float64) + bias


def leaky_layers(
    layers: Sequence[Layer], raw: NDArray[np.floating], start: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Layers on [hidden, raw] with leaky ReLU 0.01 after each."""
    hidden = start
    for layer in layers:
        hidden = linear(layer, hidden, raw)
        hidden = np.where(hidden > 0, hidden, 0.01 * hidden)
    return hidden


def activated(logits: NDArray[np.floating], activation: str) -> NDArray[np.float64]:
    """Occupancy or colour in [0, 1]."""
    return 1 / (1 + np.exp(-logits)) if activation == "sigmoid" else (np.tanh(logits) + 1) / 2


def valid(values: NDArray[np.float64], points: NDArray[np.floating]) -> NDArray[np.float64]:
    """Zero outside the frame, NaN where a coordinate is."""
    values[(np.abs(points[:, :2]) > 1).any(axis=1)] = 0
    values[np.isnan(points).any(axis=1)] = np.nan
    return values
