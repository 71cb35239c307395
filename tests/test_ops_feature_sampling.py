"""Feature sampling against the texel-by-texel reference."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jiffsdk import _core
from reference.feature_sampling import sample_features


@given(
    channels=st.integers(1, 5),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    num_points=st.integers(0, 150),
    seed=st.integers(0, 2**31),
)
def test_equals_the_reference_inside_and_outside_the_map(
    channels: int, height: int, width: int, num_points: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    feature_map = rng.normal(size=(1, channels, height, width)).astype(np.float32)
    xy = rng.uniform(-2.5, 2.5, size=(num_points, 2)).astype(np.float32)
    assert np.allclose(_core.sample_features(feature_map, xy), sample_features(feature_map, xy), atol=1e-5)


def test_corners_of_the_view_are_centres_of_the_corner_texels() -> None:
    feature_map = np.arange(12, dtype=np.float32).reshape(1, 1, 3, 4)
    xy = np.array([[-1, -1], [1, -1], [-1, 1], [1, 1], [0, 0]], np.float32)
    assert _core.sample_features(feature_map, xy).ravel().tolist() == [0, 3, 8, 11, 5.5]


def test_nothing_is_read_from_far_outside() -> None:
    feature_map = np.full((1, 2, 4, 4), np.nan, np.float32)
    xy = np.array([[7, 0], [0, -7], [np.inf, 0], [0, -np.inf], [1e30, 1e30]], np.float32)
    assert (_core.sample_features(feature_map, xy) == 0).all()


def test_nan_coordinates_give_nan() -> None:
    feature_map = np.ones((1, 2, 4, 4), np.float32)
    xy = np.array([[np.nan, 0], [0, np.nan], [np.nan, 9], [0, 0]], np.float32)
    assert np.isnan(_core.sample_features(feature_map, xy)).all(axis=1).tolist() == [True, True, True, False]


def test_strided_arrays_are_read_as_they_look() -> None:
    rng = np.random.default_rng(0)
    feature_map = rng.normal(size=(1, 6, 8, 10)).astype(np.float32)[:, ::2, ::-1]
    xy = rng.uniform(-1, 1, size=(40, 4)).astype(np.float32)[:, 1:3]
    assert np.allclose(_core.sample_features(feature_map, xy), sample_features(feature_map, xy), atol=1e-5)


@pytest.mark.parametrize(
    ("feature_map", "xy", "message"),
    [
        (np.ones((2, 3, 4, 4), np.float32), np.ones((5, 2), np.float32), r"map .* got \[2, 3, 4, 4\]"),
        (np.ones((1, 3, 4, 4)), np.ones((5, 2), np.float32), "map .* float32, got .* float64"),
        (
            np.ones((1, 3, 0, 4), np.float32),
            np.ones((5, 2), np.float32),
            r"no empty axis, got \[1, 3, 0, 4\]",
        ),
        (np.ones((1, 3, 4, 4), np.float32), np.ones((5, 3), np.float32), r"xy must have shape \[\*, 2\]"),
    ],
)
def test_unusable_arrays_are_named(feature_map: np.ndarray, xy: np.ndarray, message: str) -> None:
    with pytest.raises(_core.Error, match=message) as caught:
        _core.sample_features(feature_map, xy)
    assert caught.value.code == "invalid_argument"
