"""Measure the heads of held-out people: the face networks and their rivals (paper Tables 1 to 4).

    python -m training.evaluate_heads --body sdk/jiffsdk/bundles/compact --model face_model.safetensors \\
        --data people/test --shape runs/2d/face_shape_2d.pt --shape runs/face_shape/face_shape.pt \\
        --color runs/fine_color/fine_color.pt --out heads.json

Every picture is encoded once and shown to all networks. A network goes by the name of its folder; "body" is
the body's own. All distances are in centimetres, at the picture's true scale.

**Two depths.** The picture is orthographic and cannot tell how near a head is, and the body has it some
centimetres off. Whatever is built on that body inherits the offset. Columns that end in `_raw` compare with
the truth where it stands; the others with the truth moved along the line of sight, rigidly, to where the body
has the face, by the median over what is seen of it. These tell how good a shape is.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from tqdm import tqdm

import jiffexport.nets as nets
from jiffexport.face_model import FaceModel, load_face_model
from jiffexport.nets.head import sample_features

from . import metrics
from .encode_heads import REGION_MARGIN
from .evaluate import vertices_in_view
from .face_fits import FitErrors, Region, face_in_view
from .face_model.fit import FaceFit, FaceFitter
from .frozen_body import FrozenBody, load_body
from .fusion import answers, encode_faces, has_head, load_net
from .head_cache import SLACK, HeadSubject, SeenView, seen_views
from .head_colors import ColorRow, evaluate_colors, load_color_row
from .head_crops import Crop, HeadPicture
from .head_samples import head_inputs
from .head_surface import box_surface

Array = NDArray[np.float64]
Row = dict[str, str | int | float]

NUM_SAMPLES = 10_000
DEPTH_REACH_M = 0.15
"""How far before and behind the head a surface is looked for."""
PIXEL_M = 0.0015
FACE_SIZE_PX = 256
FACE_SLACK_M = 0.005
"""A pixel shows the face where nothing stands so far before it: no hair, no hand."""
CHUNK = 60_000


def camera_from_view(view: Array, size_m: float) -> Array:
    """View coordinates (N, 3) in the camera's axes, metres: y up."""
    return np.asarray(view * [1.0, -1.0, 1.0] * (size_m / 2))


@dataclass(frozen=True)
class Truth:
    """A head as it stands, in the camera's axes, metres: x right, y up, z toward the camera.

    Attributes
    ----------
    vertices, faces : of the dressed person, as seen: hair and cloth are sheets.
    closed, closed_faces : of the volume that these bound, around the head (`people/heads.py`).
    face, face_triangles : the true face.
    points, normals : of the closed surface of the head, area-weighted.
    """

    seen: SeenView
    head: HeadSubject
    vertices: Array
    faces: NDArray[np.int64]
    closed: Array
    closed_faces: NDArray[np.int64]
    face: Array
    face_triangles: NDArray[np.int64]
    points: Array = field(init=False)
    normals: Array = field(init=False)

    def __post_init__(self) -> None:
        points, normals = metrics.sample_oriented(self.closed, self.closed_faces, 20 * NUM_SAMPLES)
        kept = np.flatnonzero(self.is_head(points))[: 2 * NUM_SAMPLES]
        object.__setattr__(self, "points", points[kept])
        object.__setattr__(self, "normals", normals[kept])

    @property
    def offset_m(self) -> float:
        """How much nearer to the camera the body has the head than it is."""
        return self.seen.place.head_move * self.metres

    @property
    def metres(self) -> float:
        """In one unit of the view."""
        return self.seen.place.size_m / 2

    def to_camera(self, view: Array) -> Array:
        """View coordinates (N, 3) in the camera's axes."""
        return camera_from_view(view, self.seen.place.size_m)

    def is_head(self, camera: Array) -> NDArray[np.bool_]:
        """Which points (N, 3) lie in the head's box, hair included, from the chin up."""
        view = camera / self.metres * [1.0, -1.0, 1.0]
        matrix = self.seen.place.view_from_world
        world = (view - matrix[:3, 3]) @ np.linalg.inv(matrix[:3, :3]).T
        return self.head.place.contains(world)

    @cached_property
    def fronts(self) -> tuple[Array, NDArray[np.bool_]]:
        """What the pixels around the face see (`metrics.front_depth`), and where that is the face."""
        front = self.front(self.vertices, self.faces)
        return front, np.abs(front - self.front(self.face, self.face_triangles)) < FACE_SLACK_M

    def front(self, vertices: Array, faces: NDArray[np.int64]) -> Array:
        """How near a surface reaches at the pixels around the face."""
        center = self.face.mean(axis=0)[:2]
        return metrics.front_depth(vertices, faces, center, PIXEL_M, FACE_SIZE_PX)

    @staticmethod
    def read(seen: SeenView, head: HeadSubject, model: FaceModel) -> Truth:
        matrix = seen.place.view_from_world

        def camera(world: NDArray[np.floating]) -> Array:
            return camera_from_view(
                world.astype(np.float64) @ matrix[:3, :3].T + matrix[:3, 3], seen.place.size_m
            )

        with np.load(head.folder / "mesh.npz") as mesh:
            if "head_vertices" not in mesh:
                raise ValueError(f"{head.folder}: has no closed surface of its head; generate it again")
            seen_surface, closed_surface = (
                (camera(mesh[f"{prefix}vertices"]), mesh[f"{prefix}faces"].astype(np.int64))
                for prefix in ("", "head_")
            )
        face = camera(head.arrays["face_vertices"])
        return Truth(seen, head, *seen_surface, *closed_surface, face, model.triangles.astype(np.int64))


