"""Close pictures of generated people's faces, with what is true of each: the data of the regressor.

One file a person, `OUT/{train,test}/00042.npz`:

- `pictures` (P,) bytes objects as one uint8 array with `offsets` (P + 1,): WebP, RGBA, straight alpha;
- `vertices` (N, 3) f4: the true face, metres, in the head's own axes (x to the person's left, y up, z
  forward), N being the vertices of the face region; `albedo` (N, 3) u1, sRGB;
- `view_from_head` (P, 3, 4) f4: from those axes to the picture's view (x right, y down, z toward the
  camera, [-1, 1] over the picture; docs/conventions.md);
- `sh` (P, 9, 3) f4: the light, as in `training.people.lights`;
- `yaw_deg` (P,) f4 of the head against the camera.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.face_model.region import FaceRegion
from training.people import cameras
from training.people.identity import Identity, sample_actions, sample_identity
from training.people.lights import sample_light
from training.people.shards import SPLITS
from training.people.subject import Figure, Studio

PICTURE_SIZE_PX = 256
FRAME_M = 0.30
"""Side of a picture around a face of mean size; crops of 0.22 m are cut out of it in training."""
STREAM = 7
"""Sets the draws of face pictures apart from those of whole people with the same index."""


@dataclass(frozen=True)
class FacePictures:
    """The content of a file."""

    pictures: list[bytes]
    vertices: NDArray[np.float32]
    albedo: NDArray[np.uint8]
    view_from_head: NDArray[np.float32]
    sh: NDArray[np.float32]
    yaw_deg: NDArray[np.float32]

    def save(self, path: Path) -> None:
        """Write the file; it appears whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.part")
        with partial.open("wb") as stream:
            np.savez(
                stream,
                pictures=np.frombuffer(b"".join(self.pictures), dtype=np.uint8),
                offsets=np.cumsum([0] + [len(picture) for picture in self.pictures]),
                vertices=self.vertices,
                albedo=self.albedo,
                view_from_head=self.view_from_head,
                sh=self.sh,
                yaw_deg=self.yaw_deg,
            )
        partial.replace(path)

    @staticmethod
    def load(path: Path) -> FacePictures:
        with np.load(path) as data:
            starts, content = data["offsets"], data["pictures"].tobytes()
            pictures = [content[a:b] for a, b in zip(starts[:-1], starts[1:], strict=True)]
            names = ("vertices", "albedo", "view_from_head", "sh", "yaw_deg")
            return FacePictures(pictures, *(data[name] for name in names))


def sample_face_actions(rng: np.random.Generator, names: list[str]) -> dict[str, float]:
    """An expression: half of them the generator's, the others a few actions of any kind."""
    if rng.random() < 0.5:
        return sample_actions(rng)
    chosen = [name for name in names if name != "tongueOut" and rng.random() < 0.15]
    return {name: float(rng.random() * rng.uniform(0.3, 1.0)) for name in chosen}


def sample_head_angles(rng: np.random.Generator) -> tuple[float, float, float]:
    """Yaw, pitch and roll in degrees of the head against the camera: yaw to 65, half within 25."""
    yaw = rng.uniform(-25, 25) if rng.random() < 0.4 else rng.uniform(-65, 65)
    pitch = float(np.clip(rng.normal(0, 10), -28, 28))
    roll = float(np.clip(rng.normal(0, 9), -30, 30))
    return float(yaw), pitch, roll


def head_axes(studio: Studio, figure: Figure) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rotation (3, 3) and translation (3,) from the head at rest to the world."""
    transform = figure.posed.transforms[studio.body.bone_index["head"]].astype(np.float64)
    return transform[:, :3], transform[:, 3]


def make_face_pictures(
    studio: Studio, region: FaceRegion, seed: int, split: str, index: int, num_views: int
) -> FacePictures:
    """Pictures of one person; the same arguments give the same pictures."""
    sequence = np.random.SeedSequence([seed, SPLITS.index(split), index, STREAM])
    who, how, worn, light, camera = (np.random.default_rng(stream) for stream in sequence.spawn(5))
    drawn = sample_identity(who, studio.body.change_names)
    actions = sample_face_actions(who, studio.body.action_names)
    figure = studio.figure(split, Identity(drawn.phenotype, drawn.changes, actions), how, worn)
    rotation, translation = head_axes(studio, figure)
    world = figure.posed.posed[region.body_vertices].astype(np.float64)
    vertices = (world - translation) @ rotation
    middle = (world.min(axis=0) + world.max(axis=0)) / 2
    spread = np.sqrt(((vertices - vertices.mean(axis=0)) ** 2).sum(axis=1).mean())
    pictures, matrices, lights, yaws = [], [], [], []
    with studio.renderer.scene(figure.parts) as scene:
        albedo = studio.face_albedo(scene, figure.parts)
        for _ in range(num_views):
            yaw, pitch, roll = sample_head_angles(camera)
            turn = cameras.camera_rotation(yaw, pitch, roll) @ rotation.T
            size_m = FRAME_M * spread / MEAN_SPREAD_M
            center = middle + turn.T @ np.append(camera.uniform(-0.01, 0.01, 2) - [0, 0.02], 0.0)
            matrix = cameras.view_matrix(turn, center, size_m)
            view = cameras.View(matrix, size_m, "face", yaw, pitch, roll)
            sh = sample_light(light)
            pictures.append(_as_webp(scene.picture(view, turn, sh, PICTURE_SIZE_PX)))
            head = np.column_stack([rotation, translation])
            matrices.append(matrix[:3, :3] @ head + np.column_stack([np.zeros((3, 3)), matrix[:3, 3]]))
            lights.append(sh)
            yaws.append(yaw)
    return FacePictures(
        pictures,
        vertices.astype(np.float32),
        albedo,
        np.stack(matrices).astype(np.float32),
        np.stack(lights).astype(np.float32),
        np.array(yaws, dtype=np.float32),
    )


MEAN_SPREAD_M = 0.0641
"""Root mean square distance of a mean face's vertices from their centre."""


def _as_webp(picture: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "webp", quality=88, method=2)
    return buffer.getvalue()
