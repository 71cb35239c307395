"""Feature volumes of a face mesh: point encoder, mean by voxel, 3-D U-Net (paper Sec. 4.2)."""

from __future__ import annotations

from torch import Tensor, nn

from .config import ColorVolumeConfig, ShapeVolumeConfig
from .local_pointnet import LocalPointNet
from .point_ops import voxel_indices, voxel_mean
from .pointnet_plus import PointNetPlus
from .unet3d import UNet3d
from .volume_frame import VolumeFrame, volume_frame


class ShapeVolumeEncoder(nn.Module):
    """The volume of the plain mesh."""

    def __init__(self, config: ShapeVolumeConfig) -> None:
        super().__init__()
        self.config = config
        offset_resolution = config.resolution if config.sees_offsets else None
        self.points = LocalPointNet(config.point_channels, config.num_blocks, offset_resolution)
        self.unet3d = UNet3d(config)

    def forward(self, vertices: Tensor) -> tuple[Tensor, VolumeFrame]:
        """Vertices (B, N, 3) in the view -> volume (B, C, R, R, R) as [z, y, x], and where it lies."""
        frame = volume_frame(self.config, vertices)
        coordinates = frame.coordinates(vertices)
        voxels = voxel_indices(coordinates, self.config.resolution)
        codes = self.points(coordinates, voxels)
        return self.unet3d(voxel_mean(codes, voxels, self.config.resolution)), frame


class ColorVolumeEncoder(nn.Module):
    """The volume of the coloured mesh."""

    def __init__(self, config: ColorVolumeConfig) -> None:
        super().__init__()
        self.config = config
        self.points = PointNetPlus(config)
        self.unet3d = UNet3d(config)

    def forward(self, vertices: Tensor, colors: Tensor) -> tuple[Tensor, VolumeFrame]:
        """Vertices (B, N, 3) in the view, their colours (B, N, 3) in [0, 1] -> as `ShapeVolumeEncoder`."""
        frame = volume_frame(self.config, vertices)
        coordinates = frame.coordinates(vertices)
        codes = self.points(coordinates, colors)
        voxels = voxel_indices(coordinates, self.config.resolution)
        return self.unet3d(voxel_mean(codes, voxels, self.config.resolution)), frame
