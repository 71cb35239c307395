"""The human body as plain arrays: blend shapes, a skeleton and linear blend skinning.

Anny (Apache-2.0 code, CC0 data) is needed once, to build a compact body file: its phenotype
blend shapes are reduced to the principal components of the people that `identity.py` draws,
and its facial and local blend shapes are kept as sparse arrays. Everything after that is
NumPy, so that a worker starts in a moment and another machine needs neither Anny nor torch.

Frame: metres, y up, the person faces +z and +x is the person's left.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Array = NDArray[np.float32]

NUM_COMPONENTS = 96
FILE_VERSION = 4

# Anny interpolates each phenotype linearly between these anchors.
PHENOTYPE_LEVELS: dict[str, tuple[str, ...]] = {
    "gender": ("male", "female"),
    "age": ("newborn", "baby", "child", "young", "old"),
    "muscle": ("minmuscle", "averagemuscle", "maxmuscle"),
    "weight": ("minweight", "averageweight", "maxweight"),
    "height": ("minheight", "maxheight"),
    "proportions": ("idealproportions", "uncommonproportions"),
    "cupsize": ("mincup", "averagecup", "maxcup"),
    "firmness": ("minfirmness", "averagefirmness", "maxfirmness"),
}
RACES = ("african", "asian", "caucasian")
LEVEL_NAMES: tuple[str, ...] = RACES + tuple(n for names in PHENOTYPE_LEVELS.values() for n in names)


class BodyDataError(RuntimeError):
    """The body file is missing, of another version, or cannot be built here."""


def y_up(vectors: NDArray[np.floating]) -> Array:
    """Anny's z-up vectors, facing -y, as y-up vectors facing +z; the last axis holds x, y, z."""
    return np.stack([vectors[..., 0], vectors[..., 2], -vectors[..., 1]], axis=-1).astype(np.float32)


def level_weights(phenotype: dict[str, float]) -> NDArray[np.float64]:
    """Interpolation weight of every phenotype level, in the order of `LEVEL_NAMES`.

    Races are normalised to sum 1; every other phenotype is linear between its levels, which are
    evenly spaced on [0, 1] (age: on [-1/3, 1]).
    """
    races = np.array([phenotype[name] for name in RACES], dtype=np.float64)
    weights = [races / races.sum()]
    for name, levels in PHENOTYPE_LEVELS.items():
        anchors = np.linspace(-1.0 / 3.0 if name == "age" else 0.0, 1.0, len(levels))
        identity = np.eye(len(levels))
        weights.append(np.array([np.interp(phenotype[name], anchors, row) for row in identity]))
    return np.concatenate(weights)


@dataclass(frozen=True)
class Shape:
    """A body before posing.

    Attributes
    ----------
    vertices : (V, 3) float32, metres.
    joints : (J, 3) float32, metres; the head of each bone.
    """

    vertices: Array
    joints: Array


