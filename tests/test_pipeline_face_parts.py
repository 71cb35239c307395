"""Every part of the face cascade that is no network equals its slow reference."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import reference.face_detection as slow
from jiffsdk import _core

WHOLE = st.integers(-8, 24)


@st.composite
def windows(draw: st.DrawFn) -> np.ndarray:
    """(N, 5) with whole sides, so that overlaps are exact, and few scores, so that there are ties."""
    rows = draw(
        st.lists(
            st.tuples(
                WHOLE, WHOLE, st.integers(1, 20), st.integers(1, 20), st.sampled_from([0.6, 0.75, 1.0])
            ),
            max_size=30,
        )
    )
    return np.array([(x, y, x + w, y + h, s) for x, y, w, h, s in rows], np.float32).reshape(-1, 5)


@given(windows=windows(), most_overlap=st.sampled_from([0.0, 0.3, 0.5, 0.7, 1.0]), of_smaller=st.booleans())
def test_suppression_equals_reference(windows: np.ndarray, most_overlap: float, of_smaller: bool) -> None:
    found = _core.suppress_overlaps(windows, most_overlap, of_smaller)
    assert found == slow.suppress_overlaps(windows, most_overlap, of_smaller)


@given(windows=windows(), of_smaller=st.booleans())
def test_suppression_keeps_what_no_better_one_covers(windows: np.ndarray, of_smaller: bool) -> None:
    kept = _core.suppress_overlaps(windows, 0.5, of_smaller)
    assert [windows[i, 4] for i in kept] == sorted((windows[i, 4] for i in kept), reverse=True)
    for i in range(len(windows)):
        covering = [k for k in kept if slow.overlap(windows[k], windows[i], of_smaller) > 0.5]
        assert (covering == [i]) if i in kept else any(windows[k, 4] >= windows[i, 4] for k in covering)


def test_of_equal_windows_one_stays() -> None:
    same = np.tile(np.array([[3, 4, 20, 22, 0.9]], np.float32), (5, 1))
    assert _core.suppress_overlaps(same, 0.7, False) == [0]
    assert _core.suppress_overlaps(same, 0.7, True) == [4]
    assert _core.suppress_overlaps(same[:0], 0.7, True) == []


def test_a_window_inside_another_is_suppressed_only_by_the_smaller() -> None:
    nested = np.array([[0, 0, 40, 40, 0.9], [10, 10, 20, 20, 0.8]], np.float32)
    assert _core.suppress_overlaps(nested, 0.7, False) == [0, 1]
    assert _core.suppress_overlaps(nested, 0.7, True) == [0]


def test_windows_without_area_neither_suppress_nor_vanish() -> None:
    points = np.array([[5, 5, 5, 5, 0.9], [5, 5, 5, 5, 0.8]], np.float32)
    assert _core.suppress_overlaps(points, 0.5, False) == [0, 1]


def test_windows_of_another_shape_are_refused() -> None:
    with pytest.raises(_core.Error, match=r"windows must have shape \[\*, 5\]"):
        _core.suppress_overlaps(np.zeros((3, 4), np.float32), 0.5, False)


SIDES = st.floats(-1000, 1000, width=32)


@given(
    window=st.tuples(SIDES, SIDES, SIDES, SIDES, st.just(1.0)),
    offsets=st.tuples(*[st.floats(-1, 1, width=32)] * 4),
    with_last_pixel=st.booleans(),
)
def test_regression_equals_reference(
    window: slow.Window, offsets: tuple[float, float, float, float], with_last_pixel: bool
) -> None:
    found = _core.regress_window(window, offsets, with_last_pixel)
    # Worst seen 1e-4: single precision of numbers up to 4000.
    np.testing.assert_allclose(found, slow.regress_window(window, offsets, with_last_pixel), atol=1e-3)


@given(window=st.tuples(SIDES, SIDES, st.floats(0, 500, width=32), st.floats(0, 500, width=32)))
def test_squares_equal_reference_and_keep_centre_and_longer_side(
    window: tuple[float, float, float, float],
) -> None:
    left, top, width, height = window
    given_window = (left, top, left + width, top + height, 0.5)
    found = _core.square_window(given_window)
    np.testing.assert_allclose(found, slow.square_window(given_window), atol=1e-3)  # worst seen 2e-4
    side = max(width, height)
    np.testing.assert_allclose((found[2] - found[0], found[3] - found[1]), side, atol=1e-3)
    np.testing.assert_allclose(found[0] + found[2], 2 * left + width, atol=1e-3)
    np.testing.assert_allclose(found[1] + found[3], 2 * top + height, atol=1e-3)


@given(
    sides=st.tuples(*[st.floats(-30, 60, width=32)] * 4),
    width_px=st.integers(1, 40),
    height_px=st.integers(1, 40),
)
def test_what_of_a_window_lies_on_the_photo_equals_reference(
    sides: tuple[float, float, float, float], width_px: int, height_px: int
) -> None:
    window = (*sides, 1.0)
    found = _core.window_pixels(window, width_px, height_px)
    expected = slow.window_pixels(window, width_px, height_px)
    assert (None if found is None else tuple(found)) == expected


@pytest.mark.parametrize("side", [np.inf, -np.inf, np.nan, 1e30])
def test_windows_out_of_any_range_are_cut_or_dropped(side: float) -> None:
    assert _core.window_pixels((1.0, 1.0, np.inf, 1e30, 1.0), 20, 10) == [0, 0, 20, 10]
    found = _core.window_pixels((side, 1.0, side, 8.0, 1.0), 20, 10)
    assert found is None or found[2] <= 20


@given(
    seed=st.integers(0, 1000),
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    corner=st.tuples(st.floats(0, 0.9), st.floats(0, 0.9)),
    target=st.tuples(st.integers(1, 30), st.integers(1, 30)),
)
def test_averages_equal_reference_where_they_shrink_and_grow(
    seed: int, size: tuple[int, int], corner: tuple[float, float], target: tuple[int, int]
) -> None:
    width, height = size
    rgb = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    part = (int(corner[0] * width), int(corner[1] * height), width, height)
    found = _core.average_pixels(rgb, part, *target)
    np.testing.assert_allclose(found, slow.average_pixels(rgb, part, *target), atol=1e-7)  # seen 3e-8


def test_average_of_the_same_size_is_identity_and_of_one_pixel_the_mean() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (9, 7, 3), np.uint8)
    same = _core.average_pixels(rgb, (0, 0, 7, 9), 7, 9)
    np.testing.assert_array_equal(same * 128 + 127.5, rgb.transpose(2, 0, 1))
    one = _core.average_pixels(rgb, (0, 0, 7, 9), 1, 1)
    np.testing.assert_allclose(one[:, 0, 0] * 128 + 127.5, rgb.mean((0, 1)), rtol=1e-6)


@pytest.mark.parametrize("part", [(-1, 0, 4, 4), (0, 0, 8, 4), (3, 0, 3, 4), (0, 0, 4, 10)])
def test_parts_beyond_the_image_are_refused(part: tuple[int, int, int, int]) -> None:
    with pytest.raises(_core.Error, match="part must lie inside"):
        _core.average_pixels(np.zeros((9, 7, 3), np.uint8), part, 4, 4)


@given(
    width_px=st.integers(1, 5000),
    height_px=st.integers(1, 5000),
    min_face_px=st.floats(12, 400),
)
def test_pyramid_equals_reference(width_px: int, height_px: int, min_face_px: float) -> None:
    levels = _core.face_pyramid(width_px, height_px, min_face_px)
    assert levels == slow.face_pyramid(width_px, height_px, min_face_px)
    assert all(min(width, height) >= 12 for _, width, height in levels)
    assert bool(levels) == (min(width_px, height_px) * (12 / min_face_px) >= 12)


@pytest.mark.parametrize("min_face_px", [11.9, 0.0, -20.0, np.nan, np.inf])
def test_faces_that_cannot_be_searched_for_are_refused(min_face_px: float) -> None:
    with pytest.raises(_core.Error, match="min_face_px must be 12 or more") as caught:
        _core.face_pyramid(512, 512, min_face_px)
    assert caught.value.code == "invalid_argument"


def test_default_smallest_face_grows_with_the_shorter_side() -> None:
    assert _core.default_min_face_px(512, 512) == 20
    assert _core.default_min_face_px(100, 5000) == 20
    assert _core.default_min_face_px(2048, 1024) == 40


def test_proposal_windows_are_twelve_pixels_of_their_level() -> None:
    assert _core.proposal_window(1.0, 0, 3)[:4] == [1, 7, 12, 18]
    left, top, right, bottom, _ = _core.proposal_window(0.1, 5, 0)
    assert (left, top, right, bottom) == (110, 10, 220, 120)


@st.composite
def faces_on_a_mask(draw: st.DrawFn) -> tuple[list[tuple[int, ...]], list[float], np.ndarray]:
    boxes = draw(
        st.lists(st.tuples(WHOLE, WHOLE, st.integers(1, 20), st.integers(1, 20)), min_size=0, max_size=5)
    )
    scores = draw(st.lists(st.sampled_from([0.7, 0.9, 1.0]), min_size=len(boxes), max_size=len(boxes)))
    mask = np.random.default_rng(draw(st.integers(0, 99))).integers(0, 256, (18, 22), np.uint8)
    mask[:, : draw(st.integers(0, 22))] = 255
    return boxes, scores, mask


@given(case=faces_on_a_mask())
def test_main_face_equals_reference(case: tuple[list[tuple[int, ...]], list[float], np.ndarray]) -> None:
    boxes, scores, mask = case
    faces = [_core.Face(box, score) for box, score in zip(boxes, scores, strict=True)]
    assert _core.main_face(faces, mask) == slow.main_face(boxes, np.float32(scores).tolist(), mask)


def test_main_face_is_on_the_mask_even_if_another_is_larger_and_surer() -> None:
    mask = np.zeros((100, 200), np.uint8)
    mask[:, 100:] = 255
    bystander, person = _core.Face((5, 5, 90, 90), 1.0), _core.Face((120, 10, 30, 40), 0.8)
    assert _core.main_face([bystander, person], mask) == 1
    assert _core.main_face([bystander], mask) is None
    assert _core.main_face([], mask) is None


def test_main_face_weighs_area_by_score_and_takes_the_first_of_equals() -> None:
    mask = np.full((100, 100), 255, np.uint8)
    small_sure, large = _core.Face((0, 0, 20, 20), 1.0), _core.Face((50, 50, 30, 30), 0.75)
    assert _core.main_face([small_sure, large], mask) == 1
    assert _core.main_face([large, large], mask) == 0


def test_a_face_cut_by_the_border_counts_by_what_is_visible() -> None:
    mask = np.full((50, 50), 255, np.uint8)
    assert _core.main_face([_core.Face((-30, 10, 40, 40), 0.9)], mask) == 0
    assert _core.main_face([_core.Face((-50, 10, 40, 40), 0.9)], mask) is None
