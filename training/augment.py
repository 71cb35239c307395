"""Random changes that make synthetic pictures less alike: frames, masks, colours, cameras."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class FrameChange:
    """view' = zoom · flip · (view - shift), a batch of B: `zoom` (B,), `shift` (B, 2), `flip` (B,) ±1."""

    zoom: Tensor
    shift: Tensor
    flip: Tensor

    @staticmethod
    def identity(batch: int, device: torch.device) -> FrameChange:
        one = torch.ones(batch, device=device)
        return FrameChange(one, torch.zeros(batch, 2, device=device), one)

    @staticmethod
    def random(is_cut: Tensor) -> FrameChange:
        """Up to 12 % in size and 6 % in place; one view in ten is enlarged further, as users crop.

        Views that cut the body, `is_cut` (B,), never look beyond the picture, where the body would end.
        """
        batch, device = len(is_cut), is_cut.device

        def uniform(low: float, high: float, *shape: int) -> Tensor:
            return torch.empty(batch, *shape, device=device).uniform_(low, high)

        closer = torch.rand(batch, device=device) < 0.1
        zoom = torch.where(closer, uniform(1.15, 1.8), uniform(0.9, 1.12))
        zoom = torch.where(is_cut, zoom.clamp(min=1), zoom)
        shift = uniform(-0.06, 0.06, 2)
        # Enlarged frames keep the head: they look up, by as much as the enlargement makes room for.
        shift[:, 1] -= (1 - 1 / zoom).clamp(min=0) * uniform(0.6, 1.0)
        room = torch.where(is_cut, 1 - 1 / zoom, 1)[:, None]
        shift = torch.minimum(torch.maximum(shift, -room), room)
        flip = (torch.rand(batch, device=device) < 0.5).float() * -2 + 1
        return FrameChange(zoom, shift, flip)

    def matrix(self) -> Tensor:
        """(B, 4, 4), from old view coordinates to new ones."""
        matrix = torch.zeros(len(self.zoom), 4, 4, device=self.zoom.device)
        matrix[:, 0, 0] = self.zoom * self.flip
        matrix[:, 1, 1] = matrix[:, 2, 2] = self.zoom
        matrix[:, 3, 3] = 1
        matrix[:, 0, 3] = -matrix[:, 0, 0] * self.shift[:, 0]
        matrix[:, 1, 3] = -matrix[:, 1, 1] * self.shift[:, 1]
        return matrix

    def warp(self, image: Tensor) -> Tensor:
        """Straight-alpha RGBA (B, 4, S, S) through the change; outside is transparent."""
        theta = torch.zeros(len(self.zoom), 2, 3, device=image.device)
        theta[:, 0, 0] = self.flip / self.zoom
        theta[:, 1, 1] = 1 / self.zoom
        theta[:, :, 2] = self.shift
        grid = F.affine_grid(theta, list(image.shape), align_corners=False)
        premultiplied = torch.cat([image[:, :3] * image[:, 3:], image[:, 3:]], 1)
        moved = F.grid_sample(premultiplied, grid, padding_mode="zeros", align_corners=False)
        alpha = moved[:, 3:]
        return torch.cat([moved[:, :3] / alpha.clamp(min=1e-4), alpha], 1)


@dataclass(frozen=True)
class ColorChange:
    """One pointwise change of sRGB colours a batch row; the same for pixels and for target colours."""

    gain: Tensor
    gamma: Tensor
    saturation: Tensor

    @staticmethod
    def random(batch: int, device: torch.device) -> ColorChange:
        def uniform(low: float, high: float, *shape: int) -> Tensor:
            return torch.empty(batch, *shape, 1, device=device).uniform_(low, high)

        gain = uniform(0.75, 1.2, 1) * uniform(0.9, 1.1, 3)
        return ColorChange(gain, uniform(0.75, 1.35, 1), uniform(0.6, 1.3, 1))

    def __call__(self, rgb: Tensor) -> Tensor:
        """(B, 3, ...) in [0, 1] -> the same shape."""
        flat = rgb.flatten(2).clamp(1e-4, 1) ** self.gamma * self.gain
        grey = flat.mean(1, keepdim=True)
        return (grey + (flat - grey) * self.saturation).clamp(0, 1).view_as(rgb)


