"""Where a face volume lies in the view, and sampling it (paper Sec. 4.2; docs/conventions.md)."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from .config import VolumeConfig

# The published cube in its own world units, of which 102.9 are half a frame (docs/conventions.md).
_HALF_FRAME = 102.9
_CUBE_SIDE = 256 * (1 + 0.1 + 0.001)


class VolumeFrame(NamedTuple):
    """The map from view coordinates into the unit cube of a volume: `cube = scale * view + offset`."""

    scale: Tensor  # (B, 3)
    offset: Tensor  # (B, 3)

    def coordinates(self, points: Tensor) -> Tensor:
        """Points (B, N, 3) in the view as coordinates in the cube, clamped to [0, 0.999] as published."""
        cube = points.float() * self.scale[:, None] + self.offset[:, None]
        return torch.where(cube >= 1, 0.999, cube.clamp(min=0))


def volume_frame(config: VolumeConfig, vertices: Tensor) -> VolumeFrame:
    """The frame of the volume of face meshes whose vertices are (B, N, 3) in the view."""
    if config.frame == "body":
        scale = vertices.new_tensor([1.0, -1.0, 1.0]) * (_HALF_FRAME / _CUBE_SIDE)
        # The published cube is centred 100 units up, the frame 90; depth zero lies 1.5 units behind.
        offset = vertices.new_tensor([0.0, 90.0 - 100.0, -1.5]) / _CUBE_SIDE + 0.5
        return VolumeFrame(scale.expand(len(vertices), 3), offset.expand(len(vertices), 3))
    low, high = vertices.float().amin(1), vertices.float().amax(1)
    side = (high - low).amax(1, keepdim=True).clamp(min=1e-6) * (1 + 2 * config.frame_margin)
    scale = (1 / side).expand(-1, 3)
    return VolumeFrame(scale, 0.5 - scale * (low + high) / 2)


def sample_volume(volume: Tensor, coordinates: Tensor) -> Tensor:
    """Trilinear samples, voxel centres at (i + 0.5) / R and zeros outside.

    Parameters
    ----------
    volume
        (B, C, D, H, W).
    coordinates
        (B, N, 3), x y z in the unit cube.

    Returns
    -------
    Tensor
        (B, C, N).
    """
    grid = (coordinates.float() * 2 - 1)[:, None, None]
    samples = F.grid_sample(volume.float(), grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return samples[:, :, 0, 0].to(volume.dtype)
