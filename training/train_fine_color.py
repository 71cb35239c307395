"""Train the fine colour network on a finished body (paper Sec. 4.4): encoder, face volume and both heads.

    python -m training.train_fine_color --encoded encoded --data people --model face_model.safetensors \\
        --out runs/fine_color --minutes 30

`training/encode_heads.py` must have encoded the people, with the same `--coarse-layers` as the configuration.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

import jiffexport.nets as nets
from jiffexport.face_model import FaceModel, load_face_model
from jiffexport.nets.color import blend_pixels
from jiffexport.nets.head import sample_features
from jiffexport.nets.volume_frame import sample_volume

from .color_samples import ColorExample, TrainedColorView, feature_places, pixel_places, read_color_views
from .train_face_shape import argument_parser, stacked
from .train_shape import train_options
from .trainer import Losses, load_checkpoint, train

KINDS = {True: "fine_color", False: "fine_color_alone"}
"""Of the checkpoints, by whether the heads take the coarse head's activations; only the first ships."""


def predicted(net: nn.Module, batch: ColorExample) -> dict[str, Tensor]:
    """Colours (B, 3, N), by name: of the head for what is not face, of the joint one and of its branches."""
    window_px = batch.image.shape[-1]
    features = net.encoder(batch.image[:, : net.config.in_channels])
    places = feature_places(batch.first, batch.points, window_px)
    samples = torch.cat([sample_features(features, places), batch.coarse.to(features.dtype)], 1)
    depth = batch.points[..., 2]
    volume, frame = net.volume(batch.face, batch.face_colors)
    samples_3d = sample_volume(volume, frame.coordinates(batch.points))
    joint, from_2d, from_3d = net.face_head.outputs(samples, samples_3d, depth)
    found = {"color": net.head(samples, depth), "joint": joint, "from_2d": from_2d, "from_3d": from_3d}
    if not net.config.blends_image:
        return found
    pixels = pixel_places(batch.first, batch.points, window_px)
    return {name: blend_pixels(output, batch.image, pixels) for name, output in found.items()}


def fine_color_loss(net: nn.Module, batch: ColorExample) -> Losses:
    """L1 of every answer; those of the joint head and its branches count in the face region alone."""
    everywhere = torch.ones_like(batch.in_region)
    losses = {}
    for name, colors in predicted(net, batch).items():
        weights = everywhere if name == "color" else batch.in_region
        error = (colors - batch.colors).abs().mean(1)
        losses[name] = (error * weights).sum() / weights.sum().clamp(min=1)
    return losses


def without_coarse(batch: ColorExample) -> ColorExample:
    """The batch for a network that must do without the coarse head."""
    return replace(batch, coarse=torch.zeros_like(batch.coarse))


@torch.no_grad()
def score(
    net: nn.Module, views: list[TrainedColorView], model: FaceModel, has_coarse: bool
) -> dict[str, float]:
    """Error on held-out people with faulty fits, the same windows, points and faults always."""
    rng = np.random.default_rng(0)
    sums: dict[str, float] = {}
    for view in views:
        batch = stacked([view.example(rng, model, True, 2000)])
        losses = fine_color_loss(net, batch if has_coarse else without_coarse(batch))
        for name, value in losses.items():
            sums[f"test_{name}"] = sums.get(f"test_{name}", 0.0) + float(value) / len(views)
    return sums


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser(__doc__ or "")
    parser.add_argument(
        "--without-coarse", action="store_true", help="leave out the coarse head's activations, to compare"
    )
    arguments = parser.parse_args(argv)
    torch.manual_seed(arguments.seed)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    model = load_face_model(arguments.model)
    train_split, test_split = ((arguments.encoded / s, arguments.data / s) for s in ("train", "test"))
    views = read_color_views(*train_split, model, arguments.subjects)
    held_out = read_color_views(*test_split, model, arguments.test_subjects)
    config = nets.COMPACT_FINE_COLOR if arguments.config == "compact" else nets.PAPER_FINE_COLOR
    config = replace(config, coarse_channels=views[0].view.windows[0].coarse.shape[1])
    net = nets.FineColorNet(config)
    if arguments.init:
        net.load_state_dict(load_checkpoint(arguments.init, KINDS[not arguments.without_coarse])["model"])
    rng = np.random.default_rng(arguments.seed)
    has_coarse = not arguments.without_coarse

    def loss(net: nn.Module) -> Losses:
        drawn = rng.integers(len(views), size=arguments.batch)
        batch = stacked([views[i].example(rng, model, True, arguments.points) for i in drawn])
        return fine_color_loss(net, batch if has_coarse else without_coarse(batch))

    train(
        KINDS[has_coarse],
        net,
        loss,
        train_options(arguments),
        lambda net: score(net, held_out, model, has_coarse),
    )


if __name__ == "__main__":
    main()
