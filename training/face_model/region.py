"""Which part of the body is the face: the front of the head without the inside of mouth and nose.

All of it hangs on the head bone alone, so a posed face is a rigidly moved face. The fronts of the
eyeballs belong to it; they also follow the eyes' own bones.

`region.txt` lists its base-mesh vertices. They are those of the foremost 11.5 cm of the mean head that
are open to light from outside (ambient occlusion below 0.93), in one piece, and the fronts of the eyes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.people.body import Body

REGION_PATH = Path(__file__).parent / "region.txt"


@dataclass(frozen=True)
class FaceRegion:
    """The face as part of the base mesh.

    Attributes
    ----------
    body_vertices : (N,) int64, base-mesh vertex of each vertex of the face.
    triangles : (F, 3) int32, in vertices of the face, counter-clockwise from outside.
    uv : (N, 2) float32 texture coordinates, v up.
    mirror : (N,) int64, the vertex on the other side.
    is_eye : (N,) bool.
    """

    body_vertices: NDArray[np.int64]
    triangles: NDArray[np.int32]
    uv: NDArray[np.float32]
    mirror: NDArray[np.int64]
    is_eye: NDArray[np.bool_]


def face_region(body: Body) -> FaceRegion:
    """The face of a body file; the same file gives the same region."""
    template = body.mean_vertices.astype(np.float64)
    template_mirror = mirror_vertices(body, template)
    chosen = np.zeros(body.num_vertices, dtype=bool)
    chosen[_listed_vertices()] = True
    eyes = body.eye_faces & (face_normals(template, body.faces)[:, 2] > 0)
    kept = (body.skin_faces & chosen[body.faces].all(axis=1)) | eyes
    used = np.unique(body.faces[kept])
    index = np.full(body.num_vertices, -1, dtype=np.int64)
    index[used] = np.arange(len(used))
    mirror = index[template_mirror[used]]
    if (mirror < 0).any():
        raise ValueError(f"{int((mirror < 0).sum())} vertices of the face have no mirror image in it")
    uv = np.zeros((body.num_vertices, 2), dtype=np.float32)
    uv[body.faces[kept]] = body.uv[body.uv_faces[kept]]
    is_eye = np.zeros(body.num_vertices, dtype=bool)
    is_eye[body.faces[eyes]] = True
    return FaceRegion(used, index[body.faces[kept]].astype(np.int32), uv[used], mirror, is_eye[used])


def face_normals(vertices: NDArray[np.floating], faces: NDArray[np.integer]) -> NDArray[np.float64]:
    """Normals (F, 3), as long as twice the area."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    return np.asarray(np.cross(b - a, c - a), dtype=np.float64)


def mirror_vertices(body: Body, template: NDArray[np.float64]) -> NDArray[np.int64]:
    """Base-mesh vertex (V,) nearest to each vertex's mirror image at x = 0."""
    from scipy.spatial import cKDTree

    mirrored = template * np.array([-1.0, 1.0, 1.0])
    result = np.empty(len(template), dtype=np.int64)
    skin = np.arange(len(template)) < int(body.faces[body.skin_faces].max()) + 1
    for part in (skin, ~skin):
        rows = np.flatnonzero(part)
        result[rows] = rows[cKDTree(template[rows]).query(mirrored[rows])[1]]
    return result


def _listed_vertices() -> NDArray[np.int64]:
    """The vertices of `region.txt`, which holds numbers and ranges such as 12-15."""
    ranges = [word.split("-") for word in REGION_PATH.read_text().split()]
    return np.concatenate([np.arange(int(part[0]), int(part[-1]) + 1) for part in ranges])
