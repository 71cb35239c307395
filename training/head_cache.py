"""What the face heads train on, computed once: pictures as a frozen body sees them, around the head.

The face's parts never change the body's encoders, so these run once over every picture, changed as
photographs are (`training/augment.py`). Of their maps the part around the head is kept for the shape, and for
colour windows of the large picture with points whose coarse activations are known. One file a subject and
purpose, `OUT/{train,test}/00042.{shape,color}.pt`; `training/encode_heads.py` writes them.

**Where the head is asked.** The body has a head some centimetres off along the line of sight, and at run time
the fit of the face is aligned to the body's surface. So here the head, its mesh and the points asked move
together, rigidly, by the median error of that surface over what is seen of the face: inside of the head the
volume and the labels stay consistent to the millimetre. The body around moves as `training/depth.py` has it,
and between the two, over the neck, one movement runs into the other, so that no seam is taught.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from jiffexport.nets.color import ColorNet

from . import augment
from .body_front import BodyFront
from .dataset import People, Views, cut_views, lit_colors, read_people, transform
from .depth import depth_maps, sample_blocks, taught_depth, to_taught_depth
from .face_fits import Region, ViewPlace
from .frozen_body import FrozenBody
from .head_crops import Crop, HeadPicture, cropped
from .people.heads import HeadPlace

FINE_SIZE_PX = 1024
SPREAD_M = 0.06
"""Over so much around the head's box its movement runs into the body's."""
SLACK = 0.15
"""How much further than the region of the true face the kept features reach, for fits with errors."""
COVER_M = 0.012
"""What lies so far before the face covers it; less may be the coarse map's error on a slope."""
WINDOW_PX = 384
WINDOW_MARGIN_PX = 24
"""Points lie at least so far inside a window: the encoder sees what is around them."""
SURFACE_NOISE_M = 0.005


@dataclass(frozen=True)
class Belief:
    """Where a body and its head are believed to be.

    Attributes
    ----------
    depth, taught : (2, S, S) front and back, true and as the encoder has them; known (1, S, S).
    front : of the body's surface, where the face is.
    head_move : what a true head is moved by along z, view units.
    """

    depth: Tensor
    known: Tensor
    taught: Tensor
    front: BodyFront
    head_move: float

    def moved(self, points: Tensor, share: Tensor) -> Tensor:
        """True view points (N, 3), of which `share` (N,) moves as the head, where the encoder has them."""
        maps = (self.depth.float(), self.known.float(), self.taught.float())
        body = to_taught_depth(points[None], *(m[None] for m in maps))[0]
        z = share * (points[:, 2] + self.head_move) + (1 - share) * body[:, 2]
        return torch.cat([points[:, :2], z[:, None]], 1)


@dataclass(frozen=True)
class ShapeView:
    """A picture for the joint shape head.

    Attributes
    ----------
    crop : features of the body's encoder, around the head.
    """

    view_from_world: Tensor
    size_m: float
    crop: Crop
    picture: HeadPicture
    belief: Belief

    @property
    def place(self) -> ViewPlace:
        matrix = self.view_from_world.double().numpy()
        return ViewPlace(matrix, self.size_m, self.belief.head_move, self.belief.front)


@dataclass(frozen=True)
class ColorWindow:
    """A window of the large picture for the fine colour network.

    Attributes
    ----------
    image : (4, W, W) uint8 straight RGB and mask.
    first : column and row of its first pixel in the picture of side `FINE_SIZE_PX`.
    points : (N, 3) view coordinates, where the encoder has them; colors (N, 3), coarse (N, C) half.
    is_head : (N,) bool.
    """

    image: Tensor
    first: tuple[int, int]
    points: Tensor
    colors: Tensor
    coarse: Tensor
    is_head: Tensor


@dataclass(frozen=True)
class ColorView:
    """A picture for the fine colour network: windows at the head and elsewhere."""

    view_from_world: Tensor
    size_m: float
    head_move: float
    front: BodyFront
    sh: Tensor
    change: augment.ColorChange
    windows: list[ColorWindow]

    @property
    def place(self) -> ViewPlace:
        return ViewPlace(self.view_from_world.double().numpy(), self.size_m, self.head_move, self.front)


def head_share(place: HeadPlace, world: np.ndarray) -> np.ndarray:
    """How far world points (N, 3) move with the head: 1 in its box, 0 from `SPREAD_M` around it on."""
    own = place.from_world(world)
    beyond = np.maximum(np.maximum(place.box[0] - own, own - place.box[1]), 0)
    return np.clip(1 - np.linalg.norm(beyond, axis=1) / SPREAD_M, 0, 1).astype(np.float32)


