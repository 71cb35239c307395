"""The surface of an occupancy in a box, asked densely only where the surface is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from skimage.measure import marching_cubes

Array = NDArray[np.float64]
Occupancy = Callable[[Array], NDArray[np.floating]]
"""View points (N, 3) -> occupancies (N,)."""

COARSEST = 4
"""Lattice points along an axis to one that is asked at first; a part thinner than this may be missed."""


def box_surface(occupancy: Occupancy, low: Array, high: Array, num_cells: int) -> tuple[Array, NDArray]:
    """The surface at 0.5 in a box of the view: vertices (V, 3), view coordinates, and triangles (F, 3).

    The lattice has `num_cells` cells along the box's longest side. What crosses the box's faces stays open.
    Triangles are counter-clockwise from outside once y points up.

    Raises
    ------
    ValueError
        No surface lies in the box.
    """
    spacing = float((high - low).max()) / num_cells
    shape = tuple(COARSEST * np.ceil((high - low) / spacing / COARSEST).astype(int) + 1)
    values = np.full(shape, np.nan)
    asked = np.zeros(shape, bool)
    asked[::COARSEST, ::COARSEST, ::COARSEST] = True
    step = COARSEST
    while True:
        new = np.argwhere(asked & np.isnan(values))
        values[tuple(new.T)] = occupancy(low + new * spacing)
        if step == 1:
            break
        values, asked = _refined(values, step)
        step //= 2
    if not values.min() < 0.5 < values.max():
        raise ValueError(f"no surface between {low} and {high}: occupancies {values.min()} to {values.max()}")
    vertices, faces, _, _ = marching_cubes(values, 0.5, gradient_direction="descent")
    return low + vertices.astype(np.float64) * spacing, faces.astype(np.int64)


def _refined(values: Array, step: int) -> tuple[Array, NDArray[np.bool_]]:
    """The lattice of half the step: what to ask is missing near the surface and interpolated elsewhere."""
    coarse = values[::step, ::step, ::step]
    inside = coarse > 0.5
    near = np.zeros_like(inside)
    for axis in range(3):
        changes = np.diff(inside, axis=axis)
        first, second = ([slice(None)] * 3 for _ in range(2))
        first[axis], second[axis] = slice(None, -1), slice(1, None)
        near[tuple(first)] |= changes
        near[tuple(second)] |= changes
    near = _dilated(near)
    half = step // 2
    fine, asked = coarse.astype(np.float64), near.astype(np.float64)
    for axis in range(3):
        fine, asked = _doubled(fine, axis), _doubled(asked, axis)
    result = np.full(values.shape, np.nan)
    result[::half, ::half, ::half] = np.where(asked > 0, np.nan, fine)
    known = ~np.isnan(values)
    result[known] = values[known]
    wanted = np.zeros(values.shape, bool)
    wanted[::half, ::half, ::half] = asked > 0
    return result, wanted


def _doubled(values: Array, axis: int) -> Array:
    """Means between neighbours along an axis."""
    count = values.shape[axis]
    first = np.take(values, np.arange(count - 1), axis)
    second = np.take(values, np.arange(1, count), axis)
    pairs = np.stack([first, (first + second) / 2], axis + 1)
    shape = list(values.shape)
    shape[axis] = 2 * (count - 1)
    return np.concatenate([pairs.reshape(shape), np.take(values, [count - 1], axis)], axis)


def _dilated(marked: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Marked lattice points and their neighbours along the axes."""
    result = marked.copy()
    for axis in range(3):
        first, second = ([slice(None)] * 3 for _ in range(2))
        first[axis], second[axis] = slice(None, -1), slice(1, None)
        grown = result.copy()
        grown[tuple(first)] |= result[tuple(second)]
        grown[tuple(second)] |= result[tuple(first)]
        result = grown
    return result
