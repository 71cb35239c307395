"""The surface in a box: equal to that of the whole lattice, and turned outward."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

pytest.importorskip("skimage", reason="needs scikit-image (pip install .[training])")

from skimage.measure import marching_cubes  # noqa: E402
from training.head_surface import box_surface  # noqa: E402

LOW, HIGH = np.array([-1.0, -0.9, -0.7]), np.array([1.0, 0.9, 0.8])


def two_balls(points: np.ndarray) -> np.ndarray:
    first = 0.6 - np.linalg.norm(points - [0.1, 0.05, 0], axis=1)
    second = 0.25 - np.linalg.norm(points - [-0.55, -0.4, 0.1], axis=1)
    return 1 / (1 + np.exp(-8 * np.maximum(first, second)))


def test_it_is_the_surface_of_the_whole_lattice_with_a_fraction_of_the_questions():
    asked = []

    def occupancy(points: np.ndarray) -> np.ndarray:
        asked.append(len(points))
        return two_balls(points)

    vertices, faces = box_surface(occupancy, LOW, HIGH, 60)
    spacing = 2.0 / 60
    counts = 4 * np.ceil((HIGH - LOW) / spacing / 4).astype(int) + 1
    lattice = LOW + np.stack(np.meshgrid(*map(np.arange, counts), indexing="ij"), -1) * spacing
    whole = two_balls(lattice.reshape(-1, 3)).reshape(counts)
    expected, expected_faces, _, _ = marching_cubes(whole, 0.5, gradient_direction="descent")
    np.testing.assert_allclose(vertices, LOW + expected * spacing, atol=1e-6)
    np.testing.assert_array_equal(faces, expected_faces)
    assert sum(asked) < 0.5 * whole.size


def test_triangles_look_outward_once_y_points_up():
    vertices, faces = box_surface(two_balls, LOW, HIGH, 40)
    mesh = trimesh.Trimesh(vertices * [1, -1, 1], faces, process=False)
    assert mesh.is_watertight and mesh.volume > 0
    assert np.abs(two_balls(vertices) - 0.5).max() < 0.04  # the most where the balls meet


def test_an_empty_box_is_refused():
    with pytest.raises(ValueError, match="no surface"):
        box_surface(lambda points: np.zeros(len(points)), LOW, HIGH, 16)
