"""What the face heads learn from a person: where the head is, its true face, points on and around it.

The arrays of `head.npz` (world frame, metres, unless said otherwise):

- `rotation` (3, 3), `translation` (3,): from the head's own axes (x to the person's left, y up, z out of the
  face) to the world; `box` (2, 3): lowest and highest corner of the head in those axes, hair included,
  from the chin up;
- `face_vertices` (N, 3) f4, the true face in the order of the face model's vertices; `face_albedo` (N, 3) u1;
- `near_points` (P, 3) f4 close to the head's surface and `uniform_points` (U, 3) f4 around it, each with an
  `..._occupancy` u1;
- `surface_points`, `surface_normals` (K, 3) f4 and `surface_albedo` (K, 3) u1 sRGB of the head.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.head_surface import box_surface
from training.people.body import Array, Body
from training.people.dress import Part, PosedBody
from training.people.render import Scene
from training.people.samples import exterior_points, parts_soup
from training.people.solid import Solid

Arrays = dict[str, NDArray[np.generic]]

HAIR_MARGIN_M = 0.05
"""How far hair may stand out from the skin of the head and still be head."""
AROUND_M = 0.10
"""How far beyond the head's box points are drawn: neck, shoulders, hair, air."""
CLOSED_MARGIN_M, CLOSED_CELL_M = 0.06, 0.0025
"""How far around a head's box its closed surface goes, and how fine it is."""
NEAR_SIGMAS_M = (0.002, 0.006, 0.02)
FACE_DENSITY = 3.0
"""Points on a square centimetre of the face to those on the rest of the head."""


@dataclass(frozen=True)
class HeadSampleOptions:
    """Numbers of points on and around a head."""

    num_near: int = 24000
    num_uniform: int = 6000
    num_surface: int = 12000


@dataclass(frozen=True)
class HeadPlace:
    """Where a head is: `world = head @ rotation.T + translation`, and its box (2, 3) in its own axes."""

    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]
    box: NDArray[np.float64]

    def from_world(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        """World points (N, 3) in the head's axes."""
        return np.asarray((points - self.translation) @ self.rotation)

    def contains(self, points: NDArray[np.floating], margin_m: float = 0.0) -> NDArray[np.bool_]:
        """Which world points (N, 3) lie in the box, widened by a margin on every side."""
        own = self.from_world(points)
        return np.asarray(((own >= self.box[0] - margin_m) & (own <= self.box[1] + margin_m)).all(axis=1))

    @property
    def yaw_deg(self) -> float:
        """Where the head looks in the world: 0 along +z, positive to +x."""
        forward = self.rotation[:, 2]
        return float(np.rad2deg(np.arctan2(forward[0], forward[2])))


def head_place(body: Body, posed: PosedBody, face_vertices: NDArray[np.int64]) -> HeadPlace:
    """The head of a posed body, whose face has these base-mesh vertices (N,)."""
    transform = posed.transforms[body.bone_index["head"]].astype(np.float64)
    place = HeadPlace(transform[:, :3], transform[:, 3], np.zeros((2, 3)))
    dominant = np.array(body.bone_names)[body.skin_weights.argmax(axis=1)]
    skin = np.flatnonzero(np.isin(dominant, ("head", "jaw")) & (np.arange(len(dominant)) < 13380))
    own = place.from_world(posed.posed[skin])
    low, high = own.min(axis=0) - HAIR_MARGIN_M, own.max(axis=0) + HAIR_MARGIN_M
    # Nothing grows on a nose, and below the chin is the neck.
    high[2] = own[:, 2].max() + 0.01
    low[1] = place.from_world(posed.posed[face_vertices])[:, 1].min()
    return HeadPlace(place.rotation, place.translation, np.stack([low, high]))


def closed_surface(solid: Solid, place: HeadPlace) -> Arrays:
    """The surface of the volume that occupancies tell, around a head: `head_vertices`, `head_faces`.

    What is seen of a person are open sheets, with nothing between them where hair hangs or is tied: of long
    hair this surface lies up to 1 cm away from all sheets. It is open where it leaves the neck.
    """

    def occupancy(own: Array) -> Array:
        world = own @ place.rotation.T + place.translation
        return solid.occupancy(world).astype(np.float64)

    low, high = place.box[0] - CLOSED_MARGIN_M, place.box[1] + CLOSED_MARGIN_M
    num_cells = int(np.ceil((high - low).max() / CLOSED_CELL_M))
    own, faces = box_surface(occupancy, low, high, num_cells)
    world = own @ place.rotation.T + place.translation
    return {"head_vertices": world.astype(np.float32), "head_faces": faces.astype(np.int32)}


def draw_head_samples(
    rng: np.random.Generator,
    parts: list[Part],
    solid: Solid,
    scene: Scene,
    place: HeadPlace,
    is_face: NDArray[np.bool_],
    options: HeadSampleOptions,
) -> Arrays:
    """Points on and around a head; `is_face` (V,) marks the vertices of the first part that are face."""
    soup = parts_soup(parts)
    weight = place.contains(soup.corners.mean(axis=1), AROUND_M / 2).astype(np.float64)
    on_skin = np.flatnonzero(soup.part_index == 0)
    weight[on_skin[is_face[parts[0].faces].all(axis=1)]] *= FACE_DENSITY
    num = max(options.num_near, options.num_surface)
    surface, colors = exterior_points(rng, parts, solid, scene, num, weight)

    distance = rng.normal(0.0, 1.0, options.num_near) * np.resize(NEAR_SIGMAS_M, options.num_near)
    moves = (distance[:, None] * surface.normals[: options.num_near]).astype(np.float32)
    near = surface.points[: options.num_near] + moves
    own = rng.uniform(place.box[0] - AROUND_M, place.box[1] + AROUND_M, (options.num_uniform, 3))
    uniform: Array = (own @ place.rotation.T + place.translation).astype(np.float32)
    rows = slice(0, options.num_surface)
    return {
        "near_points": near,
        "near_occupancy": solid.occupancy(near),
        "uniform_points": uniform,
        "uniform_occupancy": solid.occupancy(uniform),
        "surface_points": surface.points[rows],
        "surface_normals": surface.normals[rows],
        "surface_albedo": colors[rows],
    }
