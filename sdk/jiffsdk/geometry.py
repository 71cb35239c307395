"""Geometry of triangle meshes that both files and previews need."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


def vertex_normals(vertices: Floats, faces: npt.NDArray[np.int32]) -> Floats:
    """Unit normals at the vertices, the mean of the adjacent faces' weighted by area.

    Parameters
    ----------
    vertices : ndarray, shape (V, 3)
    faces : ndarray, shape (F, 3)
        Counter-clockwise seen from outside.

    Returns
    -------
    ndarray of float32, shape (V, 3)
        Outward; zero at a vertex without any face of positive area.
    """
    a, b, c = (vertices[faces[:, corner]] for corner in range(3))
    face_normals = np.cross(b - a, c - a)  # twice the area long
    corners = faces.ravel()
    spread = np.repeat(face_normals, 3, axis=0)
    sums = np.stack([np.bincount(corners, spread[:, axis], len(vertices)) for axis in range(3)], axis=1)
    lengths = np.linalg.norm(sums, axis=1, keepdims=True)
    return np.divide(sums, lengths, out=np.zeros_like(sums), where=lengths > 0).astype(np.float32)
