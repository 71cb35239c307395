"""The implicit query against the float64 reference, at every SIMD level."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.typing import NDArray

from jiffsdk import _core
from random_heads import random_layers
from reference import implicit_query as reference
from thread_counts import outputs_by_threads

# Worst error seen against float64 at these sizes: 4e-7.
TOLERANCE = 3e-6


def random_maps(channels: list[int], seed: int = 1) -> list[NDArray[np.float32]]:
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(1, c, 5 + i, 7 - i)).astype(np.float32) for i, c in enumerate(channels)]


def column_points(run_lengths: list[int], seed: int = 2) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    xy = rng.uniform(-1, 1, size=(len(run_lengths), 2)).repeat(run_lengths, axis=0)
    return np.concatenate([xy, rng.uniform(-1, 1, size=(len(xy), 1))], axis=1).astype(np.float32)


@pytest.mark.parametrize(
    ("channels", "widths", "activation"),
    [
        ([3], [4, 1], "sigmoid"),
        ([1], [2, 5, 3], "tanh"),
        ([16], [17, 32, 16, 1], "sigmoid"),
        ([9, 5], [15, 33, 23, 7, 3], "tanh"),
        ([128], [129, 256, 256, 128, 64, 1], "sigmoid"),
        ([40], [41, 700, 40, 1], "sigmoid"),  # deeper than one block of the product
    ],
)
@pytest.mark.parametrize("shape_of_batch", ["scattered", "short runs", "long runs", "mixed"])
def test_equals_the_reference(
    simd_level: str, channels: list[int], widths: list[int], activation: str, shape_of_batch: str
) -> None:
    layers, maps = random_layers(widths), random_maps(channels)
    rng = np.random.default_rng(3)
    run_lengths = {
        "scattered": [1] * 150,
        "short runs": [4] * 70,
        "long runs": [200, 150],
        "mixed": rng.integers(1, 40, size=20).tolist(),
    }[shape_of_batch]
    points = column_points(run_lengths)
    values = _core.ImplicitQuery(layers, 1.28, activation).query(maps, points)
    expected = reference.query(layers, maps, points, 1.28, activation)
    assert values.shape == expected.shape
    assert np.abs(values - expected).max() < TOLERANCE


# Of bf16 and int8. Worst error seen against float64 that rounds at the same places: 3e-3, where the sums of
# the two round to different neighbours; in the mean 4e-5.
ROUNDED_TOLERANCE, ROUNDED_MEAN_TOLERANCE = 1e-2, 2e-4


def assert_rounded_equal(
    values: NDArray[np.float32], expected: NDArray[np.float64], exact: NDArray[np.float64]
) -> None:
    """`exact` is what rounds nowhere: by far further off, unless there is nothing to round."""
    assert values.shape == expected.shape
    error, rounding = np.abs(values - expected), np.abs(expected - exact)
    assert error.max(initial=0) < ROUNDED_TOLERANCE
    assert error.mean() < min(ROUNDED_MEAN_TOLERANCE, max(0.2 * rounding.mean(), TOLERANCE))


@pytest.mark.parametrize(
    ("channels", "widths", "activation"),
    [
        ([3], [4, 1], "sigmoid"),
        ([1], [2, 5, 3], "tanh"),
        ([9, 5], [15, 33, 23, 7, 3], "tanh"),
        ([128], [129, 256, 256, 128, 64, 1], "sigmoid"),
        ([40], [41, 700, 40, 1], "sigmoid"),
    ],
)
@pytest.mark.parametrize("run_lengths", [[1] * 150, [4] * 70, [200, 150]])
@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_rounded_equals_the_reference(
    simd_level: str,
    channels: list[int],
    widths: list[int],
    activation: str,
    run_lengths: list[int],
    precision: str,
) -> None:
    layers, maps, points = random_layers(widths), random_maps(channels), column_points(run_lengths)
    values = _core.ImplicitQuery(layers, 1.28, activation, precision=precision).query(maps, points)
    expected, exact = (
        reference.query(layers, maps, points, 1.28, activation, precision=each)
        for each in (precision, "fp32")
    )
    assert_rounded_equal(values, expected, exact)


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_rounded_features_and_activations_equal_the_reference(simd_level: str, precision: str) -> None:
    layers, maps = random_layers([14 + 6 + 1, 33, 9, 3]), random_maps([9, 5])
    points = column_points([1, 5, 30] * 5)
    features = np.random.default_rng(4).normal(size=(len(points), 6)).astype(np.float32)
    values = _core.ImplicitQuery(layers, 1.28, "tanh", 6, precision).query(maps, points, features)
    expected, exact = (
        reference.query(layers, maps, points, 1.28, "tanh", features, each) for each in (precision, "fp32")
    )
    assert_rounded_equal(values, expected, exact)
    layers = random_layers([15, 33, 23, 7, 3])
    query = _core.ImplicitQuery(layers, 1.28, precision=precision)
    for num_layers in (1, 2, 3):
        expected, exact = (
            reference.activations(layers, maps, points, num_layers, 1.28, each)
            for each in (precision, "fp32")
        )
        assert_rounded_equal(query.activations(maps, points, num_layers), expected, exact)


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_depths_are_told_apart_that_rounded_numbers_cannot(simd_level: str, precision: str) -> None:
    """A step of a lattice of 1024 cells near the frame's end, where bf16 has steps four times as long."""
    layers = [(np.array([[0, 1.2345]], np.float32), np.zeros(1, np.float32))]
    depth = 0.9 + np.arange(40, dtype=np.float32) * (2 / 1024)
    points = np.stack([0 * depth, 0 * depth, depth], axis=1).astype(np.float32)
    query = _core.ImplicitQuery(layers, 1.28, "sigmoid", precision=precision)
    values = query.query([np.ones((1, 1, 3, 3), np.float32)], points)[:, 0]
    logits = np.log(values / (1 - values.astype(np.float64)))
    assert np.abs(logits - 1.2345 * 1.28 * points[:, 2].astype(np.float64)).max() < 1e-4
    assert (np.diff(values) > 0).all()


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8"])
def test_points_without_numbers_do_not_disturb_their_neighbours(simd_level: str, precision: str) -> None:
    layers, maps = random_layers([20, 48, 23, 2]), random_maps([19])
    points = column_points([1] * 30)
    query = _core.ImplicitQuery(layers, precision=precision)
    alone = query.query(maps, points)
    disturbed = points.copy()
    disturbed[::3, 2] = [np.inf, -np.inf, np.nan, 1e38, -1e38] * 2
    values = query.query(maps, disturbed)
    kept = np.arange(len(points)) % 3 > 0
    assert np.array_equal(values[kept], alone[kept])
    assert np.isnan(values[6]).all()


