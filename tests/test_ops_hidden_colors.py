"""Colours of what the camera does not see, against the reference: on the CPU and on the GPU."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh
from numpy.typing import NDArray

from gpu import needs_gpu
from jiffsdk import _core
from reference import hidden_colors as reference
from thread_counts import outputs_by_threads


def ball(
    radius: float = 0.1, center: tuple[float, float, float] = (0, 0, 0), detail: int = 4
) -> trimesh.Trimesh:
    sphere = trimesh.creation.icosphere(detail, radius)
    sphere.apply_translation(center)
    return sphere


def two_balls() -> trimesh.Trimesh:
    """The smaller one before the larger one's left half, and not connected with it."""
    return trimesh.util.concatenate([ball(), ball(0.05, (-0.05, 0.01, 0.3), 3)])


def figure() -> trimesh.Trimesh:
    """A trunk, an arm before it and a thin sheet: triangles of every size and shape."""
    parts = [
        trimesh.creation.capsule(0.5, 0.15),
        trimesh.creation.capsule(0.3, 0.05),
        trimesh.creation.box((0.2, 0.4, 0.004)).subdivide().subdivide(),
    ]
    parts[1].apply_translation((0.05, 0.2, 0.1))
    parts[2].apply_translation((-0.1, 0, -0.3))
    return trimesh.util.concatenate(parts)


MESHES = {"ball": ball, "two balls": two_balls, "figure": figure}


@pytest.fixture(params=["", pytest.param("cuda_", marks=needs_gpu)], ids=["cpu", "gpu"])
def twin(request: pytest.FixtureRequest) -> str:
    """What the names of the operators begin with."""
    return str(request.param)


def see(twin: str, *arguments: object) -> NDArray[np.bool_]:
    return getattr(_core, twin + "seen_vertices")(*arguments)


def smooth(twin: str, *arguments: object) -> NDArray[np.float32]:
    return getattr(_core, twin + "smooth_hidden_colors")(*arguments)


def arrays(mesh: trimesh.Trimesh) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    # An odd angle: no triangle is seen from its edge and no vertex lies on a pixel's border.
    turned = mesh.copy()
    turned.apply_transform(trimesh.transformations.rotation_matrix(0.3, (1, 2, 3)))
    return turned.vertices.astype(np.float32), turned.faces.astype(np.int32)


@pytest.mark.parametrize("name", MESHES)
@pytest.mark.parametrize("pixel", [0.004, 0.017])
@pytest.mark.parametrize("least_facing", [0.0, 0.25])
def test_what_is_seen_is_what_the_reference_sees(
    twin: str, name: str, pixel: float, least_facing: float
) -> None:
    vertices, faces = arrays(MESHES[name]())
    seen = see(twin, vertices, faces, pixel, least_facing)
    assert 0.1 < seen.mean() < 0.6
    assert np.array_equal(seen, reference.seen_vertices(vertices, faces, pixel, least_facing))


def test_a_ball_shows_the_half_that_faces_the_camera(twin: str) -> None:
    mesh = ball()
    vertices, faces = mesh.vertices.astype(np.float32), mesh.faces.astype(np.int32)
    facing = vertices[:, 2] / 0.1
    for least in (0.05, 0.5, 0.9):
        seen = see(twin, vertices, faces, 0.002, least)
        assert seen[facing > least + 0.02].all() and not seen[facing < least - 0.02].any()


def test_what_stands_before_another_hides_it(twin: str) -> None:
    mesh = two_balls()
    vertices, faces = mesh.vertices.astype(np.float32), mesh.faces.astype(np.int32)
    seen = see(twin, vertices, faces, 0.002, 0.1)
    large = np.arange(len(vertices)) < len(ball().vertices)
    off = np.linalg.norm(vertices[:, :2] - [-0.05, 0.01], axis=1)
    front = large & (vertices[:, 2] > 0.02)
    assert not seen[front & (off < 0.046)].any()
    assert seen[front & (off > 0.054)].all()


