"""How well the colour networks paint a head: on the picture, and all around it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

import jiffexport.nets as nets
from jiffexport.face_model import FaceModel
from jiffexport.nets.color import ColorNet, blend_pixels
from jiffexport.nets.head import sample_features

from . import augment, metrics
from .dataset import lit_colors
from .encode_heads import REGION_MARGIN
from .face_fits import AlbedoFitter, LookErrors, Region, erroneous_look, lit_face
from .frozen_body import FrozenBody
from .head_cache import FINE_SIZE_PX, HeadSubject, SeenView
from .train_fine_color import KINDS

Array = NDArray[np.float64]


@dataclass(frozen=True)
class ColorRow:
    """A fine colour network, and whether it takes the coarse head's activations."""

    name: str
    net: nets.FineColorNet
    has_coarse: bool


def load_color_row(path: Path) -> ColorRow:
    """Of a checkpoint of `train_fine_color`. Raises `ValueError` on one of another kind."""
    checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    kinds = {kind: has_coarse for has_coarse, kind in KINDS.items()}
    if checkpoint.get("kind") not in kinds:
        raise ValueError(f"{path}: expected one of {sorted(kinds)}, got kind {checkpoint.get('kind')!r}")
    net = nets.FineColorNet(nets.FineColorConfig.from_dict(checkpoint["config"]))
    net.load_state_dict(checkpoint["model"])
    return ColorRow(path.parent.name, net.eval(), kinds[checkpoint["kind"]])


@torch.no_grad()
def paintings(
    rows: list[ColorRow],
    body: FrozenBody,
    seen: SeenView,
    model: FaceModel,
    face: Array,
    face_colors: Tensor,
    points: Tensor,
) -> Iterator[tuple[str, Array]]:
    """Colours (N, 3) of view points (N, 3) by every network, with its name.

    "coarse" is the body's own; for each row there is its head without the face's volume, and "… + 3-D" with
    it in the face region.
    """
    picture = augment.encoder_input(seen.picture[:, :3], seen.picture[:, 3:])
    small = F.avg_pool2d(picture, FINE_SIZE_PX // body.image_size_px)
    asked, depth = points[None], points[None, :, 2]
    samples = ColorNet.samples(seen.maps[1], seen.maps[0], asked)
    output = body.color_head(samples, depth)
    coarse = blend_pixels(output, small, asked) if output.shape[1] == 4 else output
    yield "coarse", _rows(coarse)
    in_region = torch.from_numpy(Region.around(face, REGION_MARGIN).contains(points.numpy()))
    mesh = torch.from_numpy(face.astype(np.float32))[None]
    for row in rows:
        config = row.net.config
        activations = body.coarse_activations(samples, depth, config.coarse_layers)
        if not row.has_coarse:
            activations = torch.zeros_like(activations)
        features = row.net.encoder(picture[:, : config.in_channels])
        taken = torch.cat([sample_features(features, asked), activations], 1)
        plain = row.net.head(taken, depth)
        volume, frame = row.net.volume(mesh, face_colors[None])
        joint = row.net.face_color(features, activations, picture, volume, frame, asked).joint
        if config.blends_image:
            plain = blend_pixels(plain, picture, asked)
        yield row.name, _rows(plain)
        yield f"{row.name} + 3-D", _rows(torch.where(in_region, joint, plain))


def evaluate_colors(
    rows: list[ColorRow],
    body: FrozenBody,
    seen: SeenView,
    head: HeadSubject,
    model: FaceModel,
    face: Array,
    vertices: Array,
    faces: NDArray[np.int64],
) -> Iterator[tuple[str, dict[str, float]]]:
    """Scores of every painting of a surface (V, 3), view coordinates, whose face was fitted as `face`.

    `ssim` and `l1_picture` on the pixels of the picture that show the true face; `l1_head` over the vertices
    of the head, against what the picture's light makes of the nearest true surface; `l1_hidden` over those
    that the camera does not see.
    """
    is_face = _face_pixels(seen, model)
    is_head, truth = _lit_truth(seen, head, vertices)
    is_hidden = is_head & ~metrics.visible_vertices(vertices, faces)
    texture = AlbedoFitter(model).fit(head.arrays["face_albedo"] / 255)
    sh = seen.people.sh[seen.number].double().numpy()
    albedo, _ = erroneous_look(np.random.default_rng(0), model, texture, sh, LookErrors(0, 0, 0))
    lit = torch.from_numpy(lit_face(face, model.triangles, albedo, sh, seen.place.is_mirrored)).float()
    picture = seen.picture[0, :3].permute(1, 2, 0).double().numpy()
    points = torch.from_numpy(vertices.astype(np.float32))
    for name, colors in paintings(rows, body, seen, model, face, lit, points):
        shown, covered = _reprojected(vertices, faces, colors, picture)
        counted = is_face & covered
        miss = np.abs(colors - truth).mean(axis=1)
        yield (
            name,
            {
                "ssim": metrics.structural_similarity(shown, picture, counted),
                "l1_picture": float(np.abs(shown - picture)[counted].mean()),
                "l1_head": float(miss[is_head].mean()),
                "l1_hidden": float(miss[is_hidden].mean()),
            },
        )


def _rows(colors: Tensor) -> Array:
    return colors[0].T.double().numpy()


def _pixels(view: Array) -> Array:
    """View points (N, 3) in pixels from the large picture's middle, y up."""
    return np.asarray(view * [FINE_SIZE_PX / 2, -FINE_SIZE_PX / 2, FINE_SIZE_PX / 2])


def _reprojected(
    vertices: Array, faces: NDArray[np.int64], colors: Array, picture: Array
) -> tuple[Array, NDArray[np.bool_]]:
    """The picture (S, S, 3) with a painted surface over it, and where that is (S, S)."""
    from jiffsdk.preview import rasterize

    fragments = rasterize(_pixels(vertices), faces.astype(np.int32), FINE_SIZE_PX, FINE_SIZE_PX)
    covered = np.zeros(FINE_SIZE_PX**2, bool)
    covered[fragments.pixels] = True
    shown = picture.reshape(-1, 3).copy()
    shown[fragments.pixels] = fragments.interpolate(colors, faces)
    return shown.reshape(picture.shape), covered.reshape(picture.shape[:2])


def _face_pixels(seen: SeenView, model: FaceModel) -> NDArray[np.bool_]:
    """Pixels (S, S) that the true face covers and the mask has."""
    from jiffsdk.preview import rasterize

    face = seen.face.double().numpy()
    fragments = rasterize(_pixels(face), model.triangles, FINE_SIZE_PX, FINE_SIZE_PX)
    covered = np.zeros(FINE_SIZE_PX**2, bool)
    covered[fragments.pixels] = True
    return covered.reshape(FINE_SIZE_PX, FINE_SIZE_PX) & (seen.picture[0, 3].numpy() > 0.99)


def _lit_truth(seen: SeenView, head: HeadSubject, vertices: Array) -> tuple[NDArray[np.bool_], Array]:
    """Which vertices (V, 3) of the view are of the head, and the lit colours of the nearest true points."""
    matrix = seen.place.view_from_world
    moved = vertices - [0, 0, seen.place.head_move]
    world = (moved - matrix[:3, 3]) @ np.linalg.inv(matrix[:3, :3]).T
    twin = torch.from_numpy(metrics.nearest(world, seen.people.surface_points[0].double().numpy()))
    normals = seen.people.surface_normals[:, twin]
    albedo = seen.people.surface_albedo[:, twin].float() / 255
    return head.place.contains(world), _rows(
        lit_colors(seen.people, seen.views.index, normals, albedo).transpose(1, 2)
    )