@pytest.mark.parametrize("run_lengths", [[1] * 150, [200, 60], [1, 5, 30] * 5])
def test_features_of_each_point_stand_between_the_maps_and_depth(
    simd_level: str, run_lengths: list[int]
) -> None:
    layers, maps = random_layers([14 + 6 + 1, 33, 9, 3]), random_maps([9, 5])
    points = column_points(run_lengths)
    features = np.random.default_rng(4).normal(size=(len(points), 6)).astype(np.float32)
    query = _core.ImplicitQuery(layers, 1.28, "tanh", 6)
    assert (query.num_feature_channels, query.num_point_features, query.num_outputs) == (14, 6, 3)
    values = query.query(maps, points, features)
    expected = reference.query(layers, maps, points, 1.28, "tanh", features)
    assert np.abs(values - expected).max() < TOLERANCE
    order = np.random.default_rng(0).permutation(len(points))
    assert np.array_equal(query.query(maps, points[order], features[order]), values[order])


@pytest.mark.parametrize("num_layers", [1, 2, 3])
def test_activations_equal_the_reference(simd_level: str, num_layers: int) -> None:
    layers, maps = random_layers([15, 33, 23, 7, 3]), random_maps([9, 5])
    points = column_points([1, 5, 90, 1, 1])
    points[3, 0], points[4, 2] = 1.5, np.nan
    values = _core.ImplicitQuery(layers, 1.28).activations(maps, points, num_layers)
    expected = reference.activations(layers, maps, points, num_layers, 1.28)
    assert values.shape == expected.shape
    assert (values[3] == 0).all()
    assert np.isnan(values[4]).all()
    assert np.nanmax(np.abs(values - expected)) < TOLERANCE


