"""Fits garments to a body, carries them along with its pose, and lists what is seen."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from training.people.assets import Proxy
from training.people.body import Array, Body, skin
from training.people.materials import Material, reduced_texture

SHEET_KINDS = ("clothes", "hair")
DETAIL_BONES = ("head", "neck", "jaw", "eye.", "tongue", "wrist", "finger", "metacarpal", "oris", "levator")
EYEBALL_RIM = np.pi / 2


@dataclass(frozen=True)
class Part:
    """A posed piece of surface with one material.

    Attributes
    ----------
    vertices, normals : (N, 3) float32, metres, world frame.
    pattern_points : (N, 3) float32 place of each vertex on the standing, unposed person; patterns
        of cloth are drawn in these coordinates.
    faces, uv_faces : (F, 3) int32; uv : (T, 2) float32, v up.
    is_detail : (F,) bool, head, neck and hands.
    is_sheet : whether the part is cloth or hair, which may be modelled inside out.
    """

    name: str
    vertices: Array
    normals: Array
    pattern_points: Array
    faces: NDArray[np.int32]
    uv_faces: NDArray[np.int32]
    uv: NDArray[np.float32]
    material: Material
    is_detail: NDArray[np.bool_]
    is_sheet: bool = False


def vertex_normals(vertices: Array, faces: NDArray[np.int32]) -> Array:
    """Area-weighted unit normals (N, 3); zero where no face meets."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    face_normals = np.cross(b - a, c - a)
    normals = np.stack(
        [
            sum(np.bincount(faces[:, k], face_normals[:, axis], len(vertices)) for k in range(3))
            for axis in range(3)
        ],
        axis=1,
    )
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    return (normals / np.maximum(lengths, 1e-12)).astype(np.float32)


def fit_proxy(proxy: Proxy, rest_vertices: Array, slack_m: float = 0.0) -> Array:
    """Rest vertices (N, 3) in metres of a proxy on a body (V, 3): blended references plus offsets.

    `slack_m` moves cloth away from the body along its normals, evenly over folds and seams.
    """
    offsets = proxy.offsets.copy()
    for axis, name in enumerate("xyz"):
        first, second, distance_dm = proxy.scale[name]
        distance_m = abs(float(rest_vertices[first, axis] - rest_vertices[second, axis]))
        offsets[:, axis] *= distance_m / distance_dm
    blended = np.einsum("nk,nka->na", proxy.weights, rest_vertices[proxy.references])
    fitted = (blended + offsets).astype(np.float32)
    if slack_m == 0.0:
        return fitted
    return fitted + np.float32(slack_m) * smooth_normals(fitted, proxy.faces)


def smooth_normals(vertices: Array, faces: NDArray[np.int32], num_rounds: int = 8) -> Array:
    """Unit normals (N, 3), each the mean over a neighbourhood of `num_rounds` edges."""
    from scipy.sparse import coo_matrix

    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    edges = np.concatenate([edges, edges[:, ::-1]])
    size = len(vertices)
    graph = coo_matrix(
        (np.ones(len(edges), np.float32), (edges[:, 0], edges[:, 1])), shape=(size, size)
    ).tocsr()
    normals = vertex_normals(vertices, faces)
    for _ in range(num_rounds):
        normals = normals + graph @ normals
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    return normals.astype(np.float32)


def proxy_skin_weights(proxy: Proxy, body: Body) -> Array:
    """Bone weights (N, J) of a proxy: those of its references, blended; never negative."""
    blend = np.clip(proxy.weights, 0.0, None)
    weights = np.einsum("nk,nkj->nj", blend, body.skin_weights[proxy.references])
    return (weights / np.maximum(weights.sum(axis=1, keepdims=True), 1e-9)).astype(np.float32)


def detail_faces(faces: NDArray[np.int32], weights: Array, body: Body) -> NDArray[np.bool_]:
    """Faces (F,) of head, neck and hands: by the bone that moves their first vertex most."""
    is_detail_bone = np.array([name.startswith(DETAIL_BONES) for name in body.bone_names])
    return is_detail_bone[weights.argmax(axis=1)][faces[:, 0]]


