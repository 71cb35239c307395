"""The dense truth: every value of the lattice, its crossed cells, and the points that belong to them."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Field = Callable[[NDArray[np.int32]], NDArray[np.float32]]


def dense_values(
    field: Field, resolution: int, columns: NDArray[np.uint8] | None = None
) -> NDArray[np.float32]:
    """Values[z, y, x] of the (R + 1)^3 lattice: 0 in the outermost layer and in closed columns."""
    z, y, x = np.meshgrid(*[np.arange(resolution + 1, dtype=np.int32)] * 3, indexing="ij")
    values = field(np.stack([x, y, z], axis=-1).reshape(-1, 3)).reshape(x.shape).copy()
    values[~asked_points(resolution, columns)] = 0
    return values


def asked_points(resolution: int, columns: NDArray[np.uint8] | None = None) -> NDArray[np.bool_]:
    """Which points [z, y, x] are not zero by definition."""
    asked = np.zeros((resolution + 1,) * 3, bool)
    asked[1:-1, 1:-1, 1:-1] = True
    if columns is not None:
        asked &= columns.astype(bool)[None]
    return asked


def crossed_cells(values: NDArray[np.float32], iso: float) -> NDArray[np.bool_]:
    """Which cells [z, y, x] have corners on both sides."""
    inside = values > iso
    size = values.shape[0] - 1
    corners = np.stack(
        [inside[k : k + size, j : j + size, i : i + size] for k in (0, 1) for j in (0, 1) for i in (0, 1)]
    )
    return corners.any(axis=0) & ~corners.all(axis=0)


def num_queries_ideal(
    values: NDArray[np.float32], iso: float, columns: NDArray[np.uint8] | None = None
) -> int:
    """Points of crossed cells that are not zero by definition."""
    cells = crossed_cells(values, iso)
    size = cells.shape[0]
    points = np.zeros(values.shape, bool)
    for k in (0, 1):
        for j in (0, 1):
            for i in (0, 1):
                points[k : k + size, j : j + size, i : i + size] |= cells
    return int((points & asked_points(size, columns)).sum())
