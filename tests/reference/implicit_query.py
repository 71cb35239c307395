"""The implicit function point by point: sample, then the skip-concatenated MLP, in float64.

In bf16 weights and inputs of every product are rounded first, but for those of map features: there the
product is made texel by texel and then rounded, for all maps of one size together, and what is sampled is
the product. The depth and its weight are each the sum of two rounded numbers, whose small parts are not
multiplied with each other.

In int8 the products of map features are rounded in the same way. Of the others the inputs are rounded to 256
levels between the least and the greatest of a point's numbers and zero, its hidden channels, its own channels
before the depth and those after it apart; the weights to 255 levels, symmetric, of each output and of each
of these groups. The depth is not rounded.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from reference.feature_sampling import sample_features

Layer = tuple[NDArray[np.floating], NDArray[np.floating]]
Product = Callable[[Layer, NDArray[np.floating], NDArray[np.floating]], NDArray[np.float64]]


def query(
    layers: Sequence[Layer],
    maps: Sequence[NDArray[np.floating]],
    points: NDArray[np.floating],
    depth_scale: float = 1.0,
    activation: str = "sigmoid",
    point_features: NDArray[np.floating] | None = None,
    precision: str = "fp32",
) -> NDArray[np.float64]:
    """Evaluate points (N, 3) with features of their own (N, P); returns (N, num_outputs)."""
    raw = raw_channels(maps, points, depth_scale, point_features)
    multiply = product(precision, maps, points, raw.shape[1] - 1)
    hidden = leaky_layers(layers[:-1], raw, np.zeros((len(points), 0)), multiply)
    return valid(activated(multiply(layers[-1], hidden, raw), activation), points)


def activations(
    layers: Sequence[Layer],
    maps: Sequence[NDArray[np.floating]],
    points: NDArray[np.floating],
    num_layers: int,
    depth_scale: float = 1.0,
    precision: str = "fp32",
) -> NDArray[np.float64]:
    """What the first `num_layers` layers make of points (N, 3): (N, width)."""
    raw = raw_channels(maps, points, depth_scale, None)
    multiply = product(precision, maps, points, raw.shape[1] - 1)
    return valid(leaky_layers(layers[:num_layers], raw, np.zeros((len(points), 0)), multiply), points)


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


def rounded_to_bf16(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """The nearest numbers with eight bits of precision, ties to even."""
    mantissa, exponent = np.frexp(values.astype(np.float64))
    return np.ldexp(np.round(mantissa * 256) / 256, exponent)


def levels_of(numbers: NDArray[np.floating]) -> NDArray[np.float64]:
    """Each row (N, C) rounded to 256 levels from its least to its greatest number, zero among them."""
    low, high = numbers.min(axis=1, initial=0), numbers.max(axis=1, initial=0)
    scale = np.where(high > low, (high - low) / 255, 1)[:, None]
    return np.floor((numbers - low[:, None]) / scale + 0.5) * scale + low[:, None]


def symmetric_levels_of(weight: NDArray[np.floating]) -> NDArray[np.float64]:
    """Each row (out, in) rounded to 127 levels on either side of zero, up to its greatest number."""
    greatest = np.abs(weight.astype(np.float64)).max(axis=1, initial=0)
    scale = np.where(greatest > 0, greatest / 127, 1)[:, None]
    return np.rint(weight / scale) * scale


def sample_folded(
    weight: NDArray[np.floating], maps: Sequence[NDArray[np.floating]], points: NDArray[np.floating]
) -> NDArray[np.float64]:
    """weight (out, C) times the maps' features, rounded texel by texel, at points (N, 3): (N, out)."""
    sums = np.zeros((len(points), len(weight)))
    starts = np.cumsum([0, *(feature_map.shape[1] for feature_map in maps)])
    for size in dict.fromkeys(feature_map.shape[2:] for feature_map in maps):
        folded = sum(
            np.einsum(
                "oc,bcyx->boyx",
                weight[:, start : start + feature_map.shape[1]].astype(np.float64),
                feature_map,
            )
            for start, feature_map in zip(starts, maps, strict=False)
            if feature_map.shape[2:] == size
        )
        sums += sample_features(rounded_to_bf16(np.asarray(folded)), points[:, :2])
    return sums


def product(
    precision: str,
    maps: Sequence[NDArray[np.floating]],
    points: NDArray[np.floating],
    depth_channel: int | None,
) -> Product:
    """One layer in `precision`. The first channels of raw are the features of `maps` at `points`, the one at
    `depth_channel` is the depth."""
    num_mapped = sum(feature_map.shape[1] for feature_map in maps)
    if precision == "fp32":
        return linear

    def quantized_linear(
        layer: Layer, hidden: NDArray[np.floating], raw: NDArray[np.floating]
    ) -> NDArray[np.float64]:
        weight, bias = layer
        inputs, num_hidden = np.concatenate([hidden, raw], axis=1), hidden.shape[1]
        first_own = num_hidden + num_mapped
        sums = sample_folded(weight[:, num_hidden:first_own], maps, points) + bias
        groups = [slice(num_hidden), slice(first_own, None)]
        if depth_channel is not None:
            depth = num_hidden + depth_channel
            sums += np.outer(inputs[:, depth], weight[:, depth])
            groups[1:] = [slice(first_own, depth), slice(depth + 1, None)]
        for group in groups:
            sums += levels_of(inputs[:, group]) @ symmetric_levels_of(weight[:, group]).T
        return sums

    if precision == "int8":
        return quantized_linear

    def rounded_linear(
        layer: Layer, hidden: NDArray[np.floating], raw: NDArray[np.floating]
    ) -> NDArray[np.float64]:
        weight, bias = layer
        inputs = np.concatenate([hidden, raw], axis=1)
        mapped = np.zeros(inputs.shape[1], bool)
        mapped[hidden.shape[1] : hidden.shape[1] + num_mapped] = True
        sums = sample_folded(weight[:, mapped], maps, points) + bias
        sums += rounded_to_bf16(inputs[:, ~mapped]) @ rounded_to_bf16(weight.T[~mapped])
        if depth_channel is not None:
            depth, of_depth = (each[hidden.shape[1] + depth_channel] for each in (inputs.T, weight.T))
            lost = [rounded_to_bf16(each - rounded_to_bf16(each)) for each in (depth, of_depth)]
            sums += np.outer(lost[0], rounded_to_bf16(of_depth)) + np.outer(rounded_to_bf16(depth), lost[1])
        return sums

    return rounded_linear


def leaky_layers(
    layers: Sequence[Layer],
    raw: NDArray[np.floating],
    start: NDArray[np.floating],
    multiply: Product = linear,
) -> NDArray[np.float64]:
    """Layers on [hidden, raw] with leaky ReLU 0.01 after each."""
    hidden = start
    for layer in layers:
        hidden = multiply(layer, hidden, raw)
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
