"""Properties of triangle meshes by their definitions."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components


def assert_closed_manifold(vertices: NDArray[np.floating], faces: NDArray[np.integer]) -> None:
    """Every directed edge once and its reverse once, every vertex used, one fan of faces a vertex."""
    directed = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).astype(np.int64)
    assert (directed[:, 0] != directed[:, 1]).all(), "a face uses a vertex twice"
    forward = directed[:, 0] * len(vertices) + directed[:, 1]
    backward = directed[:, 1] * len(vertices) + directed[:, 0]
    assert len(np.unique(forward)) == len(forward), "a directed edge is used twice"
    assert np.array_equal(np.sort(forward), np.sort(backward)), "an edge has no opposite"
    assert np.array_equal(np.unique(faces), np.arange(len(vertices))), "a vertex is not used"
    # Corners of faces joined across the edges around a vertex: as many groups as vertices.
    corner = {}
    for f, face in enumerate(faces.tolist()):
        for i in range(3):
            corner[face[i], face[(i + 1) % 3]] = 3 * f + i
    pairs = [(c, corner[b, a]) for (a, b), c in corner.items()]
    # The corner at `a` of edge a→b meets the corner at `a` of the face that has b→a: the one after its `b`.
    following = [(first, second // 3 * 3 + (second + 1) % 3) for first, second in pairs]
    if following:
        rows, columns = np.array(following).T
        graph = coo_array((np.ones(len(rows)), (rows, columns)), shape=(3 * len(faces),) * 2)
        assert connected_components(graph, directed=False)[0] == len(vertices), "a vertex has two fans"


def signed_volume(vertices: NDArray[np.floating], faces: NDArray[np.integer]) -> float:
    """Positive when faces are counter-clockwise from outside."""
    a, b, c = np.moveaxis(vertices.astype(np.float64)[faces], 1, 0)
    return float(np.einsum("ij,ij->", a, np.cross(b, c)) / 6)


def euler_characteristic(vertices: NDArray[np.floating], faces: NDArray[np.integer]) -> int:
    """V - E + F of a closed mesh."""
    return len(vertices) - 3 * len(faces) // 2 + len(faces)


def component_of_vertices(vertices: NDArray[np.floating], faces: NDArray[np.integer]) -> NDArray[np.integer]:
    """The label of each vertex's connected component; components join over shared vertices."""
    rows, columns = faces[:, :2].ravel(), faces[:, 1:].ravel()
    graph = coo_array((np.ones(len(rows)), (rows, columns)), shape=(len(vertices),) * 2)
    return connected_components(graph, directed=False)[1]


def num_components(vertices: NDArray[np.floating], faces: NDArray[np.integer]) -> int:
    """Connected components over shared vertices."""
    return len(np.unique(component_of_vertices(vertices, faces)))
