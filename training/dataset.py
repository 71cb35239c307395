"""The generated people in memory, and training batches cut from them on the training device.

The shards are written by `training/generate_people.py`; `training/people/shards.py` describes them.
Everything is decoded once and stays on the device: 600 subjects with 12 views take about 9 GB.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from .augment import FrameChange
from .lights import shade
from .people.shards import picture_name


@dataclass(frozen=True)
class People:
    """S subjects and V views of them. Points and normals are in world coordinates (metres, y up).

    Attributes
    ----------
    images
        (V, 4, S, S) uint8 RGBA, straight alpha.
    view_from_world
        (V, 4, 4).
    size_m
        (V,) metric side of the frame.
    sh
        (V, 9, 3) spherical-harmonics light in view-aligned axes with y up.
    subject
        (V,) index of the view's subject.
    near_points, near_occupancy, uniform_points, uniform_occupancy
        (S, N, 3) and (S, N) bool.
    surface_points, surface_normals, surface_albedo
        (S, K, 3); albedo uint8 sRGB.
    is_cut
        (V,) bool: the frame cuts the body (knees, waist or bust), as most photographs do.
    """

    images: Tensor
    view_from_world: Tensor
    size_m: Tensor
    sh: Tensor
    subject: Tensor
    near_points: Tensor
    near_occupancy: Tensor
    uniform_points: Tensor
    uniform_occupancy: Tensor
    surface_points: Tensor
    surface_normals: Tensor
    surface_albedo: Tensor
    is_cut: Tensor

    @property
    def num_views(self) -> int:
        return len(self.images)


def load_people(
    folder: Path, device: torch.device, limit: int | None = None, image_size_px: int = 512
) -> People:
    """Read all finished shards of `folder` (one split) onto `device`, pictures shrunk to `image_size_px`.

    Raises
    ------
    FileNotFoundError
        If the folder holds no finished subject.
    """
    shards = sorted(path.parent for path in Path(folder).glob("*/views.json"))[:limit]
    if not shards:
        raise FileNotFoundError(f"no subjects in {folder}: run python training/generate_people.py first")
    return read_people(shards, device, image_size_px, progress=f"read {folder}")


def read_people(
    shards: list[Path], device: torch.device, image_size_px: int, progress: str | None = None
) -> People:
    """As `load_people`, of the named subjects' folders; `progress` is written beside a bar."""
    with ThreadPoolExecutor() as pool:
        subjects = list(
            tqdm(
                pool.map(lambda shard: _read_subject(shard, image_size_px), shards),
                total=len(shards),
                desc=progress,
                disable=progress is None,
            )
        )
    views = [view for subject in subjects for view in subject["views"]]

    def stack(values: list[np.ndarray]) -> Tensor:
        return torch.from_numpy(np.stack(values)).to(device)

    return People(
        images=stack([view["image"] for view in views]),
        view_from_world=stack([np.asarray(view["view_from_world"], np.float32) for view in views]),
        size_m=stack([np.float32(view["size_m"]) for view in views]),
        sh=stack([np.asarray(view["sh"], np.float32) for view in views]),
        subject=stack([np.int64(i) for i, subject in enumerate(subjects) for _ in subject["views"]]),
        is_cut=stack([np.bool_(view["framing"] != "full") for view in views]),
        **{
            key: stack([subject["samples"][key] for subject in subjects])
            for key in (
                "near_points",
                "near_occupancy",
                "uniform_points",
                "uniform_occupancy",
                "surface_points",
                "surface_normals",
                "surface_albedo",
            )
        },
    )


def _read_subject(folder: Path, image_size_px: int) -> dict:
    with np.load(folder / "samples.npz") as file:
        samples = {key: file[key] for key in file.files}
    for key in ("near_occupancy", "uniform_occupancy"):
        samples[key] = samples[key].astype(bool)
    views = json.loads((folder / "views.json").read_text())["views"]
    for i, view in enumerate(views):
        pixels = read_picture(folder, i, image_size_px)
        view["image"] = np.ascontiguousarray(pixels.transpose(2, 0, 1))
    return {"samples": samples, "views": views}


def read_picture(folder: Path, view: int, size_px: int) -> np.ndarray:
    """A view's picture (size, size, 4) uint8, from the smallest stored one that is large enough.

    Raises
    ------
    FileNotFoundError
        No picture of that size or a greater one is stored.
    """
    for stored in sorted({512, 1024, size_px}):
        path = folder / picture_name(view, stored)
        if stored >= size_px and path.is_file():
            with Image.open(path) as image:
                side = (size_px, size_px)
                return np.asarray(image.convert("RGBA").resize(side, Image.Resampling.BOX))
    raise FileNotFoundError(f"{folder}: view {view} has no picture of {size_px} pixels or more")


