"""The 3-D U-Net over the voxelised point codes (paper Sec. 4.2, [14]).

Module names follow the published checkpoints; so a norm is called `groupnorm` of whatever kind it is.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import Norm, VolumeConfig


class NormConvRelu(nn.Module):
    """Norm, 3 x 3 x 3 convolution without bias, ReLU. (B, Cin, ...) -> (B, Cout, ...)."""

    def __init__(self, in_channels: int, out_channels: int, norm: Norm) -> None:
        super().__init__()
        self.groupnorm = nn.GroupNorm(8, in_channels) if norm == "group" else nn.BatchNorm3d(in_channels)
        self.conv = nn.Conv3d(in_channels, out_channels, 3, padding=1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.conv(self.groupnorm(x)))


class Level(nn.Module):
    """Two convolutions at one resolution, of the given widths."""

    def __init__(self, in_channels: int, middle_channels: int, out_channels: int, norm: Norm) -> None:
        super().__init__()
        self.basic_module = nn.Sequential(
            OrderedDict(
                SingleConv1=NormConvRelu(in_channels, middle_channels, norm),
                SingleConv2=NormConvRelu(middle_channels, out_channels, norm),
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.basic_module(x)


class UNet3d(nn.Module):
    """(B, Cin, R, R, R) -> (B, Cout, R, R, R).

    Max pooling on the way down, nearest-neighbour upsampling on the way up, skips concatenated in front.
    """

    def __init__(self, config: VolumeConfig) -> None:
        super().__init__()
        in_channels, level_channels, norm = config.point_channels, config.unet_channels, config.norm
        self.encoders = nn.ModuleList()
        previous = in_channels
        for channels in level_channels:
            # The first convolution of a level widens half way, and never narrows what comes in.
            self.encoders.append(Level(previous, max(channels // 2, previous), channels, norm))
            previous = channels
        self.decoders = nn.ModuleList()
        for channels in reversed(level_channels[:-1]):
            self.decoders.append(Level(previous + channels, channels, channels, norm))
            previous = channels
        self.final_conv = nn.Conv3d(previous, config.feature_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.final_conv(self.before_final_conv(x))

    def before_final_conv(self, x: Tensor) -> Tensor:
        """What the last convolution takes, (B, level_channels[0], R, R, R)."""
        skips: list[Tensor] = []
        for i, encoder in enumerate(self.encoders):
            x = encoder(x if i == 0 else F.max_pool3d(x, 2))
            skips.append(x)
        for decoder, skip in zip(self.decoders, reversed(skips[:-1]), strict=True):
            x = F.interpolate(x, scale_factor=2.0, mode="nearest")
            x = decoder(torch.cat([skip, x], 1))
        return x