def face_components(faces: NDArray[np.int32]) -> NDArray[np.int32]:
    """Label (F,) of the connected component of each face, the largest component first."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    rows = np.concatenate([faces[:, 0], faces[:, 1]])
    columns = np.concatenate([faces[:, 1], faces[:, 2]])
    size = int(faces.max()) + 1
    graph = coo_matrix((np.ones(len(rows)), (rows, columns)), shape=(size, size))
    labels = connected_components(graph, directed=False)[1][faces[:, 0]]
    names, counts = np.unique(labels, return_counts=True)
    rank = np.empty(labels.max() + 1, dtype=np.int32)
    rank[names[np.argsort(-counts, kind="stable")]] = np.arange(len(names))
    return rank[labels]


class Wardrobe:
    """Bindings of proxies to the body, computed once a process."""

    def __init__(self, body: Body) -> None:
        self.body = body
        self._weights = lru_cache(maxsize=64)(self._compute_weights)
        self._proxies: dict[tuple[str, str], Proxy] = {}

    def _compute_weights(self, key: tuple[str, str]) -> Array:
        return proxy_skin_weights(self._proxies[key], self.body)

    def weights(self, proxy: Proxy) -> Array:
        key = (proxy.kind, proxy.name)
        self._proxies[key] = proxy
        return self._weights(key)


@dataclass(frozen=True)
class PosedBody:
    """A person's body at rest and posed (V, 3), its posed joints (J, 3), and the bones' transforms."""

    rest: Array
    posed: Array
    joints: Array
    transforms: Array


def skin_part(body: Body, posed: PosedBody, hidden: NDArray[np.bool_], material: Material) -> Part:
    """The visible skin: body faces that have a vertex outside of all garments."""
    keep = body.skin_faces & ~hidden[body.faces].all(axis=1)
    return _body_part("skin", body, posed, keep, material, body.uv, body.uv_faces[keep])


def tongue_part(body: Body, posed: PosedBody, material: Material) -> Part:
    keep = body.tongue_faces
    return _body_part("tongue", body, posed, keep, material, body.uv, body.uv_faces[keep])


def eye_part(body: Body, posed: PosedBody, material: Material) -> Part:
    """The eyeballs, with texture coordinates that spread the front half of each over the image.

    The angle from the eye's forward axis is the distance from the middle of the image, a right
    angle its rim (an azimuthal equidistant map).
    """
    keep = body.eye_faces
    faces = body.faces[keep]
    uv = np.zeros((body.num_vertices, 2), dtype=np.float32)
    used = np.unique(faces)
    left = posed.rest[used, 0] > posed.rest[used, 0].mean()
    for side in (left, ~left):
        vertices = posed.rest[used[side]].astype(np.float64)
        rays = vertices - (vertices.min(axis=0) + vertices.max(axis=0)) / 2
        rays /= np.linalg.norm(rays, axis=1, keepdims=True)
        angle = np.arccos(np.clip(rays[:, 2], -1, 1))
        around = np.arctan2(rays[:, 1], rays[:, 0])
        radius = 0.5 * np.minimum(angle / EYEBALL_RIM, 1.0)
        uv[used[side]] = 0.5 + radius[:, None] * np.stack([np.cos(around), np.sin(around)], axis=1)
    return _body_part("eyes", body, posed, keep, material, uv, faces)


def _body_part(
    name: str,
    body: Body,
    posed: PosedBody,
    keep: NDArray[np.bool_],
    material: Material,
    uv: NDArray[np.float32],
    uv_faces: NDArray[np.int32],
) -> Part:
    faces = body.faces[keep]
    # Normals of the whole skin, so that the rim of a sleeve does not bend them.
    whole = body.faces[body.skin_faces] if name == "skin" else faces
    return Part(
        name=name,
        vertices=posed.posed,
        normals=vertex_normals(posed.posed, whole),
        pattern_points=posed.rest,
        faces=faces,
        uv_faces=uv_faces,
        uv=uv,
        material=material,
        is_detail=detail_faces(faces, body.skin_weights, body),
    )


def hidden_skin(body: Body, worn: list[Proxy]) -> NDArray[np.bool_]:
    """Base-mesh vertices (V,) that lie under any worn garment."""
    hidden = np.zeros(body.num_vertices, dtype=bool)
    for proxy in worn:
        if len(proxy.hides):
            hidden |= proxy.hides
    return hidden


def visible_faces(proxy: Proxy, over: list[Proxy]) -> NDArray[np.bool_]:
    """Faces (F,) of a garment not covered by garments worn over it."""
    covered = np.zeros(len(proxy.references), dtype=bool)
    for other in over:
        if other.depth > proxy.depth and len(other.hides):
            covered |= other.hides[proxy.references].all(axis=1)
    return np.asarray(~covered[proxy.faces].all(axis=1))


@dataclass(frozen=True)
class PosedProxy:
    """A proxy on one person: its vertices at rest and posed, (N, 3) each."""

    proxy: Proxy
    rest: Array
    posed: Array


def pose_proxy(proxy: Proxy, wardrobe: Wardrobe, posed: PosedBody, slack_m: float = 0.0) -> PosedProxy:
    """Fit a proxy to a person and carry it along with the pose."""
    rest = fit_proxy(proxy, posed.rest, slack_m)
    return PosedProxy(proxy, rest, skin(rest, wardrobe.weights(proxy), posed.transforms))


def proxy_parts(
    worn: PosedProxy,
    wardrobe: Wardrobe,
    visible: NDArray[np.bool_],
    label: NDArray[np.int32],
    materials: list[Material],
) -> list[Part]:
    """A worn proxy as one part a material; `label` (F,) says which of them each face has."""
    proxy = worn.proxy
    weights = wardrobe.weights(proxy)
    normals = vertex_normals(worn.posed, proxy.faces)
    parts = []
    for index, material in enumerate(materials):
        keep = visible & (label == index)
        if not keep.any():
            continue
        faces = proxy.faces[keep]
        parts.append(
            Part(
                name=f"{proxy.kind}/{proxy.name}/{index}",
                vertices=worn.posed,
                normals=normals,
                pattern_points=worn.rest,
                faces=faces,
                uv_faces=proxy.uv_faces[keep],
                uv=proxy.uv,
                material=material,
                is_detail=detail_faces(faces, weights, wardrobe.body),
                is_sheet=proxy.kind in SHEET_KINDS,
            )
        )
    return parts


def opaque_faces(proxy: Proxy, alpha_min: float) -> NDArray[np.bool_]:
    """Faces (F,) of which at least a third is texture above the alpha limit."""
    if proxy.texture is None:
        return np.ones(len(proxy.faces), dtype=bool)
    alpha = reduced_texture(proxy.texture, "RGBA")[..., 3] / 255.0
    corners = proxy.uv[proxy.uv_faces]
    bary = np.array([[4, 1, 1], [1, 4, 1], [1, 1, 4], [2, 2, 2]]) / 6.0
    places = np.einsum("pk,fka->fpa", bary, corners)
    column = np.clip((places[..., 0] % 1.0) * 256, 0, 255).astype(int)
    row = np.clip((1.0 - places[..., 1] % 1.0) * 256, 0, 255).astype(int)
    return np.asarray((alpha[row, column] >= alpha_min).mean(axis=1) > 0.33)
