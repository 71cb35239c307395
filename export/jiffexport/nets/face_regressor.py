"""The 257 coefficients of a face model from an aligned crop (paper Sec. 4.1).

The network finds the face's landmarks first: a heatmap for each, whose mean is the landmark's place and whose
weights read the features there. Coefficients from pooled features alone stayed twice as inexact at the same
training. What they predict is then compared with the places found, and corrected, a few times.

Plain convolutions instead of MobileNet's depthwise ones: at the same accuracy budget they train three
times as fast on a CPU, and a crop takes a few milliseconds either way.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import FaceRegressorConfig

NUM_COEFFICIENTS = 257
NUM_SHAPE = 144
"""The first of the coefficients: identity 80 and expression 64."""
NUM_LANDMARKS = 68
POSE_START = 251
"""Where the six numbers of the pose begin; before them: identity 80, expression 64, texture 80, light 27."""


class FaceReading(NamedTuple):
    """What a crop says.

    Attributes
    ----------
    heatmaps : (B, 68, side²) logits of where the landmarks are, on the pixels of a square map, row by row.
    places : (B, 68, 2), their means, in crop coordinates.
    coefficients : (B, 257).
    """

    heatmaps: Tensor
    places: Tensor
    coefficients: Tensor


class _Block(nn.Module):
    """relu(x + norm(conv(relu(norm(conv(x))))))."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _convolution(channels, channels, 1)
        self.second = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.second(self.first(x)))


def _convolution(in_channels: int, out_channels: int, stride: int, kernel: int = 3) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, stride=stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
    )


class _Trunk(nn.Module):
    """Image -> the map of every stage, the finest first."""

    def __init__(self, config: FaceRegressorConfig) -> None:
        super().__init__()
        stem: list[nn.Module] = []
        channels = 3
        for width in config.stem_channels:
            stem.append(_convolution(channels, width, 2))
            channels = width
        self.stem = nn.Sequential(*stem)
        self.stages = nn.ModuleList()
        for i, (width, num_blocks) in enumerate(zip(config.stage_channels, config.stage_blocks, strict=True)):
            layers: list[nn.Module] = []
            if i > 0 or width != channels:
                layers.append(_convolution(channels, width, 2 if i > 0 else 1))
            layers += [_Block(width) for _ in range(num_blocks)]
            self.stages.append(nn.Sequential(*layers))
            channels = width

    def forward(self, image: Tensor) -> list[Tensor]:
        maps = [self.stages[0](self.stem(image))]
        for stage in self.stages[1:]:
            maps.append(stage(maps[-1]))
        return maps


class _Merge(nn.Module):
    """The maps of all stages in one, at the resolution of the finest."""

    def __init__(self, stage_channels: tuple[int, ...], channels: int) -> None:
        super().__init__()
        self.narrow = nn.ModuleList(nn.Conv2d(c, channels, 1, bias=False) for c in stage_channels)
        self.norm = nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU())
        self.mix = nn.Sequential(_convolution(channels, channels, 1), _Block(channels))

    def forward(self, maps: list[Tensor]) -> Tensor:
        merged = self.narrow[0](maps[0])
        for narrow, coarse in zip(self.narrow[1:], maps[1:], strict=True):
            merged = merged + F.interpolate(narrow(coarse), size=merged.shape[-2:], mode="nearest")
        return self.mix(self.norm(merged))


