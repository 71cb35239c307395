"""The face of the bundle that ships, on photographs: used where it is seen, left out where it is not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw
from safetensors.numpy import load_file

from face_photographs import FACE_WIDTH_PX, back_of_head, example, framed, two_people
from jiffsdk import (
    Cancelled,
    EngineError,
    Reconstruction,
    ReconstructionOptions,
    Reconstructor,
    _core,
    engines,
)
from jiffsdk.engines import Engine, Graph
from jiffsdk.preview import rasterize
from jiffsdk.reconstructor import DEFAULT_BUNDLE

pytestmark = pytest.mark.skipif(
    not DEFAULT_BUNDLE.is_dir() or not _core.load_bundle(str(DEFAULT_BUNDLE)).has_face,
    reason="the bundle of this checkout has no face",
)

RESOLUTION = 64


@pytest.fixture(scope="module")
def reconstruct() -> Reconstructor:
    return Reconstructor()


@pytest.fixture(scope="module")
def results(reconstruct: Reconstructor) -> dict[str, Reconstruction]:
    return {name: reconstruct(np.array(example(name)), resolution=RESOLUTION) for name in FACE_WIDTH_PX}


@pytest.fixture(scope="module")
def five_points() -> np.ndarray:
    """(5, 2): pairs of vertices whose means are the five landmarks."""
    return load_file(DEFAULT_BUNDLE / "face_model.safetensors")["five_points"].astype(int)


@pytest.mark.parametrize("name", FACE_WIDTH_PX)
def test_face_is_used_and_lies_on_the_detected_landmarks(
    results: dict[str, Reconstruction], five_points: np.ndarray, name: str
) -> None:
    result = results[name]
    assert result.face.status == "used"
    assert result.face.vertices is not None and result.face.landmarks is not None
    assert result.face.yaw_deg is not None and abs(result.face.yaw_deg) < 15
    homogeneous = np.concatenate([result.face.vertices, np.ones((len(result.face.vertices), 1))], axis=1)
    places = (homogeneous @ result.image_from_world.T)[:, :2]
    fitted = places[five_points].mean(axis=1)
    between_eyes = np.linalg.norm(result.face.landmarks[1] - result.face.landmarks[0])
    errors = np.linalg.norm(fitted - result.face.landmarks, axis=1) / between_eyes
    assert errors.mean() < 0.15


def test_the_nose_lies_before_the_eyes(reconstruct: Reconstructor, five_points: np.ndarray) -> None:
    result = reconstruct(np.array(example("astronaut")), resolution=192)
    assert result.face.vertices is not None
    points = result.face.vertices[five_points].mean(axis=1)
    depths = []
    for point in points[:3]:
        near = np.linalg.norm(result.vertices[:, :2] - point[:2], axis=1) < 0.008
        depths.append(result.vertices[near, 2].max())
    assert depths[2] > max(depths[:2]) + 0.008


@pytest.mark.parametrize("name", FACE_WIDTH_PX)
@pytest.mark.parametrize("width_px", [30, 40])
def test_small_faces_work(reconstruct: Reconstructor, name: str, width_px: int) -> None:
    assert reconstruct(np.array(framed(name, width_px)), resolution=RESOLUTION).face.status == "used"


def test_main_ones_face_is_used(reconstruct: Reconstructor) -> None:
    picture = np.array(two_people())
    for half in (slice(0, 310), slice(310, 700)):
        mask = np.zeros(picture.shape[:2], np.uint8)
        mask[20:, half] = 255
        face = reconstruct(picture, mask, resolution=RESOLUTION).face
        assert face.box is not None and face.vertices is not None
        assert half.start <= face.box[0] and face.box[0] + face.box[2] <= half.stop


def masked(color: tuple[int, int, int], landmarks: np.ndarray) -> Image.Image:
    """The astronaut with a mask over nose, mouth and chin."""
    picture = example("astronaut")
    nose = landmarks[2]
    right = landmarks[1] - landmarks[0]
    up = landmarks[:2].mean(0) - landmarks[3:].mean(0)
    up *= np.linalg.norm(right) / np.linalg.norm(up)
    outline = [
        (-0.95, 0.25),
        (0, 0.45),
        (0.95, 0.25),
        (0.9, -0.7),
        (0.45, -1.35),
        (-0.45, -1.35),
        (-0.9, -0.7),
    ]
    ImageDraw.Draw(picture).polygon([tuple(nose + x * right + y * up) for x, y in outline], fill=color)
    return picture


@pytest.mark.parametrize("color", [(235, 240, 245), (120, 170, 210), (25, 25, 28)])
def test_a_masked_face_falls_back(
    reconstruct: Reconstructor, results: dict[str, Reconstruction], color: tuple[int, int, int]
) -> None:
    landmarks, mask = results["astronaut"].face.landmarks, results["astronaut"].mask
    assert landmarks is not None
    result = reconstruct(np.array(masked(color, landmarks)), mask, resolution=RESOLUTION)
    assert result.face.status in ("covered", "no_face", "no_fit")
    assert len(result.faces) > 0


def turned(result: Reconstruction, yaw_deg: float) -> np.ndarray:
    """A reconstruction, seen turned, before a blue wall: RGBA."""
    cos, sin = np.cos(np.deg2rad(yaw_deg)), np.sin(np.deg2rad(yaw_deg))
    turn = np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])
    positions = (result.vertices - result.vertices.mean(0)) @ turn.T
    positions *= 440 / np.ptp(result.vertices[:, 1])
    fragments = rasterize(positions, result.faces, 512, 512)
    seen = np.zeros(512 * 512, np.uint8)
    seen[fragments.pixels] = 255
    rgb = fragments.paint(fragments.interpolate(result.colors, result.faces)) * 255
    return np.dstack([rgb.astype(np.uint8), seen.reshape(512, 512)])


def test_a_profile_falls_back(reconstruct: Reconstructor) -> None:
    frontal = reconstruct(np.array(example("astronaut")), resolution=192)
    assert reconstruct(turned(frontal, 0), resolution=RESOLUTION).face.status == "used"
    assert reconstruct(turned(frontal, 90), resolution=RESOLUTION).face.status != "used"


def test_without_a_face_the_body_alone_answers(reconstruct: Reconstructor) -> None:
    picture = np.array(back_of_head())
    result = reconstruct(picture, resolution=RESOLUTION)
    assert result.face.status == "no_face"
    off = reconstruct(picture, options=ReconstructionOptions(RESOLUTION, face="off"))
    np.testing.assert_array_equal(result.vertices, off.vertices)


class _Failing(Graph):
    def _run(self, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        raise EngineError("the fine encoder is out of order")


class _WithoutFineColor(Engine):
    """OpenVINO, or what there is, but for one graph: it is run beside others, on a thread of its own."""

    name = "failing"

    def __init__(self) -> None:
        super().__init__(None)
        self._engine = engines.create("auto")

    def _load(self, path: str) -> Graph:
        graph = self._engine.load(path)
        if Path(path).name != "fine_color_encoder.onnx":
            return graph
        return _Failing(graph.name, graph.inputs, graph.outputs)


def test_a_graph_that_fails_beside_others_fails_the_call() -> None:
    reconstruct = Reconstructor(engine=_WithoutFineColor())
    for _ in range(2):
        with pytest.raises(EngineError, match="the fine encoder is out of order"):
            reconstruct(np.array(example("astronaut")), resolution=RESOLUTION)


@pytest.mark.parametrize("stage", ["detect_face", "extract"])
def test_cancelling_while_a_graph_runs_beside(
    reconstruct: Reconstructor, results: dict[str, Reconstruction], stage: str
) -> None:
    photo = np.array(example("astronaut"))
    with pytest.raises(Cancelled):
        reconstruct(photo, resolution=RESOLUTION, progress=lambda name, _: name != stage)
    again = reconstruct(photo, resolution=RESOLUTION)
    assert np.array_equal(again.vertices, results["astronaut"].vertices)
    assert np.array_equal(again.colors, results["astronaut"].colors)
