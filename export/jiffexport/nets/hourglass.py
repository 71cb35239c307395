"""The stacked-hourglass image encoder of PIFu and JIFF (paper Sec. 3.1).

Module names follow the published checkpoints, so that their tensors load without a table of renames.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import Norm, ShapeConfig
from .norm import make_norm
from .upsample import upsample_bicubic


class ConvBlock(nn.Module):
    """Pre-activation residual block: three 3 x 3 convolutions whose outputs are concatenated.

    (B, Cin, H, W) -> (B, Cout, H, W).
    """

    def __init__(self, in_channels: int, out_channels: int, norm: Norm) -> None:
        super().__init__()
        half, quarter = out_channels // 2, out_channels // 4
        self.bn1 = make_norm(norm, in_channels)
        self.conv1 = nn.Conv2d(in_channels, half, 3, padding=1, bias=False)
        self.bn2 = make_norm(norm, half)
        self.conv2 = nn.Conv2d(half, quarter, 3, padding=1, bias=False)
        self.bn3 = make_norm(norm, quarter)
        self.conv3 = nn.Conv2d(quarter, quarter, 3, padding=1, bias=False)
        self.downsample: nn.Module
        if in_channels != out_channels:
            norm4 = make_norm(norm, in_channels)
            self.downsample = nn.Sequential(
                norm4, nn.ReLU(), nn.Conv2d(in_channels, out_channels, 1, bias=False)
            )
        else:
            self.downsample = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        a = self.conv1(F.relu(self.bn1(x)))
        b = self.conv2(F.relu(self.bn2(a)))
        c = self.conv3(F.relu(self.bn3(b)))
        return torch.cat([a, b, c], 1) + self.downsample(x)


class Hourglass(nn.Module):
    """Down `depth` times and up again, with a residual block on every skip. Shape is kept.

    Upsampling is bicubic with aligned corners, as published.
    """

    def __init__(self, channels: int, depth: int, norm: Norm) -> None:
        super().__init__()
        self.depth = depth
        for level in range(1, depth + 1):
            for name in ("b1", "b2", "b3"):
                self.add_module(f"{name}_{level}", ConvBlock(channels, channels, norm))
        self.b2_plus_1 = ConvBlock(channels, channels, norm)

    def _descend(self, level: int, x: Tensor) -> Tensor:
        skip = getattr(self, f"b1_{level}")(x)
        low = getattr(self, f"b2_{level}")(F.avg_pool2d(x, 2))
        low = self._descend(level - 1, low) if level > 1 else self.b2_plus_1(low)
        low = getattr(self, f"b3_{level}")(low)
        return skip + upsample_bicubic(low, skip.shape[-2], skip.shape[-1])

    def forward(self, x: Tensor) -> Tensor:
        return self._descend(self.depth, x)


class HourglassEncoder(nn.Module):
    """Image (B, Cin, S, S) -> one feature map (B, C, S/4, S/4) a stack, the last one best.

    With `estimates_size` it also gives the logarithm of the frame's metric side, (B, 1), from the
    features averaged over the person.
    """

    def __init__(self, config: ShapeConfig) -> None:
        super().__init__()
        norm, channels = config.norm, config.feature_channels
        first, second, third = config.stem_channels
        self.num_stacks = config.num_stacks
        self.conv1 = nn.Conv2d(config.in_channels, first, 7, stride=2, padding=3)
        self.bn1 = make_norm(norm, first)
        self.conv2 = ConvBlock(first, second, norm)
        self.conv3 = ConvBlock(second, third, norm)
        self.conv4 = ConvBlock(third, channels, norm)
        for i in range(config.num_stacks):
            self.add_module(f"m{i}", Hourglass(channels, config.hourglass_depth, norm))
            self.add_module(f"top_m_{i}", ConvBlock(channels, channels, norm))
            self.add_module(f"conv_last{i}", nn.Conv2d(channels, channels, 1))
            self.add_module(f"bn_end{i}", make_norm(norm, channels))
            self.add_module(f"l{i}", nn.Conv2d(channels, channels, 1))
            if i < config.num_stacks - 1:
                self.add_module(f"bl{i}", nn.Conv2d(channels, channels, 1))
                self.add_module(f"al{i}", nn.Conv2d(channels, channels, 1))
        self.size: nn.Module | None = None
        if config.estimates_size:
            self.size = nn.Sequential(nn.Linear(channels, 64), nn.ReLU(), nn.Linear(64, 1))

    def forward(self, image: Tensor) -> tuple[list[Tensor], Tensor | None]:
        x = F.relu(self.bn1(self.conv1(image)))
        x = F.avg_pool2d(self.conv2(x), 2)
        x = self.conv4(self.conv3(x))
        outputs: list[Tensor] = []
        for i in range(self.num_stacks):
            hidden = getattr(self, f"top_m_{i}")(getattr(self, f"m{i}")(x))
            hidden = F.relu(getattr(self, f"bn_end{i}")(getattr(self, f"conv_last{i}")(hidden)))
            outputs.append(getattr(self, f"l{i}")(hidden))
            if i < self.num_stacks - 1:
                x = x + getattr(self, f"bl{i}")(hidden) + getattr(self, f"al{i}")(outputs[-1])
        log_size = None
        if self.size is not None:
            log_size = self.size(self._pool(hidden, image))
        return outputs, log_size

    @staticmethod
    def _pool(features: Tensor, image: Tensor) -> Tensor:
        """Mean of the features over the person, (B, C). The last image channel is the mask."""
        weight = F.avg_pool2d(image[:, -1:], image.shape[-1] // features.shape[-1]) + 1e-3
        return (features * weight).sum((2, 3)) / weight.sum((2, 3))

    def inference(self, image: Tensor) -> dict[str, Tensor]:
        """What a deployed graph gives: `features` of the last stack and, if there, `log_size_m`."""
        outputs, log_size = self(image)
        result = {"features": outputs[-1]}
        if log_size is not None:
            result["log_size_m"] = log_size
        return result
