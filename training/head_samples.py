"""Labelled points and fitted faces for the joint shape head, from the cache of `encode_heads`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from jiffexport.face_model import FaceModel
from jiffexport.nets import FaceShapeConfig, HeadFrame, volume_frame

from .depth import front_and_back
from .encode_heads import REGION_MARGIN
from .face_fits import FitErrors, Region, face_in_view
from .face_model.fit import FaceFit, FaceFitter
from .head_cache import SLACK, HeadSubject, ShapeView, encoded_files, head_share, load_shape_views
from .head_crops import Crop, HeadPicture

POINT_SHARES = {"near": 0.65, "around": 0.15, "body": 0.15, "far": 0.05}
"""Of the points of a view: close to the head's surface, in a box around the head, on and around the body in
the columns of the region, and anywhere in these columns."""


@dataclass(frozen=True)
class Labelled:
    """Points (N, 3) in view coordinates, where the encoder has them, and their occupancy (N,) bool."""

    points: np.ndarray
    inside: np.ndarray


@dataclass(frozen=True)
class Example:
    """What a step takes of a view.

    Attributes
    ----------
    samples : (C, N) the body's features at the points.
    points, labels, weights : (N, 3) and (N,).
    face : (V, 3).
    picture, body, believed : what the head's encoder takes.
    depth, known : (2, T, T) and (1, T, T) what its first two channels are taught (`depth.front_and_back`).

    The last five are empty for a network without such an encoder, `samples` for one with it.
    """

    samples: Tensor
    points: Tensor
    labels: Tensor
    weights: Tensor
    face: Tensor
    picture: Tensor
    body: Tensor
    believed: Tensor
    depth: Tensor
    known: Tensor


@dataclass(frozen=True)
class TrainedView:
    """A view with all points that may be asked in it, and points (P, 3) on the surface of the head.

    Both where the encoder has them.
    """

    view: ShapeView
    subject: HeadSubject
    fit: FaceFit
    groups: dict[str, Labelled]
    surface: Tensor
    body_box: np.ndarray

    def face(self, rng: np.random.Generator, model: FaceModel, errors: FitErrors | None) -> np.ndarray:
        """A fit of the face (V, 3) in the view, where the encoder has the head; None: the true face."""
        true = self.subject.arrays["face_vertices"]
        return face_in_view(rng, model, true, self.fit, self.view.place, errors)

    def example(
        self,
        rng: np.random.Generator,
        model: FaceModel,
        errors: FitErrors | None,
        num_points: int,
        config: FaceShapeConfig,
    ) -> Example:
        """A random example for a network; points outside of the fitted face's region have weight 0."""
        face = self.face(rng, model, errors)
        region = Region.around(face, REGION_MARGIN)
        points, labels, weights = [], [], []
        for name, share in POINT_SHARES.items():
            count = round(share * num_points)
            if name == "far":
                drawn, inside, counted = self._far(rng, region, count)
            else:
                group = self.groups[name]
                if len(group.points) == 0:
                    drawn, inside = np.zeros((count, 3)), np.zeros(count, bool)
                    counted = np.zeros(count, bool)
                else:
                    rows = rng.integers(len(group.points), size=count)
                    drawn, inside = group.points[rows], group.inside[rows]
                    counted = region.contains(drawn) & (np.abs(drawn) <= 1).all(axis=1)
            points.append(drawn)
            labels.append(inside)
            weights.append(counted)
        asked = torch.from_numpy(np.concatenate(points).astype(np.float32))
        fitted = torch.from_numpy(face.astype(np.float32))
        return Example(
            self.view.crop.samples(asked) if config.head_encoder is None else torch.empty(0),
            asked,
            torch.from_numpy(np.concatenate(labels).astype(np.float32)),
            torch.from_numpy(np.concatenate(weights).astype(np.float32)),
            fitted,
            *head_inputs(config, fitted, self.view.picture, self.view.crop),
            *self._front_and_back(config, fitted),
        )

    def _front_and_back(self, config: FaceShapeConfig, face: Tensor) -> tuple[Tensor, Tensor]:
        own = config.head_encoder
        if own is None:
            return torch.empty(0), torch.empty(0)
        frame = HeadFrame(volume_frame(config.volume, face[None]), own.reach)
        depth, known = front_and_back(frame.on_map(self.surface[None]), own.feature_size)
        return depth[0] * own.depth_scale, known[0]

    def _far(
        self, rng: np.random.Generator, region: Region, count: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Points anywhere in the region's columns; those in the body's sampled box do not count."""
        low = np.append(np.maximum(region.low, -1), -1)
        high = np.append(np.minimum(region.high, 1), 1)
        points = rng.uniform(low, high, (count, 3))
        inverse = np.linalg.inv(self.view.view_from_world.numpy().astype(np.float64))
        world = points @ inverse[:3, :3].T + inverse[:3, 3]
        beyond = ((world < self.body_box[0]) | (world > self.body_box[1])).any(axis=1)
        return points, np.zeros(count, bool), beyond


def head_inputs(
    config: FaceShapeConfig, face: Tensor, picture: HeadPicture, crop: Crop
) -> tuple[Tensor, Tensor, Tensor]:
    """What the head's encoder takes, each without a batch axis; empty tensors where there is none.

    Parameters
    ----------
    face : (V, 3) as fitted, in the view.
    crop : of the body's features.
    """
    own = config.head_encoder
    if own is None:
        return torch.empty(0), torch.empty(0), torch.empty(0)
    frame = HeadFrame(volume_frame(config.volume, face[None]), own.reach)
    body = crop.at_texels(frame, own.feature_size)
    believed = frame.believed(body[None, :2] / config.body.depth_scale, own.depth_scale)[0]
    return picture.encoder_input(frame, own.picture_size_px)[0], body, believed


def read_views(
    encoded: Path, data: Path, model: FaceModel, limit: int | None = None, views: int | None = None
) -> list[TrainedView]:
    """All encoded views of a split: `encoded` and `data` are the split's folders.

    Raises
    ------
    FileNotFoundError
        Nothing is encoded there.
    """
    paths = encoded_files(encoded, "shape", limit)
    fitter = FaceFitter(model)
    result = []
    for path in tqdm(paths, desc=f"read {encoded}"):
        subject = HeadSubject.read(data / path.name.split(".")[0])
        with np.load(subject.folder / "samples.npz") as file:
            samples = dict(file)
        fit = fitter.fit(subject.arrays["face_vertices"])
        result += [_trained_view(view, subject, samples, fit) for view in load_shape_views(path)[:views]]
    return result


def _trained_view(
    view: ShapeView, subject: HeadSubject, samples: dict[str, np.ndarray], fit: FaceFit
) -> TrainedView:
    head = subject.arrays
    matrix = view.view_from_world.numpy()
    face = head["face_vertices"] @ matrix[:3, :3].T + matrix[:3, 3]
    region = Region.around(face, REGION_MARGIN + SLACK)
    body_points, body_occupancy = (
        np.concatenate([samples[f"near_{what}"], samples[f"uniform_{what}"]])
        for what in ("points", "occupancy")
    )
    groups = {
        "near": (head["near_points"], head["near_occupancy"]),
        "around": (head["uniform_points"], head["uniform_occupancy"]),
        "body": (body_points, body_occupancy),
    }
    labelled = {}

    def moved(seen: np.ndarray, world: np.ndarray) -> Tensor:
        share = torch.from_numpy(head_share(subject.place, world))
        return view.belief.moved(torch.from_numpy(seen.astype(np.float32)), share)

    for name, (world, occupancy) in groups.items():
        seen = world @ matrix[:3, :3].T + matrix[:3, 3]
        kept = region.contains(seen) & (np.abs(seen) <= 1).all(axis=1)
        labelled[name] = Labelled(moved(seen[kept], world[kept]).numpy(), occupancy[kept].astype(bool))
    world = head["surface_points"]
    surface = moved(world @ matrix[:3, :3].T + matrix[:3, 3], world)
    box = samples["uniform_points"]
    return TrainedView(view, subject, fit, labelled, surface, np.stack([box.min(axis=0), box.max(axis=0)]))
