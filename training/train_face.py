"""Train the face regressor: 257 coefficients from an aligned crop (paper Sec. 4.1).

python -m training.train_face --model face_model.safetensors --data faces --out runs/face --minutes 40
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import jiffexport.nets as nets
from jiffexport.face_model import (
    NUM_IDENTITY,
    NUM_LIGHT,
    NUM_TEXTURE,
    FaceModel,
    load_face_model,
)
from jiffexport.nets.face_regressor import (
    NUM_SHAPE,
    POSE_START,
    FaceReading,
    project,
    rotation_from_angles,
)

from . import face_augment
from .face_data import FaceBatch, FacePeople, load_faces, make_batch
from .people.lights import front_directions, sh_basis
from .trainer import Budget, Losses, TrainOptions, load_checkpoint, train

ANGLE_SCALE, SHIFT_SCALE, LOG_SCALE = 0.35, 0.04, 0.06
EXPRESSION_SCALE, LIGHT_SCALE = 0.15, 0.5
LIGHT_START = NUM_SHAPE + NUM_TEXTURE
SHAPE_UNIT_M = 0.005
"""Distances in the model's axes count in this unit: the faces' own spread."""
REFINED_SHARE, REFINED_JITTER = 0.5, 0.3
"""Of the crops, and of a detector's errors, where a crop is cut again around the landmarks of a first fit."""
EVERY_VERTEX = 4
"""Losses look at the landmarks and at every fourth vertex."""
LANDMARK_WEIGHT = 8.0
"""Of a landmark, where such a vertex counts as one."""


class TorchFaceModel:
    """The parts of a face model that losses need, at the landmarks and at some of the vertices.

    Attributes
    ----------
    rows : (L,) those vertices; the 68 landmarks come first, then the five pairs whose middles are a
        detector's landmarks.
    weight : (L,) how much each counts in distances; the sum is 1.
    front : (M, 9) the harmonics over the half sphere that a camera sees.
    """

    def __init__(self, model: FaceModel, device: torch.device | str = "cpu") -> None:
        others = np.arange(0, model.num_vertices, EVERY_VERTEX)
        rows = np.concatenate([model.landmarks, model.five_points.ravel(), others]).astype(np.int64)
        weight = np.ones(len(rows), dtype=np.float32)
        weight[:68] = LANDMARK_WEIGHT

        def put(values: NDArray) -> Tensor:
            return torch.from_numpy(values).to(device)

        self.rows, self.weight = put(rows), put(weight / weight.sum())
        self.mean_shape, self.mean_texture = put(model.mean_shape[rows]), put(model.mean_texture[rows])
        self.identity = put(model.identity_basis[:, rows])
        self.expression = put(model.expression_basis[:, rows])
        self.texture = put(model.texture_basis[:, rows])
        self.front = put(sh_basis(front_directions(64, 1.0)).astype(np.float32))

    def shape(self, coefficients: Tensor) -> Tensor:
        """(B, 257) or (B, 144) -> vertices (B, L, 3) in metres."""
        identity = coefficients[:, : len(self.identity)]
        expression = coefficients[:, NUM_IDENTITY : NUM_IDENTITY + len(self.expression)]
        moved = torch.einsum("bk,kla->bla", identity, self.identity)
        return self.mean_shape + moved + torch.einsum("bk,kla->bla", expression, self.expression)

    def albedo(self, coefficients: Tensor) -> Tensor:
        """(B, 257) -> sRGB (B, L, 3)."""
        texture = coefficients[:, NUM_SHAPE : NUM_SHAPE + len(self.texture)]
        return self.mean_texture + torch.einsum("bk,kla->bla", texture, self.texture)


def light_of(coefficients: Tensor) -> Tensor:
    """Harmonics (B, 9, 3) of coefficients (B, 257)."""
    return coefficients[:, LIGHT_START : LIGHT_START + NUM_LIGHT].reshape(-1, 3, 9).transpose(1, 2)


