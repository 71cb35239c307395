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
