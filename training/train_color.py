"""Train the coarse colour network on top of a finished shape network (paper Sec. 4.4; Tex-PIFu).

python -m training.train_color --shape runs/shape/shape.pt --data data --out runs/color --minutes 6
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

import jiffexport.nets as nets

from . import augment
from .dataset import People, Views, color_samples, cut_views, load_people
from .depth import depth_maps, taught_depth, to_taught_depth
from .train_shape import argument_parser, random_views, train_options
from .trainer import Losses, autocast, load_checkpoint, memory_format, train

SURFACE_NOISE_M = 0.01  # of the paper's perturbation along the normal


@dataclass(frozen=True)
class Encoded:
    """Random views of a batch, changed as photographs are, and what both encoders make of them."""

    views: Views
    sides: Tensor
    change: augment.ColorChange
    image: Tensor
    shape_features: Tensor
    color_features: Tensor


def encode(net: nn.Module, shape: nn.Module, people: People, batch: int) -> Encoded:
    device = people.images.device
    with torch.no_grad():
        with torch.autocast(device.type, enabled=False):
            views = random_views(people, batch)
            sides = augment.picture_sides(batch, device)
            picture = augment.cut_sides(views.image, sides)
            change = augment.ColorChange.random(batch, device)
            rgb = change(augment.over_background(picture))
            mask = augment.ragged_mask(picture[:, 3:], strongest_px=2)
            image = augment.encoder_input(rgb, mask).contiguous(memory_format=memory_format(device))
        shape_features = encode_shape(shape, image)
    image = image[:, : net.config.in_channels]
    return Encoded(views, sides, change, image, shape_features, net.encoder(image))


def color_loss(net: nn.Module, shape: nn.Module, people: People, encoded: Encoded, num_points: int) -> Losses:
    """L1 between the colours of surface points and what the light makes of their albedo."""
    views = encoded.views
    with torch.no_grad(), torch.autocast(people.images.device.type, enabled=False):
        points, colors, weights = color_samples(people, views, num_points, SURFACE_NOISE_M)
        weights = weights * augment.within_sides(points[..., 0], encoded.sides)
        colors = encoded.change(colors)
        points = where_found(points, shape, encoded.shape_features, people, views)
    predicted = net.color(encoded.color_features, encoded.shape_features, encoded.image, points)
    return {"color": ((predicted - colors).abs().mean(1) * weights).sum() / weights.sum()}


@torch.no_grad()
def encode_once(
    net: nn.Module, shape: nn.Module, people: People, batch: int, num_batches: int
) -> list[Encoded]:
    """Batches to train the head alone with: features as the finished encoders give them, in half."""
    net.encoder.requires_grad_(False).eval()
    return [
        converted(encode(net, shape, people, batch), torch.float16)
        for _ in tqdm(range(num_batches), desc="encode")
    ]


def converted(encoded: Encoded, dtype: torch.dtype) -> Encoded:
    maps = ("image", "shape_features", "color_features")
    return replace(encoded, **{name: getattr(encoded, name).to(dtype) for name in maps})


def where_found(
    points: Tensor, shape: nn.Module, shape_features: Tensor, people: People, views: Views
) -> Tensor:
    """Points (B, N, 3) of the true surface, moved to the depths where the shape network will find them."""
    depth, known = depth_maps(people, views, shape.config.feature_size)
    taught = taught_depth(shape_features, shape.config.depth_scale)
    return to_taught_depth(points, depth, known, taught)


def encode_shape(shape: nn.Module, image: Tensor) -> Tensor:
    """Features of the shape network, whose picture may be smaller: every side a whole fraction."""
    factor = image.shape[-1] // shape.config.image_size_px
    return shape.encoder(F.avg_pool2d(image[:, : shape.config.in_channels], factor))[0][-1]


@torch.no_grad()
def score(net: nn.Module, shape: nn.Module, people: People, batch: int = 16) -> dict[str, float]:
    """L1 on held-out people, unchanged frames, the same points always."""
    device = people.images.device
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(0)
        error = 0.0
        for index in torch.arange(people.num_views, device=device).split(batch):
            views = cut_views(people, index, augment.FrameChange.identity(len(index), device))
            points, colors, weights = color_samples(people, views, 5000, 0.0)
            image = augment.encoder_input(views.image[:, :3], views.image[:, 3:])
            with autocast(device):
                shape_features = encode_shape(shape, image)
                points = where_found(points, shape, shape_features, people, views)
                image = image[:, : net.config.in_channels]
                predicted = net.color(net.encoder(image), shape_features, image, points)
            error += float(((predicted - colors).abs().mean(1) * weights).sum() / weights.sum()) * len(index)
    return {"test_color": error / people.num_views}


def load_shape(path: Path, device: torch.device) -> nn.Module:
    """A finished shape network, frozen."""
    checkpoint = load_checkpoint(path, "shape")
    net = nets.ShapeNet(nets.ShapeConfig.from_dict(checkpoint["config"]))
    net.load_state_dict(checkpoint["model"])
    return net.to(device, memory_format=memory_format(device)).eval().requires_grad_(False)


def main() -> None:
    parser = argument_parser(__doc__)
    parser.add_argument("--shape", type=Path, required=True, help="shape.pt of train_shape")
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    device = torch.device(arguments.device)
    people = load_people(arguments.data / "train", device, arguments.subjects)
    held_out = load_people(arguments.data / "test", device, arguments.test_subjects)
    shape = load_shape(arguments.shape, device)
    config = nets.COMPACT_COLOR if arguments.config == "compact" else nets.PAPER_COLOR
    config = replace(config, shape_feature_channels=shape.config.feature_channels)
    net = nets.ColorNet(config).to(device, memory_format=memory_format(device))
    if arguments.init:
        net.load_state_dict(load_checkpoint(arguments.init, "color")["model"])
    if arguments.compile:
        net.encoder.compile()
        shape.encoder.compile()
    if arguments.head_only:
        kept = encode_once(net, shape, people, arguments.batch, arguments.head_only)

    def loss(net: nn.Module) -> Losses:
        if arguments.head_only:
            encoded = converted(kept[int(torch.randint(len(kept), ()))], torch.float32)
        else:
            encoded = encode(net, shape, people, arguments.batch)
        return color_loss(net, shape, people, encoded, arguments.points)

    train(
        "color",
        net,
        loss,
        train_options(arguments),
        lambda net: score(net, shape, held_out),
    )


if __name__ == "__main__":
    main()
