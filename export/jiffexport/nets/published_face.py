"""The published face regressor: a ResNet-50 with seven heads (paper [19], Deep3DFaceReconstruction).

Its weights go with the Basel Face Model and are not ours to ship; this reads the checkpoint that a user has.
Module names follow it: `backbone.*` and `final_layers.0` to `.6` for 80 identity, 64 expression, 80 texture,
3 angles, 27 light, 2 shift and 1 depth coefficients.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .face_regressor import NUM_COEFFICIENTS

HEAD_WIDTHS = (80, 64, 80, 3, 27, 2, 1)
CROP_SIZE_PX = 224
SIDE_M = 0.22
"""Side of the crop on the mean face: 224 pixels are 2.2 decimetres at the camera's focus to within 0.4 %."""

_FOCAL_PX, _CAMERA_DM, _CENTER_PX = 1015.0, 10.0, 112.0


@dataclass(frozen=True)
class PublishedFaceRegressorConfig:
    """What the crop must be; see `FaceRegressorConfig`."""

    crop_size_px: int = CROP_SIZE_PX
    side_m: float = SIDE_M


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3 and 1 x 1 convolutions around a shortcut; the 3 x 3 one carries the stride."""

    def __init__(self, in_channels: int, width: int, stride: int) -> None:
        super().__init__()
        out_channels = 4 * width
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.downsample: nn.Module | None = None
        if stride != 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False),
                nn.BatchNorm2d(out_channels),
            )

    def forward(self, x: Tensor) -> Tensor:
        out = torch.relu(self.bn1(self.conv1(x)))
        out = torch.relu(self.bn2(self.conv2(out)))
        shortcut = x if self.downsample is None else self.downsample(x)
        return torch.relu(self.bn3(self.conv3(out)) + shortcut)


class ResNet50(nn.Module):
    """Image (B, 3, H, W) -> (B, 2048, 1, 1)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        channels = 64
        for number, (width, num_blocks) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3)), start=1):
            blocks = [Bottleneck(channels, width, 1 if number == 1 else 2)]
            channels = 4 * width
            blocks += [Bottleneck(channels, width, 1) for _ in range(num_blocks - 1)]
            self.add_module(f"layer{number}", nn.Sequential(*blocks))

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.max_pool2d(torch.relu(self.bn1(self.conv1(x))), 3, stride=2, padding=1)
        for number in range(1, 5):
            x = self.get_submodule(f"layer{number}")(x)
        return x.mean((2, 3), keepdim=True)


class PublishedFaceRegressor(nn.Module):
    """Crop (B, 3, 224, 224) in [-1, 1] -> our 257 coefficients, the pose for an orthographic camera."""

    def __init__(self) -> None:
        super().__init__()
        self.config = PublishedFaceRegressorConfig()
        self.backbone = ResNet50()
        self.final_layers = nn.ModuleList(nn.Conv2d(2048, width, 1) for width in HEAD_WIDTHS)

    def published(self, image: Tensor) -> Tensor:
        """The checkpoint's own output (B, 257) for a crop (B, 3, 224, 224) in [0, 1]."""
        code = self.backbone(image)
        return torch.cat([layer(code).flatten(1) for layer in self.final_layers], 1)

    def forward(self, image: Tensor) -> Tensor:
        return as_our_coefficients(self.published((image + 1) / 2))

    def inference(self, image: Tensor) -> dict[str, Tensor]:
        """What a deployed graph gives."""
        return {"coefficients": self(image)}


def as_our_coefficients(published: Tensor) -> Tensor:
    """Published coefficients (B, 257) in our order and pose.

    Identity, expression, texture and light are as they were (the light in the published shading's own
    terms). The published camera is a pinhole of 1015 pixels focal length ten decimetres away; at the
    distance of the face's origin it is our orthographic one.
    """
    if published.ndim != 2 or published.shape[1] != NUM_COEFFICIENTS:
        raise ValueError(
            f"published coefficients must be (B, {NUM_COEFFICIENTS}), got {tuple(published.shape)}"
        )
    own, angles, light, shift, depth = published.split([224, 3, 27, 2, 1], 1)
    px_per_dm = _FOCAL_PX / (_CAMERA_DM - depth)
    flipped = shift * shift.new_tensor([1.0, -1.0])
    log_scale = (px_per_dm * (10 * SIDE_M) / CROP_SIZE_PX).clamp(min=math.exp(-5)).log()
    return torch.cat([own, light, angles, flipped * px_per_dm / _CENTER_PX, log_scale], 1)
