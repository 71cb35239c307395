"""The distance to the face mesh and the blend, against their point-by-point references."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from jiffsdk import _core
from reference.face_blend import blend_face
from reference.mesh_distance import mesh_distance

TRIANGLE = np.array([[0, 0, 0], [4, 0, 0], [0, 3, 0]], np.float32)
FACE = np.array([[0, 1, 2]], np.int32)


def distances(vertices: object, faces: object, points: object) -> NDArray[np.float32]:
    mesh = _core.MeshDistance(np.asarray(vertices, np.float32), np.asarray(faces, np.int32))
    return mesh.query(np.asarray(points, np.float32))


@given(
    num_vertices=st.integers(1, 12),
    num_faces=st.integers(1, 25),
    rounded=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_distances_equal_the_reference(num_vertices: int, num_faces: int, rounded: bool, seed: int) -> None:
    # Faces pick any three vertices: many have no area, or are no more than a point.
    rng = np.random.default_rng(seed)
    vertices = rng.normal(size=(num_vertices, 3)).astype(np.float32)
    vertices = np.round(vertices) if rounded else vertices
    faces = rng.integers(0, num_vertices, (num_faces, 3)).astype(np.int32)
    points = np.concatenate([2 * rng.normal(size=(8, 3)), vertices]).astype(np.float32)
    # Worst error seen 3e-7 of the size of the mesh: the rounding of the result.
    assert np.allclose(distances(vertices, faces, points), mesh_distance(vertices, faces, points), atol=1e-6)


def test_every_part_of_a_triangle_can_be_nearest() -> None:
    points = [[1, 1, 5], [1, 1, -5], [2, -3, 0], [-2, 1, 0], [-3, -4, 0], [8, 0, 3], [0, 7, 3], [5, 5, 0]]
    edge = abs(3 * 5 + 4 * 5 - 12) / 5
    assert np.allclose(distances(TRIANGLE, FACE, points), [5, 5, 3, 2, 5, 5, 5, edge])


def test_points_of_the_surface_are_at_distance_zero() -> None:
    rng = np.random.default_rng(0)
    vertices = rng.normal(size=(30, 3)).astype(np.float32)
    faces = rng.integers(0, 30, (60, 3)).astype(np.int32)
    weights = rng.dirichlet(np.ones(3), 60)
    on_faces = (weights[:, :, None] * vertices[faces]).sum(1)
    assert distances(vertices, faces, vertices[faces[:, 0]]).max() == 0
    assert distances(vertices, faces, on_faces).max() < 1e-6


@pytest.mark.parametrize("third", [(2, 0, 0), (1, 0, 0), (0, 0, 0), (3, 0, 0)])
def test_a_triangle_without_area_is_its_longest_edge(third: tuple[float, float, float]) -> None:
    vertices = [[0, 0, 0], [2, 0, 0], third]
    end = max(2, third[0])
    points = [[1, 1, 0], [-3, 4, 0], [end + 3, 0, 4]]
    assert np.allclose(distances(vertices, FACE, points), [1, 5, 5])


def test_a_sliver_far_from_the_origin_keeps_its_distance() -> None:
    # Collinear but for the last bit: the normal is mostly rounding.
    start, step = np.array([100.0, 200.0, 300.0]), np.array([0.1, 0.2, 0.3])
    vertices = (start + np.array([[0], [1], [2]]) * step).astype(np.float32)
    points = (start + step + [[3, 0, 0], [0, -3, 0], [0, 0, 0.001]]).astype(np.float32)
    assert np.allclose(distances(vertices, FACE, points), mesh_distance(vertices, FACE, points), atol=1e-6)


def test_equal_triangles_and_many_of_them_change_nothing() -> None:
    points = np.random.default_rng(1).normal(size=(50, 3)) * 5
    many = distances(TRIANGLE, np.repeat(FACE, 1000, axis=0), points)
    assert np.array_equal(many, distances(TRIANGLE, FACE, points))


def test_distance_to_a_finely_tiled_sphere_is_that_to_the_sphere() -> None:
    u, v = np.meshgrid(np.linspace(0, 2 * np.pi, 121), np.linspace(0, np.pi, 61))
    vertices = np.stack([np.cos(u) * np.sin(v), np.sin(u) * np.sin(v), np.cos(v)], axis=2).reshape(-1, 3)
    i = (np.arange(60)[:, None] * 121 + np.arange(120)).ravel()
    faces = np.concatenate([np.stack([i, i + 1, i + 121], 1), np.stack([i + 1, i + 122, i + 121], 1)])
    points = np.random.default_rng(2).normal(size=(3000, 3))
    expected = np.abs(np.linalg.norm(points, axis=1) - 1)
    assert np.abs(distances(vertices, faces, points) - expected).max() < 1.5e-3  # the tiles' sagitta


@pytest.mark.parametrize("with_distance", [False, True])
@given(num_points=st.integers(0, 60), channels=st.integers(1, 3), seed=st.integers(0, 2**31))
def test_blend_equals_the_reference(with_distance: bool, num_points: int, channels: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.uniform(-1, 1, (num_points, 3)).astype(np.float32)
    body, face = rng.uniform(size=(2, num_points, channels)).astype(np.float32)
    distance = rng.exponential(8, num_points).astype(np.float32) if with_distance else None
    region = (-0.5, 0.6, -0.7, 0.1)
    blended = _core.blend_face(region, points, body, face, distance)
    # Worst error seen 1e-7.
    assert np.allclose(blended, blend_face(region, points, body, face, distance), atol=1e-6)


def test_borders_belong_to_the_region_and_nan_does_not() -> None:
    points = np.array(
        [[-0.5, 0.25, 9], [0.5, -0.25, -9], [0.51, 0, 0], [0, 0.26, 0], [np.nan, 0, 0]], np.float32
    )
    body, face = np.zeros((5, 1), np.float32), np.ones((5, 1), np.float32)
    blended = _core.blend_face((-0.5, 0.5, -0.25, 0.25), points, body, face)
    assert blended.ravel().tolist() == [1, 1, 0, 0, 0]


def test_face_answers_outside_of_the_region_are_not_read() -> None:
    points = np.array([[0, 0, 0], [2, 0, 0]], np.float32)
    body, face = np.full((2, 1), 0.25, np.float32), np.array([[0.5], [np.nan]], np.float32)
    distance = np.array([0, np.nan], np.float32)
    assert _core.blend_face((-1, 1, -1, 1), points, body, face, distance).ravel().tolist() == [0.5, 0.25]


def test_the_weight_is_the_published_one() -> None:
    assert _core.face_blend_weight(0.0) == 1
    for distance in (0.5, 3.0, 10.0, 40.0):
        expected = math.exp(-0.03 * (distance / math.sqrt(3)) ** 2)
        assert math.isclose(_core.face_blend_weight(distance), expected, rel_tol=1e-5)


NAN_POINTS = np.array([[0, 0, 0], [0, np.nan, 0]], np.float32)
ZEROS, ONES = np.zeros((2, 3), np.float32), np.ones((2, 1), np.float32)
WHOLE = (-1.0, 1.0, -1.0, 1.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: _core.MeshDistance(TRIANGLE, FACE[:0]), "at least one face, got none"),
        (lambda: _core.MeshDistance(TRIANGLE, FACE + 1), "face 0 names vertex 3 of 3"),
        (lambda: _core.MeshDistance(TRIANGLE, FACE - 1), "face 0 names vertex -1 of 3"),
        (lambda: _core.MeshDistance(NAN_POINTS, FACE), "vertices must be finite, got -?nan in row 1"),
        (lambda: _core.MeshDistance(TRIANGLE, FACE).query(NAN_POINTS), "points must be finite, got -?nan"),
        (lambda: _core.MeshDistance(TRIANGLE, FACE.astype(np.int64)), "got .* int64"),
        (lambda: _core.blend_face((1.0, -1.0, 0.0, 0.0), ZEROS, ONES, ONES), "left <= right"),
        (lambda: _core.blend_face((0.0, 1.0, np.nan, 0.0), ZEROS, ONES, ONES), "top -?nan"),
        (lambda: _core.blend_face(WHOLE, ZEROS, ONES, ONES, -ONES[:, 0]), "got -1.0+ in row"),
        (lambda: _core.blend_face(WHOLE, ZEROS, ONES, ONES, np.inf * ONES[:, 0]), "got inf in row"),
        (lambda: _core.blend_face(WHOLE, ZEROS, ONES, ONES[:1]), r"face must have shape \[2, 1\]"),
    ],
)
def test_unusable_arguments_are_named(call: Callable[[], object], message: str) -> None:
    with pytest.raises(_core.Error, match=message) as caught:
        call()
    assert caught.value.code == "invalid_argument"


def test_no_points_have_no_distances() -> None:
    assert distances(TRIANGLE, FACE, np.zeros((0, 3))).shape == (0,)