def visible_vertices(depth: Tensor, face: Tensor, size_m: float) -> np.ndarray:
    """Which vertices (N,) of a true face (N, 3) nothing covers, by the true front of `depth` (2, S, S)."""
    front = sample_blocks(depth[None, :1].float(), face[None].float())[0, 0]
    return ((front - face[:, 2]).abs() * size_m / 2 < COVER_M).numpy()


@dataclass(frozen=True)
class HeadSubject:
    """A subject's head from `head.npz`, and its folder."""

    folder: Path
    place: HeadPlace
    arrays: dict[str, np.ndarray]

    @staticmethod
    def read(folder: Path) -> HeadSubject:
        """Raises `FileNotFoundError` where the subject was generated without `--heads`."""
        path = folder / "head.npz"
        if not path.is_file():
            raise FileNotFoundError(f"{path}: generate the people with --heads")
        with np.load(path) as data:
            arrays = dict(data)
        place = HeadPlace(arrays["rotation"], arrays["translation"], arrays["box"])
        return HeadSubject(folder, place, arrays)


@dataclass(frozen=True)
class SeenView:
    """A picture that shows its whole face, and there a surface of the body, as that body sees it.

    Attributes
    ----------
    people : the subject, with the head's surface points beside the body's.
    views : the picture's one row.
    face : (N, 3) the true face in the view.
    picture : (1, 4, S, S) RGB and mask of `FINE_SIZE_PX`, changed by `change`.
    maps : of shape and colour, (1, C, H, W).
    """

    people: People
    views: Views
    face: Tensor
    picture: Tensor
    change: augment.ColorChange
    maps: tuple[Tensor, Tensor]
    belief: Belief

    @property
    def place(self) -> ViewPlace:
        matrix = self.views.view_from_world[0].double().numpy()
        return ViewPlace(matrix, float(self.views.size_m), self.belief.head_move, self.belief.front)

    @property
    def number(self) -> int:
        """Of the view in its subject."""
        return int(self.views.index)