def test_activations_are_those_of_hidden_layers() -> None:
    query = _core.ImplicitQuery(random_layers([4, 8, 1]))
    for num_layers in (0, 2):
        with pytest.raises(_core.Error, match=f"hidden layers 1 to 1, got num_layers = {num_layers}"):
            query.activations(random_maps([3]), np.zeros((1, 3), np.float32), num_layers)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8"])
def test_a_point_has_one_result_whatever_its_neighbours(simd_level: str, precision: str) -> None:
    query = _core.ImplicitQuery(random_layers([20, 48, 24, 2]), precision=precision)
    maps = random_maps([19])
    rng = np.random.default_rng(5)
    points = column_points(rng.integers(1, 30, size=90).tolist())
    values = query.query(maps, points)
    order = rng.permutation(len(points))
    assert np.array_equal(query.query(maps, points[order]), values[order])
    for begin, end in [(0, 1), (7, 8), (100, 133), (500, len(points))]:
        assert np.array_equal(query.query(maps, points[begin:end]), values[begin:end])


def test_maps_folded_for_many_queries_give_the_bits_of_maps_folded_for_one(simd_level: str) -> None:
    query, maps = _core.ImplicitQuery(random_layers([20, 48, 24, 2])), random_maps([12, 7])
    points = column_points(np.random.default_rng(5).integers(1, 30, size=40).tolist())
    values = query.query(maps, points)
    # Texels are folded in another order and company here.
    folded = query.fold(maps)
    for part in np.array_split(np.arange(len(points))[::-1], 7):
        assert np.array_equal(query.query(folded, points[part]), values[part])
    folded.prepare(points)
    assert np.array_equal(query.query(folded, points), values)


def test_maps_of_one_size_and_of_several_are_concatenated_in_order(simd_level: str) -> None:
    rng = np.random.default_rng(8)
    sizes = [(3, 6, 4), (2, 5, 9), (4, 6, 4), (1, 5, 9), (1, 1, 1)]
    maps = [rng.normal(size=(1, *size)).astype(np.float32) for size in sizes]
    layers, points = random_layers([12, 17, 3]), column_points([1, 1, 7, 30, 1])
    values = _core.ImplicitQuery(layers).query(maps, points)
    assert np.abs(values - reference.query(layers, maps, points)).max() < TOLERANCE


def test_several_host_threads_may_fold_the_same_maps(simd_level: str) -> None:
    query, maps = _core.ImplicitQuery(random_layers([20, 48, 24, 1])), random_maps([19])
    batches = [column_points([1, 9, 30] * 20, seed) for seed in range(8)]
    alone = [query.query(maps, points) for points in batches]
    folded = query.fold(maps)
    with ThreadPoolExecutor(4) as executor:
        together = list(executor.map(lambda points: query.query(folded, points), batches))
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))


def test_maps_folded_for_another_function_are_refused() -> None:
    layers, maps, points = random_layers([4, 8, 1]), random_maps([3]), np.zeros((1, 3), np.float32)
    folded = _core.ImplicitQuery(layers).fold(maps)
    with pytest.raises(_core.Error, match="folded for another implicit function"):
        _core.ImplicitQuery(layers).query(folded, points)


def test_a_column_longer_than_a_tile_is_one_column(simd_level: str) -> None:
    query = _core.ImplicitQuery(random_layers([5, 16, 1]))
    maps = random_maps([4])
    points = column_points([5000, 1, 3000])
    values = query.query(maps, points)
    order = np.random.default_rng(0).permutation(len(points))
    assert np.array_equal(query.query(maps, points[order]), values[order])