@dataclass(frozen=True)
class Views:
    """A batch of B views after a change of frame: what all networks train on.

    `image` is (B, 4, S, S) straight RGBA in [0, 1]; `view_from_world` (B, 4, 4) has its depth zero at
    the mean depth of the surface inside the new frame; `size_m` (B,).
    """

    index: Tensor
    subject: Tensor
    image: Tensor
    view_from_world: Tensor
    size_m: Tensor


def cut_views(people: People, index: Tensor, change: FrameChange) -> Views:
    """Views `index` (B,) seen through changed frames."""
    image = change.warp(people.images[index].float() / 255)
    matrix = change.matrix() @ people.view_from_world[index]
    subject = people.subject[index]
    surface = transform(matrix, people.surface_points[subject, ::8])
    inside = (surface[..., :2].abs() <= 1).all(-1)
    mean_depth = (surface[..., 2] * inside).sum(1) / inside.sum(1).clamp(min=1)
    matrix = matrix.clone()
    matrix[:, 2, 3] -= mean_depth
    return Views(index, subject, image, matrix, people.size_m[index] / change.zoom)


def transform(matrix: Tensor, points: Tensor) -> Tensor:
    """(B, 4, 4) applied to (B, N, 3)."""
    return points @ matrix[:, :3, :3].transpose(1, 2) + matrix[:, None, :3, 3]


def occupancy_samples(people: People, views: Views, num_points: int) -> tuple[Tensor, Tensor, Tensor]:
    """Labelled query points inside the frame: 15/16 near the surface, 1/16 uniform (paper Sec. 5).

    One point in 32 on top is drawn from the whole frame: what lies beyond the figure's box is known to
    be empty and is asked at run time, so the head has to have seen it.

    Returns
    -------
    points (B, N, 3) in view coordinates, occupancy (B, N), weight (B, N) (0: outside the frame).
    """
    num_uniform = num_points // 16
    near = _pick(people.near_points, people.near_occupancy, views, num_points - num_uniform)
    uniform = _pick(people.uniform_points, people.uniform_occupancy, views, num_uniform)
    far = _far_samples(people, views, num_points // 32)
    points, labels, weights = (torch.cat(parts, 1) for parts in zip(near, uniform, far, strict=True))
    return points, labels, weights


def _pick(points: Tensor, occupancy: Tensor, views: Views, num_points: int) -> tuple[Tensor, Tensor, Tensor]:
    """Random points of each view's subject, those inside the frame first."""
    batch, device = len(views.subject), points.device
    candidate = torch.randint(points.shape[1], (batch, 4 * num_points), device=device)
    subject = views.subject[:, None]
    seen = transform(views.view_from_world, points[subject, candidate])
    inside = (seen.abs() <= 1).all(-1)
    order = (inside.float() + torch.rand_like(inside, dtype=torch.float32) * 0.5).topk(num_points, 1).indices
    chosen = torch.gather(seen, 1, order[..., None].expand(-1, -1, 3))
    labels = torch.gather(occupancy[subject, candidate], 1, order).float()
    return chosen, labels, torch.gather(inside, 1, order).float()


def _far_samples(people: People, views: Views, num_points: int) -> tuple[Tensor, Tensor, Tensor]:
    """Uniform points of the frame; those inside the figure's sampled box have weight 0."""
    device = people.images.device
    points = torch.rand((len(views.subject), num_points, 3), device=device) * 2 - 1
    world = transform(torch.linalg.inv(views.view_from_world), points)
    box = people.uniform_points[views.subject]
    low, high = box.amin(1, keepdim=True), box.amax(1, keepdim=True)
    outside = ((world < low) | (world > high)).any(-1)
    return points, torch.zeros_like(outside, dtype=torch.float32), outside.float()


def color_samples(
    people: People, views: Views, num_points: int, sigma_m: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Surface points moved along their normal by N(0, sigma_m) (paper Sec. 4.4), with their lit colour.

    Returns
    -------
    points (B, N, 3) in view coordinates, colour (B, 3, N) in [0, 1], weight (B, N).
    """
    batch, device = len(views.subject), people.images.device
    pick = torch.randint(people.surface_points.shape[1], (batch, num_points), device=device)
    subject = views.subject[:, None]
    normals = people.surface_normals[subject, pick]
    offset = torch.randn((batch, num_points, 1), device=device) * sigma_m
    seen = transform(views.view_from_world, people.surface_points[subject, pick] + normals * offset)
    weight = (seen.abs() <= 1).all(-1).float()
    albedo = people.surface_albedo[subject, pick].float() / 255
    return seen, lit_colors(people, views.index, normals, albedo).transpose(1, 2), weight


def lit_colors(people: People, index: Tensor, normals: Tensor, albedo: Tensor) -> Tensor:
    """Colours that the views `index` (B,) show: (B, N, 3) world normals and sRGB albedo in [0, 1]."""
    rotation = F.normalize(people.view_from_world[index, :3, :3], dim=2)
    flip = torch.tensor([1.0, -1.0, 1.0], device=normals.device)  # view y points down, the light's y up
    return shade(people.sh[index], normals @ rotation.transpose(1, 2) * flip, albedo)
