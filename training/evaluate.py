"""Measure a bundle on held-out people, through the SDK, as a user would run it.

    python -m training.evaluate --bundle sdk/jiffsdk/bundles/compact --data data/test --out evaluation.json

The mesh is compared with the truth in the truth's own frame: the picture says where the mesh stands and
how large it is; the metric size that the SDK estimates is judged on its own (`size_error_percent`).
Where the frame cuts the body, only what lies inside the frame counts.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from jiffsdk import JiffError, ReconstructionOptions, Reconstructor, _core

from . import metrics
from .people.lights import shade

NUM_SAMPLES = 20_000
BORDER = 0.97  # |view| beyond this is the cap that closes a cut body, not surface


def evaluate_view(
    reconstructor, folder: Path, number: int, view: dict, options: ReconstructionOptions
) -> dict[str, float]:
    """Scores of one held-out view: p2s_cm, chamfer_cm, iou, color_l1, color_l1_hidden, size_error_percent."""
    largest = sorted(folder.glob(f"view_{number:02d}*.webp"))[-1]
    with Image.open(largest) as file:
        image = np.asarray(file.convert("RGBA"))
    result = reconstructor(image, options=options)
    view_from_world = np.asarray(view["view_from_world"], np.float64)
    vertices_view = vertices_in_view(result, image.shape[0])
    vertices = _apply(np.linalg.inv(view_from_world), vertices_view)
    faces = np.asarray(result.faces, np.int64)

    truth, samples = _read_truth(folder)
    true_vertices, true_faces = truth["vertices"].astype(np.float64), truth["faces"].astype(np.int64)

    def in_frame(points: NDArray[np.float64]) -> NDArray[np.bool_]:
        seen = _apply(view_from_world, points)
        return (np.abs(seen[:, :2]) < BORDER).all(1)

    predicted_points = metrics.sample_surface(vertices, faces, NUM_SAMPLES)
    predicted_points = predicted_points[in_frame(predicted_points)]
    true_points = metrics.sample_surface(true_vertices, true_faces, NUM_SAMPLES)
    true_points = true_points[in_frame(true_points)]
    to_truth = metrics.distance_to_surface_cm(predicted_points, true_vertices, true_faces).mean()
    to_mesh = metrics.distance_to_surface_cm(true_points, vertices, faces).mean()

    uniform = samples["uniform_points"].astype(np.float64)
    counted = in_frame(uniform)
    contained = metrics.inside(uniform[counted], vertices, faces)
    occupied = samples["uniform_occupancy"].astype(bool)[counted]

    inner = (np.abs(vertices_view[:, :2]) < BORDER).all(1)
    visible = metrics.visible_vertices(vertices_view, faces) & inner
    hidden = inner & ~_core.seen_vertices(
        result.vertices, result.faces, result.size_m / options.resolution, least_facing=0
    )
    twin = metrics.nearest(vertices, samples["surface_points"].astype(np.float64))
    shown = _lit(view, samples["surface_normals"][twin], samples["surface_albedo"][twin])
    color_error = np.abs(np.asarray(result.colors) - shown).mean(axis=1)
    return {
        "p2s_cm": float(to_truth),
        "chamfer_cm": float((to_truth + to_mesh) / 2),
        "iou": metrics.intersection_over_union(contained, occupied),
        "color_l1": float(color_error[visible].mean()),
        "color_l1_hidden": float(color_error[hidden].mean()),
        "size_error_percent": 100 * abs(_true_scale(result, view, image.shape[0]) - 1),
    }


@lru_cache(maxsize=1)  # all views of a subject come in a row
def _read_truth(folder: Path) -> tuple[dict[str, NDArray], dict[str, NDArray]]:
    """The surface and the samples of a subject."""
    with np.load(folder / "mesh.npz") as mesh, np.load(folder / "samples.npz") as samples:
        return dict(mesh), dict(samples)


def vertices_in_view(result, image_size_px: int) -> NDArray[np.float64]:
    """Vertices in the true frame's view coordinates, whose picture is the whole image."""
    seen = _apply(np.asarray(result.image_from_world, np.float64), np.asarray(result.vertices, np.float64))
    side_px = 2 * _pixels_per_view(result)
    xy = 2 * seen[:, :2] / image_size_px - 1
    return np.column_stack([xy, seen[:, 2] * side_px / image_size_px])


