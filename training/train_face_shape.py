"""Train the joint shape head and its face volume on a finished body (paper Sec. 4.2 and 4.3).

    python -m training.train_face_shape --encoded encoded --data people --model face_model.safetensors \\
        --out runs/face_shape --minutes 40

`training/encode_heads.py` must have encoded the people. `--fusion` trains what the joint head is compared
with.
"""

from __future__ import annotations

import argparse
from dataclasses import fields, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import jiffexport.nets as nets
from jiffexport.face_model import FaceModel, load_face_model
from jiffexport.nets.head import sample_features

from . import augment
from .face_fits import FitErrors
from .fusion import FUSIONS, answers, build_net, checkpoint_kind, encode_faces, has_head
from .head_samples import Example, TrainedView, read_views
from .train_shape import train_options
from .trainer import Losses, load_checkpoint, train

ExampleT = TypeVar("ExampleT")

DROPPED_FEATURES = 0.1
"""Share of the body's channels that a head's encoder must do without, others each time."""


def stacked(examples: list[ExampleT]) -> ExampleT:
    """Examples, dataclasses of tensors, as a batch."""
    kind = type(examples[0])
    return kind(*(torch.stack([getattr(e, field.name) for e in examples]) for field in fields(kind)))


def varied(batch: Example) -> Example:
    """The batch with its pictures coloured anew and some of the body's features missing.

    Each view is kept once and seen some twenty times: without this a head's encoder knows people by heart.
    """
    mask = batch.picture[:, 3:]
    straight = (batch.picture[:, :3] / mask.clamp(min=1e-3) + 1) / 2
    change = augment.ColorChange.random(len(mask), mask.device)
    picture = augment.encoder_input(change(straight), mask)
    return replace(batch, picture=picture, body=F.dropout2d(batch.body, DROPPED_FEATURES))


def shape_loss(net: nn.Module, batch: Example, only_2d: bool = False) -> Losses:
    """Mean squared error of the network's answer and of each branch's own; error of the taught depths.

    With `only_2d` that of the 2-D branch alone, for a network with an encoder of the head.
    """
    encoded, samples, losses = encode_faces(net, batch.face, only_2d), batch.samples, {}
    if has_head(net):
        features = net.head(batch.picture, batch.body, batch.believed)
        samples = sample_features(features, net.pixel_aligned(encoded[1], batch.points)[0])
        depth = F.avg_pool2d(features[:, :2], 2)
        num_known = 2 * batch.known.sum().clamp(min=1)
        losses["depth"] = ((depth - batch.depth).abs() * batch.known).sum() / num_known
    total = batch.weights.sum().clamp(min=1)
    found = answers(net, samples, encoded, batch.points)
    return losses | {
        name: ((occupancy - batch.labels) ** 2 * batch.weights).sum() / total
        for name, occupancy in found.items()
    }


@torch.no_grad()
def score(net: nn.Module, views: list[TrainedView], model: FaceModel) -> dict[str, float]:
    """Error on held-out people with faulty fits, the same points and faults always."""
    rng = np.random.default_rng(0)
    sums: dict[str, float] = {}
    for view in views:
        batch = stacked([view.example(rng, model, FitErrors(), 3000, net.config)])
        for name, value in shape_loss(net, batch).items():
            sums[f"test_{name}"] = sums.get(f"test_{name}", 0.0) + float(value) / len(views)
    return sums


def argument_parser(description: str) -> argparse.ArgumentParser:
    """The options that the programs for the face heads share."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=description, formatter_class=raw)
    parser.add_argument("--encoded", type=Path, required=True, help="folder of encode_heads")
    parser.add_argument("--data", type=Path, required=True, help="people generated with --heads")
    parser.add_argument("--model", type=Path, required=True, help="face model")
    parser.add_argument("--out", type=Path, required=True, help="checkpoints and log; resumes what it finds")
    parser.add_argument("--config", choices=("compact", "paper"), default="compact")
    parser.add_argument("--init", type=Path, help="start from the weights of this checkpoint")
    parser.add_argument("--minutes", type=float, help="budget in minutes of this machine")
    parser.add_argument("--steps", type=int, help="budget in steps")
    parser.add_argument("--batch", type=int, default=2, help="views a step")
    parser.add_argument("--points", type=int, default=3000, help="query points a view")
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--subjects", type=int, help="read only so many training subjects")
    parser.add_argument("--test-subjects", type=int, default=4, help="score on so many held-out subjects")
    parser.add_argument("--save-every-s", type=float, default=120.0, help="seconds between checkpoints")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, help="of the CPU")
    parser.add_argument("--provenance", default="", help="a sentence kept with the weights")
    return parser


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(__doc__ or "")
    parser.add_argument("--fusion", choices=FUSIONS, default="mlp", help="mlp is what ships")
    parser.add_argument("--on-body-map", action="store_true", help="without the head's encoder, as published")
    parser.add_argument("--frozen-volume", action="store_true", help="keep the volume's network of --init")
    parser.add_argument(
        "--only-2d",
        action="store_true",
        help="teach the head's encoder and the 2-D branch alone, twice as fast; the joint head comes after",
    )
    parser.add_argument("--bf16", action="store_true", help="on a CPU too: twice as fast on a new one")
    arguments = parser.parse_args(argv)
    has_encoder = arguments.fusion == "mlp" and not arguments.on_body_map
    if arguments.only_2d and not has_encoder:
        parser.error("--only-2d needs the network that ships, with its encoder of the head")
    torch.manual_seed(arguments.seed)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    model = load_face_model(arguments.model)
    views = read_views(arguments.encoded / "train", arguments.data / "train", model, arguments.subjects)
    held_out = read_views(arguments.encoded / "test", arguments.data / "test", model, arguments.test_subjects)
    config = nets.COMPACT_FACE_SHAPE if arguments.config == "compact" else nets.PAPER_FACE_SHAPE
    channels = len(views[0].view.crop.features)
    config = replace(config, body=replace(config.body, feature_channels=channels))
    if not has_encoder:
        config = replace(config, head_encoder=None)
    net = build_net(config, arguments.fusion)
    if arguments.frozen_volume:
        net.volume.requires_grad_(False)
    if arguments.init:
        net.load_state_dict(load_checkpoint(arguments.init, checkpoint_kind(arguments.fusion))["model"])
    rng = np.random.default_rng(arguments.seed)

    def loss(net: nn.Module) -> Losses:
        if arguments.frozen_volume:
            net.volume.eval()
        drawn = rng.integers(len(views), size=arguments.batch)
        examples = [views[i].example(rng, model, FitErrors(), arguments.points, config) for i in drawn]
        batch = stacked(examples)
        return shape_loss(net, varied(batch) if has_encoder else batch, arguments.only_2d)

    kind = checkpoint_kind(arguments.fusion)
    best_by = "test_from_2d" if arguments.only_2d else "test_answer"
    options = replace(train_options(arguments), best_by=best_by, bf16=arguments.bf16)
    train(kind, net, loss, options, lambda net: score(net, held_out, model))


if __name__ == "__main__":
    main()