class Body:
    """A body file opened for use.

    Attributes
    ----------
    faces : (F, 3) int32; body, eyes and tongue.
    uv, uv_faces : (T, 2) float32 and (F, 3) int32 texture coordinates, v up.
    skin_faces, eye_faces, tongue_faces : masks (F,) bool.
    sealed_faces : (G, 3) int32; the faces with the mouth shut by a membrane between the lips. Behind closed
        lips lies a cavity of 8 x 8 x 10 cm that no photograph shows and that is not part of a person's shape.
    bone_names, parents : the skeleton, parents before children.
    mean_vertices, mean_joints : (V, 3) and (J, 3) of the mean person.
    skin_weights : (V, J) float32 weight of each bone at each vertex.
    """

    def __init__(self, path: Path) -> None:
        try:
            data = np.load(path)
        except (OSError, ValueError) as error:
            raise BodyDataError(f"cannot read the body file {path}: {error}") from error
        if int(data["version"]) != FILE_VERSION:
            raise BodyDataError(
                f"body file {path} has version {int(data['version'])}, this code reads {FILE_VERSION}; "
                "delete it, it is built again"
            )
        self.bone_names: list[str] = [str(n) for n in data["bone_names"]]
        self.parents: list[int] = data["parents"].tolist()
        self.faces = data["faces"].astype(np.int32)
        self.uv = data["uv"]
        self.uv_faces = data["uv_faces"].astype(np.int32)
        indices, weights = data["skin_indices"].astype(np.int64), data["skin_weights"]
        self.skin_weights = np.zeros((len(indices), len(self.bone_names)), dtype=np.float32)
        np.add.at(self.skin_weights, (np.arange(len(indices))[:, None], indices), weights)
        self.mean_vertices = data["mean_vertices"]
        self._components = data["components"].astype(np.float32)
        self._level_masks = data["level_masks"]
        self._projection = data["projection"]
        self._projection_offset = data["projection_offset"]
        self.mean_joints = data["mean_joints"]
        self._joint_shapes = data["joint_shapes"]
        self.action_names: list[str] = [str(n) for n in data["action_names"]]
        self.change_names: list[str] = [str(n) for n in data["change_names"]]
        self._sparse = {key: data[key] for key in ("sparse_starts", "sparse_indices", "sparse_offsets")}
        self._sparse_joints = data["sparse_joints"]

        first = self.faces.min(axis=1)
        last = self.faces.max(axis=1)
        self.skin_faces = last < 13380
        self.tongue_faces = (first >= 13380) & (last < 13606)
        self.eye_faces = first >= 14598
        self.sealed_faces = self._seal_mouth()
        self.bone_index = {name: i for i, name in enumerate(self.bone_names)}

    def _seal_mouth(self) -> NDArray[np.int32]:
        skin_uv_faces = self.uv_faces[self.skin_faces]
        rows = np.repeat(skin_uv_faces[:, 0], 2)
        links = coo_array((np.ones(len(rows)), (rows, skin_uv_faces[:, 1:].ravel())), [len(self.uv)] * 2)
        island = connected_components(links)[1][skin_uv_faces[:, 0]]
        # Three islands of the skin's texture cross the middle: the trunk, the head and the mouth's inside.
        faces = self.faces[self.skin_faces]
        x = self.mean_vertices[faces, 0]
        crossing = [i for i in np.unique(island) if x[island == i].min() < 0 < x[island == i].max()]
        is_mouth = island == min(crossing, key=lambda i: int((island == i).sum()))
        mouth = faces[is_mouth]
        edges = {(int(a), int(b)) for face in mouth for a, b in zip(face, np.roll(face, -1), strict=True)}
        rim = sorted((a, b) for a, b in edges if (b, a) not in edges)
        corner = max((a for a, _ in rim), key=lambda a: float(self.mean_vertices[a, 0]))
        membrane = [(corner, a, b) for a, b in rim if corner not in (a, b)]
        others = self.faces[~self.skin_faces]
        return np.concatenate([faces[~is_mouth], np.array(membrane, np.int32), others])

    @property
    def num_vertices(self) -> int:
        return len(self.mean_vertices)

    def shape(
        self,
        phenotype: dict[str, float],
        changes: dict[str, float] | None = None,
        actions: dict[str, float] | None = None,
    ) -> Shape:
        """The rest shape of a person.

        Parameters
        ----------
        phenotype : value in [0, 1] of each of Anny's phenotypes.
        changes : local changes in [-1, 1] by Anny's name.
        actions : facial actions in [0, 1] by Anny's name.
        """
        levels = level_weights(phenotype)
        blend = np.where(self._level_masks, levels[None, :], 1.0).prod(axis=1)
        coefficients = (blend @ self._projection - self._projection_offset).astype(np.float32)
        vertices = self.mean_vertices + (coefficients @ self._components).reshape(-1, 3)
        joints = self.mean_joints + np.tensordot(blend, self._joint_shapes, axes=1).astype(np.float32)

        rows: list[tuple[int, float]] = []
        for name, value in (actions or {}).items():
            rows.append((self.action_names.index(name), value))
        for name, value in (changes or {}).items():
            # A local change is a pair of shapes: one for growing, one for shrinking.
            pair = len(self.action_names) + 2 * self.change_names.index(name)
            rows.append((pair if value >= 0 else pair + 1, abs(value)))
        starts = self._sparse["sparse_starts"]
        for row, value in rows:
            part = slice(starts[row], starts[row + 1])
            vertices[self._sparse["sparse_indices"][part]] += np.float32(value) * self._sparse[
                "sparse_offsets"
            ][part].astype(np.float32)
            joints = joints + np.float32(value) * self._sparse_joints[row]
        return Shape(vertices.astype(np.float32), joints.astype(np.float32))

    def bone_transforms(self, joints: Array, rotations: Array) -> Array:
        """World transforms that carry each bone from rest to the pose.

        Parameters
        ----------
        joints : (J, 3) rest joints in metres.
        rotations : (J, 3, 3) rotation of each bone against its parent, in world-aligned axes.

        Returns
        -------
        (J, 3, 4) float32; posed = R rest + t.
        """
        world_rotation = np.empty((len(joints), 3, 3), dtype=np.float64)
        world_joint = np.empty((len(joints), 3), dtype=np.float64)
        for bone, parent in enumerate(self.parents):
            if parent < 0:
                world_rotation[bone] = rotations[bone]
                world_joint[bone] = joints[bone]
            else:
                world_rotation[bone] = world_rotation[parent] @ rotations[bone]
                world_joint[bone] = world_joint[parent] + world_rotation[parent] @ (
                    joints[bone] - joints[parent]
                )
        moved = np.einsum("jab,jb->ja", world_rotation, joints.astype(np.float64))
        translation = world_joint - moved
        return np.concatenate([world_rotation, translation[..., None]], axis=2).astype(np.float32)


