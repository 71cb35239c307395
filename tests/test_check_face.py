"""The program that looks at a face regressor: medians, histogram, fits in photographs, overlays."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch (pip install .[training])")
pytest.importorskip("scipy", reason="needs scipy (pip install .[training])")
pytest.importorskip("matplotlib", reason="needs matplotlib (pip install .[training])")

import training  # noqa: E402, F401  # makes jiffexport importable
from PIL import Image  # noqa: E402
from training import check_face  # noqa: E402

import jiffexport.nets as nets  # noqa: E402
from face_surfaces import relief_mesh  # noqa: E402
from jiffexport.face_model import FaceModel  # noqa: E402

SIDE_M = 0.22


@pytest.fixture(scope="module")
def model() -> FaceModel:
    """A relief that faces the camera, its five landmarks around the origin, without any components."""
    vertices, faces = relief_mesh(17, 21, 0.06, 0.09)
    grid = np.arange(17 * 21).reshape(21, 17)
    pairs = np.array([grid[15, 4], grid[15, 12], grid[10, 8], grid[5, 5], grid[5, 11]])[:, None].repeat(2, 1)
    vertices = vertices - vertices[pairs].mean(axis=(0, 1))
    count = len(vertices)
    return FaceModel(
        mean_shape=vertices.astype(np.float32),
        identity_basis=np.zeros((1, count, 3), np.float32),
        expression_basis=np.zeros((1, count, 3), np.float32),
        mean_texture=np.full((count, 3), (0.9, 0.2, 0.1), np.float32),
        texture_basis=np.zeros((1, count, 3), np.float32),
        triangles=faces,
        uv=np.zeros((count, 2), np.float32),
        landmarks=np.linspace(0, count - 1, 68).astype(np.int32),
        five_points=pairs.astype(np.int32),
    )


class MeanFace(torch.nn.Module):
    """Finds in every crop the mean face where it belongs, a little to the right, in white light."""

    config = nets.COMPACT_FACE_REGRESSOR

    def __init__(self, shift: float = 0.0) -> None:
        super().__init__()
        self.shift = shift

    def inference(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        coefficients = torch.zeros(len(image), 257)
        coefficients[:, 224:251:9] = 3.5
        coefficients[:, 254] = self.shift
        return {"coefficients": coefficients}


def five_in_photo(model: FaceModel, scale_px: float, center: tuple[float, float]) -> np.ndarray:
    return model.five_landmarks()[:, :2] * [scale_px, -scale_px] + center


def test_a_fit_lies_where_the_landmarks_were(model: FaceModel) -> None:
    picture = np.zeros((300, 400, 3), np.uint8)
    landmarks = five_in_photo(model, 900.0, (210.0, 130.0))
    fit = check_face.fit_face(picture, landmarks, MeanFace(), model)
    np.testing.assert_allclose(fit.places_px(model.five_points).mean(axis=1), landmarks, atol=1e-3)
    assert fit.square[2] == pytest.approx(900 * SIDE_M, rel=1e-5)


@pytest.mark.parametrize("num_passes", [1, 2, 3])
def test_every_pass_starts_at_the_fit_before(model: FaceModel, num_passes: int) -> None:
    picture = np.zeros((300, 400, 3), np.uint8)
    landmarks = five_in_photo(model, 900.0, (210.0, 130.0))
    fit = check_face.fit_face(picture, landmarks, MeanFace(0.05), model, num_passes)
    found = fit.places_px(model.five_points).mean(axis=1)
    step_px = 0.05 / 2 * 900 * SIDE_M
    np.testing.assert_allclose(found, landmarks + [num_passes * step_px, 0], atol=1e-2)


def test_overlays_show_the_mesh_in_its_colours_over_the_photograph(model: FaceModel) -> None:
    picture = np.full((300, 400, 3), (10, 20, 200), np.uint8)
    fit = check_face.fit_face(picture, five_in_photo(model, 900.0, (210.0, 130.0)), MeanFace(), model)
    row = check_face.draw_overlays(picture, fit, model)
    size = check_face.PANEL_PX
    assert row.shape == (size, 4 * size, 3) and row.dtype == np.uint8
    photo, dots, clay, lit = np.split(row, 4, axis=1)
    assert (np.abs(photo.astype(int) - [10, 20, 200]) <= 1).all()
    assert (dots == [80, 255, 80]).all(-1).any()
    middle = size // 2
    mixed = clay[middle, middle] - (1 - check_face.CLAY_OPACITY) * np.array([10, 20, 200])
    assert np.ptp(mixed) <= 2 and mixed.min() > 50  # grey, the photograph shows through
    red, green, blue = lit[middle, middle].astype(int)
    assert red > 2 * green > 0 and green > blue
    for panel in (clay, lit):
        np.testing.assert_array_equal(panel[2, 2], photo[2, 2])


def test_photographs_without_a_face_are_named(
    model: FaceModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("empty.png", "face.png"):
        Image.new("RGBA", (300, 300), (0, 0, 0, 0)).save(tmp_path / name)
    landmarks = five_in_photo(model, 900.0, (150.0, 150.0))
    answers = [[], [SimpleNamespace(landmarks=landmarks)]]
    detector = SimpleNamespace(detect=lambda picture: answers.pop(0))
    rows = check_face.overlays_of(
        [tmp_path / "empty.png", tmp_path / "face.png"], detector, MeanFace(), model
    )
    assert len(rows) == 1
    assert "empty.png: no face" in capsys.readouterr().out
    np.testing.assert_array_equal(rows[0][2, 2], [128, 128, 128])  # transparent parts are grey


def test_the_table_has_medians_of_every_band_and_pass() -> None:
    errors = {
        "landmarks": np.array([1.0, 2.0, 6.0]),
        "interocular": np.array([0.5, 1.5, 4.5]),
        "pose": np.array([3.0, 4.0, 8.0]),
        "shape": np.array([1.0, 1.5, 2.5]),
        "yaw": np.array([-5.0, 20.0, 30.0]),
    }
    better = errors | {"landmarks": np.array([0.5, 1.0, 3.0])}
    rows = check_face.table([errors, better]).splitlines()[2:]
    assert rows == [
        "| detected | all | 3 | 2.00 | 1.50 | 4.00 | 1.50 |",
        "| detected | turned 0° to 15° | 1 | 1.00 | 0.50 | 3.00 | 1.00 |",
        "| detected | turned 15° to 45° | 2 | 4.00 | 3.00 | 6.00 | 2.00 |",
        "| pass 2 | all | 3 | 1.00 | 1.50 | 4.00 | 1.50 |",
        "| pass 2 | turned 0° to 15° | 1 | 0.50 | 0.50 | 3.00 | 1.00 |",
        "| pass 2 | turned 15° to 45° | 2 | 2.00 | 3.00 | 6.00 | 2.00 |",
    ]


def test_a_histogram_is_a_picture_with_ink(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    errors = {key: rng.gamma(2, 1, 50) for key in ("interocular", "pose")}
    check_face.draw_histogram(errors | {"yaw": rng.uniform(-40, 40, 50)}, tmp_path / "new" / "fit.png")
    with Image.open(tmp_path / "new" / "fit.png") as picture:
        grey = np.asarray(picture.convert("L"))
    assert grey.shape[1] > 600
    assert 0.02 < (grey < 200).mean() < 0.6


@pytest.mark.parametrize("given", [[], ["--photographs", "a.jpg"], ["--overlays", "a.png"]])
def test_a_call_that_asks_for_nothing_whole_is_refused(given: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        check_face.main(["--model", "m", "--regressor", "r", *given])
    assert stopped.value.code == 2
