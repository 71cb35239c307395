"""Which points the face networks answer for, and how their answer joins the body's (paper Sec. 4.5).

For training; `csrc/ops/face_blend.h` deploys the same.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

# Of the published smooth blend w = exp(-0.03 d²), d being the distance in centimetres over √3.
BLEND_FALLOFF = 0.03
BLEND_DISTANCE_CM = math.sqrt(3)


@dataclass(frozen=True)
class FaceRegion:
    """A rectangle of the view, borders included: y down, so `top` is below `bottom` in value."""

    left: float
    right: float
    top: float
    bottom: float

    @classmethod
    def from_box(
        cls, left_px: float, top_px: float, right_px: float, bottom_px: float, image_size_px: int
    ) -> FaceRegion:
        """The points that project into a box of the frame image (paper Sec. 4.5)."""
        left, right, top, bottom = (
            2 * edge / image_size_px - 1 for edge in (left_px, right_px, top_px, bottom_px)
        )
        return cls(left, right, top, bottom)

    @classmethod
    def published(cls, top_px: float, bottom_px: float, left_px: float, right_px: float) -> FaceRegion:
        """The region as published for a box of the 512-pixel image.

        In its world units it is left/2 - 128 ≤ x ≤ right/2 - 128 and (1 - bottom/256) · 90 + 100 ≤ y ≤
        (1 - top/256) · 90 + 100, while the picture spans x ± 102.9, y 90 ± 102.9. So it is not where the
        box projects: horizontally it is a quarter wider.
        """
        left, right = ((edge / 2 - 128) / 102.9 for edge in (left_px, right_px))
        top, bottom = (-((1 - edge / 256) * 90 + 100 - 90) / 102.9 for edge in (top_px, bottom_px))
        return cls(left, right, top, bottom)

    def contains(self, points: Tensor) -> Tensor:
        """Whether points (..., 2 or 3) in the view project into the region, (...)."""
        x, y = points[..., 0], points[..., 1]
        return (x >= self.left) & (x <= self.right) & (y >= self.top) & (y <= self.bottom)


def blend_weight(distance_cm: Tensor) -> Tensor:
    """The face's share at a distance from the face mesh in centimetres: 1 on it, 0.37 at 10 cm."""
    return torch.exp(-BLEND_FALLOFF * (distance_cm / BLEND_DISTANCE_CM).square())


def blend_face(body: Tensor, face: Tensor, in_region: Tensor, weight: Tensor | None = None) -> Tensor:
    """Body and face answers as one.

    Parameters
    ----------
    body, face
        (..., N), of the same shape.
    in_region
        (N,), bool. Outside of the region the body's answer stands.
    weight
        (N,), the face's share in the region; None: 1, the hard switch of the paper.

    Returns
    -------
    Tensor
        (..., N).
    """
    joined = face if weight is None else weight * face + (1 - weight) * body
    return torch.where(in_region, joined, body)
