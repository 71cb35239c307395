"""Real faces to verify the face's graphs with: crops of photographs, and the meshes that they give."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from .face_model import Coefficients, FaceModel
from .face_volumes import FaceMesh
from .nets import FaceRegressor, PublishedFaceRegressor
from .nets.face_regressor import project
from .photographs import normalize
from .verify import RunGraph

WINDOW_SHARES = (1 / 2, 1 / 3, 1 / 4, 1 / 6, 1 / 8)
"""Sides of the windows that are searched for a face, of the picture's."""
FRAME_SIDE_M = 2.0
FACE_CENTER = (0.0, -0.7, 0.1)
"""Where the face of a standing person is in the view."""


def find_landmarks(picture: NDArray[np.uint8], landmark_graph: RunGraph, batch_size: int) -> NDArray:
    """The five landmarks (5, 2) in pixels of the window that looks most like a face.

    One pass over windows of a few sizes: enough to see what a graph will see, where the detector of the
    SDK would search at every scale.

    Parameters
    ----------
    picture
        (S, S, 3), RGB.
    landmark_graph
        The last stage of the face detector (docs/bundle.md).
    batch_size
        How many windows it takes.
    """
    image, size_px = Image.fromarray(picture), picture.shape[0]
    boxes = []
    for share in WINDOW_SHARES:
        side = share * size_px
        starts = np.arange(0, size_px - side + 1, side / 4)
        boxes += [(x, y, x + side, y + side) for y in starts for x in starts]
    boxes += boxes[-1:] * (-len(boxes) % batch_size)
    best_score, landmarks = -1.0, np.zeros((5, 2))
    for first in range(0, len(boxes), batch_size):
        batch = boxes[first : first + batch_size]
        windows = [np.asarray(image.resize((48, 48), Image.Resampling.BOX, box), np.float32) for box in batch]
        outputs = landmark_graph({"image": (np.stack(windows).transpose(0, 3, 1, 2) - 127.5) / 128})
        i = int(outputs["score"][:, 0].argmax())
        if outputs["score"][i, 0] > best_score:
            best_score = float(outputs["score"][i, 0])
            left, top, right, _ = batch[i]
            landmarks = outputs["landmarks"][i].reshape(2, 5).T * (right - left) + (left, top)
    return landmarks


def cut_face(
    picture: NDArray[np.uint8], landmarks_px: NDArray, model: FaceModel, side_m: float, crop_size_px: int
) -> NDArray[np.uint8]:
    """The crop of a face (docs/conventions.md, Face): (crop_size_px, crop_size_px, 3), black outside."""
    center = landmarks_px.mean(0)
    template = model.five_landmarks()
    offsets = (landmarks_px - center) * (1.0, -1.0)
    from_model = np.linalg.pinv(template - template.mean(0)) @ offsets  # (3, 2): metres to pixels
    side = side_m * np.linalg.norm(from_model, axis=0).mean()
    left, top, right, bottom = (*(center - side / 2), *(center + side / 2))
    size = (crop_size_px, crop_size_px)
    crop = Image.fromarray(picture).transform(
        size, Image.Transform.EXTENT, (left, top, right, bottom), Image.Resampling.BILINEAR
    )
    return np.asarray(crop)


def fitted_mesh(
    crop: NDArray[np.uint8], regressor: FaceRegressor | PublishedFaceRegressor, model: FaceModel
) -> FaceMesh:
    """The mesh that the regressor sees in a crop, placed as a standing person's face, in its albedo."""
    with torch.no_grad():
        values = regressor.inference(torch.from_numpy(normalize(crop)))["coefficients"].double()
    fitted = Coefficients.split(values.numpy())
    shape = torch.from_numpy(model.shape(fitted.identity[0], fitted.expression[0]))[None]
    vertices = project(shape, torch.from_numpy(fitted.pose).float(), FRAME_SIDE_M)
    colors = model.texture(fitted.texture[0]).astype(np.float32)
    return FaceMesh(vertices + torch.tensor(FACE_CENTER), torch.from_numpy(colors)[None])


def real_crops(
    pictures: Sequence[NDArray[np.uint8]],
    landmark_graph: RunGraph,
    batch_size: int,
    model: FaceModel,
    side_m: float,
    crop_size_px: int,
) -> list[NDArray[np.uint8]]:
    """A crop of the likeliest face of every picture (S, S, 3)."""
    landmarks = [find_landmarks(picture, landmark_graph, batch_size) for picture in pictures]
    return [
        cut_face(picture, points, model, side_m, crop_size_px)
        for picture, points in zip(pictures, landmarks, strict=True)
    ]
