"""Train the shape network: occupancy of points near the surface and in the box (paper Sec. 4.1 and 5).

python -m training.train_shape --data data --out runs/shape --minutes 12
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm import tqdm

import jiffexport.nets as nets

from . import augment
from .dataset import People, Views, cut_views, load_people, occupancy_samples
from .depth import depth_maps, taught_depth, to_taught_depth
from .trainer import Budget, Losses, TrainOptions, autocast, load_checkpoint, memory_format, train

DEPTH_WEIGHT = 0.2  # of the depth term, in units of the head's depth input


def argument_parser(description: str) -> argparse.ArgumentParser:
    """The options that all training programs share."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=description, formatter_class=raw)
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder with train/ and test/")
    parser.add_argument("--out", type=Path, required=True, help="checkpoints and log; resumes what it finds")
    parser.add_argument("--config", choices=("compact", "paper"), default="compact")
    parser.add_argument("--minutes", type=float, help="budget in minutes of this machine")
    parser.add_argument("--steps", type=int, help="budget in steps")
    parser.add_argument("--batch", type=int, default=16, help="views a step")
    parser.add_argument("--points", type=int, default=5000, help="query points a view (paper: 5000)")
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--subjects", type=int, help="read only so many training subjects")
    parser.add_argument("--test-subjects", type=int, help="score on only so many held-out subjects")
    parser.add_argument("--save-every-s", type=float, default=60.0, help="seconds between checkpoints")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--init", type=Path, help="start from the weights of this checkpoint")
    parser.add_argument(
        "--head-only",
        type=int,
        metavar="BATCHES",
        help="keep the encoder as --init has it; it encodes so many random batches once",
    )
    parser.add_argument("--compile", action="store_true", help="compile the encoder (worth it on a GPU)")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--provenance", default="", help="a sentence kept with the weights")
    return parser


def train_options(arguments: argparse.Namespace) -> TrainOptions:
    budget = Budget(arguments.minutes, arguments.steps)
    return TrainOptions(
        arguments.out,
        budget,
        arguments.learning_rate,
        checkpoint_every_s=arguments.save_every_s,
        provenance=arguments.provenance,
    )


def random_views(people: People, batch: int) -> Views:
    device = people.images.device
    index = torch.randint(people.num_views, (batch,), device=device)
    return cut_views(people, index, augment.FrameChange.random(people.is_cut[index]))


def photographed(image: Tensor) -> Tensor:
    """Straight RGBA (B, 4, S, S) -> encoder input as a careless photographer would give it."""
    rgb = augment.ColorChange.random(len(image), image.device)(augment.over_background(image))
    return augment.encoder_input(augment.camera(rgb), augment.ragged_mask(image[:, 3:]))


@dataclass(frozen=True)
class Encoded:
    """Random views of a batch, changed as photographs are, and what the encoder makes of them."""

    views: Views
    sides: Tensor
    depth: Tensor
    known: Tensor
    stacks: list[Tensor]
    log_size: Tensor | None


def encode(net: nn.Module, people: People, batch: int) -> Encoded:
    with torch.no_grad(), torch.autocast(people.images.device.type, enabled=False):
        views = random_views(people, batch)
        depth, known = depth_maps(people, views, net.config.feature_size)
        sides = augment.picture_sides(batch, people.images.device)
        image = photographed(augment.cut_sides(views.image, sides))[:, : net.config.in_channels]
    stacks, log_size = net.encoder(image.contiguous(memory_format=memory_format(image.device)))
    return Encoded(views, sides, depth, known, stacks, log_size)


def shape_loss(net: nn.Module, people: People, encoded: Encoded, num_points: int) -> Losses:
    """Mean squared error of the occupancy, averaged over the stacks; error of depth and of log size.

    The head is asked at the depths that the encoder believes (training/depth.py). Every texel of the body
    teaches these in every step, while an occupancy label says little until a network is nearly right.
    """
    views, depth, known = encoded.views, encoded.depth, encoded.known
    with torch.no_grad(), torch.autocast(depth.device.type, enabled=False):
        points, labels, weights = occupancy_samples(people, views, num_points)
        weights = weights * augment.within_sides(points[..., 0], encoded.sides)
    errors, misses = [], []
    for features in encoded.stacks:
        taught = taught_depth(features, net.config.depth_scale)
        asked = to_taught_depth(points, depth, known, taught.detach())
        errors.append(((net.occupancy(features, asked) - labels) ** 2 * weights).sum() / weights.sum())
        miss = (taught - depth).abs().mean(1, keepdim=True) * known
        misses.append(miss.sum() / known.sum().clamp(min=1) * net.config.depth_scale)
    losses = {"occupancy": torch.stack(errors).mean(), "depth": DEPTH_WEIGHT * torch.stack(misses).mean()}
    if encoded.log_size is not None:
        losses["size"] = 0.05 * (encoded.log_size[:, 0].float() - views.size_m.log()).abs().mean()
    return losses