def test_points_outside_the_frame_give_zero_and_nan_gives_nan(simd_level: str) -> None:
    layers, maps = random_layers([4, 8, 2]), random_maps([3])
    inf, nan = np.inf, np.nan
    outside = [[1.0001, 0, 0], [0, -1.0001, 0], [inf, 0, 0], [0, -inf, 0]]
    unknown = [[nan, 0, 0], [0, nan, 0], [0, 0, nan], [2, 0, nan], [nan, 2, 0]]
    usual = [[1, -1, 0], [-1, 1, 3], [0.2, 0.3, -0.4]]
    points = np.array(outside + unknown + usual, np.float32)
    values = _core.ImplicitQuery(layers).query(maps, points)
    assert (values[:4] == 0).all()
    assert np.isnan(values[4:9]).all()
    assert np.abs(values[9:] - reference.query(layers, maps, points[9:])).max() < TOLERANCE


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8"])
def test_a_nan_in_the_features_reaches_the_values_it_touches_and_no_others(
    simd_level: str, precision: str
) -> None:
    layers, maps = random_layers([4, 8, 8, 1]), [np.ones((1, 3, 9, 9), np.float32)]
    maps[0][0, 1, 0, 0] = np.nan
    points = column_points([1] * 64)
    points[5, :2] = -0.999
    points[6:, :2] = np.abs(points[6:, :2])
    points[:5, :2] = 0.5
    is_nan = np.isnan(_core.ImplicitQuery(layers, precision=precision).query(maps, points)).ravel()
    assert np.flatnonzero(is_nan).tolist() == [5]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_feature_of_a_point_that_is_no_number_makes_its_values_none(simd_level: str, value: float) -> None:
    """In int8 it decides the range of a row, whose levels then mean nothing."""
    layers, maps, points = random_layers([3 + 40 + 1, 8, 8, 2]), random_maps([3]), column_points([1] * 30)
    query = _core.ImplicitQuery(layers, num_point_features=40, precision="int8")
    features = np.random.default_rng(4).normal(size=(30, 40)).astype(np.float32)
    usual = query.query(maps, points, features)
    features[7, 33] = value
    values = query.query(maps, points, features)
    assert np.isnan(values[7]).all()
    assert np.array_equal(np.delete(values, 7, axis=0), np.delete(usual, 7, axis=0))


@pytest.mark.parametrize("size", [1e-30, 1e-20, 1e20])
def test_int8_bears_rows_and_weights_of_any_size(simd_level: str, size: float) -> None:
    """Features as small as this count for nothing, and as large ones drown all else; zeros are zeros."""
    weights = np.random.default_rng(1).normal(size=(2, 8)).astype(np.float32)
    layers = [(weights, np.zeros(2, np.float32))]
    maps, points = [np.zeros((1, 1, 3, 3), np.float32)], column_points([1] * 9)
    points[:, 2] = 0
    features = np.random.default_rng(2).normal(scale=size, size=(9, 6)).astype(np.float32)
    features[4] = 0
    query = _core.ImplicitQuery(layers, num_point_features=6, precision="int8")
    values = query.query(maps, points, features)
    with np.errstate(over="ignore"):
        expected = reference.query(layers, maps, points, point_features=features)
    assert np.abs(values - expected).max() < 1e-6
    weights[:] = 0
    query = _core.ImplicitQuery(layers, num_point_features=6, precision="int8")
    assert (query.query(maps, points, features) == 0.5).all()


def test_a_weight_that_is_no_number_reaches_its_output_alone(simd_level: str) -> None:
    weights = np.ones((3, 8), np.float32)
    weights[1, 4] = np.nan
    layers = [(weights, np.zeros(3, np.float32))]
    query = _core.ImplicitQuery(layers, num_point_features=6, precision="int8")
    points = column_points([1] * 9)
    values = query.query([np.ones((1, 1, 3, 3), np.float32)], points, np.ones((9, 6), np.float32))
    assert np.isnan(values[:, 1]).all() and np.isfinite(values[:, [0, 2]]).all()


def test_no_points_give_no_values(simd_level: str) -> None:
    values = _core.ImplicitQuery(random_layers([4, 8, 2])).query(
        random_maps([3]), np.zeros((0, 3), np.float32)
    )
    assert values.shape == (0, 2)


def test_several_host_threads_may_ask_at_once(simd_level: str) -> None:
    query, maps = _core.ImplicitQuery(random_layers([20, 48, 24, 1])), random_maps([19])
    batches = [column_points([1, 9, 30] * 40, seed) for seed in range(8)]
    alone = [query.query(maps, points) for points in batches]
    with ThreadPoolExecutor(4) as executor:
        together = list(executor.map(lambda points: query.query(maps, points), batches))
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))


