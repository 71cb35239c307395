"""Look at what a face regressor finds: errors on held-out people, and its mesh over photographs.

    python -m training.check_face --model face_model.safetensors --regressor face_regressor.pt \\
        --data faces/test --histogram face_fit.png \\
        --bundle sdk/jiffsdk/bundles/compact --photographs examples/*.jpg --overlays face_overlays.png

Prints a table of medians by how far faces are turned. Crops are cut around landmarks with a detector's
errors, in the second pass around those of the first fit. In photographs the bundle's own detector finds
the face.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import nn

from jiffexport.checkpoint import load_face_regressor
from jiffexport.face_model import Coefficients, FaceModel, load_face_model
from jiffexport.nets.face_regressor import project

from . import train_face
from .face_data import load_faces
from .people.dress import vertex_normals
from .people.lights import shade

YAW_BANDS_DEG = ((0, 15), (15, 45), (45, 90))
NUM_PASSES = 2
LIMITS = {"interocular": 3.0, "pose": 5.0}
"""What the medians shall stay below."""
AXES = {
    "interocular": "landmarks, % of the distance of the outer corners of the eyes",
    "pose": "pose, degrees",
}
COLUMNS = {
    "landmarks": "landmarks, % of eyes' centres",
    "interocular": "% of their outer corners",
    "pose": "pose, °",
    "shape": "shape, mm",
}
PANEL_PX = 320
CLAY_OPACITY = 0.6
"""Of the grey mesh, so that the face shows through."""

Errors = dict[str, NDArray[np.float64]]


def table(by_pass: Sequence[Errors]) -> str:
    """Medians of every pass, over all pictures and by yaw, as Markdown."""
    lines = ["| crop | faces | pictures | " + " | ".join(COLUMNS.values()) + " |", "|---" * 7 + "|"]
    for number, errors in enumerate(by_pass):
        yaw = np.abs(errors["yaw"])
        groups = [("all", np.ones(len(yaw), bool))]
        groups += [(f"turned {low}° to {high}°", (yaw >= low) & (yaw < high)) for low, high in YAW_BANDS_DEG]
        for name, chosen in groups:
            if not chosen.any():
                continue
            medians = [f"{np.median(errors[key][chosen]):.2f}" for key in COLUMNS]
            crop = "detected" if number == 0 else f"pass {number + 1}"
            lines.append(f"| {crop} | {name} | {chosen.sum()} | " + " | ".join(medians) + " |")
    return "\n".join(lines)


def draw_histogram(errors: Errors, path: Path) -> None:
    """How often landmark and pose errors have which size, stacked by yaw, as a picture file."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.4))
    yaw = np.abs(errors["yaw"])
    for i, (key, limit) in enumerate(LIMITS.items()):
        axes, values = figure.add_subplot(1, 2, i + 1), errors[key]
        edges = np.linspace(0, max(2 * limit, float(np.percentile(values, 98))), 33)
        parts, labels = [], []
        for low, high in YAW_BANDS_DEG:
            part = values[(yaw >= low) & (yaw < high)]
            if len(part):
                parts.append(np.minimum(part, edges[-1]))
                labels.append(f"turned {low}° to {high}°: median {np.median(part):.1f}")
        axes.hist(
            parts,
            bins=edges,
            stacked=True,
            label=labels,
            color=["#1b4f72", "#3498db", "#aed6f1"][: len(parts)],
        )
        axes.axvline(float(np.median(values)), color="black", label=f"all: median {np.median(values):.1f}")
        axes.axvline(limit, color="#c0392b", linestyle="--", label=f"aim {limit:g}")
        axes.set_xlabel(AXES[key])
        axes.set_ylabel("pictures")
        axes.legend(fontsize=7)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


class FittedFace:
    """A face that was found in a photograph.

    Attributes
    ----------
    square : left, top and side of the crop in the photograph, pixels.
    coefficients : (257,).
    crop_vertices : (N, 3) in crop coordinates: x right, y down, z toward the camera; [-1, 1] is the crop.
    """

    def __init__(
        self, square: NDArray[np.float64], coefficients: NDArray[np.float32], model: FaceModel, side_m: float
    ) -> None:
        self.square, self.coefficients = square, coefficients
        parts = Coefficients.split(coefficients[None])
        shape = torch.from_numpy(model.shape(parts.identity[0], parts.expression[0])).float()[None]
        self.crop_vertices = project(shape, torch.from_numpy(parts.pose), side_m)[0].numpy()

    def places_px(self, vertices: NDArray[np.integer]) -> NDArray[np.float64]:
        """Places (..., 2) of vertices in the photograph."""
        left_top, side = self.square[:2], self.square[2]
        return np.asarray(left_top + (self.crop_vertices[vertices, :2] + 1) / 2 * side)


def fit_face(
    picture: NDArray[np.uint8],
    landmarks_px: NDArray[np.floating],
    net: nn.Module,
    model: FaceModel,
    num_passes: int = NUM_PASSES,
) -> FittedFace:
    """Fit the face of a photograph (H, W, 3) whose five landmarks (5, 2) a detector found."""
    from jiffsdk import _core

    config = net.config
    for _ in range(num_passes):
        left, top, side, _ = box = _core.face_crop_box(landmarks_px, model.five_landmarks(), config.side_m)
        crop = _core.face_crop(picture, box, config.crop_size_px)
        with torch.no_grad():
            values = net.inference(torch.from_numpy(crop))["coefficients"][0].numpy()
        fit = FittedFace(np.array([left, top, side]), values, model, config.side_m)
        landmarks_px = fit.places_px(model.five_points).mean(axis=1)
    return fit


