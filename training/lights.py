"""Shading by second-order spherical harmonics, the light that the generated people stand in."""

from __future__ import annotations

import torch
from torch import Tensor

from .people.lights import harmonics

GAMMA = 2.2


def sh_basis(normals: Tensor) -> Tensor:
    """Real spherical harmonics up to order 2 at unit `normals` (..., 3) -> (..., 9)."""
    return torch.stack(harmonics(*normals.unbind(-1)), -1)


def shade(sh: Tensor, normals: Tensor, albedo: Tensor) -> Tensor:
    """sRGB colour of a diffuse surface: sh (B, 9, 3), normals and sRGB albedo (B, N, 3) -> (B, N, 3)."""
    light = (sh_basis(normals) @ sh).clamp(min=0)
    return (albedo.clamp(min=0) ** GAMMA * light).clamp(1e-6, 1) ** (1 / GAMMA)