def prepare(net: nets.FaceRegressor, model: FaceModel) -> None:
    """Give a new network the model's landmarks, and units in which coefficients begin at about size one."""
    num_identity, num_expression = len(model.identity_basis), len(model.expression_basis)
    basis = torch.zeros(NUM_SHAPE, len(model.landmarks), 3)
    basis[:num_identity] = torch.from_numpy(model.identity_basis[:, model.landmarks])
    basis[NUM_IDENTITY : NUM_IDENTITY + num_expression] = torch.from_numpy(
        model.expression_basis[:, model.landmarks]
    )
    net.landmark_basis.copy_(basis)
    net.landmark_mean.copy_(torch.from_numpy(model.mean_shape[model.landmarks]))
    scale, center = torch.ones(257), torch.zeros(257)
    scale[NUM_IDENTITY:NUM_SHAPE] = EXPRESSION_SCALE
    scale[LIGHT_START:POSE_START] = LIGHT_SCALE
    center[LIGHT_START:POSE_START:9] = 2.2  # an even light that shows albedos about as they are
    scale[POSE_START:] = torch.tensor([ANGLE_SCALE] * 3 + [SHIFT_SCALE] * 2 + [LOG_SCALE])
    net.center.copy_(center)
    net.scale.copy_(scale)


def draw_batch(
    people: FacePeople, model: FaceModel, config: nets.FaceRegressorConfig, batch: int
) -> FaceBatch:
    """A random batch, its pictures changed as photographs change faces."""
    rng = np.random.default_rng(int(torch.randint(0, 2**31, ())))
    rows = rng.integers(0, people.num_pictures, batch)
    jitter = face_augment.detector_jitter(rng, people.yaw_deg[rows])
    jitter[rng.random(batch) < REFINED_SHARE] *= REFINED_JITTER
    flips = rng.random(batch) < 0.5
    return make_batch(people, model, rows, flips, jitter, config.side_m, config.image_size_px)


def as_photographs(truth: FaceBatch, landmarks: Tensor) -> Tensor:
    """The network's input (B, 3, S, S) in [-1, 1]; `landmarks` (68,) are vertices of the model."""
    rgb = face_augment.over_scene(truth.image)
    rgb = face_augment.with_obstacles(rgb, truth.vertices[:, landmarks, :2])
    return face_augment.beyond_photo(face_augment.photographed(rgb)) * 2 - 1


def heatmap_loss(heatmaps: Tensor, places: Tensor) -> Tensor:
    """Cross-entropy of heatmaps (B, L, side²), logits, with the four pixels around each true place (B, L, 2).

    The four weigh as in bilinear interpolation, so that their mean is the place. Places beyond the outermost
    pixels' centres count as on them.
    """
    side = math.isqrt(heatmaps.shape[2])
    at = (((places + 1) * side - 1) / 2).clamp(0, side - 1)
    low = at.floor().clamp(max=side - 2)
    share = at - low
    first = (low[..., 1] * side + low[..., 0]).long()
    pixels = torch.stack([first, first + 1, first + side, first + side + 1], 2)
    x, y = share.unbind(2)
    weights = torch.stack([(1 - x) * (1 - y), x * (1 - y), (1 - x) * y, x * y], 2)
    likelihood = (weights * heatmaps.gather(2, pixels)).sum(2) - heatmaps.logsumexp(2)
    return -likelihood.mean()


