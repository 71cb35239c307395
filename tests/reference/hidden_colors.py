"""Which vertices a camera sees, pixel by pixel, and the smoothest colours of the others, solved whole."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, diags
from scipy.sparse.linalg import spsolve

Points = NDArray[np.floating]
Faces = NDArray[np.integer]


def seen_vertices(vertices: Points, faces: Faces, pixel: float, least_facing: float) -> NDArray[np.bool_]:
    """Vertices (V, 3) that look along z by at least that part of their normals' length, and which the
    farthest of the four pixels around them does not hide."""
    vertices = vertices.astype(np.float64)
    normals = np.zeros_like(vertices)
    corners = vertices[faces]
    crosses = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    for corner in range(3):
        np.add.at(normals, faces[:, corner], crosses)
    lengths = np.linalg.norm(normals, axis=1)
    facing = (normals[:, 2] > 0) & (normals[:, 2] >= least_facing * lengths)

    low = vertices[:, :2].min(axis=0) - pixel
    width, height = (int(n) for n in np.ceil((vertices[:, :2].max(axis=0) - low - pixel) / pixel) + 3)
    nearest = np.full((height, width), -np.inf)
    for row in range(height):
        for column in range(width):
            depths = depths_at(corners, crosses, low + pixel * np.array([column, row]))
            nearest[row, column] = depths.max(initial=-np.inf)
    column, row = np.floor((vertices[:, :2] - low) / pixel).astype(int).T
    around = [nearest[row + i, column + j] for i in (0, 1) for j in (0, 1)]
    return facing & (np.min(around, axis=0) <= vertices[:, 2] + pixel / 2)


def depths_at(corners: Points, crosses: Points, place: Points) -> Points:
    """Of all triangles (F, 3, 3) over a place (2,), seen from the front or the back."""
    sides = np.stack(
        [
            (to[:, 0] - of[:, 0]) * (place[1] - of[:, 1]) - (to[:, 1] - of[:, 1]) * (place[0] - of[:, 0])
            for of, to in ((corners[:, i], corners[:, (i + 1) % 3]) for i in range(3))
        ]
    )
    over = (crosses[:, 2] != 0) & (sides * np.sign(crosses[:, 2]) >= 0).all(axis=0)
    first, cross = corners[over, 0], crosses[over]
    return first[:, 2] - ((place - first[:, :2]) * cross[:, :2]).sum(axis=1) / cross[:, 2]


def smooth_hidden_colors(
    vertices: Points, faces: Faces, seen: NDArray[np.bool_], length: float, colors: Points
) -> NDArray[np.float64]:
    """Colours (V, 3) with those of hidden vertices such that the sum in csrc/ops/hidden_colors.h is least."""
    colors, num = colors.astype(np.float64), len(vertices)
    from_, to = faces.ravel(), np.roll(faces, -1, axis=1).ravel()
    edges = coo_matrix((np.ones(len(from_)), (from_, to)), (num, num)).tocsr()
    edge_m = np.linalg.norm(vertices[faces[:, 0]] - vertices[faces[:, 1]], axis=1).mean()
    keep = (edge_m / length) ** 2
    system = (diags(np.asarray(edges.sum(axis=1)).ravel() + keep) - edges).tocsr()
    hidden = ~seen
    given = keep * colors[hidden] + edges[hidden][:, seen] @ colors[seen]
    colors[hidden] = spsolve(system[hidden][:, hidden].tocsc(), given).reshape(-1, 3)
    return colors
