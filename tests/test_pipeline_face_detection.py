"""Faces are found where the package that the networks come from finds them, and nowhere else."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from face_photographs import with_faces, without_faces
from jiffsdk import _core, engines
from jiffsdk.reconstructor import DEFAULT_BUNDLE
from synthetic_bundle import write_bundle

SOURCE = json.loads(Path(__file__).with_name("source_faces.json").read_text())
"""Written by record_faces.py. Boxes are first and last pixels counted from 1."""

TOLERANCE_PX = 0.5  # worst seen 6e-4, the rounding of the record; the rest is for other JPEG decoders

Outputs = dict[str, np.ndarray]


@cache
def pictures() -> dict[str, np.ndarray]:
    return with_faces() | without_faces()


@pytest.fixture(scope="module")
def bundle() -> _core.Bundle:
    return _core.load_bundle(str(DEFAULT_BUNDLE))


@pytest.fixture(scope="module", params=engines.ONNX_NAMES)
def detector(request: pytest.FixtureRequest, bundle: _core.Bundle) -> _core.FaceDetector:
    pytest.importorskip(request.param)
    return _core.FaceDetector(bundle, engines.create(request.param))


@pytest.mark.parametrize("name", with_faces())
def test_faces_are_where_the_source_package_finds_them(detector: _core.FaceDetector, name: str) -> None:
    faces = detector.detect(pictures()[name])
    assert len(faces) == len(SOURCE[name]) > 0
    for face, expected in zip(faces, SOURCE[name], strict=True):
        left, top, width, height = face.box
        box = (left + 1, top + 1, left + width, top + height)
        np.testing.assert_allclose(box, expected["box"], atol=TOLERANCE_PX)
        np.testing.assert_allclose(face.landmarks, expected["landmarks"], atol=TOLERANCE_PX)
        assert face.score == pytest.approx(expected["score"], abs=1e-3)


@pytest.mark.parametrize("name", without_faces())
def test_where_no_face_is_none_is_found(detector: _core.FaceDetector, name: str) -> None:
    assert detector.detect(pictures()[name]) == []
    assert SOURCE.get(name, []) == []


def test_landmarks_lie_as_in_a_face(detector: _core.FaceDetector) -> None:
    (face,) = detector.detect(pictures()["astronaut"])
    left, top, width, height = face.box
    left_eye, right_eye, nose, mouth_left, mouth_right = (face.landmarks - (left, top)) / (width, height)
    assert 0.1 < left_eye[0] < nose[0] < right_eye[0] < 0.9
    assert mouth_left[0] < nose[0] < mouth_right[0]
    assert max(left_eye[1], right_eye[1]) < nose[1] < min(mouth_left[1], mouth_right[1])


def test_of_two_people_the_mask_chooses_the_main_face(detector: _core.FaceDetector) -> None:
    picture = pictures()["two_people"]
    faces = detector.detect(picture)
    assert len(faces) == 2
    masks = np.zeros((2, *picture.shape[:2]), np.uint8)
    masks[0, :, :300] = masks[1, :, 310:] = 255
    chosen = [faces[_core.main_face(faces, mask)] for mask in masks]
    assert [face.box[0] < 300 for face in chosen] == [True, False]
    whole = faces[_core.main_face(faces, masks.max(0))]
    assert whole.box[2] * whole.box[3] == max(face.box[2] * face.box[3] for face in faces)


def test_detection_is_repeatable_also_from_several_threads(detector: _core.FaceDetector) -> None:
    picture = pictures()["two_people"]
    with ThreadPoolExecutor(4) as pool:
        runs = list(pool.map(detector.detect, [picture] * 6))
    for run in runs:
        assert [(face.box, face.score) for face in run] == [(face.box, face.score) for face in runs[0]]
        for face, first in zip(run, runs[0], strict=True):
            np.testing.assert_array_equal(face.landmarks, first.landmarks)


def test_smallest_face_bounds_the_search(detector: _core.FaceDetector) -> None:
    picture = pictures()["astronaut_40_px"]
    assert len(detector.detect(picture, min_face_px=20)) == 1
    assert detector.detect(picture, min_face_px=300) == []
    with pytest.raises(_core.Error, match="min_face_px must be 12 or more, got 5"):
        detector.detect(picture, min_face_px=5)


def test_photographs_that_are_none_are_refused(detector: _core.FaceDetector) -> None:
    with pytest.raises(_core.Error, match=r"rgb must have shape \[\*, \*, 3\]"):
        detector.detect(np.zeros((40, 40), np.uint8))
    with pytest.raises(_core.Error, match="got one of 40 x 0 px") as caught:
        detector.detect(np.zeros((0, 40, 3), np.uint8))
    assert caught.value.code == "invalid_image"


def test_a_bundle_without_faces_says_so(tmp_path: Path) -> None:
    plain = _core.load_bundle(str(write_bundle(tmp_path / "plain")))
    assert not plain.detects_faces
    with pytest.raises(_core.Error, match="plain' has no 'face_detection'") as caught:
        _core.FaceDetector(plain, engines.create())
    assert caught.value.code == "bundle"


class WrittenGraph:
    """A network that a test writes: `run` maps the batch to its outputs."""

    def __init__(self, shapes: dict[str, Any], run: Callable[[np.ndarray], Outputs]) -> None:
        self.inputs, self.outputs = shapes["inputs"], shapes["outputs"]
        self._run = run

    def run(self, arrays: Mapping[str, np.ndarray]) -> Outputs:
        return self._run(arrays["image"])


class WrittenEngine:
    """Gives graphs of the default bundle's shapes that compute what a test says, by stage."""

    name = "written"

    def __init__(self, **networks: Callable[[np.ndarray], Outputs]) -> None:
        self._stages = json.loads((DEFAULT_BUNDLE / "bundle.json").read_text())["face_detection"]
        self._networks = networks

    def load(self, path: str) -> WrittenGraph:
        stage = Path(path).stem.removeprefix("face_")
        return WrittenGraph(self._stages[stage], self._networks[stage])


