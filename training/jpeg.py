"""What JPEG does to a batch of pictures, on the device where they lie: no file is written.

Only the steps that lose something are done: chroma at half the resolution, and cosines rounded to multiples
of the quality's table (ITU-T T.81, Annex K).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

_LUMA = [
    [16, 11, 10, 16, 24, 40, 51, 61],
    [12, 12, 14, 19, 26, 58, 60, 55],
    [14, 13, 16, 24, 40, 57, 69, 56],
    [14, 17, 22, 29, 51, 87, 80, 62],
    [18, 22, 37, 56, 68, 109, 103, 77],
    [24, 35, 55, 64, 81, 104, 113, 92],
    [49, 64, 78, 87, 103, 121, 120, 101],
    [72, 92, 95, 98, 112, 100, 103, 99],
]
_CHROMA = [
    [17, 18, 24, 47],
    [18, 21, 26, 66],
    [24, 26, 56, 99],
    [47, 66, 99, 99],
]
"""The rest of it is 99."""


def _tables() -> Tensor:
    chroma = torch.full((8, 8), 99.0)
    chroma[:4, :4] = torch.tensor(_CHROMA)
    return torch.stack([torch.tensor(_LUMA), chroma])


def _cosines() -> Tensor:
    """The orthonormal cosine transform of eight samples, a row each frequency."""
    frequency, place = torch.arange(8)[:, None], torch.arange(8)
    waves = torch.cos(math.pi / 16 * frequency * (2 * place + 1)) / 2
    waves[0] /= math.sqrt(2)
    return waves


_TABLES, _COSINES = _tables(), _cosines()


def compress(rgb: Tensor, quality: Tensor) -> Tensor:
    """Pictures (B, 3, S, S) in [0, 1] as a file of `quality` (B,), 1 to 100, gives them back.

    S is a multiple of 16. A decoder's values differ by the rounding of its integers.
    """
    scale = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality).view(-1, 1, 1, 1)
    tables = ((_TABLES.to(rgb.device, non_blocking=True) * scale + 50) / 100).floor().clamp(1, 255)
    red, green, blue = (rgb * 255).round().unbind(1)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    chroma = F.avg_pool2d(torch.stack([(blue - luma) / 1.772, (red - luma) / 1.402], 1), 2)
    luma = _rounded(luma[:, None] - 128, tables[:, :1])[:, 0] + 128
    # Halved planes are enlarged linearly, as libjpeg does.
    chroma = F.interpolate(_rounded(chroma, tables[:, 1:]), scale_factor=2, mode="bilinear")
    bluish, reddish = chroma.unbind(1)
    red, blue = luma + 1.402 * reddish, luma + 1.772 * bluish
    green = (luma - 0.299 * red - 0.114 * blue) / 0.587
    return torch.stack([red, green, blue], 1).clamp(0, 255).round() / 255


def _rounded(planes: Tensor, tables: Tensor) -> Tensor:
    """Planes (B, C, H, W) with the cosines of their 8 × 8 blocks rounded to multiples of (B, 1, 8, 8)."""
    cosines = _COSINES.to(planes.device, non_blocking=True)
    blocks = planes.unflatten(3, (-1, 8)).unflatten(2, (-1, 8)).transpose(3, 4)
    steps = tables[:, :, None, None]
    levels = (cosines @ blocks @ cosines.T / steps).round()
    blocks = cosines.T @ (levels * steps) @ cosines
    return blocks.transpose(3, 4).flatten(4, 5).flatten(2, 3)
