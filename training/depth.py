"""Front and back of a body as depth maps: taught to the encoder, and the frame in which the head learns.

A photograph tells the depth of a hand only to some centimetres, while the hand is two centimetres thick.
A head that is asked for the occupancy at true depths can then only learn a probability, and its surface
smears along the view or vanishes. So the encoder is taught the depth, as the median of what is possible,
and the head learns the shape around that: its query points are moved to where the encoder believes them.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .dataset import People, Views, transform


def depth_maps(
    people: People, views: Views, feature_size: int, least_points: int = 4
) -> tuple[Tensor, Tensor]:
    """How far the body reaches to the front and to the back, on half the grid of a feature map.

    Taken from the surface points that fall onto a block of 2 x 2 texels (aligned corners,
    docs/conventions.md); single texels would be too small for the points of a close view.

    Returns
    -------
    depth
        (B, 2, S, S) greatest and least view z, S = feature_size / 2.
    known
        (B, 1, S, S): 1 where `least_points` points or more fell, else 0.
    """
    seen = transform(views.view_from_world, people.surface_points[views.subject])
    return front_and_back(seen, feature_size, least_points)


def front_and_back(seen: Tensor, feature_size: int, least_points: int = 4) -> tuple[Tensor, Tensor]:
    """The same of points (B, N, 3) on the surface; the map spans -1 to 1 in x and y."""
    size = feature_size // 2
    texel = ((seen[..., :2] + 1) / 2 * (feature_size - 1)).round().long()
    inside = ((texel >= 0) & (texel < feature_size)).all(-1)
    block = texel // 2
    cell = torch.where(inside, block[..., 1] * size + block[..., 0], size * size)
    grid = seen.new_zeros(len(seen), size * size + 1)
    front = grid.scatter_reduce(1, cell, seen[..., 2], "amax", include_self=False)
    back = grid.scatter_reduce(1, cell, seen[..., 2], "amin", include_self=False)
    count = grid.scatter_add(1, cell, torch.ones_like(seen[..., 2]))
    depth = torch.stack([front, back], 1)[..., :-1].unflatten(2, (size, size))
    return depth, (count[:, None, :-1] >= least_points).float().unflatten(2, (size, size))


def taught_depth(features: Tensor, depth_scale: float) -> Tensor:
    """What a feature map (B, C, 2 S, 2 S) believes of `depth_maps`, (B, 2, S, S), view z.

    The first two channels hold it, scaled as the head's depth input is.
    """
    return F.avg_pool2d(features[:, :2].float(), 2) / depth_scale


def sample_blocks(maps: Tensor, points: Tensor) -> Tensor:
    """Maps (B, C, S, S) of blocks, as `depth_maps` gives them, at view points (B, N, 3): (B, C, N)."""
    # Blocks sit between the texels of the feature map: their corners are half a texel further in.
    size = 2 * maps.shape[-1]
    grid = points[:, None, :, :2] * (size - 1) / (size - 2)
    return F.grid_sample(maps, grid, padding_mode="border", align_corners=True)[:, :, 0]


def to_taught_depth(points: Tensor, depth: Tensor, known: Tensor, taught: Tensor) -> Tensor:
    """Points (B, N, 3) moved along z as the front and back of their column have to be moved.

    Between front and back the move is interpolated, so that the order along z is kept.

    Parameters
    ----------
    depth, known
        Of `depth_maps`.
    taught
        Of `taught_depth`.
    """
    moves = _filled(taught - depth, known)
    maps = torch.cat([_filled(depth, known), moves], 1)
    front, back, front_move, back_move = sample_blocks(maps, points).unbind(1)
    gap = (front - back).clamp(min=1e-3)
    stretch = (front_move - back_move).maximum(-0.8 * gap)
    share = ((points[..., 2] - back) / gap).clamp(0, 1)
    middle = (front_move + back_move) / 2 - stretch / 2
    return torch.cat([points[..., :2], (points[..., 2] + middle + share * stretch)[..., None]], 2)


def _filled(maps: Tensor, known: Tensor) -> Tensor:
    """Means over the known of 3 x 3 blocks, where none is known of ever larger squares."""
    result = (maps * known).sum((2, 3), keepdim=True) / known.sum((2, 3), keepdim=True).clamp(min=1)
    result = result.expand_as(maps)
    for side in (17, 7, 3):
        share = F.avg_pool2d(known, side, stride=1, padding=side // 2)
        mean = F.avg_pool2d(maps * known, side, stride=1, padding=side // 2) / share.clamp(min=1e-6)
        result = torch.where(share > 0, mean, result)
    return result
