"""Measuring heads: a ball believed nearer than it is, and colours that are the picture's own."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import trimesh

torch = pytest.importorskip("torch", reason="the training tests need torch (pip install .[training])")
pytest.importorskip("igl", reason="the metrics need libigl (pip install .[training])")
pytest.importorskip("skimage", reason="needs scikit-image (pip install .[training])")
pytest.importorskip("tqdm", reason="needs tqdm (pip install .[training])")

import training  # noqa: E402, F401  # makes jiffexport importable
from training import evaluate_heads as measured  # noqa: E402
from training.face_model.fit import FaceFitter  # noqa: E402
from training.frozen_body import FrozenBody  # noqa: E402
from training.head_cache import HeadSubject, seen_views  # noqa: E402
from training.head_colors import ColorRow  # noqa: E402

import jiffexport.nets as nets  # noqa: E402
from head_people import CENTER_M, RADIUS_M, SIZE_M, relief_model, write_head  # noqa: E402
from jiffexport.face_model import FaceModel  # noqa: E402
from jiffsdk.face import Face  # noqa: E402

NEARER_M = 0.02
RADIUS = RADIUS_M * 2 / SIZE_M
NEARER = NEARER_M * 2 / SIZE_M


def coordinates(image: torch.Tensor) -> torch.Tensor:
    """Features that say where a texel is; the first two are the believed front and back of the ball."""
    x = torch.linspace(-1, 1, 128)
    x, y = x[None].expand(128, -1), x[:, None].expand(-1, 128)
    reach = (RADIUS**2 - x**2 - y**2).clamp(min=0).sqrt()
    front, back = (NEARER + reach) * 10, (NEARER - reach) * 10
    return torch.stack([front, back, x, y])[None].expand(len(image), -1, -1, -1)


class Ball(torch.nn.Module):
    """Occupancy of the ball, nearer than it is."""

    depth_scale = 10.0

    def forward(self, samples: torch.Tensor, depth: torch.Tensor) -> torch.Tensor:
        x, y = samples[:, 2], samples[:, 3]
        return torch.sigmoid(30 * (RADIUS - (x**2 + y**2 + (depth - NEARER) ** 2).sqrt()))[:, None]


class Copy(torch.nn.Module):
    """A colour head that takes the picture's own pixel."""

    def forward(self, samples: torch.Tensor, depth: torch.Tensor) -> torch.Tensor:
        return torch.ones(len(depth), 4, depth.shape[1])

    def raw(self, samples: torch.Tensor, depth: torch.Tensor) -> torch.Tensor:
        return samples

    def activations(self, raw: torch.Tensor, num_layers: int) -> torch.Tensor:
        return raw[:, :5]


@pytest.fixture(scope="module")
def model() -> FaceModel:
    return relief_model()