def white_windows(image: np.ndarray) -> Outputs:
    """Scores a proposal window by its pixel in the middle: 1 where it is white."""
    num_cells = image.shape[2] // 2 - 5
    score = image[:, :1, 6 : 6 + 2 * num_cells : 2, 6 : 6 + 2 * num_cells : 2] > 0.9
    return {
        "score": score.astype(np.float32),
        "offsets": np.zeros((len(image), 4, *score.shape[2:]), np.float32),
    }


def accepted(image: np.ndarray) -> Outputs:
    num_windows = len(image)
    return {
        "score": np.full((num_windows, 1), 0.9, np.float32),
        "offsets": np.zeros((num_windows, 4), np.float32),
        "landmarks": np.tile(
            np.float32([0.25, 0.75, 0.5, 0.25, 0.75, 0.25, 0.25, 0.5, 0.75, 0.75]), (num_windows, 1)
        ),
    }


def accepted_if_tight(image: np.ndarray) -> Outputs:
    """Only windows of a fiftieth white or more: dots in the windows of the finest level."""
    white = (image + 127.5 / 128).mean((1, 2, 3)) / 2
    return accepted(image) | {"score": (0.9 * (white > 0.02)).astype(np.float32)[:, None]}


def with_dots(width_px: int, height_px: int, columns: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Black, with dots of 2 x 2 pixels: one white pixel on a level of scale 1, which is a pixel larger."""
    rgb = np.zeros((height_px, width_px, 3), np.uint8)
    rgb[np.ix_(np.union1d(rows - 1, rows), np.union1d(columns - 1, columns))] = 255
    return rgb


@pytest.mark.parametrize("size", [(12, 12), (63, 64), (66, 131), (119, 173), (250, 63)])
def test_tiles_cover_every_cell_of_a_level_once(bundle: _core.Bundle, size: tuple[int, int]) -> None:
    width_px, height_px = size
    columns, rows = np.arange(6, width_px - 5, 14), np.arange(6, height_px - 5, 14)  # too far to overlap
    engine = WrittenEngine(proposal=white_windows, refinement=accepted, landmarks=accepted_if_tight)
    detector = _core.FaceDetector(bundle, engine)
    for shift in (0, 2, 4, 6, 8, 10, 12):
        x, y = (columns + shift)[columns + shift < width_px - 4], (rows + shift)[rows + shift < height_px - 4]
        faces = detector.detect(with_dots(width_px, height_px, x, y), min_face_px=12)
        expected = sorted((left, top, 12, 12) for left in x - 6 for top in y - 6)
        assert sorted(tuple(face.box) for face in faces) == expected


def test_pixels_beyond_the_border_are_marked_and_grey(bundle: _core.Bundle) -> None:
    seen = []

    def look(image: np.ndarray) -> Outputs:
        seen.append(image.copy())
        return white_windows(image * 0)

    engine = WrittenEngine(proposal=look, refinement=accepted, landmarks=accepted)
    assert (
        _core.FaceDetector(bundle, engine).detect(np.full((20, 31, 3), 255, np.uint8), min_face_px=12) == []
    )
    tile = seen[0][0]
    np.testing.assert_array_equal(tile[3], np.pad(np.zeros((21, 32)), ((0, 43), (0, 32)), constant_values=1))
    np.testing.assert_allclose(tile[:3], (1 - tile[3]) * 127.5 / 128 * np.ones((3, 1, 1)), atol=1e-6)


def test_a_network_that_returns_nonsense_is_named(bundle: _core.Bundle) -> None:
    def nonsense(image: np.ndarray) -> Outputs:
        return {name: values * np.nan for name, values in accepted(image).items()}

    rgb = with_dots(40, 40, np.array([20]), np.array([20]))
    engine = WrittenEngine(proposal=white_windows, refinement=accepted, landmarks=nonsense)
    with pytest.raises(
        _core.Error, match="face detection network returned '.*' that is not finite"
    ) as caught:
        _core.FaceDetector(bundle, engine).detect(rgb, min_face_px=12)
    assert caught.value.code == "invalid_field"


def test_windows_that_leave_the_photo_are_dropped(bundle: _core.Bundle) -> None:
    def far_away(image: np.ndarray) -> Outputs:
        return accepted(image) | {"offsets": np.full((len(image), 4), 1e30, np.float32)}

    rgb = with_dots(40, 40, np.array([20]), np.array([20]))
    for refinement, num_faces in ((accepted, 1), (far_away, 0)):
        engine = WrittenEngine(proposal=white_windows, refinement=refinement, landmarks=accepted)
        assert len(_core.FaceDetector(bundle, engine).detect(rgb, min_face_px=12)) == num_faces
