"""Layers of random heads, for the tests of the queries."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Layers = list[tuple[NDArray[np.float32], NDArray[np.float32]]]


def random_layers(widths: list[int], num_start: int = 0, seed: int = 0) -> Layers:
    """Layers of the given widths, the first of which is the number of raw channels: features and depth.

    The first layer takes `num_start` values more, as the joint part of a joint head does.
    """
    rng = np.random.default_rng(seed)
    layers, previous = [], num_start
    for width in widths[1:]:
        inputs = previous + widths[0]
        weight = rng.normal(scale=1.5 / inputs**0.5, size=(width, inputs))
        layers.append((weight.astype(np.float32), rng.normal(scale=0.1, size=width).astype(np.float32)))
        previous = width
    return layers