def skin(vertices: Array, weights: Array, transforms: Array) -> Array:
    """Linear blend skinning: each vertex moved by the weighted mean of the bones' transforms.

    Shapes: vertices (N, 3), weights (N, J), transforms (J, 3, 4); returns (N, 3) float32.
    """
    blended = (weights @ transforms.reshape(-1, 12)).reshape(-1, 3, 4)
    return np.einsum("nab,nb->na", blended[:, :, :3], vertices) + blended[:, :, 3]


def default_cache_dir() -> Path:
    """Where a built body file is kept: beside Anny's own cache."""
    return Path(os.environ.get("ANNY_CACHE_DIR", Path.home() / ".cache" / "anny"))


def load_body(assets: Path | None = None) -> Body:
    """The body file of the assets folder if it holds one, else the cached one, built if missing."""
    if assets is not None and (assets / "body.npz").is_file():
        return Body(assets / "body.npz")
    return Body(ensure_body_file())


def ensure_body_file() -> Path:
    """Path of the cached body file; builds it (about a minute, with Anny) on the first call."""
    path = default_cache_dir() / f"jiff-body-{FILE_VERSION}-{NUM_COMPONENTS}.npz"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.stem}.{os.getpid()}.part.npz")
        build_body_file(partial)
        os.replace(partial, path)
    return path


