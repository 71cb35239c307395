"""The residual-block image encoder for colour: the ResNet generator's trunk of CycleGAN (paper Sec. 5).

Module names follow the published checkpoints.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from .config import ColorConfig, FineColorConfig, Norm
from .norm import make_norm

STRIDE = 4
"""Pixels of the picture by texel of the map."""


class ResidualBlock(nn.Module):
    """x + conv(relu(norm(conv(x)))); the last block of a trunk leaves out the closing norm."""

    def __init__(self, channels: int, norm: Norm, closing_norm: bool) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3, bias=False),
            make_norm(norm, channels),
            nn.ReLU(),
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3, bias=False),
        ]
        if closing_norm:
            layers.append(make_norm(norm, channels))
        self.conv_block = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv_block(x)


@dataclass(frozen=True)
class Reach:
    """How far a picture and its borders reach in the map of a `ResidualEncoder`, in texels.

    Around a figure on a ground of one value: beyond `figure` texels from it, and `border` texels from the
    left and upper borders, whose zeros the strided convolutions see, all texels of a row or column are one.
    """

    figure: int
    border: int


class ResidualEncoder(nn.Module):
    """Image (B, Cin, S, S) -> features (B, 4 * base_channels, S/4, S/4)."""

    def __init__(self, config: ColorConfig | FineColorConfig) -> None:
        super().__init__()
        # The 7 x 7 and two strided convolutions reach two texels, then each of two in a block one more.
        in_blocks = 2 * config.num_blocks
        self.reach = Reach(figure=2 + in_blocks, border=1 + in_blocks)
        norm, base = config.norm, config.base_channels
        layers: list[nn.Module] = [
            nn.ReflectionPad2d(3),
            nn.Conv2d(config.in_channels, base, 7, bias=False),
            make_norm(norm, base),
            nn.ReLU(),
        ]
        for channels in (base, 2 * base):
            layers += [
                nn.Conv2d(channels, 2 * channels, 3, stride=2, padding=1, bias=False),
                make_norm(norm, 2 * channels),
                nn.ReLU(),
            ]
        layers += [
            ResidualBlock(4 * base, norm, closing_norm=i < config.num_blocks - 1)
            for i in range(config.num_blocks)
        ]
        self.model = nn.Sequential(*layers)

    def forward(self, image: Tensor) -> Tensor:
        return self.model(image)

    def inference(self, image: Tensor) -> dict[str, Tensor]:
        """What a deployed graph gives."""
        return {"features": self(image)}
