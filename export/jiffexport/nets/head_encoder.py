"""The encoder of a head's own picture: 2-D features for the joint head, in the frame of the face's volume.

In the picture of a whole figure a head is a few texels wide. So where a face is fitted, the head is cut out
of the photograph again, and a small U-Net encodes it beside what the body's encoder says of it.
Everything is in the head's frame, whatever the figure's size: the cube of the fitted face's volume, from -1
to 1 along each axis (`HeadFrame`).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import HeadEncoderConfig
from .norm import make_norm
from .volume_frame import VolumeFrame

DEPTH_LIMIT = 2.0
"""Believed depths are cut here, in half sides of the cube: beside a person the body's map says anything."""


class HeadFrame:
    """View coordinates in the frame of a head, and the square of the view that its picture shows.

    Parameters
    ----------
    frame
        Of the face's volume.
    reach
        `HeadEncoderConfig.reach`.
    """

    def __init__(self, frame: VolumeFrame, reach: float) -> None:
        self.frame = frame
        self.reach = reach

    def coordinates(self, points: Tensor) -> Tensor:
        """View points (B, N, 3) in the head's frame; the cube is -1 .. 1."""
        return (points.float() * self.frame.scale[:, None] + self.frame.offset[:, None]) * 2 - 1

    def on_map(self, points: Tensor) -> Tensor:
        """View points (B, N, 3) on the feature map, whose corners are at ±1, and their depth in the head's
        frame: (B, N, 3), as `sample_features` takes them.
        """
        own = self.coordinates(points)
        return torch.cat([own[..., :2] / self.reach, own[..., 2:]], 2)

    def texels(self, size: int) -> Tensor:
        """Where in the view the texels of a map of side `size` lie, (B, size, size, 2); corners aligned."""
        return self.square_in_view(torch.linspace(-1, 1, size))

    def square_in_view(self, steps: Tensor) -> Tensor:
        """Points of the view (B, N, N, 2) whose x and y on the map are `steps` (N,), ±1 at its sides."""
        steps = steps.to(self.frame.scale.device) * self.reach
        own = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), -1)
        scale, offset = (part[:, None, None, :2] for part in self.frame)
        return ((own + 1) / 2 - offset) / scale

    def believed(self, depth: Tensor, depth_scale: float) -> Tensor:
        """View z (B, 2, T, T) of front and back, at the texels, as the encoder takes it."""
        scale, offset = (part[:, 2, None, None, None] for part in self.frame)
        return ((depth * scale + offset) * 2 - 1).clamp(-DEPTH_LIMIT, DEPTH_LIMIT) * depth_scale


class Block(nn.Module):
    """x + conv(relu(norm(conv(relu(norm(x)))))), 3 x 3."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = (make_norm("batch", channels) for _ in range(2))
        self.conv1, self.conv2 = (nn.Conv2d(channels, channels, 3, padding=1, bias=False) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.relu(self.norm2(self.conv1(F.relu(self.norm1(x))))))


class HeadEncoder(nn.Module):
    """Picture (B, 4, S, S), and of the body at the texels the features (B, D, S/2, S/2) and the depths
    (B, 2, S/2, S/2) that they believe -> features (B, C, S/2, S/2).

    The first two channels are taught to be the depths of the head's front and back, in the head's frame and
    scaled as its depth is.
    """

    def __init__(self, config: HeadEncoderConfig, body_channels: int) -> None:
        super().__init__()
        widths = config.level_channels
        self.stem = nn.Conv2d(4, widths[0], 5, stride=2, padding=2)
        self.depths = nn.Conv2d(2, widths[0], 1)
        self.body = nn.Conv2d(body_channels, widths[0], 1)
        self.down = nn.ModuleList(Block(width) for width in widths)
        self.up = nn.ModuleList(Block(width) for width in widths[:-1])
        pairs = list(zip(widths, widths[1:], strict=False))
        self.widen = nn.ModuleList(nn.Conv2d(a, b, 1) for a, b in pairs)
        self.narrow = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in pairs)
        self.norm = make_norm("batch", widths[0])
        self.front_and_back = nn.Conv2d(widths[0], 2, 1)

    def forward(self, picture: Tensor, body: Tensor, believed: Tensor) -> Tensor:
        x = self.stem(picture) + self.body(body) + self.depths(believed)
        skips: list[Tensor] = []
        for level, block in enumerate(self.down):
            if level:
                x = self.widen[level - 1](F.avg_pool2d(x, 2))
            x = block(x)
            skips.append(x)
        for level in reversed(range(len(self.up))):
            upsampled = F.interpolate(self.narrow[level](x), scale_factor=2.0, mode="nearest")
            x = self.up[level](skips[level] + upsampled)
        x = F.relu(self.norm(x))
        return torch.cat([believed + self.front_and_back(x), x], 1)
