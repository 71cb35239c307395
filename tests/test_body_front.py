"""The front of a body's surface, and faces put on it as the run time does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the training tests need torch (pip install .[training])")
pytest.importorskip("tqdm", reason="needs tqdm (pip install .[training])")

import training  # noqa: E402, F401  # makes jiffexport importable
from training import body_front  # noqa: E402
from training.body_front import BodyFront, face_proper, seen_areas, weighted_median  # noqa: E402
from training.face_fits import FitErrors, ViewPlace, face_in_view  # noqa: E402
from training.face_model.fit import FaceFitter  # noqa: E402
from training.head_crops import cropped  # noqa: E402

from head_people import believing_head, relief_model  # noqa: E402
from jiffexport.face_model import FaceModel  # noqa: E402

SCALE, SIZE_M = 10.0, 2.0
SQUARE = np.array([[-0.2, -0.1, 0.0], [0.2, 0.1, 0.0], [0.0, 0.2, 0.0], [0.0, -0.2, 0.0]])


def sloping_front(**changes: object) -> BodyFront:
    """z = 0.3 x + 0.1; nothing at y > 0.1, where the encoder believes what the head denies."""
    steps = torch.linspace(-1, 1, 64)
    believed = (0.3 * steps + 0.1).expand(1, 64, 64)
    present = torch.where(steps[:, None] < 0.1, 0.0, -1e4).expand(1, 64, 64)
    head = believing_head(2, SCALE)
    with torch.no_grad():
        head.layers[-1].weight[0, 9] = 1.0
    crop = cropped(torch.cat([believed * SCALE, present]), np.array([-0.4, -0.4]), np.array([0.4, 0.4]))
    return replace(BodyFront.around(SQUARE, head, crop, SIZE_M), **changes)


def test_the_front_is_found_where_the_body_has_it() -> None:
    front = sloping_front()
    assert front.center == (0.0, 0.0) and front.half == pytest.approx(0.2 * 1.2)
    above = np.random.default_rng(0).uniform(-0.2, 0.06, (200, 2))
    cell = 2 * front.half / body_front.NUM_COLUMNS
    np.testing.assert_allclose(front.at(above), 0.3 * above[:, 0] + 0.1, atol=0.3 * cell / 2 + 2e-4)
    assert np.isnan(front.at(above * [1, 0] + [0, 0.15])).all()
    assert np.isnan(front.at(np.array([[0.3, 0.0], [0.0, -0.3]]))).all()


def test_a_front_that_is_cut_at_the_reach_is_none() -> None:
    head = believing_head(1, SCALE)
    with torch.no_grad():
        head.layers[-1].bias.fill_(-5 * 1.0)  # half a unit, half a metre, behind what is believed
    crop = cropped(torch.zeros(1, 8, 8), np.array([-1, -1]), np.array([1, 1]))
    assert BodyFront.around(SQUARE, head, crop, SIZE_M).depth.isnan().all()
    with torch.no_grad():
        head.layers[-1].bias.fill_(5 * 1.0)
    assert BodyFront.around(SQUARE, head, crop, SIZE_M).depth.isnan().all()


def test_areas_are_those_that_the_camera_sees_whichever_way_the_picture_lies() -> None:
    rng = np.random.default_rng(0)
    model = relief_model()
    view = model.mean_shape * [1, -1, 1]  # y down
    areas = seen_areas(view, model.triangles)
    slow = np.zeros(len(view))
    for triangle in model.triangles:
        a, b, c = view[triangle]
        slow[triangle] += max(0.0, -np.cross(b - a, c - a)[2]) / 6
    kept = areas > 0
    np.testing.assert_allclose(areas[kept], slow[kept], rtol=1e-6)
    assert kept.sum() > 0.7 * len(kept)
    np.testing.assert_allclose(seen_areas(view * [-1, 1, 1], model.triangles), areas, rtol=1e-5, atol=1e-12)
    upright = np.array([[0.0, 0, 0], [0, -1, 0], [0, 0, 1], [0.2, -0.4, 0.3]]) + rng.normal(0, 1e-3, (4, 3))
    assert seen_areas(upright, np.array([[0, 1, 2]])).sum() < 0.05


def test_a_weighted_median_is_the_median_of_repeated_values() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        values, counts = rng.normal(size=7), rng.integers(0, 5, 7)
        counts[0] += 1
        repeated = np.sort(np.repeat(values, counts))
        assert weighted_median(values, counts.astype(float)) == repeated[(len(repeated) - 1) // 2]


@pytest.fixture(scope="module")
def model() -> FaceModel:
    """Eyes, nose and mouth where a face has them."""
    relief = relief_model()
    places = np.array([[-0.03, 0.03], [0.03, 0.03], [0, 0], [-0.025, -0.03], [0.025, -0.03]])
    distance = np.linalg.norm(relief.mean_shape[None, :, :2] - places[:, None], axis=2)
    return replace(relief, five_points=np.repeat(distance.argmin(axis=1)[:, None], 2, 1).astype(np.int32))


def test_the_face_proper_ends_at_brows_chin_and_cheeks(model: FaceModel) -> None:
    left, right, _, left_mouth, right_mouth = model.five_landmarks()
    eyes = right[0] - left[0]
    for flag, (x, y, _) in zip(face_proper(model), model.mean_shape, strict=True):
        inside = abs(x - (left[0] + right[0]) / 2) <= 0.9 * eyes
        inside &= y <= (left[1] + right[1]) / 2 + 0.35 * eyes
        inside &= y >= (left_mouth[1] + right_mouth[1]) / 2 - 0.6 * eyes
        assert flag == inside
    assert 0 < face_proper(model).sum() < model.num_vertices


def test_a_faulty_fit_stands_on_the_front_and_a_true_one_where_the_head_does(model: FaceModel) -> None:
    rng = np.random.default_rng(0)
    front = sloping_front(depth=torch.full((body_front.NUM_COLUMNS,) * 2, 0.25))
    matrix = np.diag([1.0, -1.0, 1.0, 1.0])
    place = ViewPlace(matrix, SIZE_M, 0.4, front)
    true = model.mean_shape.astype(np.float64)
    fit = FaceFitter(model).fit(true)
    none = FitErrors(0, 0, 0, 0, 0, 0, 0)
    seen = face_in_view(rng, model, true, fit, place, None)
    np.testing.assert_allclose(seen, true * [1, -1, 1] + [0, 0, 0.4], atol=1e-9)
    faulty = face_in_view(rng, model, true, fit, place, none)
    np.testing.assert_allclose(faulty[:, :2], seen[:, :2], atol=1e-9)
    assert front.gap(faulty, model.triangles, face_proper(model)) == pytest.approx(0, abs=1e-9)
    assert np.ptp(faulty[:, 2] - seen[:, 2]) < 1e-9
    hollow = replace(place, front=replace(front, depth=torch.full_like(front.depth, torch.nan)))
    assert np.isnan(hollow.front.gap(seen, model.triangles, face_proper(model)))
    np.testing.assert_allclose(face_in_view(rng, model, true, fit, hollow, none), seen, atol=1e-9)
