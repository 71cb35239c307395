"""The regressor's crop equals the slow reference and keeps its size when a face turns."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from jiffsdk import _core
from reference import face_crop

MEAN_FACE = np.array(
    [
        [-0.030, 0.034, -0.010],
        [0.030, 0.034, -0.010],
        [0.0, -0.002, 0.023],
        [-0.024, -0.033, -0.002],
        [0.024, -0.033, -0.002],
    ]
)
SIDE_M = 0.22


def seen(angles_deg: tuple[float, float, float], px_per_m: float, center: tuple[float, float]) -> np.ndarray:
    """The mean face's landmarks (5, 2) in a picture, by an orthographic camera."""
    offsets = MEAN_FACE - MEAN_FACE.mean(axis=0)
    turned = offsets @ Rotation.from_euler("xyz", angles_deg, degrees=True).as_matrix().T
    return np.array(center) + px_per_m * turned[:, :2] * [1, -1]


@given(
    landmarks=st.lists(st.tuples(st.floats(-500, 3000), st.floats(-500, 3000)), min_size=5, max_size=5),
    side_m=st.floats(0.05, 0.5),
)
def test_any_landmarks_give_the_references_box(landmarks: list[tuple[float, float]], side_m: float) -> None:
    points = np.array(landmarks)
    expected = face_crop.face_crop_box(points, MEAN_FACE, side_m)
    if expected[2] < 1e-2:
        return
    found = _core.face_crop_box(points, MEAN_FACE, side_m)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-7)  # worst seen 2e-11 relative


@pytest.mark.parametrize("angles_deg", [(0, 0, 0), (10, 60, 0), (-20, -45, 25), (0, 0, -90)])
def test_the_crop_keeps_its_size_when_the_face_turns(angles_deg: tuple[float, float, float]) -> None:
    left, top, width, height = _core.face_crop_box(seen(angles_deg, 900.0, (310, 205)), MEAN_FACE, SIDE_M)
    assert width == height == pytest.approx(900 * SIDE_M)
    assert (left + width / 2, top + height / 2) == (pytest.approx(310), pytest.approx(205))


def test_the_template_may_lie_anywhere() -> None:
    landmarks = seen((5, 20, 3), 700.0, (200, 150))
    moved = MEAN_FACE + [0.3, -2.0, 5.0]
    np.testing.assert_allclose(
        _core.face_crop_box(landmarks, moved, SIDE_M), _core.face_crop_box(landmarks, MEAN_FACE, SIDE_M)
    )


@pytest.mark.parametrize("size_px", [32, 224])
def test_the_crop_equals_the_reference_also_beyond_the_photo(size_px: int) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    box = (-20.5, 13.25, 100.0, 100.0)
    found = _core.face_crop(rgb, box, size_px)
    assert found.shape == (1, 3, size_px, size_px) and found.dtype == np.float32
    np.testing.assert_allclose(found, face_crop.face_crop(rgb, box, size_px), atol=4e-6)  # worst seen 1e-6
    assert (found[:, :, :, 0] == -1).all()


@pytest.mark.parametrize(
    ("landmarks", "mean_face", "message"),
    [
        (np.full((5, 2), 7.0), MEAN_FACE, "one place"),
        (np.array([[0, 0], [1, 0], [np.nan, 1], [0, 2], [1, 2]]), MEAN_FACE, "finite"),
        (np.eye(5)[:, :2] * 9, MEAN_FACE * [1, 1, 0], "plane"),
    ],
)
def test_impossible_landmarks_are_refused(landmarks: np.ndarray, mean_face: np.ndarray, message: str) -> None:
    with pytest.raises(_core.Error, match=message):
        _core.face_crop_box(landmarks, mean_face, SIDE_M)
