"""One person is chosen out of a mask."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from figures import as_bytes, disc
from jiffsdk import _core


def blurred(mask: np.ndarray) -> np.ndarray:
    return np.rint(ndimage.gaussian_filter(mask.astype(np.float64), 2.0) * 255).astype(np.uint8)


def test_single_person_is_kept_with_soft_edge() -> None:
    mask = blurred(disc(120, 100, 60, 50, 30))
    kept, box, warnings = _core.choose_person(mask, True)
    np.testing.assert_array_equal(kept, mask)
    rows, columns = np.nonzero(mask >= 128)
    assert box == [
        columns.min(),
        rows.min(),
        columns.max() + 1 - columns.min(),
        rows.max() + 1 - rows.min(),
    ]
    assert warnings == []


def test_largest_of_two_is_kept_and_a_warning_says_so() -> None:
    large, small = disc(120, 200, 60, 60, 40), disc(120, 200, 60, 160, 25)
    mask = blurred(large | small)
    kept, box, warnings = _core.choose_person(mask, True)
    np.testing.assert_array_equal(kept[:, :115], mask[:, :115])
    assert not kept[:, 125:].any()
    assert box[0] + box[2] <= 101
    assert len(warnings) == 1
    assert "2 people" in warnings[0] and "mask" in warnings[0]


def test_small_extra_part_is_removed_without_warning() -> None:
    mask = as_bytes(disc(120, 200, 60, 60, 40) | disc(120, 200, 60, 160, 10))  # 6 % of the area
    kept, _, warnings = _core.choose_person(mask, True)
    assert not kept[:, 120:].any()
    assert warnings == []


def test_soft_pixels_go_to_the_nearer_person() -> None:
    mask = np.zeros((60, 120), np.uint8)
    mask[10:50, 10:50] = 255
    mask[10:50, 70:100] = 255
    mask[25:35, 50:70] = 90  # a soft bridge
    kept, _, warnings = _core.choose_person(mask, True)
    assert (kept[25:35, 50:60] == 90).all()
    assert not kept[:, 60:].any()
    assert "2 people" in warnings[0]


def test_diagonal_pixels_are_connected() -> None:
    mask = as_bytes(np.eye(40, dtype=bool))
    kept, box, warnings = _core.choose_person(mask, False)
    np.testing.assert_array_equal(kept, mask)
    assert box == [0, 0, 40, 40] and warnings == []


def test_nobody_in_a_photograph_is_an_error_with_its_share() -> None:
    for mask in (np.zeros((100, 200), np.uint8), as_bytes(disc(100, 200, 50, 50, 5))):  # 0.39 %
        with pytest.raises(_core.Error, match=r"no person.*200 x 100.*0\.\d+ %.*mask") as caught:
            _core.choose_person(mask, True)
        assert caught.value.code == "no_person"


def test_given_mask_without_anything_is_an_error() -> None:
    with pytest.raises(_core.Error, match="200 x 100 px is empty.*255") as caught:
        _core.choose_person(np.full((100, 200), 127, np.uint8), False)
    assert caught.value.code == "invalid_mask"


def test_given_mask_may_be_small_in_a_large_photograph_but_no_speck() -> None:
    mask = np.zeros((400, 500), np.uint8)
    mask[100:130, 200:210] = 255  # 0.15 %
    assert _core.choose_person(mask, False)[1] == [200, 100, 10, 30]
    mask[115:] = 0
    with pytest.raises(_core.Error, match="only 15 px.*at least 16") as caught:
        _core.choose_person(mask, False)
    assert caught.value.code == "invalid_mask"


@settings(max_examples=80, deadline=None)
@given(mask=hnp.arrays(np.bool_, st.tuples(st.integers(16, 24), st.integers(16, 24))))
def test_components_equal_scipy(mask: np.ndarray) -> None:
    labels, num_parts = ndimage.label(mask, structure=np.ones((3, 3)))
    areas = np.bincount(labels.ravel(), minlength=num_parts + 1)[1:]
    if not num_parts or areas.max() < 0.005 * mask.size:
        with pytest.raises(_core.Error, match="no person"):
            _core.choose_person(as_bytes(mask), True)
        return
    kept, box, warnings = _core.choose_person(as_bytes(mask), True)
    chosen = np.unique(labels[kept > 0])
    assert len(chosen) == 1 and areas[chosen[0] - 1] == areas.max()
    np.testing.assert_array_equal(kept > 0, labels == chosen[0])
    rows, columns = ndimage.find_objects((kept > 0).astype(int))[0]
    assert box == [columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start]
    assert len(warnings) == (np.sum(areas >= 0.15 * areas.max()) > 1)


def test_network_sees_the_stretched_photograph_in_minus_one_to_one() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (40, 90, 3), np.uint8)
    found = _core.segmentation_input(rgb, 30, 20)
    expected = 2.0 * _core.warp_image(rgb, (0, 0, 90, 40), 30, 20) - 1.0
    assert found.shape == (1, 3, 20, 30)
    np.testing.assert_allclose(found[0], expected, atol=1e-6)
    assert found.min() >= -1.0 and found.max() <= 1.0
