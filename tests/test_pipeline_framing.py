"""The square that the encoders see."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from figures import as_bytes, person, photograph
from jiffsdk import _core
from reference import framing

TOLERANCE = 3e-6  # worst seen 9e-7


def test_whole_figure_is_centred_with_its_margin() -> None:
    left, top, width, height = _core.frame_figure((100, 50, 60, 200), 400, 300, 0.1)
    assert width == height == pytest.approx(240)
    assert left + width / 2 == pytest.approx(130)
    assert top + height / 2 == pytest.approx(150)


def test_figure_cut_below_ends_at_the_frames_lower_edge() -> None:
    left, top, width, height = _core.frame_figure((100, 100, 120, 200), 400, 300, 0.1)
    assert top + height == pytest.approx(300)
    assert top == pytest.approx(100 - 20)  # the margin above the head
    assert left + width / 2 == pytest.approx(160)


def test_bust_cut_on_both_sides_fills_the_frames_width() -> None:
    left, top, width, height = _core.frame_figure((0, 60, 300, 240), 300, 300, 0.1)
    assert (left, width) == (pytest.approx(0), pytest.approx(300))
    assert top + height == pytest.approx(300)


def test_wide_bust_cut_on_one_side_ends_there() -> None:
    left, top, width, height = _core.frame_figure((0, 100, 300, 200), 400, 300, 0.1)
    assert left == pytest.approx(0)
    assert width == pytest.approx(330)
    assert top + height == pytest.approx(300)


def test_tall_figure_whose_arm_is_cut_stays_centred() -> None:
    left, _, width, _ = _core.frame_figure((0, 30, 100, 240), 300, 300, 0.1)
    assert left + width / 2 == pytest.approx((0 + 100 + 24) / 2)


def test_a_matte_that_fades_at_the_border_counts_as_cut() -> None:
    _, top, _, height = _core.frame_figure((400, 200, 300, 1798), 1500, 2000, 0.1)
    assert top + height == pytest.approx(2000)


@given(
    photo=st.tuples(st.integers(64, 3000), st.integers(64, 3000)),
    corners=st.tuples(*[st.floats(0, 1)] * 4),
    margin=st.floats(0, 0.5),
)
def test_frame_is_square_and_holds_the_figure(
    photo: tuple[int, int], corners: tuple[float, float, float, float], margin: float
) -> None:
    x = sorted(round(share * photo[0]) for share in corners[:2])
    y = sorted(round(share * photo[1]) for share in corners[2:])
    x[0], y[0] = min(x[0], photo[0] - 1), min(y[0], photo[1] - 1)  # a figure has a pixel at least
    figure = (x[0], y[0], max(1, x[1] - x[0]), max(1, y[1] - y[0]))
    left, top, width, height = _core.frame_figure(figure, *photo, margin)
    longer = max(figure[2:])
    assert width == height
    assert longer - 1e-6 <= width <= longer * (1 + 2 * margin) * 1.01 + 0.01 * max(photo) + 2
    assert left <= figure[0] + 1e-6 and left + width >= figure[0] + figure[2] - 1e-6
    assert top <= figure[1] + 1e-6 and top + height >= figure[1] + figure[3] - 1e-6


@pytest.mark.parametrize("size_px", [48, 256])
def test_frame_and_encoder_input_equal_the_reference(size_px: int) -> None:
    mask = as_bytes(person())
    mask[100:140] = np.maximum(mask[100:140], 60)  # soft values too
    rgb = photograph(person())
    crop = (-10.5, 20.25, 150.0, 150.0)
    frame = _core.frame_image(rgb, mask, crop, size_px)
    expected = framing.frame_image(rgb, mask, crop, size_px)
    np.testing.assert_allclose(frame, expected, atol=TOLERANCE)
    for num_channels in (3, 4):
        for input_px in (size_px, size_px // 2, size_px // 8):
            np.testing.assert_allclose(
                _core.encoder_input(frame, num_channels, input_px),
                framing.encoder_input(expected, num_channels, input_px),
                atol=TOLERANCE,
            )
    with pytest.raises(_core.Error, match="no whole fraction"):
        _core.encoder_input(frame, 4, size_px // 2 + 1)


def test_no_background_bleeds_into_the_frame() -> None:
    mask = person()
    frames = []
    for background in (0, 255):
        rgb = np.where(mask[..., None], photograph(mask), np.uint8(background)).astype(np.uint8)
        frames.append(_core.frame_image(rgb, as_bytes(mask), (0, 0, 200, 200), 77))
    np.testing.assert_array_equal(frames[0], frames[1])


@pytest.mark.parametrize(
    ("size_px", "resolution", "dilation_px"), [(64, 32, 0), (64, 32, 3), (48, 96, 5), (32, 32, 40)]
)
def test_silhouette_columns_equal_the_reference(size_px: int, resolution: int, dilation_px: int) -> None:
    mask = as_bytes(person())
    frame = _core.frame_image(photograph(person()), mask, (0, 0, 240, 240), size_px)
    found = _core.silhouette_columns(frame, resolution, dilation_px)
    np.testing.assert_array_equal(found > 0, framing.silhouette_columns(frame, resolution, dilation_px))