class FaceRegressor(nn.Module):
    """Shrunk crop (B, 3, S, S) in [-1, 1] -> coefficients (B, 257).

    Buffers travel with the weights: coefficients count in units of `scale` around `center`, both (257,), and
    `landmark_mean` (68, 3) and `landmark_basis` (144, 68, 3), metres, are the model's landmarks.
    """

    center: Tensor
    scale: Tensor
    landmark_mean: Tensor
    landmark_basis: Tensor
    grid: Tensor

    def __init__(self, config: FaceRegressorConfig) -> None:
        super().__init__()
        self.config = config
        self.trunk = _Trunk(config)
        self.merge = _Merge(config.stage_channels, config.map_channels)
        self.heatmaps = nn.Conv2d(config.map_channels, NUM_LANDMARKS, 1)
        self.point_code = nn.Linear(config.map_channels, config.point_channels)
        self.code = _convolution(config.stage_channels[-1], config.code_channels, 1, kernel=1)

        side = config.image_size_px
        for _ in config.stem_channels:
            side = (side + 1) // 2
        self.register_buffer("grid", _pixel_centers(side), persistent=False)
        for _ in config.stage_channels[1:]:
            side = (side + 1) // 2
        width = NUM_LANDMARKS * (2 + config.point_channels) + config.code_channels * side**2
        self.hidden = nn.Sequential(
            nn.Linear(width, config.hidden_channels),
            nn.ReLU(),
            nn.Linear(config.hidden_channels, config.hidden_channels),
            nn.ReLU(),
        )
        self.first = nn.Linear(config.hidden_channels, NUM_COEFFICIENTS)
        self.corrections = nn.ModuleList(
            nn.Sequential(
                nn.Linear(config.hidden_channels + 2 * NUM_LANDMARKS, config.hidden_channels),
                nn.ReLU(),
                nn.Linear(config.hidden_channels, NUM_COEFFICIENTS),
            )
            for _ in range(config.num_corrections)
        )
        for last in (self.first, *(correction[2] for correction in self.corrections)):
            nn.init.normal_(last.weight, std=1e-3)
            nn.init.zeros_(last.bias)
        self.register_buffer("center", torch.zeros(NUM_COEFFICIENTS))
        self.register_buffer("scale", torch.ones(NUM_COEFFICIENTS))
        self.register_buffer("landmark_mean", torch.zeros(NUM_LANDMARKS, 3))
        self.register_buffer("landmark_basis", torch.zeros(NUM_SHAPE, NUM_LANDMARKS, 3))

    def read(self, image: Tensor) -> FaceReading:
        """Landmarks and coefficients of shrunk crops (B, 3, S, S)."""
        maps = self.trunk(image)
        merged = self.merge(maps)
        heatmaps = self.heatmaps(merged).flatten(2)
        attention = heatmaps.softmax(2)
        places = attention @ self.grid
        points = self.point_code(attention @ merged.flatten(2).transpose(1, 2))
        hidden = self.hidden(
            torch.cat([places.flatten(1), points.flatten(1), self.code(maps[-1]).flatten(1)], 1)
        )
        coefficients = self.center + self.scale * self.first(hidden)
        for correction in self.corrections:
            missed = _MISS_SCALE * (places - self.predicted_places(coefficients)).flatten(1)
            coefficients = coefficients + self.scale * correction(torch.cat([hidden, missed], 1))
        return FaceReading(heatmaps, places, coefficients)

    def predicted_places(self, coefficients: Tensor) -> Tensor:
        """Places (B, 68, 2) of the landmarks of coefficients (B, 257)."""
        moved = coefficients[:, :NUM_SHAPE] @ self.landmark_basis.flatten(1)
        shape = self.landmark_mean + moved.unflatten(1, (NUM_LANDMARKS, 3))
        return project(shape, coefficients[:, POSE_START:], self.config.side_m)[..., :2]

    def forward(self, image: Tensor) -> Tensor:
        return self.read(image).coefficients

    def inference(self, image: Tensor) -> dict[str, Tensor]:
        """What a deployed graph gives for a whole crop (B, 3, C, C)."""
        return {"coefficients": self(F.avg_pool2d(image, self.config.shrink))}


_MISS_SCALE = 10.0
"""Brings errors of landmarks, some hundredths of the crop, to about size one."""


def _pixel_centers(side: int) -> Tensor:
    """Crop coordinates (side², 2), x right and y down, of a map's pixels in the order they are stored."""
    axis = (2 * torch.arange(side) + 1) / side - 1
    return torch.stack([axis.repeat(side), axis.repeat_interleave(side)], 1)


def rotation_from_angles(angles: Tensor) -> Tensor:
    """R = Rz(c) Ry(b) Rx(a), (B, 3, 3), of angles (B, 3) = (a, b, c) in radians."""
    (sa, sb, sc), (ca, cb, cc) = angles.sin().unbind(-1), angles.cos().unbind(-1)
    rows = [
        torch.stack([cc * cb, cc * sb * sa - sc * ca, cc * sb * ca + sc * sa], -1),
        torch.stack([sc * cb, sc * sb * sa + cc * ca, sc * sb * ca - cc * sa], -1),
        torch.stack([-sb, cb * sa, cb * ca], -1),
    ]
    return torch.stack(rows, -2)


def project(vertices: Tensor, pose: Tensor, side_m: float) -> Tensor:
    """Model vertices (B, N, 3), metres, in crop coordinates (B, N, 3): x right, y down, z to the camera.

    The crop is [-1, 1] in x and y. Pose (B, 6): angles, shift x, shift y, log scale (docs/conventions.md).
    """
    turned = vertices @ rotation_from_angles(pose[:, :3]).transpose(1, 2)
    scaled = turned * (pose[:, 5].exp() * (2.0 / side_m))[:, None, None]
    x, y, z = scaled.unbind(-1)
    return torch.stack([x + pose[:, 3:4], pose[:, 4:5] - y, z], -1)