@pytest.fixture(scope="module")
def body() -> FrozenBody:
    return FrozenBody(512, coordinates, coordinates, Ball(), Copy())  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def subject(model: FaceModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ball with its surface, whose front is the face."""
    folder = tmp_path_factory.mktemp("test") / "00000"
    write_head(folder, model, 0)
    ball = trimesh.creation.icosphere(subdivisions=5, radius=RADIUS_M)
    surface = {"vertices": (ball.vertices + CENTER_M).astype("f4"), "faces": ball.faces}
    np.savez(folder / "mesh.npz", **surface, **{f"head_{name}": part for name, part in surface.items()})
    with np.load(folder / "head.npz") as file:
        head = dict(file)
    across = model.mean_shape - model.mean_shape.mean(axis=0)
    across[:, 2] = np.sqrt(np.maximum(RADIUS_M**2 - (across[:, :2] ** 2).sum(axis=1), 0))
    np.savez(folder / "head.npz", **{**head, "face_vertices": (across + CENTER_M).astype("f4")})
    return folder


def test_a_ball_in_the_wrong_depth_has_the_right_shape(
    model: FaceModel, body: FrozenBody, subject: Path
) -> None:
    head = HeadSubject.read(subject)
    [seen] = seen_views(head, body, model.triangles, False)
    truth = measured.Truth.read(seen, head, model)
    assert truth.offset_m == pytest.approx(NEARER_M, abs=2e-3)
    face = seen.face.double().numpy() + [0, 0, seen.belief.head_move]
    row = measured.ShapeRow("body", None)
    vertices, faces = row.surface(body, seen, face, measured.head_box(truth, face), 64)
    scores = measured.shape_scores(truth, truth.to_camera(vertices), faces, NEARER_M)
    assert scores["face_l2"] < 0.05 and scores["face_missed"] == 0
    assert scores["face_l2_raw"] == pytest.approx(100 * NEARER_M, abs=0.05)
    # The points of a ball that is moved are half as far from it on average.
    for name in ("p2s", "chamfer"):
        assert scores[name] < 0.05
        assert scores[f"{name}_raw"] == pytest.approx(50 * NEARER_M, abs=0.15)
    assert scores["normals"] > 0.99


def test_every_row_of_a_subject_is_measured_and_tabled(
    model: FaceModel, body: FrozenBody, subject: Path
) -> None:
    torch.manual_seed(0)
    config = replace(
        nets.COMPACT_FINE_COLOR,
        base_channels=4,
        num_blocks=1,
        coarse_channels=5,
        volume=replace(nets.COMPACT_FINE_COLOR.volume, resolution=8, num_centers=(16, 8), group_sizes=(4, 4)),
    )
    shapes = [measured.ShapeRow("empty", None), measured.ShapeRow("body", None)]
    shapes[0].surface = no_surface  # type: ignore[method-assign]
    colors = [ColorRow("fine", nets.FineColorNet(config).eval(), True)]
    arguments = argparse.Namespace(fits=["true"], views=None, cells=48)
    rows = list(
        measured.evaluate_subject(
            subject, arguments, body, model, FaceFitter(model), shapes, colors, None, seed=0
        )
    )
    assert [row.get("network", row.get("color")) for row in rows] == [
        "empty", "body", "coarse", "fine", "fine + 3-D"
    ]  # fmt: skip
    assert "nothing" in rows[0]["error"]
    coarse = rows[2]
    assert coarse["ssim"] > 0.99 and coarse["l1_picture"] < 0.01
    assert coarse["l1_head"] < 0.03  # of one colour, but for the rim of the picture's ball
    for row in rows[3:]:
        assert row["l1_picture"] > 0.05 and np.isfinite(row["ssim"])
    shown = measured.table(rows, "network", measured.SHAPE_COLUMNS)
    assert "| empty | none | 1 | 1 | –" in shown and "| body | none | 1 | 0 | 0.0" in shown


def test_the_sdk_is_measured_without_and_with_its_face_and_a_face_that_is_not_used_is_said(
    model: FaceModel, body: FrozenBody, subject: Path
) -> None:
    ball = trimesh.creation.icosphere(subdivisions=5, radius=RADIUS_M)
    half = SIZE_M / 2
    to_image = np.diag([512 / half, -512 / half, 1 / half, 1])
    to_image[:2, 3] = 512

    def reconstructor(image, mask=None, resolution=None, progress=None, *, options=None):  # noqa: ANN001, ANN202
        assert image.shape == (1024, 1024, 4) and options.resolution == 128
        return SimpleNamespace(
            vertices=(ball.vertices + [0, 0, NEARER_M]).astype("f4"),
            faces=ball.faces.astype("i4"),
            image_from_world=to_image,
            face=Face("no_face") if options.face == "auto" else Face("off"),
        )

    head = HeadSubject.read(subject)
    [seen] = seen_views(head, body, model.triangles, False)
    truth = measured.Truth.read(seen, head, model)
    off, auto, by_distance = measured.bundle_scores(reconstructor, truth, 128)
    assert off["offset_cm"] == pytest.approx(100 * NEARER_M, abs=0.05)
    assert (
        off["p2s"] < 0.05
        and off["face_l2_own"] < 0.05
        and off["face_l2_raw"] == pytest.approx(100 * NEARER_M, abs=0.05)
    )
    assert auto["fit"] == by_distance["fit"] == "own"
    assert "no_face" in auto["error"] and "no_face" in by_distance["error"]


def test_a_table_of_whole_pictures_leaves_out_those_in_which_a_row_failed() -> None:
    names = [name for name, *_ in measured.SDK_ROWS]
    rows: list[measured.Row] = [
        {"subject": "00000", "view": view, "network": name, "fit": "own", "p2s": 1.0}
        for view in (0, 1)
        for name in names
    ]
    rows[1]["error"] = "no_face"
    assert measured.of_whole_pictures(rows) == rows[3:]


def no_surface(*_: object) -> None:
    raise ValueError("nothing there")
