"""A light software renderer: orthographic views of a coloured mesh, in NumPy only."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from .errors import OptionError
from .geometry import Floats, vertex_normals

Faces = npt.NDArray[np.int32]

VIEW_YAWS_DEG = (0.0, 45.0, 90.0, 180.0)  # front, three-quarter, side, back

_BACKGROUND = 0.96
_MARGIN = 0.04  # of the view's height, free around the mesh
_LIGHT = np.array([0.35, 0.45, 0.82]) / np.linalg.norm([0.35, 0.45, 0.82])  # over the viewer's shoulder
_FACE_SHARES = (0.6, 0.7)  # of the width and height of a view that shows the head, for the face at most
_CLAY = 0.82  # albedo of the grey row


def render_preview(
    vertices: Floats, faces: Faces, colors: Floats, height_px: int = 512, face: Floats | None = None
) -> npt.NDArray[np.uint8]:
    """Front, three-quarter, side and back views in two rows: the colours, and the geometry in grey.

    Parameters
    ----------
    vertices : ndarray, shape (V, 3)
        World coordinates, y up, facing +z.
    faces : ndarray, shape (F, 3)
        Counter-clockwise seen from outside.
    colors : ndarray, shape (V, 3)
        In [0, 1].
    height_px : int
        Of one view, 16 to 4096.
    face : ndarray, shape (N, 3), optional
        Points of the face in the world; with them two more rows show the head.

    Returns
    -------
    ndarray of uint8, shape (2 · height_px, 4 · width_px, 3), or twice as high with a face

    Raises
    ------
    OptionError
        When `height_px` is not allowed.
    """
    if not 16 <= height_px <= 4096:
        raise OptionError(f"height_px of a preview must be from 16 to 4096, got {height_px}")
    centre = 0.5 * (vertices.min(axis=0) + vertices.max(axis=0))
    centred = vertices - centre
    half_height = float(np.abs(centred[:, 1]).max())
    half_width = float(np.hypot(centred[:, 0], centred[:, 2]).max())  # whatever the yaw
    extent = max(half_height, half_width, 1e-9)
    px_per_unit = height_px * (0.5 - _MARGIN) / extent
    width_px = max(16, min(height_px, math.ceil(2.0 * (half_width * px_per_unit + _MARGIN * height_px))))

    normals = vertex_normals(vertices, faces)
    rows = _view_rows(centred * px_per_unit, faces, colors, normals, width_px, height_px)
    if face is not None:
        middle = 0.5 * (face.min(axis=0) + face.max(axis=0))
        middle[2] = face[:, 2].min()  # the head turns about the ears, not about the nose
        shares = np.array([width_px, height_px]) * _FACE_SHARES
        head_px_per_unit = float((shares / np.maximum(np.ptp(face[:, :2], axis=0), 1e-9)).min())
        rows += _view_rows(
            (vertices - middle) * head_px_per_unit, faces, colors, normals, width_px, height_px
        )
    return np.rint(np.clip(np.concatenate(rows), 0.0, 1.0) * 255.0).astype(np.uint8)


def _view_rows(
    positions: Floats, faces: Faces, colors: Floats, normals: Floats, width_px: int, height_px: int
) -> list[npt.NDArray[np.float64]]:
    """Two rows of views of a mesh that is given in pixels from the middle of a view."""
    columns = []
    for yaw_deg in VIEW_YAWS_DEG:
        turn = _turn(yaw_deg)
        fragments = rasterize(positions @ turn.T, faces, width_px, height_px)
        shade = 0.25 + 0.75 * np.clip(fragments.interpolate(normals, faces) @ turn.T @ _LIGHT, 0.0, 1.0)
        clay = np.repeat(_CLAY * shade[:, None], 3, axis=1)
        columns.append([fragments.paint(fragments.interpolate(colors, faces)), fragments.paint(clay)])
    return [np.concatenate(row, axis=1) for row in zip(*columns, strict=True)]


def _turn(yaw_deg: float) -> npt.NDArray[np.float64]:
    """Turns the mesh to its right, so that yaw 90 shows its left side."""
    cos, sin = math.cos(math.radians(yaw_deg)), math.sin(math.radians(yaw_deg))
    return np.array([[cos, 0.0, -sin], [0.0, 1.0, 0.0], [sin, 0.0, cos]])


class Fragments:
    """The nearest triangle at every covered pixel.

    Parameters
    ----------
    pixels : ndarray of int, shape (P,)
        Row-major indices of the covered pixels.
    triangles : ndarray of int, shape (P,)
    weights : ndarray, shape (P, 3)
        Barycentric, at the pixel's centre.
    """

    def __init__(
        self,
        pixels: npt.NDArray[np.int64],
        triangles: npt.NDArray[np.int64],
        weights: npt.NDArray[np.float64],
        shape: tuple[int, int],
    ) -> None:
        self.pixels = pixels
        self.triangles = triangles
        self.weights = weights
        self.shape = shape

    def interpolate(self, values: Floats, faces: Faces) -> npt.NDArray[np.float64]:
        """Values at the vertices, (V, C), to values at the covered pixels, (P, C)."""
        corners: npt.NDArray[np.float64] = np.einsum(
            "pk,pkc->pc", self.weights, values[faces[self.triangles]], optimize=True
        )
        return corners

    def paint(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Values at the covered pixels, (P, 3), on the background, (H, W, 3)."""
        image = np.full((self.shape[0] * self.shape[1], 3), _BACKGROUND)
        image[self.pixels] = values
        return image.reshape(*self.shape, 3)


