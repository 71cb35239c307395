"""Heads on the GPU against the float64 reference and the CPU."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from gpu import fewer, needs_gpu
from jiffsdk import _core
from random_heads import random_layers
from reference import implicit_query as reference
from reference import joint_query as joint_reference

pytestmark = needs_gpu

# In float32 the sums run in the order of the CPU's: worst error seen against float64 4e-7.
EXACT = 3e-6
# Half precision keeps 11 bits of weights, folded maps and activations: sums of about unit size through a few
# layers come out with some 1e-3, answers after the sigmoid with a quarter of it.
HALF = 6e-3


def maps_of(sizes: list[tuple[int, int, int]], seed: int = 1) -> list[NDArray[np.float32]]:
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(1, *size)).astype(np.float32) for size in sizes]


def points_of(count: int, seed: int = 2) -> NDArray[np.float32]:
    """Columns of one to nine points; the first few lie where they can go wrong."""
    rng = np.random.default_rng(seed)
    xy = rng.uniform(-1, 1, size=(count, 2)).repeat(rng.integers(1, 10, size=count), axis=0)[:count]
    points = np.concatenate([xy, rng.uniform(-1, 1, size=(count, 1))], axis=1).astype(np.float32)
    corners = [(-1, -1, -1), (1, 1, 1), (1, -1, 0), (1.5, 0, 0), (0, -1.01, 0), (0, 0, 7)]
    odd = np.array([*corners, (np.nan, 0, 0), (0, np.nan, 0), (0, 0, np.nan)], np.float32)
    points[: min(count, len(odd))] = odd[:count]
    return points


def compare(values: NDArray, expected: NDArray, tolerance: float) -> None:
    assert values.shape == expected.shape
    assert np.array_equal(np.isnan(values), np.isnan(expected))
    assert np.nanmax(np.abs(values - expected)) < tolerance


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", EXACT), ("fp16", HALF)])
@pytest.mark.parametrize(
    ("sizes", "widths", "activation"),
    [
        ([(3, 5, 7)], [4, 1], "sigmoid"),
        ([(1, 1, 1)], [2, 5, 3], "tanh"),
        ([(16, 5, 7)], [17, 32, 16, 1], "sigmoid"),
        ([(9, 5, 7), (5, 6, 6)], [15, 33, 23, 7, 3], "tanh"),
        ([(9, 5, 7), (5, 6, 6), (4, 5, 7)], [19, 70, 130, 3], "sigmoid"),
        ([(40, 4, 4)], [41, 300, 40, 1], "sigmoid"),  # a first layer of several stages
    ],
)
@pytest.mark.parametrize("count", [1, 150])
def test_equals_the_reference(
    sizes: list[tuple[int, int, int]],
    widths: list[int],
    activation: str,
    count: int,
    precision: str,
    tolerance: float,
) -> None:
    layers, maps, points = random_layers(widths), maps_of(sizes), points_of(count)
    head = _core.CudaHead(layers, 1.28, activation, precision=precision)
    head.fold(maps)
    compare(head.query(points), reference.query(layers, maps, points, 1.28, activation), tolerance)


@pytest.mark.parametrize("name", ["compact", "paper"])
def test_heads_that_ship_and_the_papers_fit_every_tile(name: str) -> None:
    widths = {"compact": [129, 256, 256, 128, 64, 1], "paper": [257, 1024, 512, 256, 128, 1]}[name]
    layers, maps = random_layers(widths), maps_of([(widths[0] - 1, 3, 4)])
    fastest, common = (_core.CudaHead(layers, 1.28) for _ in range(2))
    common.use_common_kernel()
    fastest.fold(maps)
    common.fold(maps)
    device = _core.cuda_device()
    seen = set()
    for count in (1, 40, 65, fewer(20_000, 260)):
        points = points_of(count)
        expected = reference.query(layers, maps, points, 1.28)
        seen.add(common.tile_points(count))
        compare(common.query(points), expected, HALF)
        compare(fastest.query(points), expected, HALF)
    assert len(seen) > 1, seen
    assert max(seen) <= (64 if device["compute_capability"] == 75 else 128)


def test_float32_agrees_with_the_cpu_to_rounding() -> None:
    layers, maps = random_layers([15, 64, 32, 1]), maps_of([(14, 9, 8)])
    points = points_of(fewer(5000, 300))[9:]
    head = _core.CudaHead(layers, 1.28, precision="fp32")
    head.fold(maps)
    assert np.abs(head.query(points) - _core.ImplicitQuery(layers, 1.28).query(maps, points)).max() < 3e-7


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", EXACT), ("fp16", HALF)])
def test_features_of_each_point_stand_between_the_maps_and_depth(precision: str, tolerance: float) -> None:
    layers, maps = random_layers([14 + 21 + 1, 70, 9, 3]), maps_of([(9, 5, 7), (5, 5, 7)])
    points = points_of(140)
    features = np.random.default_rng(4).normal(size=(len(points), 21)).astype(np.float32)
    head = _core.CudaHead(layers, 1.28, "tanh", 21, precision)
    head.fold(maps)
    expected = reference.query(layers, maps, points, 1.28, "tanh", features)
    compare(head.query(points, features), expected, tolerance)


@pytest.mark.parametrize(
    ("num_features", "widths"),
    [
        (1, [20, 9, 3]),
        (21, [20, 65, 512, 130, 5]),
        (64, [33, 64, 40]),
        (70, [90, 128, 256, 70, 1]),
        (128, [129, 256, 128, 64, 4]),
        (256, [257, 1024, 512, 256, 128, 3]),  # the paper's fine colour
        (257, [20, 70, 3]),  # more than the warpgroups take
    ],
)
def test_features_of_points_in_heads_of_many_sizes(num_features: int, widths: list[int]) -> None:
    layers = random_layers([widths[0] + num_features, *widths[1:]])
    maps, points = maps_of([(widths[0] - 1, 5, 7)]), points_of(fewer(1000, 330))
    features = np.random.default_rng(4).normal(size=(len(points), num_features)).astype(np.float32)
    fastest, common = (_core.CudaHead(layers, 1.28, "tanh", num_features) for _ in range(2))
    common.use_common_kernel()
    for head in (fastest, common):
        head.fold(maps)
    on_warpgroups = _core.cuda_device()["compute_capability"] == 90 and num_features <= 256
    assert fastest.tile_points(1) == (64 if on_warpgroups else common.tile_points(1))
    for head in (fastest, common):
        for count in (1, 70, len(points)):
            given = points[:count], features[:count]
            compare(head.query(*given), reference.query(layers, maps, given[0], 1.28, "tanh", given[1]), HALF)


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", EXACT), ("fp16", 4 * HALF)])
@pytest.mark.parametrize("num_layers", [1, 2, 3])
def test_activations_equal_the_reference(num_layers: int, precision: str, tolerance: float) -> None:
    layers, maps = random_layers([15, 70, 23, 7, 3]), maps_of([(9, 5, 7), (5, 4, 3)])
    points = points_of(70)
    head = _core.CudaHead(layers, 1.28, precision=precision, num_layers=num_layers)
    head.fold(maps)
    assert head.num_outputs == layers[num_layers - 1][0].shape[0]
    compare(head.query(points), reference.activations(layers, maps, points, num_layers, 1.28), tolerance)


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", EXACT), ("fp16", HALF)])
@pytest.mark.parametrize(
    ("widths_2d", "widths_3d", "widths_joint", "num_features"),
    [
        ([8], [5], [1], 0),
        ([33, 20], [40, 21], [30, 1], 0),
        ([70, 20], [17, 9], [100, 40, 3], 6),
    ],
)
def test_joint_heads_equal_the_reference(
    widths_2d: list[int],
    widths_3d: list[int],
    widths_joint: list[int],
    num_features: int,
    precision: str,
    tolerance: float,
) -> None:
    maps, points = maps_of([(9, 5, 7), (5, 6, 6)]), points_of(90)
    raw_2d, raw_3d = 14 + num_features + 1, 11
    parts = [
        random_layers([raw_2d, *widths_2d], seed=1),
        random_layers([raw_3d, *widths_3d], seed=2),
        random_layers([raw_2d + raw_3d, *widths_joint], widths_2d[-1] + widths_3d[-1], seed=3),
    ]
    rng = np.random.default_rng(5)
    volume = rng.normal(size=(1, raw_3d, 4, 5, 6)).astype(np.float32)
    features = rng.normal(size=(len(points), num_features)).astype(np.float32) if num_features else None
    scale, offset = np.float32([0.9, -0.8, 0.7]), np.float32([0.5, 0.4, 0.6])
    head = _core.CudaHead(*parts, 1.28, "sigmoid", num_features, precision)
    head.fold(maps)
    head.set_volume(volume, scale, offset)
    expected = joint_reference.query(
        *parts, maps, volume, scale, offset, points, 1.28, point_features=features
    )
    compare(head.query(points, features), expected, tolerance)


@pytest.mark.parametrize("precision", ["fp16", "fp32"])
def test_a_point_has_one_result_whatever_its_neighbours(precision: str) -> None:
    layers, maps = random_layers([20, 48, 24, 2]), maps_of([(19, 5, 5)])
    points = points_of(200)
    head = _core.CudaHead(layers, precision=precision)
    head.fold(maps)
    values = head.query(points)
    order = np.random.default_rng(1).permutation(len(points))
    assert np.array_equal(head.query(points[order]), values[order], equal_nan=True)
    for begin, end in [(0, 1), (7, 40), (150, 200), (13, 13)]:
        assert np.array_equal(head.query(points[begin:end]), values[begin:end], equal_nan=True)


@pytest.mark.parametrize("precision", ["fp16", "fp32"])
def test_how_many_points_are_asked_for_may_be_known_to_the_device_alone(precision: str) -> None:
    """Tiles are chosen there, for numbers around those where the choice changes."""
    layers, maps = random_layers([20, 48, 24, 2]), maps_of([(19, 5, 5)])
    head = _core.CudaHead(layers, precision=precision)
    head.use_common_kernel()
    head.fold(maps)
    processors = _core.cuda_device()["num_multiprocessors"]
    turns = [tile * (processors - 1) for tile in (16, 32, 64, 128)]
    points = points_of(turns[-1] + 200)
    values = head.query(points)
    for count in (0, 1, len(points), *turns, *(turn + 1 for turn in turns)):
        assert np.array_equal(head.query(points, count=count), values[:count], equal_nan=True)


def test_maps_may_be_folded_again_and_in_other_sizes() -> None:
    layers, points = random_layers([12, 17, 3]), points_of(50)
    head = _core.CudaHead(layers)
    for sizes in ([(11, 5, 5)], [(4, 3, 3), (7, 6, 2)], [(11, 8, 8)]):
        maps = maps_of(sizes)
        head.fold(maps)
        compare(head.query(points), reference.query(layers, maps, points), HALF)


def test_what_does_not_fit_is_refused() -> None:
    layers, maps = random_layers([12, 17, 3]), maps_of([(11, 5, 5)])
    with pytest.raises(_core.Error, match="must be 'fp16' or 'fp32', got 'int8'"):
        _core.CudaHead(layers, precision="int8")
    with pytest.raises(_core.Error, match="hidden layers 1 to 1, got num_layers = 2"):
        _core.CudaHead(layers, num_layers=2)
    head = _core.CudaHead(layers)
    with pytest.raises(_core.Error, match="11 feature channels, the maps have 5"):
        head.fold(maps_of([(5, 5, 5)]))
    with pytest.raises(_core.Error, match="4 sizes on the GPU, got 5"):
        head.fold(maps_of([(3, 1, 1), (2, 2, 2), (2, 3, 3), (2, 4, 4), (2, 5, 5)]))
    head.fold(maps)
    with pytest.raises(_core.Error, match="a volume of 0 channels, got one of 2"):
        head.set_volume(np.zeros((1, 2, 3, 3, 3), np.float32), [1, 1, 1], [0, 0, 0])
        head.query(points_of(3))
    with pytest.raises(_core.Error, match="too wide for the tensor cores"):
        _core.CudaHead(random_layers([4, 8, 8000, 8, 1]))