@torch.no_grad()
def encode_once(net: nn.Module, people: People, batch: int, num_batches: int) -> list[Encoded]:
    """Batches to train the head alone with: the last stack, as the finished encoder gives it, in half."""
    net.encoder.requires_grad_(False).eval()
    batches = []
    for _ in tqdm(range(num_batches), desc="encode"):
        encoded = encode(net, people, batch)
        batches.append(replace(encoded, stacks=[encoded.stacks[-1].half()], log_size=None))
    return batches


@torch.no_grad()
def score(net: nn.Module, people: People, batch: int = 16) -> dict[str, float]:
    """Error and intersection over union on held-out people, unchanged frames, the same points always."""
    device = people.images.device
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(0)
        error = size_error = depth_error_m = 0.0
        both = either = 0
        for index in torch.arange(people.num_views, device=device).split(batch):
            views = cut_views(people, index, augment.FrameChange.identity(len(index), device))
            points, labels, weights = occupancy_samples(people, views, 5000)
            depth, known = depth_maps(people, views, net.config.feature_size)
            image = augment.encoder_input(views.image[:, :3], views.image[:, 3:])[:, : net.config.in_channels]
            with autocast(device):
                stacks, log_size = net.encoder(image.contiguous(memory_format=memory_format(device)))
                occupancy = net.occupancy(stacks[-1], points)
            miss = (taught_depth(stacks[-1], net.config.depth_scale) - depth).abs().mean(1, keepdim=True)
            miss_m = miss * views.size_m[:, None, None, None] / 2
            depth_error_m += float((miss_m * known).sum() / known.sum()) * len(index)
            error += float(((occupancy - labels) ** 2 * weights).sum() / weights.sum()) * len(index)
            inside, truth, counted = occupancy > 0.5, labels > 0.5, weights > 0
            both += int((inside & truth & counted).sum())
            either += int(((inside | truth) & counted).sum())
            if log_size is not None:
                size_error += float((log_size[:, 0].float() - views.size_m.log()).abs().sum())
    scores = {
        "test_occupancy": error / people.num_views,
        "test_iou": both / max(either, 1),
        "test_depth_m": depth_error_m / people.num_views,
    }
    return scores | ({"test_log_size": size_error / people.num_views} if net.config.estimates_size else {})


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--image-size", type=int, help="train on smaller pictures than the configuration's")
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    device = torch.device(arguments.device)
    config = nets.COMPACT_SHAPE if arguments.config == "compact" else nets.PAPER_SHAPE
    if arguments.image_size:
        config = replace(config, image_size_px=arguments.image_size)
    people = load_people(arguments.data / "train", device, arguments.subjects, config.image_size_px)
    held_out = load_people(arguments.data / "test", device, arguments.test_subjects, config.image_size_px)
    net = nets.ShapeNet(config).to(device, memory_format=memory_format(device))
    if arguments.init:
        net.load_state_dict(load_checkpoint(arguments.init, "shape")["model"])
    if arguments.compile:
        net.encoder.compile()
    if arguments.head_only:
        kept = encode_once(net, people, arguments.batch, arguments.head_only)

    def loss(net: nn.Module) -> Losses:
        if not arguments.head_only:
            return shape_loss(net, people, encode(net, people, arguments.batch), arguments.points)
        encoded = kept[int(torch.randint(len(kept), ()))]
        encoded = replace(encoded, stacks=[features.float() for features in encoded.stacks])
        return shape_loss(net, people, encoded, arguments.points)

    train(
        "shape",
        net,
        loss,
        train_options(arguments),
        lambda net: score(net, held_out),
    )


if __name__ == "__main__":
    main()
