"""Which part of the body is the face: the front of the head without the inside of mouth and nose.

All of it hangs on the head bone alone, so a posed face is a rigidly moved face. The fronts of the
eyeballs belong to it; they also follow the eyes' own bones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.people.body import Body
from training.people.dress import vertex_normals

FRONT_DEPTH_M = 0.115
MAX_OCCLUSION = 0.93
NUM_RAYS = 256


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
    on_head = body.skin_weights[:, body.bone_index["head"]] > 0.99
    nose_z = float(template[on_head, 2].max())
    front = template[:, 2] > nose_z - FRONT_DEPTH_M
    skin = body.skin_faces & (on_head & front)[body.faces].all(axis=1)
    eyes = body.eye_faces & (face_normals(template, body.faces)[:, 2] > 0)
    candidates = np.unique(body.faces[skin])
    outer = np.zeros(body.num_vertices, dtype=bool)
    outer[candidates] = _is_open_to_light(body, template, candidates)
    outer |= outer[template_mirror]
    kept = (skin & outer[body.faces].all(axis=1)) | eyes
    kept = _largest_part(body.faces, kept & body.skin_faces) | eyes
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


def _is_open_to_light(
    body: Body, template: NDArray[np.float64], rows: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Which of the vertices `rows` have some directions that lead away from the body."""
    import igl

    faces = body.faces[body.skin_faces | body.eye_faces]
    normals = vertex_normals(template.astype(np.float32), faces).astype(np.float64)[rows]
    lifted = template[rows] + 2e-4 * normals
    occlusion = igl.ambient_occlusion(template, faces.astype(np.int64), lifted, normals, NUM_RAYS)
    return np.asarray(np.asarray(occlusion).ravel() < MAX_OCCLUSION)


def _largest_part(faces: NDArray[np.int32], kept: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Of the kept faces those that hang together with most others."""
    from training.people.dress import face_components

    rows = np.flatnonzero(kept)
    result = np.zeros(len(faces), dtype=bool)
    result[rows[face_components(faces[rows]) == 0]] = True
    return result
