"""Voxel pooling and volume sampling against their voxel-by-voxel references."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jiffsdk import _core
from reference import volume_sampling, voxel_pooling

BELOW_ONE = np.nextafter(np.float32(1), np.float32(0))


@given(
    num_points=st.integers(0, 200),
    channels=st.integers(1, 6),
    resolution=st.integers(1, 9),
    spread=st.sampled_from([0.0, 0.05, 1.0]),
    seed=st.integers(0, 2**31),
)
def test_pooling_equals_the_reference(
    num_points: int, channels: int, resolution: int, spread: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    coordinates = (rng.uniform(0, 0.999, (num_points, 3)) * spread).astype(np.float32)
    codes = rng.normal(size=(num_points, channels)).astype(np.float32)
    voxels = _core.voxel_indices(coordinates, resolution)
    assert np.array_equal(voxels, voxel_pooling.voxel_indices(coordinates, resolution))
    assert np.array_equal(_core.voxel_max(codes, voxels), voxel_pooling.voxel_max(codes, voxels))
    mean = _core.voxel_mean(codes, voxels, resolution)
    assert mean.shape == (channels, resolution, resolution, resolution)
    # One rounding to float32.
    assert np.allclose(mean, voxel_pooling.voxel_mean(codes, voxels, resolution), rtol=1e-6, atol=1e-7)


def test_voxels_count_x_first_and_end_below_one() -> None:
    corners = np.array([[0, 0, 0], [BELOW_ONE, 0, 0], [0, BELOW_ONE, 0], [0, 0, BELOW_ONE]], np.float32)
    assert _core.voxel_indices(corners, 64).tolist() == [0, 63, 63 * 64, 63 * 64 * 64]
    assert _core.voxel_indices(np.full((1, 3), BELOW_ONE, np.float32), 1000).tolist() == [10**9 - 1]


def test_pooling_does_not_depend_on_the_order_of_points() -> None:
    rng = np.random.default_rng(0)
    voxels = rng.integers(0, 27, 500).astype(np.int32)
    codes = rng.integers(-99, 99, (500, 3)).astype(np.float32)  # whole numbers add without rounding
    order = rng.permutation(500)
    assert np.array_equal(_core.voxel_max(codes, voxels)[order], _core.voxel_max(codes[order], voxels[order]))
    mean = _core.voxel_mean(codes, voxels, 3)
    assert np.array_equal(mean, _core.voxel_mean(codes[order], voxels[order], 3))


def test_a_mean_of_many_points_does_not_drift() -> None:
    codes = np.full((300_000, 1), 0.1, np.float32)
    voxels = np.zeros(len(codes), np.int32)
    assert _core.voxel_mean(codes, voxels, 1).ravel().tolist() == [np.float32(0.1)]


@given(
    sides=st.tuples(st.integers(1, 6), st.integers(1, 6), st.integers(1, 6)),
    channels=st.integers(1, 4),
    num_points=st.integers(0, 150),
    seed=st.integers(0, 2**31),
)
def test_samples_equal_the_reference_inside_and_outside(
    sides: tuple[int, int, int], channels: int, num_points: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    volume = rng.normal(size=(1, channels, *sides)).astype(np.float32)
    coordinates = rng.uniform(-0.6, 1.6, (num_points, 3)).astype(np.float32)
    samples = _core.VolumeSampler(volume).sample(coordinates)
    # Worst error seen 1.3e-6, from rounding of the coordinate.
    assert np.allclose(samples, volume_sampling.sample_volume(volume, coordinates), atol=1e-5)


def test_voxel_centres_sample_to_their_voxel() -> None:
    volume = np.arange(2 * 3 * 4, dtype=np.float32).reshape(1, 1, 2, 3, 4)
    k, j, i = np.indices((2, 3, 4)).reshape(3, -1)
    centers = np.stack([(i + 0.5) / 4, (j + 0.5) / 3, (k + 0.5) / 2], axis=1).astype(np.float32)
    assert np.allclose(_core.VolumeSampler(volume).sample(centers)[:, 0], np.arange(24), atol=1e-5)


def test_borders_fade_to_zero_and_beyond_is_zero() -> None:
    volume = np.ones((1, 1, 4, 4, 4), np.float32)
    coordinates = np.array(
        [[0, 0.5, 0.5], [0, 0, 0.5], [1, 1, 1], [-0.125, 0.5, 0.5], [9, 0.5, 0.5]], np.float32
    )
    assert _core.VolumeSampler(volume).sample(coordinates)[:, 0].tolist() == [0.5, 0.25, 0.125, 0, 0]


def test_nothing_is_read_from_far_outside_and_nan_gives_nan() -> None:
    volume = np.full((1, 2, 3, 3, 3), np.nan, np.float32)
    far = np.array([[1e30, 0.5, 0.5], [0.5, -np.inf, 0.5], [0.5, 0.5, np.inf]], np.float32)
    assert (_core.VolumeSampler(volume).sample(far) == 0).all()
    unknown = np.array([[np.nan, 0.5, 0.5], [9, np.nan, 9], [0.5, 0.5, 0.5]], np.float32)
    samples = _core.VolumeSampler(np.ones_like(volume)).sample(unknown)
    assert np.isnan(samples).all(axis=1).tolist() == [True, True, False]


def test_cube_coordinates_are_clamped_into_the_voxels() -> None:
    scale, offset = np.array([0.5, -0.5, 2], np.float32), np.array([0.5, 0.5, 0], np.float32)
    points = np.array([[-1, -1, 0.25], [1, 1, 0.5], [7, -7, -7], [0, 0, np.nan]], np.float32)
    cube = _core.cube_coordinates(scale, offset, points)
    assert np.allclose(cube[:3], [[0, 0.999, 0.5], [0.999, 0, 0.999], [0.999, 0.999, 0]])
    assert np.isnan(cube[3]).tolist() == [False, False, True]
    assert np.allclose(cube[:3], volume_sampling.cube_coordinates(scale, offset, points[:3]), atol=1e-7)
    assert _core.voxel_indices(cube[:3], 64).max() < 64**3


CODES, VOXELS = np.zeros((4, 2), np.float32), np.zeros(4, np.int32)


def changed(array: np.ndarray, value: float) -> np.ndarray:
    array = array.copy()
    array.reshape(-1)[-1] = value
    return array


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: _core.voxel_indices(np.ones((2, 3), np.float32), 4), r"in \[0, 1\), got 1.0+ in row 0"),
        (lambda: _core.voxel_indices(np.full((2, 3), np.nan, np.float32), 4), r"in \[0, 1\), got -?nan"),
        (lambda: _core.voxel_indices(np.full((2, 3), -0.1, np.float32), 4), r"in \[0, 1\), got -0.1"),
        (lambda: _core.voxel_indices(np.zeros((2, 3), np.float32), 0), "resolution .* got 0"),
        (lambda: _core.voxel_mean(CODES, VOXELS, -1), "resolution .* got -1"),
        (
            lambda: _core.voxel_mean(CODES, changed(VOXELS, 8), 2),
            "voxels must be from 0 to 7, got 8 in row 3",
        ),
        (lambda: _core.voxel_max(CODES, changed(VOXELS, -1)), "voxels must be from 0 .* got -1 in row 3"),
        (lambda: _core.voxel_max(changed(CODES, np.nan), VOXELS), "codes must be finite, got -?nan in row 3"),
        (lambda: _core.voxel_mean(changed(CODES, np.inf), VOXELS, 2), "codes must be finite, got inf"),
        (lambda: _core.voxel_max(CODES[:3], VOXELS), r"codes must have shape \[4, \*\]"),
        (
            lambda: _core.VolumeSampler(np.ones((1, 2, 0, 3, 3), np.float32)),
            r"no empty axis, got \[1, 2, 0, 3, 3\]",
        ),
        (
            lambda: _core.VolumeSampler(np.ones((2, 2, 3, 3, 3), np.float32)),
            r"volume must have shape \[1, ",
        ),
    ],
)
def test_unusable_arguments_are_named(call: Callable[[], object], message: str) -> None:
    with pytest.raises(_core.Error, match=message) as caught:
        call()
    assert caught.value.code == "invalid_argument"
