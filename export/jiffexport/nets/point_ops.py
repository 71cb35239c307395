"""Operators on point sets and voxels, in torch, for training and for comparing; `csrc/ops` deploys them.

All are deterministic on the CPU. Ties go to the lower index.
"""

from __future__ import annotations

import torch
from torch import Tensor


def gather_points(values: Tensor, index: Tensor) -> Tensor:
    """Rows of `values` (B, N, C) at `index` (B, ...) -> (B, ..., C)."""
    batch = torch.arange(len(values), device=values.device).view(-1, *[1] * (index.dim() - 1))
    return values[batch, index]


def farthest_points(points: Tensor, num_samples: int) -> Tensor:
    """Indices of points, each the farthest from all before it; the first is point 0.

    Parameters
    ----------
    points
        (B, N, 3).
    num_samples
        How many, 1 to N.

    Returns
    -------
    Tensor
        (B, num_samples), int64.

    Raises
    ------
    ValueError
        If there are fewer points than samples asked for.
    """
    num_batches, num_points, _ = points.shape
    if not 1 <= num_samples <= num_points:
        raise ValueError(f"num_samples must be from 1 to the {num_points} points, got {num_samples}")
    chosen = torch.zeros(num_batches, num_samples, dtype=torch.int64, device=points.device)
    distance = torch.full((num_batches, num_points), torch.inf, device=points.device)
    for i in range(1, num_samples):
        step = (points - gather_points(points, chosen[:, i - 1])[:, None]).square().sum(2)
        distance = torch.minimum(distance, step)
        chosen[:, i] = distance.argmax(1)
    return chosen


def ball_query(points: Tensor, centers: Tensor, radius: float, group_size: int) -> Tensor:
    """The first `group_size` points, by index, within `radius` of each centre.

    Groups that are not full repeat their first point. A centre must have a point in reach.

    Parameters
    ----------
    points, centers
        (B, N, 3) and (B, M, 3).

    Returns
    -------
    Tensor
        (B, M, group_size), int64.
    """
    num_points = points.shape[1]
    near = _distances(centers, points) <= radius
    index = torch.where(near, torch.arange(num_points, device=points.device), num_points)
    index = index.topk(min(group_size, num_points), dim=2, largest=False, sorted=True).values
    first = index[:, :, :1]
    index = torch.where(index == num_points, first, index)
    return torch.cat([index, first.expand(-1, -1, group_size - index.shape[2])], 2)


def interpolate_nearest(values: Tensor, sources: Tensor, targets: Tensor) -> Tensor:
    """Values at the targets from their three nearest sources, weighted by the inverse squared distance.

    Parameters
    ----------
    values, sources
        (B, M, C) at (B, M, 3), M at least 3.
    targets
        (B, N, 3).

    Returns
    -------
    Tensor
        (B, N, C).
    """
    distance, index = _distances(targets, sources).topk(3, dim=2, largest=False, sorted=True)
    weight = 1 / (distance.square() + 1e-8)
    weight = weight / weight.sum(2, keepdim=True)
    return (gather_points(values, index) * weight[..., None].to(values.dtype)).sum(2)


def _distances(a: Tensor, b: Tensor) -> Tensor:
    # Not by a matrix product, whose rounding moves neighbours across the radius.
    return torch.cdist(a.float(), b.float(), compute_mode="donot_use_mm_for_euclid_dist")


def voxel_indices(coordinates: Tensor, resolution: int) -> Tensor:
    """Voxel x + R (y + R z) of coordinates (B, N, 3) in [0, 1) -> (B, N), int64."""
    cell = (coordinates * resolution).long()
    return cell[..., 0] + resolution * (cell[..., 1] + resolution * cell[..., 2])


def voxel_max(codes: Tensor, voxels: Tensor) -> Tensor:
    """For every point the channel-wise largest code in its voxel: (B, N, C), (B, N) -> (B, N, C)."""
    sample = torch.arange(len(voxels), device=voxels.device)[:, None]
    labels = sample * (voxels.max() + 1) + voxels  # unique over rows would be 40 times slower on a CPU
    groups, group = labels.flatten().unique(return_inverse=True)
    flat = codes.flatten(0, 1)
    largest = flat.new_full((len(groups), flat.shape[1]), -torch.inf)
    largest = largest.scatter_reduce(0, group[:, None].expand_as(flat), flat, "amax")
    return largest[group].view_as(codes)


def voxel_mean(codes: Tensor, voxels: Tensor, resolution: int) -> Tensor:
    """The mean code of each voxel, 0 where it is empty: (B, N, C), (B, N) -> (B, C, R, R, R) as [z, y, x]."""
    num_batches, _, channels = codes.shape
    num_voxels = resolution**3
    offset = num_voxels * torch.arange(num_batches, device=voxels.device)[:, None]
    voxel = (voxels + offset).flatten()
    flat = codes.flatten(0, 1).float()
    sums = flat.new_zeros(num_batches * num_voxels, channels).index_add(0, voxel, flat)
    counts = torch.bincount(voxel, minlength=num_batches * num_voxels).clamp(min=1)
    mean = (sums / counts[:, None]).view(num_batches, num_voxels, channels)
    return mean.transpose(1, 2).reshape(num_batches, channels, resolution, resolution, resolution)
