"""Metrics on shapes whose distances are known."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

pytest.importorskip("igl", reason="the metrics need libigl (pip install .[training])")
pytest.importorskip("torch", reason="training needs torch (pip install .[training])")

from training import metrics  # noqa: E402


def ball(radius: float, subdivisions: int = 5) -> tuple[np.ndarray, np.ndarray]:
    mesh = trimesh.creation.icosphere(subdivisions=subdivisions, radius=radius)
    return np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces, np.int64)


def test_distance_between_concentric_balls_is_the_difference_of_radii_in_cm():
    points = metrics.sample_surface(*ball(0.5), 2000)
    distance = metrics.distance_to_surface_cm(points, *ball(0.52))
    assert abs(distance.mean() - 2.0) < 0.02
    assert distance.std() < 0.05


def test_surface_samples_are_uniform_by_area():
    vertices = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0.0, 0, 5]])
    faces = np.array([[0, 1, 2], [0, 2, 3]])  # a unit square; vertex 4 belongs to no face
    points = metrics.sample_surface(vertices, faces, 4000)
    assert np.allclose(points.mean(0), [0.5, 0.5, 0], atol=0.03)
    assert (points[:, 2] == 0).all() and (points >= 0).all() and (points <= 1).all()


def test_iou_of_nested_balls_is_the_ratio_of_volumes():
    points = np.random.default_rng(0).uniform(-1, 1, (60_000, 3))
    small, large = (metrics.inside(points, *ball(radius)) for radius in (0.6, 0.8))
    assert abs(metrics.intersection_over_union(small, large) - 0.75**3) < 0.02
    empty = np.zeros(5, bool)
    assert metrics.intersection_over_union(empty, empty) == 1.0


@pytest.mark.parametrize("behind", [False, True])
def test_only_the_near_half_of_a_ball_is_visible_and_what_stands_in_front_hides(behind):
    world, faces = ball(0.5, subdivisions=6)
    view = world * [1, -1, 1]  # y down: what the camera sees is counter-clockwise in the world
    if behind:
        front, front_faces = ball(0.7, subdivisions=7)
        hidden = len(view)
        view = np.concatenate([view - [0, 0, 2], front * [1, -1, 1]])
        faces = np.concatenate([faces, front_faces + hidden])
        assert not metrics.visible_vertices(view, faces)[:hidden].any()
    else:
        visible = metrics.visible_vertices(view, faces)
        assert visible[view[:, 2] > 0.3].all()
        assert not visible[view[:, 2] < 0].any()


def test_normals_of_concentric_balls_agree_and_those_of_crossed_planes_do_not():
    points, normals = metrics.sample_oriented(*ball(0.5), 1000)
    assert metrics.normal_consistency(points, normals, *ball(0.53)) > 0.999
    assert ((normals * points / 0.5).sum(axis=1) > 0.999).all()  # outward; facets of a degree or two
    square = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    slanted = np.tile([np.sqrt(0.75), 0, 0.5], (10, 1))
    assert metrics.normal_consistency(np.full((10, 3), 0.4), slanted, square, faces) == pytest.approx(0.5)


def test_the_front_of_a_ball_is_its_near_half():
    vertices, faces = ball(0.5, subdivisions=6)
    depth = metrics.front_depth(vertices + [0.1, -0.2, 3.0], faces, np.array([0.1, -0.2]), 0.01, 120)
    x = (np.arange(120) - 59.5) * 0.01
    radius = np.hypot(x[None], x[:, None])
    inner = radius < 0.48
    assert np.abs(depth - 3 - np.sqrt(np.maximum(0.25 - radius**2, 0)))[inner].max() < 2e-3
    assert np.isnan(depth[radius > 0.5]).all()


def test_a_picture_is_upright():
    vertices, faces = ball(0.1)
    depth = metrics.front_depth(vertices + [0.2, 0.3, 0], faces, np.zeros(2), 0.01, 100)
    rows, columns = np.nonzero(~np.isnan(depth))
    assert abs(columns.mean() - 69.5) < 0.2 and abs(rows.mean() - 19.5) < 0.2


def test_the_face_distance_is_along_the_line_of_sight_and_counts_what_is_missed():
    true = np.zeros((10, 10))
    front = np.full((10, 10), 0.02)
    front[:, 5:] = np.nan
    is_face = np.zeros((10, 10), bool)
    is_face[:5] = True
    assert metrics.face_distance_cm(front, true, is_face) == (pytest.approx(2.0), pytest.approx(0.5))
    nothing = metrics.face_distance_cm(np.full((10, 10), np.nan), true, is_face)
    assert np.isnan(nothing[0]) and nothing[1] == 1.0


def test_structural_similarity_is_one_of_itself_and_sees_blur():
    pytest.importorskip("skimage", reason="needs scikit-image (pip install .[training])")
    random = np.random.default_rng(0)
    picture = random.random((40, 40, 3))
    counted = np.zeros((40, 40), bool)
    counted[10:30, 10:30] = True
    assert metrics.structural_similarity(picture, picture, counted) == pytest.approx(1.0)
    beside = picture.copy()
    beside[:3] = 0  # more than half a window of seven from what counts
    assert metrics.structural_similarity(beside, picture, counted) == pytest.approx(1.0)
    assert metrics.structural_similarity(np.full_like(picture, 0.5), picture, counted) < 0.2
