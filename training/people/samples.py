"""Occupancy and colour samples of a dressed person.

A point is inside when the winding number of the person's solid (`solid.py`) exceeds one half. The
exterior surface is the part of what is drawn that bounds this solid.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from training.people.dress import Part
from training.people.render import Scene
from training.people.solid import Solid

Array = NDArray[np.float32]

PROBE_M = 0.004
# Of the distance along the normal. 5 cm is the paper's; 15 cm teaches how deep a body is long before a
# network can tell sides that are 1 cm apart, which in turn sharpens what it knows.
NEAR_SIGMAS_M = (0.05, 0.01, 0.05, 0.15)
UNIFORM_MARGIN_M = 0.2
DETAIL_SHARE = 0.25


@dataclass(frozen=True)
class SampleOptions:
    """Numbers of points a person."""

    num_near: int = 60000
    num_uniform: int = 12000
    num_surface: int = 30000


@dataclass(frozen=True)
class SurfacePoints:
    """Points on the parts and what is needed to colour them; `weights` make them area-weighted."""

    points: Array
    normals: Array
    part_index: NDArray[np.int32]
    uv: Array
    pattern_points: Array
    weights: NDArray[np.float64]

    def take(self, rows: NDArray[np.integer] | NDArray[np.bool_] | slice) -> SurfacePoints:
        return SurfacePoints(
            self.points[rows],
            self.normals[rows],
            self.part_index[rows],
            self.uv[rows],
            self.pattern_points[rows],
            self.weights[rows],
        )


@dataclass(frozen=True)
class Soup:
    """All faces of all parts in one list."""

    corners: NDArray[np.float64]
    normals: NDArray[np.float64]
    uv: NDArray[np.float64]
    pattern_points: NDArray[np.float64]
    part_index: NDArray[np.int32]
    is_detail: NDArray[np.bool_]
    areas: NDArray[np.float64]


def parts_soup(parts: list[Part]) -> Soup:
    corners = np.concatenate([p.vertices[p.faces] for p in parts]).astype(np.float64)
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return Soup(
        corners,
        np.concatenate([p.normals[p.faces] for p in parts]).astype(np.float64),
        np.concatenate([p.uv[p.uv_faces] for p in parts]).astype(np.float64),
        np.concatenate([p.pattern_points[p.faces] for p in parts]).astype(np.float64),
        np.concatenate([np.full(len(p.faces), i, dtype=np.int32) for i, p in enumerate(parts)]),
        np.concatenate([p.is_detail for p in parts]),
        0.5 * np.linalg.norm(cross, axis=1),
    )


def _draw(
    rng: np.random.Generator, soup: Soup, num: int, density: NDArray[np.float64] | None
) -> SurfacePoints:
    """Points by area and `density`, where it is None by area with a fixed share on head and hands."""
    if density is None:
        detail = soup.is_detail.astype(float)
        wanted = ((detail, DETAIL_SHARE), (1 - detail, 1 - DETAIL_SHARE))
    else:
        wanted = ((density, 1.0),)
    groups = []
    for factor, share in wanted:
        count = round(num * share)
        areas = soup.areas * factor
        total = areas.sum()
        rows = np.searchsorted(np.cumsum(areas), rng.random(count) * total, side="right")
        groups.append((np.minimum(rows, len(areas) - 1), np.full(count, total / max(count, 1))))
    rows = np.concatenate([g[0] for g in groups])
    weights = np.concatenate([g[1] for g in groups])
    order = rng.permutation(len(rows))
    rows, weights = rows[order], weights[order]
    a, b = rng.random(len(rows)), rng.random(len(rows))
    flip = a + b > 1
    a, b = np.where(flip, 1 - a, a), np.where(flip, 1 - b, b)
    bary = np.stack([1 - a - b, a, b], axis=1)

    def blend(values: NDArray[np.float64]) -> Array:
        return np.einsum("nk,nka->na", bary, values[rows]).astype(np.float32)

    normals = blend(soup.normals)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
    return SurfacePoints(
        blend(soup.corners),
        normals,
        soup.part_index[rows],
        blend(soup.uv),
        blend(soup.pattern_points),
        weights,
    )


def exterior_sides(
    solid: Solid, points: NDArray[np.floating], normals: NDArray[np.floating], is_sheet: NDArray[np.bool_]
) -> NDArray[np.int8]:
    """Which side of the surface is outside of the solid at each point (N, 3).

    Returns
    -------
    (N,) int8: 1 along the normal, -1 against it (sheets of hair or cloth, `is_sheet` (N,), may be
    modelled inside out), 0 where the point is buried.
    """
    sides = (solid.winding(points + PROBE_M * normals) < 0.5).astype(np.int8)
    rows = np.flatnonzero((sides == 0) & is_sheet)
    against = solid.winding(points[rows] - PROBE_M * normals[rows]) < 0.5
    sides[rows[against]] = -1
    return sides


def exterior_points(
    rng: np.random.Generator,
    parts: list[Part],
    solid: Solid,
    scene: Scene,
    num: int,
    density: NDArray[np.float64] | None = None,
) -> tuple[SurfacePoints, NDArray[np.uint8]]:
    """`num` points of the exterior surface and their albedo (num, 3) sRGB.

    Lashes and teeth are left out, and texels below a part's alpha limit are no surface. Points are even over
    the surface but for a fixed share on head and hands, or as dense as `density` (F,) says of the triangles
    of `parts_soup`.
    """
    soup = parts_soup(parts)
    excluded = np.array([part.name.startswith(("eyelashes", "teeth")) for part in parts])
    is_sheet = np.array([part.is_sheet for part in parts])
    soup.areas[excluded[soup.part_index]] = 0.0
    alpha_min = np.array([part.material.alpha_min for part in parts])
    kept: list[SurfacePoints] = []
    colors: list[NDArray[np.uint8]] = []
    missing = num
    while missing > 0:
        drawn = _draw(rng, soup, int(missing * 1.2) + 2000, density)
        color = scene.albedo(drawn.part_index, drawn.uv, drawn.pattern_points)
        good = color[:, 3] >= 255.0 * alpha_min[drawn.part_index]
        sides = exterior_sides(
            solid, drawn.points[good], drawn.normals[good], is_sheet[drawn.part_index[good]]
        )
        drawn.normals[good] *= np.where(sides < 0, -1, 1)[:, None]
        good[good] = sides != 0
        if good.mean() < 0.02:
            raise ValueError("almost none of the surface is exterior: the parts do not bound a solid")
        kept.append(drawn.take(good))
        colors.append(color[good, :3])
        missing -= int(good.sum())
    merged = SurfacePoints(
        *(
            np.concatenate([getattr(k, name) for k in kept])[:num]
            for name in ("points", "normals", "part_index", "uv", "pattern_points", "weights")
        )
    )
    return merged, np.concatenate(colors)[:num]


def draw_samples(
    rng: np.random.Generator, parts: list[Part], solid: Solid, scene: Scene, options: SampleOptions
) -> tuple[dict[str, NDArray[np.generic]], SurfacePoints]:
    """The arrays of `samples.npz` (see `shards.py`) and the surface points with their weights."""
    num = max(options.num_near, options.num_surface)
    surface, colors = exterior_points(rng, parts, solid, scene, num)

    sigma = np.resize(NEAR_SIGMAS_M, options.num_near)
    distance = rng.normal(0.0, 1.0, options.num_near) * sigma
    near = surface.points[: options.num_near] + (
        distance[:, None] * surface.normals[: options.num_near]
    ).astype(np.float32)
    low, high = solid.vertices.min(axis=0), solid.vertices.max(axis=0)
    uniform = rng.uniform(low - UNIFORM_MARGIN_M, high + UNIFORM_MARGIN_M, (options.num_uniform, 3))
    uniform = uniform.astype(np.float32)
    rows = slice(0, options.num_surface)
    arrays: dict[str, NDArray[np.generic]] = {
        "near_points": near,
        "near_occupancy": solid.occupancy(near),
        "uniform_points": uniform,
        "uniform_occupancy": solid.occupancy(uniform),
        "surface_points": surface.points[rows],
        "surface_normals": surface.normals[rows],
        "surface_albedo": colors[rows],
    }
    return arrays, surface


def exterior_mesh(parts: list[Part], solid: Solid, scene: Scene) -> dict[str, NDArray[np.generic]]:
    """Exterior triangles with vertex albedo: `vertices`, `faces`, `albedo`, for point-to-surface distances.

    A triangle is kept when most of four points on it are exterior and opaque.
    """
    soup = parts_soup(parts)
    bary = np.array([[1 / 3, 1 / 3, 1 / 3], [0.7, 0.15, 0.15], [0.15, 0.7, 0.15], [0.15, 0.15, 0.7]])
    alpha_min = np.array([part.material.alpha_min for part in parts])
    is_sheet = np.array([part.is_sheet for part in parts])[soup.part_index]
    votes, sides = np.zeros(len(soup.areas)), np.zeros(len(soup.areas))
    for weights in bary:
        points = np.einsum("k,nka->na", weights, soup.corners)
        normals = np.einsum("k,nka->na", weights, soup.normals)
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)
        uv = np.einsum("k,nka->na", weights, soup.uv)
        pattern_points = np.einsum("k,nka->na", weights, soup.pattern_points)
        color = scene.albedo(soup.part_index, uv, pattern_points)
        good = color[:, 3] >= 255.0 * alpha_min[soup.part_index]
        found = exterior_sides(solid, points[good], normals[good], is_sheet[good])
        votes[good] += found != 0
        sides[good] += found
    excluded = np.array([part.name.startswith(("eyelashes", "eyebrows", "teeth")) for part in parts])
    keep = (votes >= 2) & ~excluded[soup.part_index]
    flipped = (sides < 0)[:, None]
    soup = replace(
        soup,
        **{
            name: np.where(flipped[..., None], getattr(soup, name)[:, ::-1], getattr(soup, name))
            for name in ("corners", "uv", "pattern_points")
        },
    )
    # Corners stay apart where texture coordinates do, so that colours do not run over seams.
    corners = soup.corners[keep].reshape(-1, 3).astype(np.float32)
    index = np.repeat(soup.part_index[keep], 3)
    uv = soup.uv[keep].reshape(-1, 2)
    color = scene.albedo(index, uv, soup.pattern_points[keep].reshape(-1, 3))[:, :3]
    keys = np.concatenate([corners.view(np.uint8).reshape(len(corners), -1), color], axis=1)
    packed = np.ascontiguousarray(keys).view([("", np.uint8)] * keys.shape[1]).ravel()
    _, first, inverse = np.unique(packed, return_index=True, return_inverse=True)
    return {
        "vertices": corners[first],
        "faces": inverse.reshape(-1, 3).astype(np.int32),
        "albedo": color[first],
    }
