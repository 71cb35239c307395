"""Where a body's own head has the front of a person: what the run time places a fitted face on.

An orthographic picture does not tell how near a head is. The SDK puts a fitted face on the surface of the
body (csrc/pipeline/face_alignment.cpp), and the face heads must meet in training what they meet there. So the
front of that surface is looked for in the columns of the face, and true and faulty faces are put on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from jiffexport.face_model import FaceModel
from jiffexport.nets.head import ImplicitHead

from .people.dress import vertex_normals

if TYPE_CHECKING:
    from .head_crops import Crop

Array = NDArray[np.float64]

MARGIN = 0.1
"""How far around the face, in parts of its longer side: fits are not where the face is."""
NUM_COLUMNS = 40
"""Along each side of the face's square: about 5 mm apart, nearly as the alignment's cells are."""
REACH_M, STEP_M = 0.06, 0.006
"""How far from what the encoder believes the surface is looked for, and in what steps."""
FACING_CAMERA = 0.3
"""Least z of a normal that looks at the camera."""
LEAST_SEEN = 0.2
"""Of what faces the camera so much must have surface in front or behind."""
BESIDE_MIDDLE, ABOVE_EYES, BELOW_MOUTH = 0.9, 0.35, 0.6
"""How far the face proper reaches, in parts of the distance between the eyes."""


@dataclass(frozen=True)
class BodyFront:
    """The front of a body's surface over a square of the view.

    Attributes
    ----------
    depth : (N, N) view z, rows downwards; NaN where there is none.
    center, half : the square, view units.
    """

    depth: Tensor
    center: tuple[float, float]
    half: float

    @staticmethod
    @torch.no_grad()
    def around(face: NDArray[np.floating], head: ImplicitHead, crop: Crop, size_m: float) -> BodyFront:
        """In the columns of a face (V, 3), of a body's head and its features there.

        `size_m` is the side of the frame.
        """
        low, high = face[:, :2].min(axis=0), face[:, :2].max(axis=0)
        center, half = (low + high) / 2, float((high - low).max() * (0.5 + MARGIN))
        steps = ((2 * torch.arange(NUM_COLUMNS) + 1) / NUM_COLUMNS - 1) * half
        xy = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), -1).flatten(0, 1)
        places = (xy + torch.from_numpy(center)).float()
        features = crop.samples(torch.cat([places, places[:, :1]], 1))
        count = int(2 * REACH_M / STEP_M) + 1
        away = torch.linspace(REACH_M, -REACH_M, count) * 2 / size_m
        z = features[0] / head.depth_scale + away[:, None]  # from the front to the back
        inside = torch.stack([head(features[None], row[None])[0, 0] for row in z]) - 0.5
        enters = (inside[:-1] < 0) & (inside[1:] >= 0)
        first = enters.int().argmax(0)[None]
        before, after = inside[:-1].gather(0, first)[0], inside[1:].gather(0, first)[0]
        front = z[:-1].gather(0, first)[0] + before / (before - after) * (away[1] - away[0])
        is_found = enters.any(0) & (inside[0] < 0)
        depth = torch.where(is_found, front, torch.nan).unflatten(0, (NUM_COLUMNS, NUM_COLUMNS))
        return BodyFront(depth, (float(center[0]), float(center[1])), half)

    def at(self, points: NDArray[np.floating]) -> Array:
        """The front (N,) in the columns of view points (N, 2 or more); NaN where there is none."""
        own = (points[:, :2] - self.center) / self.half
        cell = np.floor((own + 1) / 2 * NUM_COLUMNS).astype(int)
        is_inside = ((cell >= 0) & (cell < NUM_COLUMNS)).all(axis=1)
        column, row = cell.clip(0, NUM_COLUMNS - 1).T
        return np.where(is_inside, self.depth.numpy()[row, column], np.nan)

    def gap(
        self, face: NDArray[np.floating], triangles: NDArray[np.integer], counted: NDArray[np.bool_]
    ) -> float:
        """How far a face (N, 3) must move along z to lie on the front.

        The median over what the camera sees of its `counted` (N,) vertices; NaN where too little lies on it.
        """
        areas = seen_areas(face, triangles) * counted
        gaps = self.at(face) - face[:, 2]
        found = ~np.isnan(gaps)
        if areas[found].sum() < LEAST_SEEN * areas.sum() or not areas[found].any():
            return float("nan")
        return weighted_median(gaps[found], areas[found])


def seen_areas(view: NDArray[np.floating], triangles: NDArray[np.integer]) -> Array:
    """Of the triangles around each vertex (N, 3) what the camera sees of those that look at it, a third."""
    sides = view[triangles[:, 1:], :2] - view[triangles[:, :1], :2]
    doubled = sides[:, 0, 0] * sides[:, 1, 1] - sides[:, 0, 1] * sides[:, 1, 0]
    normals = vertex_normals(view.astype(np.float32), triangles)
    # The view is left-handed, a flipped one is not: the face itself tells which way is out.
    sign = np.sign(np.sum(normals * (view - view.mean(axis=0)), axis=1).mean())
    areas = np.zeros(len(view))
    for corner in range(3):
        np.add.at(areas, triangles[:, corner], np.maximum(sign * doubled, 0) / 6)
    return np.where(sign * normals[:, 2] > FACING_CAMERA, areas, 0.0)


def weighted_median(values: Array, weights: Array) -> float:
    """The least value up to which half of the weight lies."""
    order = np.argsort(values, kind="stable")
    below = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(below, below[-1] / 2)])


def face_proper(model: FaceModel) -> NDArray[np.bool_]:
    """The vertices (N,) from the brows to the chin and from cheek to cheek: no skull under hair, no ears."""
    left_eye, right_eye, _, left_mouth, right_mouth = model.five_landmarks()
    eyes = right_eye[0] - left_eye[0]
    x, y = model.mean_shape[:, 0], model.mean_shape[:, 1]
    top = (left_eye[1] + right_eye[1]) / 2 + ABOVE_EYES * eyes
    bottom = (left_mouth[1] + right_mouth[1]) / 2 - BELOW_MOUTH * eyes
    beside = np.abs(x - (left_eye[0] + right_eye[0]) / 2)
    return np.asarray((beside <= BESIDE_MIDDLE * eyes) & (y >= bottom) & (y <= top))