PRINT_DIGEST = """
import hashlib
from test_ops_implicit_query import column_points, random_layers, random_maps
from jiffsdk import _core
points, digest = column_points([1, 2, 9, 30] * 60), hashlib.sha256()
for precision in ("fp32", "bf16", "int8"):
    query = _core.ImplicitQuery(random_layers([20, 48, 24, 1]), precision=precision)
    digest.update(query.query(random_maps([19]), points).tobytes())
print(_core.num_threads(), digest.hexdigest())
"""


def test_the_number_of_threads_does_not_show() -> None:
    alone, *others = outputs_by_threads(PRINT_DIGEST)
    assert len(alone) == 1
    assert others == [alone, alone]


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([], "at least one layer"),
        ([(np.ones((2, 1)), np.ones(2))], r"layer 0: .* one feature and the depth, got \[2, 1\]"),
        ([(np.ones((2, 3)), np.ones(3))], r"layer 0: bias must have shape \[2\], got \[3\]"),
        ([(np.ones((2, 3)), np.ones(2)), (np.ones((1, 4)), np.ones(1))], "layer 1: .* 2 hidden and 3 input"),
    ],
)
def test_layers_that_do_not_fit_are_named(layers: list[tuple[np.ndarray, np.ndarray]], message: str) -> None:
    layers = [(weight.astype(np.float32), bias.astype(np.float32)) for weight, bias in layers]
    with pytest.raises(_core.Error, match=message) as caught:
        _core.ImplicitQuery(layers)
    assert caught.value.code == "invalid_argument"


def test_arguments_that_do_not_fit_are_named() -> None:
    query = _core.ImplicitQuery(random_layers([4, 8, 1]))
    with pytest.raises(_core.Error, match="takes 3 feature channels, the maps have 5"):
        query.query(random_maps([5]), np.zeros((1, 3), np.float32))
    with pytest.raises(_core.Error, match=r"points must have shape \[\*, 3\] .*got \[1, 2\]"):
        query.query(random_maps([3]), np.zeros((1, 2), np.float32))
    with_features = _core.ImplicitQuery(random_layers([6, 8, 1]), num_point_features=2)
    with pytest.raises(_core.Error, match="takes 2 features of each point, got none"):
        with_features.query(random_maps([3]), np.zeros((1, 3), np.float32))
    with pytest.raises(_core.Error, match=r"point_features must have shape \[1, 2\] .*got \[1, 3\]"):
        with_features.query(random_maps([3]), np.zeros((1, 3), np.float32), np.zeros((1, 3), np.float32))
    with pytest.raises(_core.Error, match="layer 0: .* one feature, 3 point features and the depth"):
        _core.ImplicitQuery(random_layers([4, 8, 1]), num_point_features=3)
    with pytest.raises(_core.Error, match="num_point_features must be 0 or more, got -2"):
        _core.ImplicitQuery(random_layers([4, 8, 1]), num_point_features=-2)
    with pytest.raises(_core.Error, match="activation must be 'sigmoid' or 'tanh', got 'relu'"):
        _core.ImplicitQuery(random_layers([4, 8, 1]), 1.0, "relu")
    with pytest.raises(_core.Error, match="precision must be 'auto', 'fp32', 'bf16' or 'int8', got 'fp16'"):
        _core.ImplicitQuery(random_layers([4, 8, 1]), precision="fp16")


@pytest.mark.parametrize("level", ["AVX2", "sse9", "portable "])
def test_an_unknown_simd_level_is_refused(level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JIFF_SIMD_LEVEL", level)
    with pytest.raises(_core.Error, match=f"JIFF_SIMD_LEVEL is '{level}'.*supported: portable") as caught:
        _core.ImplicitQuery(random_layers([4, 8, 1]))
    assert caught.value.code == "invalid_argument"


def test_the_simd_level_is_the_highest_unless_it_is_forced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JIFF_SIMD_LEVEL", raising=False)
    assert _core.simd_level() == _core.supported_simd_levels()[-1]
    monkeypatch.setenv("JIFF_SIMD_LEVEL", "portable")
    assert _core.simd_level() == "portable"