def _pixels_per_view(result) -> float:
    """Pixels of the photo in one unit of the result's view coordinates."""
    matrix = np.asarray(result.image_from_world)
    return float(matrix[0, 0] / matrix[2, 2])


def _true_scale(result, view: dict, image_size_px: int) -> float:
    """Estimated over true metres a pixel."""
    estimated = 1 / float(np.asarray(result.image_from_world)[0, 0])
    return estimated / (view["size_m"] / image_size_px)


def _apply(matrix: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    return points @ matrix[:3, :3].T + matrix[:3, 3]


def _lit(view: dict, normals: NDArray[np.float32], albedo: NDArray[np.uint8]) -> NDArray[np.float64]:
    rotation = np.asarray(view["view_from_world"], np.float32)[:3, :3]
    rotation = rotation / np.linalg.norm(rotation, axis=1, keepdims=True) * np.array([[1], [-1], [1]])
    return shade(albedo / 255, normals @ rotation.T, np.asarray(view["sh"]))


def main() -> None:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--bundle", type=Path, help="default: the bundle of the installed package")
    parser.add_argument("--data", type=Path, default=Path("data/test"))
    parser.add_argument("--out", type=Path, help="scores of every view, JSON")
    parser.add_argument("--resolution", type=int, default=256)
    parser.add_argument("--hidden-colors", default="smooth", help="as in ReconstructionOptions")
    parser.add_argument("--subjects", type=int, help="only the first so many")
    parser.add_argument("--views", type=int, help="only the first so many views of each")
    arguments = parser.parse_args()

    reconstructor = Reconstructor(arguments.bundle)
    options = ReconstructionOptions(arguments.resolution, hidden_colors=arguments.hidden_colors)
    rows: list[dict] = []
    folders = sorted(path.parent for path in arguments.data.glob("*/views.json"))[: arguments.subjects]
    for folder in tqdm(folders):
        views = json.loads((folder / "views.json").read_text())["views"][: arguments.views]
        for number, view in enumerate(views):
            row: dict = {"subject": folder.name, "view": number, "framing": view["framing"]}
            try:
                row |= evaluate_view(reconstructor, folder, number, view, options)
            except JiffError as error:
                row["error"] = str(error)
            rows.append(row)
    if not rows:
        raise SystemExit(f"no subjects in {arguments.data}: run python training/generate_people.py first")
    if arguments.out:
        arguments.out.write_text(json.dumps(rows, indent=1))
    print(table(rows))


def table(rows: list[dict]) -> str:
    """Means by framing as a Markdown table; failed views are counted, not left out silently."""
    groups = defaultdict(list)
    for row in rows:
        groups["full figure" if row["framing"] == "full" else "cut by the frame"].append(row)
    lines = [
        "| frame | views | failed | P2S (cm) | Chamfer (cm) | IoU | colour L1 | hidden | size error (%) |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, group in groups.items():
        good = [row for row in group if "error" not in row]
        means = {
            key: np.mean([row[key] for row in good]) if good else float("nan")
            for key in ("p2s_cm", "chamfer_cm", "iou", "color_l1", "color_l1_hidden", "size_error_percent")
        }
        lines.append(
            f"| {name} | {len(group)} | {len(group) - len(good)} | {means['p2s_cm']:.2f} | "
            f"{means['chamfer_cm']:.2f} | {means['iou']:.3f} | {means['color_l1']:.3f} | "
            f"{means['color_l1_hidden']:.3f} | "
            f"{means['size_error_percent']:.1f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
