"""What happens to faces on the way into photographs: backgrounds, things in front, cameras, files."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from . import augment, jpeg


def detector_jitter(rng: np.random.Generator, yaw_deg: NDArray[np.floating]) -> NDArray[np.float64]:
    """Errors (B, 5, 2) of five landmarks in distances of the eyes; larger where a face is turned away."""
    size = len(yaw_deg)
    strength = 0.025 * (1 + np.abs(yaw_deg) / 45) * rng.gamma(2.0, 0.5, size)
    together = rng.normal(0, 0.5, (size, 1, 2))
    return strength[:, None, None] * (rng.normal(0, 1, (size, 5, 2)) + together)


def _uniform(pictures: Tensor, low: float, high: float, *shape: int) -> Tensor:
    """A draw (B, *shape) for each of some pictures."""
    return torch.empty(len(pictures), *shape, device=pictures.device).uniform_(low, high)


def _chosen(pictures: Tensor, share: float) -> Tensor:
    return torch.rand(len(pictures), 1, 1, 1, device=pictures.device) < share


def _some(pictures: Tensor, share: float) -> Tensor:
    """Which pictures are in a random share; drawn on the CPU, which so need not wait for a GPU."""
    rows = (torch.rand(len(pictures)) < share).nonzero()[:, 0]
    return rows.to(pictures.device, non_blocking=True)


def over_scene(image: Tensor) -> Tensor:
    """RGBA (B, 4, S, S) over smooth colours or over blurred, enlarged other pictures of the batch."""
    batch, size, device = len(image), image.shape[-1], image.device
    coarse_size = int(torch.randint(2, 9, ())), int(torch.randint(2, 9, ()))
    coarse = torch.rand(batch, 3, *coarse_size, device=device)
    smooth = F.interpolate(coarse, size=(size, size), mode="bilinear")
    small = F.avg_pool2d(image[torch.randperm(batch, device=device)], 4)
    other = small[:, :3] * small[:, 3:] + F.interpolate(coarse, size=small.shape[-2:]) * (1 - small[:, 3:])
    crop = int(torch.randint(size // 12, size // 5, ()))
    left = int(torch.randint(0, size // 4 - crop, ()))
    other = F.interpolate(
        other[..., left : left + crop, left : left + crop], size=(size, size), mode="bilinear"
    )
    if torch.rand(()) < 0.5:
        other = other.flip(2)
    background = torch.where(_chosen(image, 0.5), other, smooth)
    return image[:, :3] * image[:, 3:] + background * (1 - image[:, 3:])


def with_obstacles(rgb: Tensor, landmarks: Tensor) -> Tensor:
    """Draw glasses, and bars or blobs such as hair, hands and scarfs, over some pictures (B, 3, S, S).

    `landmarks` (B, 68, 2) in crop coordinates place the glasses.
    """
    for share, draw in ((0.3, _with_blob), (0.15, _with_glasses)):
        rows = _some(rgb, share)
        if len(rows):
            rgb = rgb.index_copy(0, rows, draw(rgb[rows], landmarks[rows]))
    return rgb.clamp(0, 1)


def _axes(pictures: Tensor) -> tuple[Tensor, Tensor]:
    size = pictures.shape[-1]
    axis = (2 * torch.arange(size, device=pictures.device) + 1) / size - 1
    return axis[None, None, None, :], axis[None, None, :, None]


def _with_blob(rgb: Tensor, _: Tensor) -> Tensor:
    """A striped ellipse or box of any place, turn and colour."""
    x, y = _axes(rgb)
    turn, center = _uniform(rgb, 0, 3.14, 1, 1, 1), _uniform(rgb, -0.9, 0.9, 2, 1, 1)
    extent = _uniform(rgb, 0.05, 0.45, 2, 1, 1)
    dx, dy = x - center[:, :1], y - center[:, 1:]
    along = (dx * turn.cos() + dy * turn.sin()) / extent[:, :1]
    across = (dy * turn.cos() - dx * turn.sin()) / extent[:, 1:]
    box = torch.maximum(along.abs(), across.abs())
    inside = torch.where(_chosen(rgb, 0.5), along.square() + across.square(), box) < 1
    stripes = 1 + 0.3 * torch.sin(across * _uniform(rgb, 0, 60, 1, 1, 1))
    return torch.where(inside, _uniform(rgb, 0, 1, 3, 1, 1) * stripes, rgb)


def _with_glasses(rgb: Tensor, landmarks: Tensor) -> Tensor:
    """Rims around the eyes, the glass clear or dark."""
    x, y = _axes(rgb)
    frame = _uniform(rgb, 0, 0.5, 3, 1, 1)
    tint = _uniform(rgb, 0.0, 1.0, 1, 1, 1) ** 3 * 0.9
    wide_by, high_by, rim_to = (
        _uniform(rgb, low, high, 1, 1, 1) for low, high in ((0.65, 0.95), (0.45, 0.8), (1.06, 1.25))
    )
    for first, last in ((36, 39), (42, 45)):
        middle = (landmarks[:, first] + landmarks[:, last]) / 2
        wide = (landmarks[:, first] - landmarks[:, last]).norm(dim=1).clamp(min=0.03)[:, None, None, None]
        u = (x - middle[:, 0, None, None, None]) / (wide * wide_by)
        v = (y - middle[:, 1, None, None, None]) / (wide * high_by)
        radius = (u.square() + v.square()).sqrt()
        rgb = torch.where(radius < 1, rgb + tint * (frame - rgb), rgb)
        rgb = torch.where((radius >= 1) & (radius < rim_to), frame, rgb)
    return rgb


def photographed(rgb: Tensor) -> Tensor:
    """Lost resolution (faces from 30 pixels), motion, noise, JPEG, colours of (B, 3, S, S)."""
    batch, size = len(rgb), rgb.shape[-1]
    # A few sizes a batch, so that whole groups are resampled at once.
    group = torch.randint(0, 4, (batch,))
    for number in (1, 2, 3):
        rows = (group == number).nonzero()[:, 0].to(rgb.device, non_blocking=True)
        if len(rows) == 0:
            continue
        small_px = int(size * float(torch.empty(()).uniform_(0.16, 0.8)))
        small = F.interpolate(rgb[rows], size=(small_px, small_px), mode="area")
        noisy = small + torch.randn_like(small) * float(torch.rand(()) ** 2) * 0.05
        rgb = rgb.index_copy(0, rows, F.interpolate(noisy, size=(size, size), mode="bilinear"))
    rows = _some(rgb, 0.06)
    if len(rows):
        length = 2 * int(torch.randint(1, 6, ())) + 1
        moving = F.avg_pool2d(
            rgb[rows], (1, length), stride=1, padding=(0, length // 2), count_include_pad=False
        )
        rgb = rgb.index_copy(0, rows, moving)
    rgb = augment.ColorChange.random(batch, rgb.device)(rgb)
    rgb = torch.where(_chosen(rgb, 0.04), rgb.mean(1, keepdim=True), rgb)
    strength = _uniform(rgb, 0, 1, 1, 1, 1) ** 3 * 0.06
    rgb = (rgb + torch.randn_like(rgb) * strength).clamp(0, 1)
    return compressed(rgb, 0.25)


def compressed(rgb: Tensor, share: float) -> Tensor:
    """Some of the pictures (B, 3, S, S) through JPEG of quality 20 to 90."""
    rows = _some(rgb, share)
    if len(rows):
        chosen = rgb[rows]
        rgb = rgb.index_copy(0, rows, jpeg.compress(chosen, _uniform(chosen, 20, 91).floor()))
    return rgb


def beyond_photo(rgb: Tensor) -> Tensor:
    """Black where the photograph ends: at one side of every twelfth crop, as the core fills it."""
    x, y = _axes(rgb)
    outwards = torch.where(_chosen(rgb, 0.5), x, y) * torch.where(_chosen(rgb, 0.5), 1, -1)
    lost = _chosen(rgb, 1 / 12) & (outwards > _uniform(rgb, 0.3, 0.9, 1, 1, 1))
    return rgb.masked_fill(lost, 0)