def shape_scores(
    truth: Truth, vertices: Array, faces: NDArray[np.int64], offset_m: float
) -> dict[str, float]:
    """Errors of a surface (V, 3), camera axes, whose body has the head nearer by `offset_m`.

    `p2s` from the surface to the truth, `chamfer` the mean of both directions, over the head; `face_l2` and
    `face_missed` over the pixels of the face (`metrics.face_distance_cm`), `face_l2_own` where the surface's
    own median error in depth is taken out; `normals` the mean absolute cosine of both directions.
    """
    moved = vertices - [0, 0, offset_m]
    points, normals = metrics.sample_oriented(moved, faces, 10 * NUM_SAMPLES)
    kept = np.flatnonzero(truth.is_head(points))[:NUM_SAMPLES]
    points, normals = points[kept], normals[kept]
    if not len(points):
        raise ValueError("no surface in the head's box")
    front, (true_front, is_face) = truth.front(moved, faces), truth.fronts
    own = float(np.nanmedian((front - true_front)[is_face]))
    scores = {"face_l2_own": metrics.face_distance_cm(front - own, true_front, is_face)[0]}
    for name, back in (("", 0.0), ("_raw", offset_m)):
        shift = np.array([0, 0, back])
        to_truth = metrics.distance_to_surface_cm(points + shift, truth.closed, truth.closed_faces).mean()
        to_surface = metrics.distance_to_surface_cm(truth.points - shift, moved, faces).mean()
        face_l2, missed = metrics.face_distance_cm(front + back, true_front, is_face)
        scores |= {
            f"p2s{name}": float(to_truth),
            f"chamfer{name}": float(to_truth + to_surface) / 2,
            f"face_l2{name}": face_l2,
        }
    forth = metrics.normal_consistency(points, normals, truth.closed, truth.closed_faces)
    back_again = metrics.normal_consistency(truth.points, truth.normals, moved, faces)
    return scores | {"face_missed": missed, "normals": (forth + back_again) / 2}


SDK_ROWS = (
    ("SDK, face off", "off", "region"),
    ("SDK", "auto", "region"),
    ("SDK, blended by distance", "auto", "distance"),
)
"""Name, and the options `face` and `face_blend`."""


def bundle_scores(reconstructor, truth: Truth, resolution: int) -> Iterator[Row]:  # noqa: ANN001
    """What the SDK makes of the same picture without and with its face: own detector, fit and alignment.

    The body's offset is measured on its own surface, by the median over the face.
    """
    from jiffsdk import JiffError, ReconstructionOptions

    pixels = truth.seen.picture[0].permute(1, 2, 0).mul(255).round().byte().numpy()
    offset_m = 0.0
    for name, face, blend in SDK_ROWS:
        row: Row = {"network": name, "fit": "none" if face == "off" else "own"}
        try:
            options = ReconstructionOptions(resolution, face=face, face_blend=blend)
            result = reconstructor(pixels, options=options)
            if face == "auto" and not result.face.is_used:
                raise ValueError(f"face not used: {result.face.status}")
            vertices = truth.to_camera(vertices_in_view(result, len(pixels)))
            faces = result.faces.astype(np.int64)
            if face == "off":
                true_front, is_face = truth.fronts
                offset_m = float(np.nanmedian((truth.front(vertices, faces) - true_front)[is_face]))
            yield {**row, "offset_cm": 100 * offset_m, **shape_scores(truth, vertices, faces, offset_m)}
        except (JiffError, ValueError) as error:
            yield {**row, "error": str(error)}


