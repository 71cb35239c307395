"""The search for nearest points equals comparing all of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jiffsdk import _core
from reference.face_alignment import nearest_points


def check(points: np.ndarray, queries: np.ndarray, reach: float) -> None:
    points, queries = points.astype(np.float32), queries.astype(np.float32)
    indices, distances = _core.nearest_points(points, queries, reach)
    expected_indices, expected_distances = nearest_points(points, queries, reach)
    np.testing.assert_array_equal(indices, expected_indices)
    np.testing.assert_allclose(distances, expected_distances, rtol=1e-12)


@given(
    seed=st.integers(0, 1000),
    num_points=st.integers(0, 300),
    flat=st.tuples(*[st.sampled_from([0.0, 1e-3, 1.0])] * 3),
    reach=st.sampled_from([0.01, 0.2, 10.0]),
)
def test_any_cloud_equals_the_reference(
    seed: int, num_points: int, flat: tuple[float, float, float], reach: float
) -> None:
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(num_points, 3)) * flat
    queries = np.concatenate([rng.normal(size=(12, 3)) * flat, rng.normal(size=(8, 3)) * 4, points[:5]])
    check(points, queries, reach)


def test_of_equally_near_points_the_first_is_found() -> None:
    points = np.array([[5, 5, 5], [1, 0, 0], [-1, 0, 0], [0, 1, 0], [1, 0, 0]], np.float32)
    assert _core.nearest_points(points, np.zeros((1, 3), np.float32), 2.0)[0].tolist() == [1]
    check(np.repeat(points, 40, axis=0), np.zeros((1, 3)), 2.0)


def test_reach_includes_its_own_distance() -> None:
    points = np.array([[0, 0, 3]], np.float32)
    queries = np.zeros((1, 3), np.float32)
    assert _core.nearest_points(points, queries, 3.0)[0].tolist() == [0]
    assert _core.nearest_points(points, queries, 2.999)[0].tolist() == [-1]


def test_a_query_that_is_no_number_finds_nothing_and_such_points_are_refused() -> None:
    points = np.array([[0, 0, 0]], np.float32)
    assert _core.nearest_points(points, points * np.nan, 3.0)[0].tolist() == [-1]
    with pytest.raises(_core.Error, match="point 0"):
        _core.nearest_points(points * np.nan, points, 3.0)