@pytest.mark.parametrize("name", MESHES)
@pytest.mark.parametrize("length", [0.002, 0.02, 0.2])
def test_colours_are_the_references(twin: str, name: str, length: float) -> None:
    """Noise, and a stripe along the line of sight as networks make them. Seen: 0.0018 in the mean, 0.009."""
    vertices, faces = arrays(MESHES[name]())
    seen = see(twin, vertices, faces, 0.004, 0.25)
    rng = np.random.default_rng(0)
    colors = rng.random((len(vertices), 3), np.float32)
    colors[np.abs(vertices[:, 0]) < 0.02] = (0.9, 0.1, 0.1)
    found = smooth(twin, vertices, faces, seen, length, colors)
    expected = reference.smooth_hidden_colors(vertices, faces, seen, length, colors)
    assert np.array_equal(found[seen], colors[seen])
    error = np.abs(found - expected)[~seen]
    assert error.mean() < 0.004 and error.max() < 0.02
    assert error.mean() < 0.15 * np.abs(expected - colors)[~seen].mean()


def test_one_colour_stays_what_it_is(twin: str) -> None:
    vertices, faces = arrays(figure())
    colors = np.full((len(vertices), 3), (0.2, 0.5, 0.7), np.float32)
    seen = see(twin, vertices, faces, 0.004, 0.25)
    found = smooth(twin, vertices, faces, seen, 0.05, colors)
    assert np.abs(found - colors).max() < 1e-5


def test_colours_stay_between_those_that_are_there(twin: str) -> None:
    vertices, faces = arrays(two_balls())
    colors = np.random.default_rng(1).random((len(vertices), 3), np.float32) * 0.5 + 0.25
    found = smooth(twin, vertices, faces, np.zeros(len(vertices), bool), 0.05, colors)
    room = 0.01 if twin else 0.0  # on the GPU only what leaves [0, 1] is cut off
    assert found.min() >= colors.min() - room and found.max() <= colors.max() + room


def test_nothing_hidden_and_nothing_there_are_no_errors(twin: str) -> None:
    vertices, faces = arrays(ball())
    colors = np.random.default_rng(1).random((len(vertices), 3), np.float32)
    everything = np.ones(len(vertices), bool)
    assert np.array_equal(smooth(twin, vertices, faces, everything, 0.05, colors), colors)
    none = np.zeros((0, 3), np.float32)
    no_faces = np.zeros((0, 3), np.int32)
    assert see(twin, none, no_faces, 0.1, 0.0).shape == (0,)
    assert smooth(twin, none, no_faces, np.zeros(0, bool), 0.1, none).shape == (0, 3)
    # Vertices of no triangle, and triangles without a size, have nowhere to take colours from.
    points = np.zeros((4, 3), np.float32)
    flat = np.array([[0, 1, 2]], np.int32)
    for some in (no_faces, flat):
        hidden = np.zeros(4, bool)
        assert np.array_equal(smooth(twin, points, some, hidden, 0.1, colors[:4]), colors[:4])


def test_what_cannot_be_used_is_refused_by_name() -> None:
    vertices, faces = arrays(ball(detail=1))
    colors, seen = np.zeros((len(vertices), 3), np.float32), np.zeros(len(vertices), bool)
    broken = vertices.copy()
    broken[3, 1] = np.nan
    with pytest.raises(_core.Error, match="vertices.*row 3"):
        _core.seen_vertices(broken, faces, 0.1, 0.0)
    beyond = faces.copy()
    beyond[2, 0] = 99
    with pytest.raises(_core.Error, match=f"face 2 names vertex 99 of {len(vertices)}"):
        _core.smooth_hidden_colors(vertices, beyond, seen, 0.1, colors)
    for pixel in (0.0, -1.0, np.nan, np.inf):
        with pytest.raises(_core.Error, match="pixel's side must be above 0"):
            _core.seen_vertices(vertices, faces, pixel, 0.0)
    with pytest.raises(_core.Error, match="too small for a mesh"):
        _core.seen_vertices(vertices, faces, 1e-9, 0.0)
    for length in (0.0, -1.0, np.nan):
        with pytest.raises(_core.Error, match="length must be above 0"):
            _core.smooth_hidden_colors(vertices, faces, seen, length, colors)


PRINT_DIGEST = """
import hashlib
import numpy as np
from test_ops_hidden_colors import arrays, figure
from jiffsdk import _core
vertices, faces = arrays(figure())
colors = np.random.default_rng(0).random((len(vertices), 3), np.float32)
seen = _core.seen_vertices(vertices, faces, 0.004, 0.25)
found = _core.smooth_hidden_colors(vertices, faces, seen, 0.05, colors)
print(_core.num_threads(), hashlib.sha256(seen.tobytes() + found.tobytes()).hexdigest())
"""


def test_the_number_of_threads_does_not_show() -> None:
    alone, *others = outputs_by_threads(PRINT_DIGEST)
    assert others == [alone, alone]