class ShapeRow:
    """A network that answers in the face region: one of `fusion.py`, or with None the body's own head.

    `output` names the answer: a joint head's branches have their own (`fusion.answers`).
    """

    def __init__(self, name: str, net: nn.Module | None, output: str = "answer") -> None:
        self.name, self.net, self.output = name, net, output

    @staticmethod
    def of(path: Path) -> list[ShapeRow]:
        """The branches of a joint head, each trained with an output of its own, and the whole."""
        net, name = load_net(path), path.parent.name
        rows = [ShapeRow(name, net)]
        if isinstance(net, nets.FaceShapeNet):
            branches = (("2-D branch", "from_2d"), ("3-D branch", "from_3d"))
            rows[:0] = [ShapeRow(f"{name}, {label}", net, output) for label, output in branches]
        return rows

    @property
    def needs_fit(self) -> bool:
        return self.net is not None and self.net.volume is not None and self.output != "from_2d"

    @torch.no_grad()
    def surface(
        self, body: FrozenBody, seen: SeenView, face: Array, box: tuple[Array, Array], num_cells: int
    ) -> tuple[Array, NDArray[np.int64]]:
        """The surface in a box of the view, for a fit (N, 3) of the face."""
        fitted = torch.from_numpy(face.astype(np.float32))[None]
        encoded = None
        if self.net is not None:
            encoded = encode_faces(self.net, fitted, only_2d=self.output == "from_2d")
        features, on_map = seen.maps[0], lambda points: points
        if self.net is not None and has_head(self.net):
            picture = HeadPicture.cut(seen.picture[0], Region.around(face, REGION_MARGIN + SLACK).square)
            inputs = head_inputs(self.net.config, fitted[0], picture, Crop.whole(seen.maps[0][0]))
            features = self.net.head(*(part[None] for part in inputs))
            on_map = lambda points: self.net.pixel_aligned(encoded[1], points)[0]  # noqa: E731

        def occupancy(points: Array) -> NDArray[np.floating]:
            parts = []
            for chunk in torch.from_numpy(points.astype(np.float32)).split(CHUNK):
                samples = sample_features(features, on_map(chunk[None]))
                if self.net is None:
                    parts.append(body.shape_head(samples, chunk[None, :, 2])[0, 0])
                else:
                    parts.append(answers(self.net, samples, encoded, chunk[None])[self.output][0])
            return torch.cat(parts).numpy()

        return box_surface(occupancy, *box, num_cells)


def head_box(truth: Truth, face: Array) -> tuple[Array, Array]:
    """Corners of the box in the view that a surface is looked for in: the region, and the head's depths."""
    region = Region.around(face, REGION_MARGIN)
    z = (truth.points[:, 2] + truth.offset_m) / truth.metres
    reach = DEPTH_REACH_M / truth.metres
    low, high = np.maximum(region.low, -1), np.minimum(region.high, 1)
    return np.append(low, z.min() - reach), np.append(high, z.max() + reach)


def fits_of_face(
    names: list[str], seen: SeenView, head: HeadSubject, model: FaceModel, fit: FaceFit, seed: int
) -> Iterator[tuple[str, Array]]:
    """Fits (N, 3) of the face in the view, by name: "true" is the truth, "faulty" as `face_fits` errs."""
    for name in names:
        errors = FitErrors() if name == "faulty" else None
        rng = np.random.default_rng(seed)
        yield name, face_in_view(rng, model, head.arrays["face_vertices"], fit, seen.place, errors)


def evaluate_subject(
    folder: Path, arguments: argparse.Namespace, body: FrozenBody, model: FaceModel, fitter: FaceFitter,
    shapes: list[ShapeRow], colors: list[ColorRow], reconstructor, seed: int,  # noqa: ANN001
) -> Iterator[Row]:  # fmt: skip
    head = HeadSubject.read(folder)
    fit = fitter.fit(head.arrays["face_vertices"])
    for seen in seen_views(head, body, model.triangles, False, arguments.views, first=seed):
        truth = Truth.read(seen, head, model)
        about: Row = {"subject": folder.name, "view": seen.number, "offset_cm": 100 * truth.offset_m}
        if reconstructor is not None:
            for scores in bundle_scores(reconstructor, truth, arguments.resolution):
                yield {**about, **scores}
        fits = list(fits_of_face(arguments.fits, seen, head, model, fit, 100 * seed + seen.number))
        for number, (fit_name, face) in enumerate(fits):
            for row in shapes:
                if not row.needs_fit and number:
                    continue
                named: Row = {"network": row.name, "fit": fit_name if row.needs_fit else "none"}
                try:
                    vertices, faces = row.surface(body, seen, face, head_box(truth, face), arguments.cells)
                    scores = shape_scores(truth, truth.to_camera(vertices), faces, truth.offset_m)
                except ValueError as error:
                    yield {**about, **named, "error": str(error)}
                    continue
                yield {**about, **named, **scores}
                if colors and row is shapes[-1]:
                    for name, values in evaluate_colors(
                        colors, body, seen, head, model, face, vertices, faces
                    ):
                        yield {**about, "color": name, "fit": fit_name, **values}


