"""Labelled points and fitted faces for the joint shape head, from the cache of `encode_heads`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from jiffexport.face_model import FaceModel

from .encode_heads import REGION_MARGIN
from .face_fits import FitErrors, Region, face_in_view
from .face_model.fit import FaceFit, FaceFitter
from .head_cache import SLACK, HeadSubject, ShapeView, encoded_files, head_share, load_shape_views

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
    """What a step takes of a view: N points, their labels and weights, 2-D features (C, N), face (V, 3)."""

    samples: Tensor
    points: Tensor
    labels: Tensor
    weights: Tensor
    face: Tensor


@dataclass(frozen=True)
class TrainedView:
    """A view with all points that may be asked in it."""

    view: ShapeView
    subject: HeadSubject
    fit: FaceFit
    groups: dict[str, Labelled]
    body_box: np.ndarray

    def face(self, rng: np.random.Generator, model: FaceModel, errors: FitErrors | None) -> np.ndarray:
        """A fit of the face (V, 3) in the view, where the encoder has the head; None: the true face."""
        true = self.subject.arrays["face_vertices"]
        return face_in_view(rng, model, true, self.fit, self.view.place, errors)

    def example(
        self, rng: np.random.Generator, model: FaceModel, errors: FitErrors | None, num_points: int
    ) -> Example:
        """A random example; points outside of the fitted face's region have weight 0."""
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
        return Example(
            self.view.crop.samples(asked),
            asked,
            torch.from_numpy(np.concatenate(labels).astype(np.float32)),
            torch.from_numpy(np.concatenate(weights).astype(np.float32)),
            torch.from_numpy(face.astype(np.float32)),
        )

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
    for name, (world, occupancy) in groups.items():
        seen = world @ matrix[:3, :3].T + matrix[:3, 3]
        kept = region.contains(seen) & (np.abs(seen) <= 1).all(axis=1)
        share = torch.from_numpy(head_share(subject.place, world[kept]))
        moved = view.belief.moved(torch.from_numpy(seen[kept].astype(np.float32)), share)
        labelled[name] = Labelled(moved.numpy(), occupancy[kept].astype(bool))
    box = samples["uniform_points"]
    return TrainedView(view, subject, fit, labelled, np.stack([box.min(axis=0), box.max(axis=0)]))
