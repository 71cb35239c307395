"""Normalisation layers by name."""

from __future__ import annotations

from torch import nn

from .config import Norm


def make_norm(kind: Norm, channels: int) -> nn.Module:
    """`group`: 32 groups, as published. `batch`: folds into its neighbours at export."""
    if kind == "group":
        return nn.GroupNorm(32, channels)
    if kind == "batch":
        return nn.BatchNorm2d(channels)
    raise ValueError(f"norm must be 'group' or 'batch', got {kind!r}")