def build_body_file(path: Path, num_samples: int = 1500) -> None:
    """Reduce Anny to a compact body file.

    Raises
    ------
    BodyDataError
        Anny is not installed.
    """
    try:
        import anny
        import torch
    except ImportError as error:
        raise BodyDataError(
            "no body file in the assets folder, and building one needs `pip install anny torch`"
        ) from error
    from training.people.identity import sample_phenotype

    model = anny.Anny(
        topology="anny-full",
        local_changes="all",
        facial_actions="all",
        phenotypes="all",
        phenotype_blendshapes="original",
        skinning_method="lbs",
    ).to(dtype=torch.float32)
    labels: list[str] = list(model.blendshape_labels)
    shapes = y_up(model.blendshapes.numpy())
    joint_shapes = y_up(model.bone_heads_blendshapes.numpy())
    is_phenotype = np.array([not s.startswith(("facial_action:", "local_change:")) for s in labels])

    masks = np.zeros((int(is_phenotype.sum()), len(LEVEL_NAMES)), dtype=bool)
    for row, label in enumerate(label for label in labels if label.split(":")[0] in _PHENOTYPE_BLOCKS):
        for part in label.split(":")[1].split("-"):
            masks[row, LEVEL_NAMES.index(part)] = True

    rng = np.random.default_rng(20)
    drawn = [level_weights(p) for p in _corner_people()]
    drawn += [level_weights(sample_phenotype(rng)) for _ in range(num_samples)]
    blends = np.stack([np.where(masks, levels[None, :], 1.0).prod(axis=1) for levels in drawn])
    flat = shapes[is_phenotype].reshape(len(masks), -1).astype(np.float32)
    people = blends.astype(np.float32) @ flat
    mean = people.mean(axis=0)
    people -= mean
    eigenvalues, eigenvectors = np.linalg.eigh((people @ people.T).astype(np.float64))
    order = np.argsort(eigenvalues)[::-1][:NUM_COMPONENTS]
    order = order[eigenvalues[order] > 1e-9 * eigenvalues.max()]
    basis = (eigenvectors[:, order].T / np.sqrt(eigenvalues[order])[:, None]) @ people

    others = np.flatnonzero(~is_phenotype)
    starts, indices, offsets = [0], [], []
    for other in others:
        moved = np.flatnonzero(np.abs(shapes[other]).max(axis=1) > 2e-5)
        indices.append(moved)
        offsets.append(shapes[other][moved])
        starts.append(starts[-1] + len(moved))

    np.savez_compressed(
        path,
        version=FILE_VERSION,
        bone_names=np.array(model.bone_labels),
        parents=np.array(model.bone_parents, dtype=np.int32),
        faces=model.faces.numpy().astype(np.uint16),
        uv=model.texture_coordinates.numpy().astype(np.float32),
        uv_faces=model.face_texture_coordinate_indices.numpy().astype(np.uint16),
        skin_indices=model.vertex_bone_indices.numpy().astype(np.uint8),
        skin_weights=model.vertex_bone_weights.numpy().astype(np.float32),
        mean_vertices=(y_up(model.template_vertices.numpy()) + mean.reshape(-1, 3)).astype(np.float32),
        components=basis.astype(np.float16),
        level_masks=masks,
        projection=(flat @ basis.T).astype(np.float64),
        projection_offset=(basis @ mean).astype(np.float64),
        mean_joints=y_up(model.template_bone_heads.numpy()),
        joint_shapes=joint_shapes[is_phenotype],
        action_names=np.array(model.facial_action_labels),
        change_names=np.array(model.local_change_labels),
        sparse_starts=np.array(starts, dtype=np.int64),
        sparse_indices=np.concatenate(indices).astype(np.uint16),
        sparse_offsets=np.concatenate(offsets).astype(np.float16),
        sparse_joints=joint_shapes[others].astype(np.float32),
    )


_PHENOTYPE_BLOCKS = ("universal", "race", "height", "proportions", "breast")


def _corner_people() -> list[dict[str, float]]:
    """Extreme adults, so that the components also span the rim of the space."""
    people = []
    for gender, age, muscle, weight in product((0.0, 1.0), (0.6, 0.95), (0.2, 0.8), (0.25, 0.85)):
        for race in RACES:
            people.append(
                {
                    "gender": gender,
                    "age": age,
                    "muscle": muscle,
                    "weight": weight,
                    "height": 0.5,
                    "proportions": 0.5,
                    "cupsize": 0.5,
                    "firmness": 0.5,
                    **{name: float(name == race) for name in RACES},
                }
            )
    return people


def body_digest(body: Body) -> str:
    """Short hash of the skeleton and topology, for the record of a data set."""
    digest = hashlib.sha256()
    digest.update(",".join(body.bone_names).encode())
    digest.update(body.faces.tobytes())
    return digest.hexdigest()[:16]
