"""Farthest-point sampling, ball query and interpolation against their one-by-one references."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from jiffsdk import _core
from reference.ball_query import ball_query
from reference.farthest_point_sampling import farthest_point_sampling
from reference.nearest_interpolation import interpolate_nearest

Points = NDArray[np.float32]


def random_points(num_points: int, seed: int) -> Points:
    """Half of the clouds lie on a coarse lattice, so that ties and duplicates are many."""
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(num_points, 3))
    return (np.round(points) if seed % 2 else points).astype(np.float32)


def test_farthest_points_are_chosen_from_a_line_ends_first() -> None:
    line = np.zeros((9, 3), np.float32)
    line[:, 1] = range(9)
    assert _core.farthest_point_sampling(line, 5).tolist() == [0, 8, 4, 2, 6]


@given(num_points=st.integers(1, 30), share=st.floats(0, 1), seed=st.integers(0, 2**31))
def test_farthest_points_equal_the_reference(num_points: int, share: float, seed: int) -> None:
    points = random_points(num_points, seed)
    num_samples = max(1, round(share * num_points))
    chosen = _core.farthest_point_sampling(points, num_samples)
    assert chosen.tolist() == farthest_point_sampling(points, num_samples).tolist()


def test_farthest_points_of_many_chunks_are_those_of_one_pass() -> None:
    points = np.random.default_rng(0).normal(size=(30_000, 3)).astype(np.float32)
    nearest, chosen = np.full(len(points), np.inf, np.float32), [0]
    while len(chosen) < 40:
        x, y, z = (points - points[chosen[-1]]).T
        nearest = np.minimum(nearest, x * x + y * y + z * z)
        chosen.append(int(nearest.argmax()))
    assert _core.farthest_point_sampling(points, 40).tolist() == chosen


def test_coinciding_points_are_chosen_from_the_first_on() -> None:
    assert _core.farthest_point_sampling(np.ones((4, 3), np.float32), 3).tolist() == [0, 0, 0]


def test_all_points_are_chosen_once_when_none_coincide() -> None:
    points = np.random.default_rng(1).normal(size=(50, 3)).astype(np.float32)
    assert sorted(_core.farthest_point_sampling(points, 50).tolist()) == list(range(50))


@given(
    num_points=st.integers(1, 40),
    num_centers=st.integers(0, 12),
    radius=st.sampled_from([0.0, 0.5, 1.0, 2.0, 100.0]),
    group_size=st.integers(1, 12),
    seed=st.integers(0, 2**31),
)
def test_groups_equal_the_reference(
    num_points: int, num_centers: int, radius: float, group_size: int, seed: int
) -> None:
    points = random_points(num_points, seed)
    centers = points[np.random.default_rng(seed).integers(0, num_points, num_centers)]
    groups = _core.ball_query(points, centers, radius, group_size)
    assert groups.shape == (num_centers, group_size)
    assert np.array_equal(groups, ball_query(points, centers, radius, group_size))


def test_a_point_at_the_radius_belongs_to_the_group() -> None:
    points = np.array([[0, 0, 0], [3, 4, 0], [3, 4, 1]], np.float32)
    assert _core.ball_query(points, points[:1], 5.0, 3).tolist() == [[0, 1, 0]]


def test_a_centre_out_of_reach_is_named() -> None:
    points = np.zeros((3, 3), np.float32)
    centers = np.array([[0, 0, 0], [9, 0, 0]], np.float32)
    with pytest.raises(_core.Error, match="centre 1 has no point within 1.0"):
        _core.ball_query(points, centers, 1.0, 2)


@given(
    num_sources=st.integers(3, 30),
    num_targets=st.integers(0, 80),
    channels=st.integers(1, 5),
    seed=st.integers(0, 2**31),
)
def test_carried_values_equal_the_reference(
    num_sources: int, num_targets: int, channels: int, seed: int
) -> None:
    sources, targets = random_points(num_sources, seed), random_points(num_targets, seed + 2)
    values = np.random.default_rng(seed).normal(size=(num_sources, channels)).astype(np.float32)
    carried = _core.interpolate_nearest(values, sources, targets)
    # Worst error seen 3e-7.
    assert np.allclose(carried, interpolate_nearest(values, sources, targets), atol=3e-6)


def test_a_source_keeps_its_own_value() -> None:
    rng = np.random.default_rng(2)
    sources = rng.uniform(size=(40, 3)).astype(np.float32)
    values = rng.normal(size=(40, 4)).astype(np.float32)
    assert np.allclose(_core.interpolate_nearest(values, sources, sources), values, atol=1e-3)


def with_bad(value: float) -> Points:
    points = np.zeros((5, 3), np.float32)
    points[3, 1] = value
    return points


GOOD = np.zeros((5, 3), np.float32)
VALUES = np.zeros((5, 2), np.float32)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("points", lambda bad: _core.farthest_point_sampling(bad, 2)),
        ("points", lambda bad: _core.ball_query(bad, GOOD, 1.0, 2)),
        ("centers", lambda bad: _core.ball_query(GOOD, bad, 1.0, 2)),
        ("sources", lambda bad: _core.interpolate_nearest(VALUES, bad, GOOD)),
        ("targets", lambda bad: _core.interpolate_nearest(VALUES, GOOD, bad)),
    ],
)
def test_coordinates_that_are_not_finite_are_refused(
    name: str, call: Callable[[Points], object], value: float
) -> None:
    with pytest.raises(_core.Error, match=rf"{name} must be finite, got -?(nan|inf) in row 3") as caught:
        call(with_bad(value))
    assert caught.value.code == "invalid_argument"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: _core.farthest_point_sampling(GOOD, 6), "from 1 to the 5 points, got 6"),
        (lambda: _core.farthest_point_sampling(GOOD, 0), "from 1 to the 5 points, got 0"),
        (lambda: _core.farthest_point_sampling(GOOD[:0], 1), "from 1 to the 0 points, got 1"),
        (lambda: _core.ball_query(GOOD[:0], GOOD, 1.0, 2), "centre 0 has no point"),
        (lambda: _core.ball_query(GOOD, GOOD, -1.0, 2), "radius must be .* got -1"),
        (lambda: _core.ball_query(GOOD, GOOD, np.nan, 2), "radius must be .* got nan"),
        (lambda: _core.ball_query(GOOD, GOOD, 1.0, 0), "group_size must be at least 1, got 0"),
        (lambda: _core.interpolate_nearest(VALUES[:2], GOOD[:2], GOOD), "at least 3 sources, got 2"),
        (lambda: _core.interpolate_nearest(VALUES[:4], GOOD, GOOD), r"values must have shape \[5, \*\]"),
        (lambda: _core.farthest_point_sampling(GOOD.astype(np.float64), 2), "got .* float64"),
    ],
)
def test_unusable_arguments_are_named(call: Callable[[], object], message: str) -> None:
    with pytest.raises(_core.Error, match=message) as caught:
        call()
    assert caught.value.code == "invalid_argument"
