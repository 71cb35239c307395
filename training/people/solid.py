"""The volume of a dressed person.

Garments and hair are open sheets, often in several layers. The winding number of such a soup bulges
out of every opening: two caps of hair together "enclose" the air before a face. So each open sheet
is first closed: it is thickened towards the body that it lies on, which fills the gap between cloth
and skin and nothing else. The winding number of closed pieces is whole: at least 1 inside, 0 outside.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from training.people.body import Array, Body
from training.people.dress import PosedBody, face_components, vertex_normals

Piece = tuple[Array, NDArray[np.int32]]

# A gap up to this width is filled; what hangs further away is only given a thickness.
MAX_GAP_M = {"hair": 0.05, "clothes": 0.08}
FREE_THICKNESS_M = 0.015
# The fill reaches this deep into the body, so that no sliver of air stays between them.
OVERLAP_M = 0.006


class Solid:
    """Winding numbers of a soup of closed, outward-oriented pieces (Barill et al. 2018)."""

    def __init__(self, pieces: list[Piece]) -> None:
        import igl

        self._igl = igl
        starts = np.cumsum([0] + [len(vertices) for vertices, _ in pieces])
        self.vertices = np.concatenate([vertices for vertices, _ in pieces]).astype(np.float64)
        self.faces = np.concatenate(
            [faces.astype(np.int64) + start for (_, faces), start in zip(pieces, starts, strict=False)]
        )

    def winding(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """Generalised winding number (N,) of points (N, 3)."""
        queries = np.ascontiguousarray(points, dtype=np.float64)
        return np.asarray(self._igl.fast_winding_number(self.vertices, self.faces, queries)).reshape(-1)

    def occupancy(self, points: NDArray[np.floating]) -> NDArray[np.uint8]:
        """1 inside, 0 outside, (N,)."""
        return (self.winding(points) > 0.5).astype(np.uint8)


def directed_edges(faces: NDArray[np.int32]) -> NDArray[np.int64]:
    """The edges (3F, 2) of faces (F, 3) in their order of travel."""
    return np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).astype(np.int64)


def open_edges(faces: NDArray[np.int32]) -> NDArray[np.int64]:
    """Directed edges (E, 2) that no neighbour travels the other way; none on a closed mesh."""
    edges = directed_edges(faces)
    size = int(faces.max()) + 1
    forward = edges[:, 0] * size + edges[:, 1]
    backward = edges[:, 1] * size + edges[:, 0]
    names, counts = np.unique(np.concatenate([forward, backward]), return_inverse=True)
    balance = np.zeros(len(names), dtype=np.int64)
    np.add.at(balance, counts[: len(edges)], 1)
    np.add.at(balance, counts[len(edges) :], -1)
    left = np.repeat(names, np.maximum(balance, 0))
    return np.stack([left // size, left % size], axis=1)


def thicken(vertices: Array, faces: NDArray[np.int32], inner: Array) -> Piece:
    """A closed mesh between each open sheet of a mesh and its inner vertices.

    Parameters
    ----------
    vertices, inner : (N, 3) float32, where each vertex is and where the inside of the sheet is.
    faces : (F, 3) int32, of any orientation. Connected components that are closed stay as they are.

    Returns
    -------
    Vertices (2N, 3) and faces, oriented outwards.
    """
    label = face_components(faces)
    is_open = np.zeros(int(label.max()) + 1, dtype=bool)
    component = np.zeros(len(vertices), dtype=np.int64)
    component[faces.ravel()] = np.repeat(label, 3)
    is_open[component[open_edges(faces)[:, 0]]] = True
    sheet = faces[is_open[label]]
    if len(sheet) == 0:
        return vertices, faces
    middle, inner_middle = vertices[sheet].mean(axis=1), inner[sheet].mean(axis=1)
    corners = vertices[sheet]
    area = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    inward = np.einsum("fa,fa->f", area, middle - inner_middle) < 0
    sheet = np.where(inward[:, None], sheet[:, ::-1], sheet)
    a, b = open_edges(sheet).T
    num = len(vertices)
    walls = np.concatenate([np.stack([b, a, a + num], axis=1), np.stack([b, a + num, b + num], axis=1)])
    closed = [faces[~is_open[label]], sheet, sheet[:, ::-1] + num, walls.astype(np.int32)]
    return np.concatenate([vertices, inner]), np.concatenate(closed).astype(np.int32)


class InnerSide:
    """Where the inside of a garment or of hair meets the body of one person."""

    def __init__(self, body: Body, posed: PosedBody) -> None:
        faces = body.faces[body.skin_faces]
        self._used = np.unique(faces)
        # Neighbours are sought on the standing person: a hanging sleeve must not find the hip.
        self._tree = cKDTree(posed.rest[self._used])
        normals = vertex_normals(posed.posed, faces)
        self._anchors = (posed.posed - np.float32(OVERLAP_M) * normals)[self._used]

    def of(self, kind: str, rest: Array, posed: Array) -> Array:
        """Inner vertices (N, 3) of a mesh given at rest and posed, (N, 3) each."""
        _, nearest = self._tree.query(rest)
        to_body = self._anchors[nearest] - posed
        distance = np.maximum(np.linalg.norm(to_body, axis=1, keepdims=True), 1e-6)
        share = np.where(distance <= MAX_GAP_M[kind], 1.0, FREE_THICKNESS_M / distance)
        return (posed + share * to_body).astype(np.float32)
