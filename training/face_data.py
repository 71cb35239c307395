"""Face pictures in memory, and batches of crops with what is true of them."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from jiffexport.face_model import FaceModel

from .face_crop import crop_squares
from .face_model.fit import FaceFitter
from .face_model.pictures import FacePictures

STORED_SIZE_PX = 160
"""Pictures are kept at this side: crops of 112 pixels are then cut at about their own scale."""

# Signs of the nine harmonics under a mirror image: y, z, 3z^2-1, yz and x^2-y^2 keep theirs.
SH_MIRROR = np.array([1, 1, 1, -1, -1, 1, 1, -1, 1], dtype=np.float32)


@dataclass(frozen=True)
class FacePeople:
    """Everything of a split. P pictures of n people; the person of each picture is `person` (P,).

    What fills a batch lies on the device that trains. What says where to cut stays with NumPy.

    Attributes
    ----------
    images : (P, S, S, 4) uint8, straight alpha.
    vertices : (n, 2, N, 3) float32 true faces in the head's axes; the second is the mirror image.
    albedo : (n, 2, N, 3) uint8.
    coefficients : (n, 2, 144) float32 identity and expression that fit them.
    rotation : (n, 2, 3, 3) float32 from the model's axes to the head's.
    five : (n, 2, 5, 3) float32 what a detector finds of the vertices.
    view_from_head : (P, 3, 4) float32; sh : (P, 9, 3) float32; yaw_deg : (P,).
    """

    images: Tensor
    vertices: Tensor
    albedo: Tensor
    person: NDArray[np.int64]
    coefficients: NDArray[np.float32]
    rotation: NDArray[np.float32]
    five: NDArray[np.float32]
    view_from_head: NDArray[np.float32]
    sh: NDArray[np.float32]
    yaw_deg: NDArray[np.float32]

    @property
    def num_pictures(self) -> int:
        return len(self.images)


@dataclass(frozen=True)
class FaceBatch:
    """Crops and truth.

    Attributes
    ----------
    image : (B, 4, C, C) in [0, 1], straight alpha.
    vertices : (B, N, 3) in crop coordinates (x right, y down, z toward the camera; [-1, 1] is the crop).
    coefficients : (B, 144).
    rotation : (B, 3, 3) from the model's axes to the camera's (y up).
    albedo : (B, N, 3) in [0, 1]; sh : (B, 9, 3).
    unit : (B,) distance of the eyes in crop coordinates, not shortened by the view.
    """

    image: Tensor
    vertices: Tensor
    coefficients: Tensor
    rotation: Tensor
    albedo: Tensor
    sh: Tensor
    unit: Tensor


def mirror_of(model: FaceModel) -> NDArray[np.int64]:
    """The vertex (N,) on the other side of each vertex of a symmetric model."""
    from scipy.spatial import cKDTree

    return np.asarray(cKDTree(model.mean_shape).query(model.mean_shape * [-1, 1, 1])[1])


def load_faces(
    folder: Path, model: FaceModel, num_people: int | None = None, device: torch.device | str = "cpu"
) -> FacePeople:
    """All files of a split's folder, or the first `num_people`.

    Raises
    ------
    FileNotFoundError
        The folder holds none.
    ValueError
        A file shows other vertices than the model has.
    """
    paths = sorted(folder.glob("*.npz"))[:num_people]
    if not paths:
        raise FileNotFoundError(f"{folder}: no face pictures; make them with training.generate_faces")
    fitter, mirror = FaceFitter(model), mirror_of(model)
    sides = np.array([-1.0, 1.0, 1.0], dtype=np.float32)

    def read(path: Path) -> dict[str, NDArray]:
        face = FacePictures.load(path)
        if len(face.vertices) != model.num_vertices:
            raise ValueError(
                f"{path}: has {len(face.vertices)} vertices, the face model {model.num_vertices}; "
                "make model and pictures from the same body"
            )
        both = np.stack([face.vertices, face.vertices[mirror] * sides])
        fits = [fitter.fit(v) for v in both]
        coefficients = [np.concatenate([fit.identity, fit.expression]) for fit in fits]
        return {
            "images": np.stack([_decoded(picture) for picture in face.pictures]),
            "vertices": both,
            "albedo": np.stack([face.albedo, face.albedo[mirror]]),
            "coefficients": np.array(coefficients, dtype=np.float32),
            "rotation": np.array([fit.motion.rotation for fit in fits], dtype=np.float32),
            "five": both[:, model.five_points].mean(axis=2),
            "view_from_head": face.view_from_head,
            "sh": face.sh,
            "yaw_deg": face.yaw_deg,
        }

    # More threads wait for Python's lock: twenty on 16 cores read 54 people a second, six on two cores 85.
    with ThreadPoolExecutor(4) as pool:
        faces = list(tqdm(pool.map(read, paths), total=len(paths), desc=folder.name, unit="person"))

    def of_people(key: str) -> NDArray:
        return np.stack([face[key] for face in faces])

    def of_pictures(key: str) -> NDArray:
        return np.concatenate([face[key] for face in faces])

    return FacePeople(
        images=torch.from_numpy(of_pictures("images")).to(device),
        vertices=torch.from_numpy(of_people("vertices")).to(device),
        albedo=torch.from_numpy(of_people("albedo")).to(device),
        person=np.repeat(np.arange(len(faces)), [len(face["images"]) for face in faces]),
        coefficients=of_people("coefficients"),
        rotation=of_people("rotation"),
        five=of_people("five"),
        view_from_head=of_pictures("view_from_head"),
        sh=of_pictures("sh"),
        yaw_deg=of_pictures("yaw_deg"),
    )


def _decoded(picture: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(picture)) as image:
        premultiplied = image.convert("RGBA").convert("RGBa")
    small = premultiplied.resize((STORED_SIZE_PX, STORED_SIZE_PX), Image.Resampling.BOX)
    return np.asarray(small.convert("RGBA"))


def make_batch(
    people: FacePeople,
    model: FaceModel,
    rows: NDArray[np.int64],
    flips: NDArray[np.bool_],
    jitter: NDArray[np.floating],
    side_m: float,
    size_px: int,
) -> FaceBatch:
    """Cut crops as the SDK does, around landmarks that a detector might have given.

    Parameters
    ----------
    rows, flips : (B,) which pictures, and which of them mirrored.
    jitter : (B, 5, 2) error of the detected landmarks in distances of the eyes.
    """
    device = people.images.device

    def put(values: NDArray) -> Tensor:
        return torch.from_numpy(values).to(device, non_blocking=True)

    side = flips.astype(int)
    who = people.person[rows]
    signs = np.where(flips[:, None], [-1.0, 1.0, 1.0], 1.0).astype(np.float32)
    # A mirrored picture shows the mirrored head through the mirrored camera.
    matrix = people.view_from_head[rows] * signs[:, :, None]
    matrix[:, :, :3] *= signs[:, None, :]
    five = people.five[who, side] @ matrix[:, :, :3].transpose(0, 2, 1) + matrix[:, None, :, 3]
    eyes = np.linalg.norm(five[:, 0] - five[:, 1], axis=1)
    seen = five[:, :, :2] + jitter * eyes[:, None, None]
    square = crop_squares(seen, model.five_landmarks(), side_m).astype(np.float32)
    half = square[:, 2] / 2
    center = square[:, :2] + half[:, None]

    theta = np.zeros((len(rows), 2, 3), dtype=np.float32)
    theta[:, 0, 0] = half * signs[:, 0]
    theta[:, 1, 1] = half
    theta[:, 0, 2] = center[:, 0] * signs[:, 0]
    theta[:, 1, 2] = center[:, 1]
    grid = torch.nn.functional.affine_grid(put(theta), [len(rows), 4, size_px, size_px], align_corners=False)
    picture = people.images[put(rows)].permute(0, 3, 1, 2).float() / 255
    picture = torch.cat([picture[:, :3] * picture[:, 3:], picture[:, 3:]], 1)
    moved = torch.nn.functional.grid_sample(picture, grid, align_corners=False)
    image = torch.cat([moved[:, :3] / moved[:, 3:].clamp(min=1e-4), moved[:, 3:]], 1)

    to_crop = matrix.copy()
    to_crop[:, :2, 3] -= center
    to_crop = put(to_crop / half[:, None, None])
    linear = matrix[:, :, :3] * np.array([1.0, -1.0, 1.0], dtype=np.float32)[:, None]
    linear = linear / np.linalg.norm(linear[:, :1], axis=2, keepdims=True)
    mirrored = np.where(flips[:, None], SH_MIRROR, 1.0).astype(np.float32)
    person, seen_side = put(who), put(side)
    return FaceBatch(
        image=image,
        vertices=people.vertices[person, seen_side] @ to_crop[:, :, :3].mT + to_crop[:, None, :, 3],
        coefficients=put(people.coefficients[who, side]),
        rotation=put(linear @ people.rotation[who, side]),
        albedo=people.albedo[person, seen_side].float() / 255,
        sh=put(people.sh[rows] * mirrored[:, :, None]),
        unit=put(eyes / half),
    )