def rasterize(positions: npt.NDArray[np.float64], faces: Faces, width_px: int, height_px: int) -> Fragments:
    """Finds the triangle nearest to the viewer at every pixel centre.

    Triangles are tested against the pixels of their bounding box, all boxes of one size at once; of the
    hits the nearest of each pixel is kept. Faces that look away are dropped: the mesh is closed.

    Parameters
    ----------
    positions : ndarray, shape (V, 3)
        In pixels from the picture's centre, y up; larger z is nearer.
    faces : ndarray, shape (F, 3)
    width_px, height_px : int

    Returns
    -------
    Fragments
    """
    x = positions[:, 0] + 0.5 * width_px
    y = 0.5 * height_px - positions[:, 1]
    xs, ys, zs = x[faces], y[faces], positions[:, 2][faces]
    edges_x, edges_y = xs[:, 1:] - xs[:, :1], ys[:, 1:] - ys[:, :1]
    double_area = edges_x[:, 0] * edges_y[:, 1] - edges_x[:, 1] * edges_y[:, 0]
    # Pixel centres at column + 0.5 inside the box.
    left = np.maximum(np.ceil(xs.min(axis=1) - 0.5).astype(np.int64), 0)
    right = np.minimum(np.floor(xs.max(axis=1) - 0.5).astype(np.int64), width_px - 1)
    top = np.maximum(np.ceil(ys.min(axis=1) - 0.5).astype(np.int64), 0)
    bottom = np.minimum(np.floor(ys.max(axis=1) - 0.5).astype(np.int64), height_px - 1)
    candidates = np.flatnonzero((double_area < 0.0) & (left <= right) & (top <= bottom))

    sizes = (bottom - top + 1)[candidates] * (width_px + 1) + (right - left + 1)[candidates]
    order = np.argsort(sizes, kind="stable")
    candidates, sizes = candidates[order], sizes[order]
    hits: list[tuple[npt.NDArray[np.int64], ...]] = []
    hit_weights, hit_depths = [], []
    for group in np.split(candidates, np.flatnonzero(np.diff(sizes)) + 1):
        if not len(group):
            continue
        box_rows = int(bottom[group[0]] - top[group[0]]) + 1
        box_columns = int(right[group[0]] - left[group[0]]) + 1
        rows, columns = (side.ravel() for side in np.mgrid[0:box_rows, 0:box_columns])
        rows = top[group, None] + rows
        columns = left[group, None] + columns
        weights = _barycentric(xs[group], ys[group], double_area[group], columns + 0.5, rows + 0.5)
        inside = (weights >= 0.0).all(axis=2)
        triangle, box_pixel = np.nonzero(inside)
        hits.append(((rows * width_px + columns)[inside], group[triangle]))
        hit_weights.append(weights[triangle, box_pixel])
        hit_depths.append(np.einsum("pk,pk->p", weights[triangle, box_pixel], zs[group[triangle]]))
    if not hits:
        nothing = np.empty(0, np.int64)
        return Fragments(nothing, nothing, np.empty((0, 3)), (height_px, width_px))

    pixels, triangles = (np.concatenate(part) for part in zip(*hits, strict=True))
    nearest_last = np.argsort(np.concatenate(hit_depths), kind="stable")
    winner = np.full(width_px * height_px, -1, np.int64)
    winner[pixels[nearest_last]] = nearest_last  # of equal indices the last value stays
    covered = np.flatnonzero(winner >= 0)
    winner = winner[covered]
    return Fragments(covered, triangles[winner], np.concatenate(hit_weights)[winner], (height_px, width_px))


def _barycentric(
    xs: npt.NDArray[np.float64],
    ys: npt.NDArray[np.float64],
    double_area: npt.NDArray[np.float64],
    x: npt.NDArray[np.float64],
    y: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """Weights (T, P, 3) of points (T, P) in triangles (T, 3)."""
    weights = np.empty((*x.shape, 3))
    for corner in range(3):
        b, c = (corner + 1) % 3, (corner + 2) % 3
        edge_x = (xs[:, c] - xs[:, b])[:, None]
        edge_y = (ys[:, c] - ys[:, b])[:, None]
        area = edge_x * (y - ys[:, b, None]) - edge_y * (x - xs[:, b, None])
        weights[..., corner] = area / double_area[:, None]
    return weights