def seen_views(
    head: HeadSubject,
    body: FrozenBody,
    triangles: np.ndarray,
    changed: bool,
    limit: int | None = None,
    first: int = 0,
) -> Iterator[SeenView]:
    """`limit` views of a subject that show its whole face, from the `first` one on and around.

    See `encode_subject` for the other parameters.
    """
    people = read_people([head.folder], torch.device("cpu"), FINE_SIZE_PX)
    dense = replace(
        people,
        **{
            name: torch.cat([getattr(people, name), torch.from_numpy(head.arrays[name])[None]], 1)
            for name in ("surface_points", "surface_normals", "surface_albedo")
        },
    )
    num_seen = 0
    for step in range(people.num_views):
        index = torch.tensor([(first + step) % people.num_views])
        if changed:
            frame = augment.FrameChange.random(people.is_cut[index])
        else:
            frame = augment.FrameChange.identity(1, index.device)
        views = cut_views(people, index, frame)
        face = transform(views.view_from_world, torch.from_numpy(head.arrays["face_vertices"])[None])[0]
        if float(face[:, :2].abs().max()) > 1:
            continue
        if num_seen == limit:
            return
        change, rgb, mask = _photographed(views.image, changed)
        image = F.avg_pool2d(augment.encoder_input(rgb, mask), FINE_SIZE_PX // body.image_size_px)
        maps = body.shape_encoder(image), body.color_encoder(image)
        depth, known = depth_maps(dense, views, maps[0].shape[-1])
        taught = taught_depth(maps[0], body.depth_scale)
        size_m = float(views.size_m)
        front = BodyFront.around(face.numpy(), body.shape_head, Crop.whole(maps[0][0]), size_m)
        move = front.gap(face.numpy(), triangles, visible_vertices(depth[0], face, size_m))
        if np.isnan(move):
            continue
        num_seen += 1
        belief = Belief(depth[0].half(), known[0].half(), taught[0].half(), front, move)
        yield SeenView(dense, views, face, torch.cat([rgb, mask], 1), change, maps, belief)


def encode_subject(
    folder: Path, body: FrozenBody, triangles: np.ndarray, margin: float, changed: bool, coarse_layers: int
) -> tuple[list[ShapeView], list[ColorView]]:
    """All views of a subject that show its whole face.

    Parameters
    ----------
    triangles : of the face model.
    margin : of the face region.
    changed : whether the pictures are changed as photographs are; else they stay as generated.
    """
    head = HeadSubject.read(folder)
    shapes, colors = [], []
    for seen in seen_views(head, body, triangles, changed):
        matrix, size_m = seen.views.view_from_world[0], float(seen.views.size_m)
        region = Region.around(seen.face.numpy(), margin + SLACK).square
        crop = cropped(seen.maps[0][0], region.low, region.high)
        picture = HeadPicture.cut(seen.picture[0], region)
        shapes.append(ShapeView(matrix, size_m, crop, picture, seen.belief))
        found = [_color_window(seen, head, body, coarse_layers, at_head) for at_head in (True, False)]
        windows = [window for window in found if window is not None]
        if windows:
            sh = seen.people.sh[seen.number]
            belief = seen.belief
            place = (matrix, size_m, belief.head_move, belief.front)
            colors.append(ColorView(*place, sh, seen.change, windows))
    return shapes, colors


def _photographed(image: Tensor, changed: bool) -> tuple[augment.ColorChange, Tensor, Tensor]:
    """The colour change of straight RGBA (1, 4, S, S), and RGB and mask as a photographer would give them."""
    if not changed:
        one = torch.ones(1, 1, 1)
        return augment.ColorChange(one.expand(1, 3, 1), one, one), image[:, :3], image[:, 3:]
    change = augment.ColorChange.random(1, image.device)
    rgb = augment.camera(change(augment.over_background(image)))
    return change, rgb, augment.ragged_mask(image[:, 3:], strongest_px=4)


def _color_window(
    seen: SeenView,
    head: HeadSubject,
    body: FrozenBody,
    coarse_layers: int,
    at_head: bool,
    num_points: int = 3000,
) -> ColorWindow | None:
    """A window around a random surface point of the head or of the rest; None where nothing is in sight."""
    people, views = seen.people, seen.views
    world = people.surface_points[0]
    share = torch.from_numpy(head_share(head.place, world.numpy()))
    noise = torch.randn(len(world), 1) * SURFACE_NOISE_M
    true = transform(views.view_from_world, (world + people.surface_normals[0] * noise)[None])[0]
    pixel = ((true[:, :2] + 1) * FINE_SIZE_PX - 1) / 2
    wanted = (share == 1) if at_head else (share == 0)
    inside = (true.abs() <= 1).all(1)
    candidates = torch.nonzero(wanted & inside)[:, 0]
    if len(candidates) == 0:
        return None
    center = pixel[candidates[int(torch.randint(len(candidates), ()))]]
    # Four pixels make a texel of the fine map: windows start where texels do.
    first = ((center - WINDOW_PX / 2) / 4).round().long().clamp(0, (FINE_SIZE_PX - WINDOW_PX) // 4) * 4
    low, high = first + WINDOW_MARGIN_PX, first + WINDOW_PX - 1 - WINDOW_MARGIN_PX
    near = torch.nonzero(inside & ((pixel >= low) & (pixel <= high)).all(1))[:, 0]
    if len(near) < 200:
        return None
    rows = near[torch.randint(len(near), (num_points,))]
    points = seen.belief.moved(true[rows], share[rows])
    albedo = people.surface_albedo[0, rows].float() / 255
    lit = lit_colors(people, views.index, people.surface_normals[:, rows], albedo[None])
    target = seen.change(lit.transpose(1, 2))[0].T
    samples = ColorNet.samples(seen.maps[1], seen.maps[0], points[None])
    coarse = body.coarse_activations(samples, points[None, :, 2], coarse_layers)
    column, row = int(first[0]), int(first[1])
    part = seen.picture[0, :, row : row + WINDOW_PX, column : column + WINDOW_PX]
    return ColorWindow(
        (part * 255).round().byte().clone(),
        (column, row),
        points,
        target.half(),
        coarse[0].T.half(),
        share[rows] > 0.5,
    )


def save_views(path: Path, views: list[ShapeView] | list[ColorView]) -> None:
    """Write the views of a subject; the file appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".part")
    torch.save([asdict(view) for view in views], partial)
    partial.replace(path)


def encoded_files(folder: Path, purpose: str, limit: int | None = None) -> list[Path]:
    """What is encoded of a split for "shape" or "color", a file a subject.

    Raises
    ------
    FileNotFoundError
        Nothing is.
    """
    paths = sorted(folder.glob(f"*.{purpose}.pt"))[:limit]
    if not paths:
        raise FileNotFoundError(f"{folder}: nothing encoded; run python -m training.encode_heads first")
    return paths


def load_shape_views(path: Path) -> list[ShapeView]:
    """What `save_views` wrote for the shape."""
    return [
        ShapeView(
            **{
                **entry,
                "crop": Crop(**entry["crop"]),
                "picture": HeadPicture(**entry["picture"]),
                "belief": Belief(**entry["belief"] | {"front": BodyFront(**entry["belief"]["front"])}),
            }
        )
        for entry in torch.load(path, weights_only=True)
    ]


def load_color_views(path: Path) -> list[ColorView]:
    """What `save_views` wrote for colour."""
    return [
        ColorView(
            **{
                **entry,
                "front": BodyFront(**entry["front"]),
                "change": augment.ColorChange(**entry["change"]),
                "windows": [ColorWindow(**window) for window in entry["windows"]],
            }
        )
        for entry in torch.load(path, weights_only=True)
    ]
