"""Marching cubes against the faces it must leave, and against the properties of closed surfaces."""

from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from jiffsdk import _core
from reference import marching_cubes as reference
from reference.mesh_properties import (
    assert_closed_manifold,
    euler_characteristic,
    num_components,
    signed_volume,
)

ISO = 0.5


def padded(volume: NDArray[np.floating]) -> NDArray[np.float32]:
    return np.pad(volume.astype(np.float32), 1)


def assert_equals_reference(volume: NDArray[np.float32]) -> None:
    """The same vertices, and in each cell triangles whose outline is the reference's segments."""
    vertices, faces = _core.marching_cubes(volume, ISO)
    expected = reference.crossed_edges(volume, ISO)
    assert len(vertices) == len(expected)
    edge_of_vertex = []
    for vertex in vertices:
        low = np.floor(vertex).astype(int)
        axis = int(np.argmax(vertex - low))
        edge = (tuple(low.tolist()), tuple((low + np.eye(3, dtype=int)[axis]).tolist()))
        assert np.abs(expected[edge] - vertex).max() < 1e-5
        edge_of_vertex.append(edge)
    assert len(set(edge_of_vertex)) == len(vertices)

    outlines: dict[reference.Point, set[tuple[int, int]]] = {}
    for face in faces.tolist():
        # The one cell that has the three lattice edges: their lowest corner, all within one step.
        corners = np.array([edge_of_vertex[v] for v in face]).reshape(-1, 3)
        cell = tuple(corners.min(axis=0).tolist())
        assert (corners.max(axis=0) - corners.min(axis=0) == 1).all()
        outline = outlines.setdefault(cell, set())
        for pair in zip(face, face[1:] + face[:1], strict=True):
            assert pair not in outline
            outline.add(pair)
    size = np.array(volume.shape[::-1]) - 1
    for cell in product(*map(range, size.tolist())):
        outline = outlines.get(cell, set())
        segments = {(edge_of_vertex[a], edge_of_vertex[b]) for a, b in outline if (b, a) not in outline}
        assert segments == reference.face_segments(volume, ISO, cell)


@pytest.mark.parametrize("block", range(8))
def test_every_case_leaves_the_reference_outline_and_closes(block: int) -> None:
    for case in range(32 * block, 32 * block + 32):
        corners = np.array([case >> c & 1 for c in range(8)]).reshape(2, 2, 2)
        volume = padded(corners)
        assert_equals_reference(volume)
        vertices, faces = _core.marching_cubes(volume, ISO)
        assert_closed_manifold(vertices, faces)
        assert signed_volume(vertices, faces) > 0 or case == 0


fields = st.tuples(*[st.integers(1, 5)] * 3).flatmap(
    lambda shape: st.lists(
        # 0.5 itself, its neighbours and large values: the parameters at which a vertex meets a corner.
        st.sampled_from([0.0, 1.0, 0.5, 0.49999997, 0.50000006, 0.3, 0.8, -1e30, 1e30]),
        min_size=int(np.prod(shape)),
        max_size=int(np.prod(shape)),
    ).map(lambda values: np.array(values, np.float32).reshape(shape))
)


@given(fields)
def test_adversarial_fields_equal_the_reference_and_close(field: NDArray[np.float32]) -> None:
    volume = padded(field)
    assert_equals_reference(volume)
    assert_closed_manifold(*_core.marching_cubes(volume, ISO))


@given(st.integers(0, 2**31), st.sampled_from([0.0, 0.7, 1.5]))
def test_random_fields_are_closed_oriented_manifolds(seed: int, smoothness: float) -> None:
    rng = np.random.default_rng(seed)
    shape = rng.integers(6, 16, size=3)
    field = gaussian_filter(rng.normal(size=shape), smoothness) if smoothness else rng.normal(size=shape)
    vertices, faces = _core.marching_cubes(padded(field / field.std() + 0.3), ISO)
    assert_closed_manifold(vertices, faces)
    assert signed_volume(vertices, faces) > 0 or len(faces) == 0
    assert euler_characteristic(vertices, faces) % 2 == 0


def distance_grid(shape: tuple[int, int, int]) -> tuple[NDArray[np.float64], ...]:
    z, y, x = np.meshgrid(*[np.arange(n) - (n - 1) / 2 for n in shape], indexing="ij")
    return x, y, z