def draw_overlays(picture: NDArray[np.uint8], fit: FittedFace, model: FaceModel) -> NDArray[np.uint8]:
    """Crop, landmarks, mesh, and mesh in its own colours and light, side by side: (P, 4 P, 3)."""
    from jiffsdk.preview import rasterize

    left, top, side = fit.square
    window = (left - 0.1 * side, top - 0.1 * side, left + 1.1 * side, top + 1.1 * side)
    photo = Image.fromarray(picture).transform(
        (PANEL_PX, PANEL_PX), Image.Transform.EXTENT, window, Image.Resampling.BICUBIC
    )
    to_panel = PANEL_PX / 1.2 / 2
    seen = fit.crop_vertices * to_panel
    places = seen[:, :2] + PANEL_PX / 2

    dots = photo.copy()
    pen = ImageDraw.Draw(dots)
    for x, y in places[model.landmarks]:
        pen.ellipse((x - 2, y - 2, x + 2, y + 2), fill=(80, 255, 80))

    up = np.array([1.0, -1.0, 1.0])
    drawn = rasterize(seen.astype(np.float64) * up, model.triangles.astype(np.int32), PANEL_PX, PANEL_PX)
    normals = vertex_normals(seen * up, model.triangles)
    clay = np.repeat(0.3 + 0.65 * np.clip(normals @ [0.35, 0.45, 0.82], 0, 1)[:, None], 3, axis=1)
    coefficients = torch.from_numpy(fit.coefficients[None])
    sh = train_face.light_of(coefficients)[0].numpy()
    texture = model.texture(Coefficients.split(fit.coefficients[None]).texture[0])
    lit = shade(np.clip(texture, 0, 1), normals, sh)
    panels = [np.asarray(photo), np.asarray(dots)]
    for colors, opacity in ((clay, CLAY_OPACITY), (lit, 1.0)):
        panel = np.asarray(photo, dtype=np.float64).reshape(-1, 3).copy()
        mesh = 255 * np.clip(drawn.interpolate(colors, model.triangles.astype(np.int32)), 0, 1)
        panel[drawn.pixels] += opacity * (mesh - panel[drawn.pixels])
        panels.append(np.rint(panel).astype(np.uint8).reshape(PANEL_PX, PANEL_PX, 3))
    return np.concatenate(panels, axis=1)


def overlays_of(
    paths: Sequence[Path], detector: Any, net: nn.Module, model: FaceModel
) -> list[NDArray[np.uint8]]:
    """A row of `draw_overlays` for the best face of every photograph; names those without a face."""
    rows = []
    for path in paths:
        with Image.open(path) as image:
            picture = over_grey(image)
        faces = detector.detect(picture)
        if not faces:
            print(f"{path}: no face found")
            continue
        fit = fit_face(picture, np.asarray(faces[0].landmarks, dtype=np.float64), net, model)
        rows.append(draw_overlays(picture, fit, model))
    return rows


def over_grey(image: Image.Image) -> NDArray[np.uint8]:
    """RGB (H, W, 3), transparent parts grey."""
    rgba = image.convert("RGBA")
    return np.asarray(
        Image.alpha_composite(Image.new("RGBA", rgba.size, (128, 128, 128, 255)), rgba).convert("RGB")
    )


def argument_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, required=True, help="face model (.safetensors)")
    parser.add_argument(
        "--regressor", type=Path, required=True, help="checkpoint of training.train_face (.pt)"
    )
    parser.add_argument(
        "--data", type=Path, help="folder of held-out people, made by training.generate_faces"
    )
    parser.add_argument("--histogram", type=Path, help="picture to draw of the errors")
    parser.add_argument("--photographs", type=Path, nargs="+", default=[], metavar="FILE")
    parser.add_argument("--bundle", type=Path, help="with a face detector (default: the installed package's)")
    parser.add_argument("--overlays", type=Path, help="picture to draw of the photographs")
    return parser


def main(argv: list[str] | None = None) -> None:
    parser = argument_parser()
    arguments = parser.parse_args(argv)
    if bool(arguments.photographs) != bool(arguments.overlays):
        parser.error("--photographs and --overlays go together")
    if arguments.data is None and not arguments.photographs:
        parser.error("give --data, or --photographs and --overlays")
    model = load_face_model(arguments.model)
    net = load_face_regressor(arguments.regressor).network
    if arguments.data is not None:
        people = load_faces(arguments.data, model)
        by_pass = [train_face.measure(net, people, model, num_passes=n + 1) for n in range(NUM_PASSES)]
        print(table(by_pass))
        if arguments.histogram is not None:
            draw_histogram(by_pass[-1], arguments.histogram)
    if arguments.photographs:
        from jiffsdk import _core, engines
        from jiffsdk.reconstructor import DEFAULT_BUNDLE

        bundle = _core.load_bundle(str(arguments.bundle or DEFAULT_BUNDLE))
        detector = _core.FaceDetector(bundle, engines.create())
        rows = overlays_of(arguments.photographs, detector, net, model)
        if not rows:
            raise SystemExit("no face in any of the photographs")
        arguments.overlays.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.concatenate(rows)).save(arguments.overlays)


if __name__ == "__main__":
    main()