SHAPE_COLUMNS = {
    "face_l2": "face L2 (cm)", "face_l2_own": "face L2, own depth", "p2s": "head P2S (cm)",
    "chamfer": "head Chamfer (cm)", "normals": "normals",
    "face_l2_raw": "face L2, raw", "p2s_raw": "P2S, raw", "chamfer_raw": "Chamfer, raw",
    "face_missed": "face missed",
}  # fmt: skip
COLOR_COLUMNS = {
    "ssim": "face SSIM", "l1_picture": "face L1, picture", "l1_head": "head L1, vertices",
    "l1_hidden": "head L1, hidden vertices",
}  # fmt: skip


def of_whole_pictures(rows: list[Row]) -> list[Row]:
    """The rows of pictures in which no row failed."""
    failed = {(row["subject"], row["view"]) for row in rows if "error" in row}
    return [row for row in rows if (row["subject"], row["view"]) not in failed]


def table(rows: list[Row], name: str, columns: dict[str, str]) -> str:
    """Means over the pictures, a line for each network and fit; failed pictures are counted."""
    groups: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        if name in row:
            groups[str(row[name]), str(row["fit"])].append(row)
    lines = [f"| {name} | fit | pictures | failed | " + " | ".join(columns.values()) + " |"]
    lines.append("|---" * (4 + len(columns)) + "|")
    for (network, fit), group in groups.items():
        good = [row for row in group if "error" not in row]
        means = [
            f"{np.nanmean([row[key] for row in good if key in row]):.3f}" if good else "–" for key in columns
        ]
        lines.append(
            f"| {network} | {fit} | {len(group)} | {len(group) - len(good)} | " + " | ".join(means) + " |"
        )
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> None:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--body", type=Path, required=True, help="a bundle, or shape.pt and --body-color")
    parser.add_argument("--body-color", type=Path, help="color.pt")
    parser.add_argument("--model", type=Path, required=True, help="face model")
    parser.add_argument("--data", type=Path, required=True, help="people of the test split, with heads")
    parser.add_argument("--shape", type=Path, action="append", default=[], help="of train_face_shape; repeat")
    parser.add_argument("--color", type=Path, action="append", default=[], help="of train_fine_color; repeat")
    parser.add_argument("--bundle", type=Path, help="measure the SDK with this bundle, which has a face, too")
    parser.add_argument("--resolution", type=int, default=512, help="of the SDK")
    parser.add_argument("--fits", nargs="+", choices=("faulty", "true"), default=["faulty", "true"])
    parser.add_argument("--out", type=Path, help="all scores, JSON")
    parser.add_argument("--cells", type=int, default=128, help="of the lattice's longest side")
    parser.add_argument("--subjects", type=int, help="only the first so many")
    parser.add_argument("--views", type=int, help="so many views of each, others for the next")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args(argv)
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    body = load_body(arguments.body, arguments.body_color, arguments.threads)
    model = load_face_model(arguments.model)
    shapes = [ShapeRow("body", None), *(row for path in arguments.shape for row in ShapeRow.of(path))]
    colors = [load_color_row(path) for path in arguments.color]
    folders = sorted(path.parent for path in arguments.data.glob("*/head.npz"))[: arguments.subjects]
    if not folders:
        raise SystemExit(f"no subjects with heads in {arguments.data}: run generate_people --heads")
    reconstructor = None
    if arguments.bundle:
        from jiffsdk import Reconstructor

        reconstructor = Reconstructor(arguments.bundle)
    fitter = FaceFitter(model)
    rows: list[Row] = []
    for seed, folder in enumerate(tqdm(folders, unit="person")):
        rows += evaluate_subject(folder, arguments, body, model, fitter, shapes, colors, reconstructor, seed)
        if arguments.out:
            arguments.out.write_text(json.dumps(rows, indent=1))
    by_sdk = {name for name, *_ in SDK_ROWS}
    print(table([row for row in rows if row.get("network") not in by_sdk], "network", SHAPE_COLUMNS))
    if arguments.bundle:
        print("\nPictures whose face the SDK used:\n")
        sdk = [row for row in rows if row.get("network") in by_sdk]
        print(table(of_whole_pictures(sdk), "network", SHAPE_COLUMNS))
    if colors:
        print("\n" + table(rows, "color", COLOR_COLUMNS))


if __name__ == "__main__":
    main()