@pytest.mark.parametrize("radius", [3.3, 8.0, 15.2])
def test_a_ball_has_its_volume_and_topology(radius: float) -> None:
    x, y, z = distance_grid((37, 36, 35))
    volume = (radius - np.sqrt(x**2 + y**2 + z**2) + ISO).astype(np.float32)
    vertices, faces = _core.marching_cubes(volume, ISO)
    assert_closed_manifold(vertices, faces)
    assert euler_characteristic(vertices, faces) == 2
    # An inscribed polyhedron: slightly smaller, by an error of second order.
    true_volume = 4 / 3 * np.pi * radius**3
    assert 1 - 1.2 / radius**2 < signed_volume(vertices, faces) / true_volume < 1
    assert np.abs(np.linalg.norm(vertices - [17, 17.5, 18], axis=1) - radius).max() < 0.2 / radius


def test_a_torus_has_its_volume_and_topology() -> None:
    x, y, z = distance_grid((20, 44, 44))
    volume = (6.0 - np.hypot(np.hypot(x, y) - 13.0, z) + ISO).astype(np.float32)
    vertices, faces = _core.marching_cubes(volume, ISO)
    assert_closed_manifold(vertices, faces)
    assert euler_characteristic(vertices, faces) == 0
    assert num_components(vertices, faces) == 1
    assert signed_volume(vertices, faces) == pytest.approx(2 * np.pi**2 * 13 * 6**2, rel=0.02)


def test_two_balls_are_two_components() -> None:
    x, y, z = distance_grid((20, 20, 44))
    balls = [7.0 - np.sqrt((x - c) ** 2 + y**2 + z**2) for c in (-12, 12)]
    vertices, faces = _core.marching_cubes((np.maximum(*balls) + ISO).astype(np.float32), ISO)
    assert num_components(vertices, faces) == 2
    assert euler_characteristic(vertices, faces) == 4


def test_flips_and_axis_permutations_keep_the_surface() -> None:
    """The ambiguous-face rule has no preferred direction, so every vertex and outline moves along.

    Only the triangles inside a loop may be chosen otherwise, which moves the volume a little.
    """
    field = gaussian_filter(np.random.default_rng(4).normal(size=(11, 12, 13)), 1.0)
    volume = padded(field / field.std() + 0.4)
    vertices, faces = _core.marching_cubes(volume, ISO)
    for order in permutations(range(3)):
        for flips in product((False, True), repeat=3):
            moved = np.ascontiguousarray(
                np.flip(volume.transpose(order), [a for a, flip in enumerate(flips) if flip])
            )
            moved_vertices, moved_faces = _core.marching_cubes(moved, ISO)
            assert len(moved_faces) == len(faces)
            assert euler_characteristic(moved_vertices, moved_faces) == euler_characteristic(vertices, faces)
            back = moved_vertices[:, ::-1].astype(np.float64)  # (z, y, x) of the moved volume
            for axis, flip in enumerate(flips):
                if flip:
                    back[:, axis] = moved.shape[axis] - 1 - back[:, axis]
            original = np.empty_like(back)
            original[:, list(order)] = back
            original = original[:, ::-1]
            assert np.abs(sorted_rows(original) - sorted_rows(vertices)).max() < 1e-4
            assert signed_volume(moved_vertices, moved_faces) == pytest.approx(
                signed_volume(vertices, faces), rel=0.01
            )


def sorted_rows(points: NDArray[np.floating]) -> NDArray[np.float64]:
    rounded = np.round(points.astype(np.float64), 3)
    return points[np.lexsort(rounded.T)]


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_a_constant_volume_has_no_surface(value: float) -> None:
    vertices, faces = _core.marching_cubes(np.full((4, 5, 6), value, np.float32), ISO)
    assert vertices.shape == (0, 3)
    assert faces.shape == (0, 3)


def test_unusable_volumes_are_named() -> None:
    with pytest.raises(_core.Error, match=r"two points along each axis, got \[1, 4, 4\]"):
        _core.marching_cubes(np.zeros((1, 4, 4), np.float32), ISO)
    with pytest.raises(_core.Error, match=r"shape \[\*, \*, \*\] and type float32, got \[4, 4\] and float32"):
        _core.marching_cubes(np.zeros((4, 4), np.float32), ISO)