def face_losses(reading: FaceReading, truth: FaceBatch, model: TorchFaceModel, side_m: float) -> Losses:
    """What is wrong with a reading: places, then the face in the crop, in its axes, pose, albedo, light."""
    coefficients = reading.coefficients
    shape = model.shape(coefficients)
    pose = coefficients[:, POSE_START:]
    seen, true = project(shape, pose, side_m), truth.vertices[:, model.rows]
    error = seen - true
    depth = error[..., 2] - error[..., 2].mean(1, keepdim=True)
    weight = model.weight / truth.unit[:, None]
    in_crop = (error[..., :2].norm(dim=2) * weight).sum(1).mean()
    in_depth = (depth.abs() * weight).sum(1).mean()
    own = (shape - model.shape(truth.coefficients)).norm(dim=2).mean() / SHAPE_UNIT_M
    turn = (rotation_from_angles(pose[:, :3]) - truth.rotation).abs().mean()
    lit = model.front @ light_of(coefficients) - model.front @ truth.sh
    expression = (coefficients - truth_row(coefficients, truth))[:, NUM_IDENTITY:NUM_SHAPE].abs().mean()
    unused = coefficients[:, NUM_SHAPE + len(model.texture) : LIGHT_START].square().mean()
    spread = coefficients[:, NUM_SHAPE : NUM_SHAPE + len(model.texture)].square().mean()
    missed = (reading.places - true[:, :68, :2]).norm(dim=2) / truth.unit[:, None]
    return {
        "heatmaps": 0.15 * heatmap_loss(reading.heatmaps, true[:, :68, :2]),
        "places": 8 * missed.mean(),
        "crop": 10 * in_crop,
        "depth": 2 * in_depth,
        "shape": 0.3 * own,
        "turn": 4 * turn,
        "expression": 0.5 * expression,
        "albedo": 2 * (model.albedo(coefficients) - truth.albedo[:, model.rows]).abs().mean(),
        "light": 0.3 * lit.abs().mean(),
        "small": 0.001 * (unused + spread),
    }


class FaceStep(nn.Module):
    """A step's losses as a function of tensors alone, which is what a CUDA graph can record."""

    def __init__(self, net: nets.FaceRegressor, model: TorchFaceModel) -> None:
        super().__init__()
        self.net, self.model = net, model

    def forward(self, photographs: Tensor, *truth: Tensor) -> Losses:
        """Of the network's input and the fields of its `FaceBatch`."""
        reading = self.net.read(photographs)
        return face_losses(reading, FaceBatch(*truth), self.model, self.net.config.side_m)


def truth_row(coefficients: Tensor, truth: FaceBatch) -> Tensor:
    """The true identity and expression in the place they have among `coefficients` (B, 257)."""
    return torch.cat([truth.coefficients, coefficients[:, NUM_SHAPE:]], 1)