def camera(rgb: Tensor) -> Tensor:
    """What lenses, sensors and files do to a picture (B, 3, S, S): lost resolution and noise."""
    batch, size = len(rgb), rgb.shape[-1]
    small = F.interpolate(rgb, scale_factor=float(torch.empty(()).uniform_(0.3, 0.8)), mode="bilinear")
    soft = F.interpolate(small, size=(size, size), mode="bilinear", align_corners=False)
    chosen = (torch.rand(batch, 1, 1, 1, device=rgb.device) < 0.4).to(rgb.dtype)
    rgb = rgb + chosen * (soft - rgb)
    strength = torch.rand(batch, 1, 1, 1, device=rgb.device) ** 2 * 0.06
    return (rgb + torch.randn_like(rgb) * strength).clamp(0, 1)


def ragged_mask(alpha: Tensor, strongest_px: int = 4) -> Tensor:
    """A mask as a segmentation network would give it: grown, shrunk or softened (B, 1, S, S)."""
    batch, device = len(alpha), alpha.device
    radius = int(torch.randint(1, strongest_px + 1, ()))
    soft = F.avg_pool2d(alpha, 2 * radius + 1, stride=1, padding=radius, count_include_pad=False)
    threshold = torch.empty(batch, 1, 1, 1, device=device).uniform_(0.25, 0.7)
    edge = torch.empty(batch, 1, 1, 1, device=device).uniform_(0.05, 0.25)
    ragged = ((soft - threshold) / edge + 0.5).clamp(0, 1)
    chosen = (torch.rand(batch, 1, 1, 1, device=device) < 0.6).to(alpha.dtype)
    return alpha + chosen * (ragged - alpha)


def picture_sides(batch: int, device: torch.device) -> Tensor:
    """Where the picture ends left and right, view x, (B, 2).

    A frame is square and pictures often are narrower: every fifth one ends inside the frame, and what
    it shows of the body is cut there.
    """
    narrow = torch.rand(batch, 1, device=device) < 0.2
    sides = torch.empty(batch, 2, device=device).uniform_(0.3, 1.0)
    return torch.where(narrow, sides, 1.0) * torch.tensor([-1.0, 1.0], device=device)


def within_sides(x: Tensor, sides: Tensor) -> Tensor:
    """1 where view x (B, N) lies between the sides (B, 2), else 0."""
    return ((x >= sides[:, :1]) & (x <= sides[:, 1:])).float()


def cut_sides(image: Tensor, sides: Tensor) -> Tensor:
    """RGBA (B, 4, S, S), transparent beyond the sides (B, 2)."""
    size = image.shape[-1]
    x = (2 * torch.arange(size, device=image.device) + 1) / size - 1
    kept = within_sides(x.expand(len(image), -1), sides)[:, None, None]
    return torch.cat([image[:, :3], image[:, 3:] * kept], 1)


def over_background(image: Tensor) -> Tensor:
    """Straight RGBA (B, 4, S, S) over a random smooth background -> RGB. The mask's fringe shows it."""
    coarse = torch.rand(len(image), 3, 6, 6, device=image.device)
    background = F.interpolate(coarse, size=image.shape[-2:], mode="bicubic").clamp(0, 1)
    return image[:, :3] * image[:, 3:] + background * (1 - image[:, 3:])


def encoder_input(rgb: Tensor, mask: Tensor) -> Tensor:
    """(B, 3, S, S) in [0, 1] and (B, 1, S, S) -> (B, 4, S, S) as docs/conventions.md has it."""
    return torch.cat([(rgb - 0.5) / 0.5 * mask, mask], 1)
