"""Parts of a picture and of its feature map around a head, as the cache keeps them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from jiffexport.nets.head import sample_features
from jiffexport.nets.head_encoder import HeadFrame

from .face_fits import Region

HEAD_PICTURE_PX = 256
"""Side of the kept picture of a head; the encoder's, which is smaller, is cut out of it for every fit."""


@dataclass(frozen=True)
class Crop:
    """A part of a feature map: features (C, h, w) half, first texel (x, y), side of the whole map."""

    features: Tensor
    first: tuple[int, int]
    size: int

    @staticmethod
    def whole(features: Tensor) -> Crop:
        """All of a map (C, S, S), as it is."""
        return Crop(features, (0, 0), features.shape[-1])

    def place(self, points: Tensor) -> Tensor:
        """View points (..., 3) in coordinates for `sample_features` of the crop, aligned corners."""
        texel = (points[..., :2] + 1) / 2 * (self.size - 1)
        height, width = self.features.shape[1:]
        last = torch.tensor([width - 1, height - 1], device=points.device)
        first = torch.tensor(self.first, device=points.device)
        return torch.cat([2 * (texel - first) / last - 1, points[..., 2:]], -1)

    def samples(self, points: Tensor) -> Tensor:
        """Features (C, N) at view points (N, 3)."""
        return sample_features(self.features[None].float(), self.place(points)[None])[0]

    def at_texels(self, frame: HeadFrame, size: int) -> Tensor:
        """Features (C, size, size) at the texels of a head's map; beyond the crop those of its border."""
        texels = frame.texels(size)[0].flatten(0, 1)
        placed = self.place(texels).clamp(-1, 1)[None].float()
        return sample_features(self.features[None].float(), placed)[0].unflatten(1, (size, size))


def cropped(features: Tensor, low: np.ndarray, high: np.ndarray) -> Crop:
    """The texels of a map (C, S, S) that view points between two corners (2,) need."""
    size = features.shape[-1]
    first = np.floor((np.maximum(low, -1) + 1) / 2 * (size - 1)).astype(int).clip(0, size - 2)
    last = np.ceil((np.minimum(high, 1) + 1) / 2 * (size - 1)).astype(int).clip(first + 1, size - 1)
    part = features[:, first[1] : last[1] + 1, first[0] : last[0] + 1]
    return Crop(part.half().clone(), (int(first[0]), int(first[1])), size)


@dataclass(frozen=True)
class HeadPicture:
    """A square of a picture around a head.

    Attributes
    ----------
    pixels : (4, P, P) uint8, premultiplied RGB and mask.
    center, half : where in the view; half is half its side.
    """

    pixels: Tensor
    center: tuple[float, float]
    half: float

    @staticmethod
    def cut(picture: Tensor, square: Region) -> HeadPicture:
        """A square of a picture (4, S, S) of straight RGB and mask."""
        middle = (square.low + square.high) / 2
        half = float((square.high - square.low).max() / 2)
        premultiplied = torch.cat([picture[:3] * picture[3:], picture[3:]])[None]
        # Whole blocks of pixels: what the grid spans must stay the whole picture.
        shrink = 2 ** max(0, int(np.log2(half * picture.shape[-1] / HEAD_PICTURE_PX)))
        steps = (2 * torch.arange(HEAD_PICTURE_PX) + 1) / HEAD_PICTURE_PX - 1
        own = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), -1)
        grid = (own * half + torch.from_numpy(middle)).float()[None]
        seen = F.grid_sample(F.avg_pool2d(premultiplied, shrink), grid, align_corners=False)
        return HeadPicture((seen[0] * 255).round().byte(), (float(middle[0]), float(middle[1])), half)

    def encoder_input(self, frame: HeadFrame, size_px: int) -> Tensor:
        """What the head's encoder takes, (1, 4, size_px, size_px), of a fit's frame (one)."""
        view = frame.square_in_view((2 * torch.arange(size_px) + 1) / size_px - 1)
        grid = (view - torch.tensor(self.center)) / self.half
        seen = F.grid_sample(self.pixels[None].float() / 255, grid.float(), align_corners=False)
        return torch.cat([2 * seen[:, :3] - seen[:, 3:], seen[:, 3:]], 1)
