"""What marching cubes must leave on the faces of each cell, derived by geometry.

Each crossed lattice edge carries one vertex. On a face with two crossed edges the surface joins them;
on one with four it cuts off each of the two inside corners. The direction of a segment is the one in
which the surface, seen from outside the body, is walked counter-clockwise.
"""

from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray

Point = tuple[int, int, int]  # (x, y, z)
Edge = tuple[Point, Point]  # ascending
Segment = tuple[Edge, Edge]  # directed


def crossed_edges(volume: NDArray[np.floating], iso: float) -> dict[Edge, NDArray[np.float64]]:
    """The vertex position (x, y, z) of every crossed lattice edge of volume[z, y, x]."""
    vertices = {}
    depth, height, width = volume.shape
    for z, y, x in product(range(depth), range(height), range(width)):
        for dx, dy, dz in ((1, 0, 0), (0, 1, 0), (0, 0, 1)):
            if x + dx >= width or y + dy >= height or z + dz >= depth:
                continue
            first, second = float(volume[z, y, x]), float(volume[z + dz, y + dy, x + dx])
            if (first > iso) != (second > iso):
                t = min(max((iso - first) / (second - first), 0.001), 0.999)
                vertices[(x, y, z), (x + dx, y + dy, z + dz)] = np.array([x, y, z]) + t * np.array(
                    [dx, dy, dz]
                )
    return vertices


def face_segments(volume: NDArray[np.floating], iso: float, cell: Point) -> set[Segment]:
    """The directed segments that the surface leaves on the six faces of a cell."""
    segments = set()
    corners = [tuple(int(c) for c in np.add(cell, offset)) for offset in product((0, 1), repeat=3)]
    inside = {corner for corner in corners if volume[corner[2], corner[1], corner[0]] > iso}
    for axis, side in product(range(3), (0, 1)):
        face = [corner for corner in corners if corner[axis] == cell[axis] + side]
        normal = np.zeros(3)
        normal[axis] = 2 * side - 1
        sides = [(a, b) for a, b in combinations(sorted(face), 2) if np.abs(np.subtract(a, b)).sum() == 1]
        crossed = [(a, b) for a, b in sides if (a in inside) != (b in inside)]
        pairs = [crossed] if len(crossed) == 2 else []
        if len(crossed) == 4:
            pairs = [[edge for edge in crossed if corner in edge] for corner in face if corner in inside]
        for first, second in pairs:
            start, end = np.mean(first, axis=0), np.mean(second, axis=0)
            corner = next(c for c in first if c in inside)
            outward = np.cross(normal, end - start)  # of the surface at the face
            if outward @ (np.array(corner) - start) > 0:
                first, second = second, first
            segments.add((first, second))
    return segments
