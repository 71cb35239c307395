"""Cutting and resampling equals the slow reference."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jiffsdk import _core
from reference.image_warp import warp_image

TOLERANCE = 2e-6  # worst seen 4e-7: sums of float32 weights


def random_image(seed: int, height_px: int, width_px: int, num_channels: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height_px, width_px, num_channels), np.uint8)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 1000),
    source=st.tuples(st.integers(1, 23), st.integers(1, 23)),
    corner=st.tuples(st.floats(-12, 20), st.floats(-12, 20)),
    size=st.tuples(st.floats(0.5, 60), st.floats(0.5, 60)),
    target=st.tuples(st.integers(1, 31), st.integers(1, 31)),
)
def test_any_box_equals_reference(
    seed: int,
    source: tuple[int, int],
    corner: tuple[float, float],
    size: tuple[float, float],
    target: tuple[int, int],
) -> None:
    image = random_image(seed, *source, 3)
    box = (*corner, *size)
    found = _core.warp_image(image, box, *target)
    assert found.shape == (3, target[1], target[0])
    np.testing.assert_allclose(found, warp_image(image / 255.0, box, *target), atol=TOLERANCE)


def test_same_size_is_identity() -> None:
    image = random_image(1, 9, 14, 3)
    found = _core.warp_image(image, (0, 0, 14, 9), 14, 9)
    np.testing.assert_array_equal(np.rint(found * 255).astype(np.uint8).transpose(1, 2, 0), image)


@pytest.mark.parametrize("size_px", [5, 16, 40])
def test_constant_image_stays_constant_up_to_the_border(size_px: int) -> None:
    image = np.full((16, 16, 1), 200, np.uint8)
    found = _core.warp_image(image, (0, 0, 16, 16), size_px, size_px)
    np.testing.assert_allclose(found, 200 / 255, atol=TOLERANCE)


def test_shrinking_keeps_the_mean() -> None:
    image = random_image(2, 60, 84, 1)
    found = _core.warp_image(image, (0, 0, 84, 60), 11, 7)
    assert found.mean() == pytest.approx(image.mean() / 255.0, abs=1e-6)


def test_outside_the_image_is_zero() -> None:
    image = np.full((8, 8, 1), 255, np.uint8)
    found = _core.warp_image(image, (-8, -8, 24, 24), 24, 24)[0]
    expected = np.zeros((24, 24))
    expected[8:16, 8:16] = 1.0
    np.testing.assert_allclose(found, expected, atol=TOLERANCE)
    assert not _core.warp_image(image, (100, 100, 8, 8), 4, 4).any()
