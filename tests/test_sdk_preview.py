"""The software renderer."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from jiffsdk import OptionError
from jiffsdk.geometry import vertex_normals
from jiffsdk.preview import VIEW_YAWS_DEG, rasterize, render_preview

BACKGROUND = 245


def colored(mesh: trimesh.Trimesh, colors: np.ndarray, height_px: int = 96) -> np.ndarray:
    """The picture as (row of 2, view, height, width, 3)."""
    vertices = np.asarray(mesh.vertices, np.float32)
    picture = render_preview(vertices, np.asarray(mesh.faces, np.int32), colors.astype(np.float32), height_px)
    width_px = picture.shape[1] // len(VIEW_YAWS_DEG)
    return picture.reshape(2, height_px, len(VIEW_YAWS_DEG), width_px, 3).transpose(0, 2, 1, 3, 4)


def test_sphere_covers_a_disc_in_every_view() -> None:
    sphere = trimesh.creation.icosphere(4)
    picture = colored(sphere, np.full(sphere.vertices.shape, 0.5))
    covered = (picture != BACKGROUND).any(axis=4)
    radius_px = 96 * 0.46
    np.testing.assert_allclose(covered.sum(axis=(2, 3)), np.pi * radius_px**2, rtol=0.01)


def test_views_show_front_left_side_and_back() -> None:
    # Red in front, green behind, blue on the person's left (image right), upper half white.
    box = trimesh.creation.box((1.0, 1.0, 1.0))
    box = trimesh.Trimesh(box.vertices[box.faces].reshape(-1, 3), np.arange(36).reshape(-1, 3), process=False)
    normals = np.repeat(box.face_normals, 3, axis=0)
    colors = np.zeros((36, 3))
    colors[normals[:, 2] > 0.5] = (1, 0, 0)
    colors[normals[:, 2] < -0.5] = (0, 1, 0)
    colors[normals[:, 0] > 0.5] = (0, 0, 1)
    views = colored(box, colors)[0]
    centre = views[:, 48, views.shape[2] // 2]
    np.testing.assert_array_equal(centre[[0, 2, 3]], [[255, 0, 0], [0, 0, 255], [0, 255, 0]])
    three_quarter = views[1, 48]
    assert (three_quarter == (255, 0, 0)).all(axis=1).any() and (three_quarter == (0, 0, 255)).all(
        axis=1
    ).any()
    # Front on the left, as the person turns to the picture's left.
    reds, blues = (
        np.flatnonzero((three_quarter == color).all(axis=1)) for color in ((255, 0, 0), (0, 0, 255))
    )
    assert reds.max() < blues.min()


def test_up_is_up() -> None:
    cone = trimesh.creation.cone(0.5, 1.0)
    cone.apply_transform(trimesh.transformations.rotation_matrix(-np.pi / 2, (1, 0, 0)))  # tip along +y
    front = (colored(cone, np.zeros(cone.vertices.shape))[0, 0] != BACKGROUND).any(axis=2)
    widths = front.sum(axis=1)
    rows = np.flatnonzero(widths)
    assert widths[rows[0]] < 5 and widths[rows[-1]] > 30


def test_grey_row_shades_by_the_surface() -> None:
    sphere = trimesh.creation.icosphere(4)
    grey = colored(sphere, np.zeros(sphere.vertices.shape))[1, 0].astype(int)
    inside = (grey != BACKGROUND).any(axis=2)
    assert (grey[inside][:, 0] == grey[inside][:, 1]).all()
    upper_right, lower_left = grey[30, 65, 0], grey[70, 25, 0]
    assert upper_right > lower_left + 30


def test_nearer_triangles_hide_others_whatever_their_order() -> None:
    positions = np.array(
        [[x, y, z] for z in (0.0, 1.0) for x, y in ((-40.0, -40.0), (40.0, -40.0), (0.0, 40.0))]
    )
    faces = np.array([[0, 1, 2], [3, 4, 5]], np.int32)
    for order in ([0, 1], [1, 0]):
        fragments = rasterize(positions, faces[order], 64, 64)
        assert set(np.asarray(order)[fragments.triangles]) == {1}
    turned_away = rasterize(positions, faces[:, ::-1].copy(), 64, 64)
    assert len(turned_away.pixels) == 0


def test_fragments_interpolate_linearly() -> None:
    positions = np.array([[-30.0, -30.0, 0.0], [30.0, -30.0, 1.0], [-30.0, 30.0, 2.0]])
    fragments = rasterize(positions, np.array([[0, 1, 2]], np.int32), 64, 64)
    found = fragments.interpolate(positions.astype(np.float32), np.array([[0, 1, 2]], np.int32))
    np.testing.assert_allclose(found[:, 0], fragments.pixels % 64 + 0.5 - 32, atol=1e-4)
    np.testing.assert_allclose(found[:, 1], 32 - (fragments.pixels // 64 + 0.5), atol=1e-4)


def test_adjacent_triangles_leave_no_gap() -> None:
    grid = np.linspace(-30.0, 30.0, 14)
    x, y = np.meshgrid(grid, grid)
    positions = np.stack([x.ravel(), y.ravel(), np.zeros(x.size)], axis=1)
    corner = (np.arange(13)[:, None] * 14 + np.arange(13)).ravel()
    faces = np.concatenate(
        [np.stack([corner, corner + 1, corner + 15], 1), np.stack([corner, corner + 15, corner + 14], 1)]
    )
    fragments = rasterize(positions, faces.astype(np.int32), 64, 64)
    assert len(fragments.pixels) == 60 * 60


def test_vertex_normals_of_a_sphere_point_outward() -> None:
    sphere = trimesh.creation.icosphere(3)
    normals = vertex_normals(np.asarray(sphere.vertices, np.float32), np.asarray(sphere.faces, np.int32))
    np.testing.assert_allclose(normals, sphere.vertices, atol=0.02)


def test_a_mesh_off_the_origin_is_centred() -> None:
    sphere = trimesh.creation.icosphere(3)
    colors = np.full(sphere.vertices.shape, 0.5)
    here = colored(sphere, colors)
    sphere.apply_translation((3.0, -2.0, 1.0))
    assert np.abs(here.astype(int) - colored(sphere, colors)).mean() < 1.0


@pytest.mark.parametrize("height_px", [0, 15, 5000])
def test_heights_have_a_range(height_px: int) -> None:
    sphere = trimesh.creation.icosphere(1)
    with pytest.raises(OptionError, match=f"from 16 to 4096, got {height_px}"):
        colored(sphere, np.zeros(sphere.vertices.shape), height_px)


def test_a_mesh_of_many_triangles_a_pixel_is_drawn_whole() -> None:
    sphere = trimesh.creation.icosphere(7)  # 327 680 triangles
    picture = colored(sphere, np.full(sphere.vertices.shape, 0.5))
    covered = (picture != BACKGROUND).any(axis=4)
    np.testing.assert_allclose(covered.sum(axis=(2, 3)), np.pi * (96 * 0.46) ** 2, rtol=0.01)
