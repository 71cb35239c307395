"""Coloured points and fitted faces for the fine colour network, from the cache of `encode_heads`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from jiffexport.face_model import FaceModel

from . import augment
from .encode_heads import REGION_MARGIN
from .face_fits import (
    AlbedoFitter,
    FitErrors,
    LookErrors,
    Region,
    erroneous_look,
    face_in_view,
    lit_face,
)
from .face_model.fit import FaceFit, FaceFitter
from .head_cache import FINE_SIZE_PX, ColorView, ColorWindow, HeadSubject, encoded_files, load_color_views

HEAD_SHARE = 0.7
"""Of the windows that a step takes: those at the head."""


@dataclass(frozen=True)
class ColorExample:
    """What a step takes of a window.

    Attributes
    ----------
    image : (4, W, W), encoder input; first (2,) column and row of its first pixel in the large picture.
    points : (N, 3) view coordinates; colors (3, N); coarse (C, N).
    in_region : (N,), 1 where the joint head answers.
    face, face_colors : (V, 3) the fitted mesh in the view, and its lit colours.
    """

    image: Tensor
    first: Tensor
    points: Tensor
    colors: Tensor
    coarse: Tensor
    in_region: Tensor
    face: Tensor
    face_colors: Tensor


@dataclass(frozen=True)
class FaceLook:
    """A subject's true face, and the model's fits of its shape and of its albedo."""

    vertices: NDArray[np.float32]
    shape: FaceFit
    texture: NDArray[np.float64]


@dataclass(frozen=True)
class TrainedColorView:
    """A view with its windows; the first is at the head where the head's window exists."""

    view: ColorView
    look: FaceLook

    def example(
        self, rng: np.random.Generator, model: FaceModel, has_errors: bool, num_points: int
    ) -> ColorExample:
        """A random window and fit; without errors the fit is the model's own of the true face."""
        window = self._window(rng)
        shape_errors, look_errors = (FitErrors(), LookErrors()) if has_errors else (None, LookErrors(0, 0, 0))
        place = self.view.place
        face = face_in_view(rng, model, self.look.vertices, self.look.shape, place, shape_errors)
        albedo, sh = erroneous_look(rng, model, self.look.texture, self.view.sh.double().numpy(), look_errors)
        lit = torch.from_numpy(lit_face(face, model.triangles, albedo, sh, place.is_mirrored)).float()
        rows = torch.from_numpy(rng.integers(len(window.points), size=num_points))
        points = window.points[rows]
        rgb, mask = (window.image[None, part].float() / 255 for part in (slice(0, 3), slice(3, 4)))
        return ColorExample(
            augment.encoder_input(rgb, mask)[0],
            torch.tensor(window.first),
            points,
            window.colors[rows].float().T,
            window.coarse[rows].float().T,
            torch.from_numpy(Region.around(face, REGION_MARGIN).contains(points.numpy()).astype(np.float32)),
            torch.from_numpy(face.astype(np.float32)),
            self.view.change(lit.T[None])[0].T,
        )

    def _window(self, rng: np.random.Generator) -> ColorWindow:
        windows = self.view.windows
        return windows[0 if rng.random() < HEAD_SHARE else len(windows) - 1]


def read_color_views(
    encoded: Path, data: Path, model: FaceModel, limit: int | None = None
) -> list[TrainedColorView]:
    """All encoded views of a split: `encoded` and `data` are the split's folders.

    Raises
    ------
    FileNotFoundError
        Nothing is encoded there.
    """
    paths = encoded_files(encoded, "color", limit)
    shapes, albedos = FaceFitter(model), AlbedoFitter(model)
    result = []
    for path in tqdm(paths, desc=f"read {encoded}"):
        head = HeadSubject.read(data / path.name.split(".")[0]).arrays
        vertices = head["face_vertices"]
        look = FaceLook(vertices, shapes.fit(vertices), albedos.fit(head["face_albedo"] / 255))
        result += [TrainedColorView(view, look) for view in load_color_views(path)]
    return result


def feature_places(first: Tensor, points: Tensor, window_px: int) -> Tensor:
    """View points (B, N, 3) in coordinates for the feature map of windows, aligned corners.

    A texel of the map is four pixels; `first` (B, 2) lies on a texel.
    """
    texel = (points[..., :2] + 1) / 2 * (FINE_SIZE_PX // 4 - 1) - first[:, None] / 4
    return torch.cat([2 * texel / (window_px // 4 - 1) - 1, points[..., 2:]], -1)


def pixel_places(first: Tensor, points: Tensor, window_px: int) -> Tensor:
    """View points (B, N, 3) in coordinates of windows of the picture: pixel centres at (2 i + 1) / W - 1."""
    pixel = ((points[..., :2] + 1) * FINE_SIZE_PX - 1) / 2 - first[:, None]
    return torch.cat([(2 * pixel + 1) / window_px - 1, points[..., 2:]], -1)