@torch.no_grad()
def measure(
    net: nn.Module,
    people: FacePeople,
    model: FaceModel,
    num_pictures: int | None = None,
    num_passes: int = 1,
    batch: int = 40,
) -> dict[str, NDArray[np.float64]]:
    """Errors of each picture: landmarks in percent, pose in degrees, shape in mm.

    `landmarks` are counted in distances of the eyes' centres, `interocular` in those of their outer corners,
    the unit of the 300-W challenge; both in space, so that they do not shrink where a face turns.

    Crops are cut around landmarks with a detector's typical error, and in further passes around those of the
    fit before; nothing else is changed.
    """
    parts = TorchFaceModel(model, people.images.device)
    rng = np.random.default_rng(0)
    every = max(1, people.num_pictures // (num_pictures or people.num_pictures))
    rows_all = np.arange(0, people.num_pictures, every)
    jitter_all = face_augment.detector_jitter(rng, people.yaw_deg[rows_all])
    found: dict[str, list[NDArray[np.float64]]] = {
        key: [] for key in ("landmarks", "interocular", "pose", "shape", "yaw")
    }
    outer_corners = parts.rows[[36, 45]]
    for start in range(0, len(rows_all), batch):
        rows, jitter = rows_all[start : start + batch], jitter_all[start : start + batch]
        for _ in range(num_passes):
            truth = make_batch(
                people, model, rows, np.zeros(len(rows), bool), jitter,
                net.config.side_m, net.config.image_size_px,
            )  # fmt: skip
            rgb = truth.image[:, :3] * truth.image[:, 3:] + 0.5 * (1 - truth.image[:, 3:])
            coefficients = net(rgb * 2 - 1)
            shape = parts.shape(coefficients)
            seen = project(shape, coefficients[:, POSE_START:], net.config.side_m)[..., :2]
            off = (seen - truth.vertices[:, parts.rows, :2]) / truth.unit[:, None, None]
            jitter = off[:, 68:78].unflatten(1, (5, 2)).mean(2).double().cpu().numpy()
        between = (
            rotation_from_angles(coefficients[:, POSE_START : POSE_START + 3]).transpose(1, 2)
            @ truth.rotation
        )
        trace = between.diagonal(dim1=1, dim2=2).sum(1)
        landmarks = 100 * off[:, :68].norm(dim=2).mean(1)
        outer = truth.vertices[:, outer_corners].diff(dim=1)[:, 0].norm(dim=1)
        own = (shape - parts.shape(truth.coefficients)).norm(dim=2).mean(1)
        errors = {
            "landmarks": landmarks,
            "interocular": landmarks * truth.unit / outer,
            "pose": torch.rad2deg(((trace - 1) / 2).clamp(-1, 1).acos()),
            "shape": 1e3 * own,
        }
        for key, values in errors.items():
            found[key].append(values.double().cpu().numpy())
        found["yaw"].append(people.yaw_deg[rows].astype(np.float64))
    return {key: np.concatenate(values) for key, values in found.items()}


def score(net: nn.Module, people: FacePeople, model: FaceModel) -> dict[str, float]:
    """Medians over some held-out pictures."""
    errors = measure(net, people, model, num_pictures=240)
    return {f"test_{key}": float(np.median(errors[key])) for key in ("landmarks", "pose", "shape")}


def argument_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, required=True, help="face model (.safetensors)")
    parser.add_argument("--data", type=Path, required=True, help="folder of training.generate_faces")
    parser.add_argument("--out", type=Path, required=True, help="state, checkpoint and log; resumes")
    budget = parser.add_mutually_exclusive_group(required=True)
    budget.add_argument("--minutes", type=float)
    budget.add_argument("--steps", type=int)
    parser.add_argument("--init", type=Path, help="start from the weights of this checkpoint")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--people", type=int, help="use only so many training people")
    parser.add_argument("--checkpoint-every", type=float, default=180.0, help="seconds")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--cuda-graph",
        action="store_true",
        help="record a step once and replay it: its thousand small kernels take a CPU longer than a GPU",
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    return parser


def main(argv: list[str] | None = None) -> None:
    arguments = argument_parser().parse_args(argv)
    torch.manual_seed(arguments.seed)
    device = torch.device(arguments.device)
    model = load_face_model(arguments.model)
    held_out = load_faces(arguments.data / "test", model, device=device)
    people = load_faces(arguments.data / "train", model, arguments.people, device)
    parts = TorchFaceModel(model, device)
    net = nets.FaceRegressor(nets.COMPACT_FACE_REGRESSOR).to(device, memory_format=torch.channels_last)
    prepare(net, model)
    if arguments.init:
        net.load_state_dict(load_checkpoint(arguments.init, "face_regressor")["model"])

    def draw() -> tuple[Tensor, ...]:
        truth = draw_batch(people, model, net.config, arguments.batch)
        photographs = as_photographs(truth, parts.rows[:68])
        return photographs.contiguous(memory_format=torch.channels_last), *vars(truth).values()

    step = FaceStep(net, parts)
    if arguments.cuda_graph:
        torch.backends.cudnn.benchmark = True  # `train` sets it after the choices have been recorded
        step = torch.cuda.make_graphed_callables(step, draw())

    def loss(_: nn.Module) -> Losses:
        # bf16 knows a place to a fifth of a pixel only, and would not make a net this small any faster.
        with torch.autocast(device.type, enabled=False):
            return step(*draw())

    options = TrainOptions(
        out=arguments.out,
        budget=Budget(arguments.minutes, arguments.steps),
        learning_rate=arguments.learning_rate,
        checkpoint_every_s=arguments.checkpoint_every,
        provenance="Trained on pictures of synthetic CC0 faces (training.generate_faces).",
    )
    train("face_regressor", net, loss, options, lambda net: score(net, held_out, model))


if __name__ == "__main__":
    main()
