"""Where the landmarks lie on the base mesh.

The 68 points of the iBUG layout, in its order: 17 of the jaw from the person's right ear to the left,
5 of each brow, 9 of the nose, 6 of each eye, 12 of the outer and 8 of the inner lips. The base mesh
is fixed, so they are vertices of it, chosen by eye on the mean face.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.face_model.region import FaceRegion

# Base-mesh vertices of the points on the middle and on the person's left, by their place in the layout.
_MIDDLE = {8: 5225, 27: 133, 28: 5063, 29: 201, 30: 5054, 33: 343, 51: 466, 57: 492, 62: 474, 66: 493}
_LEFT = {
    9: 7620, 10: 7618, 11: 10366, 12: 7457, 13: 11850, 14: 11851, 15: 7573, 16: 7575,
    22: 6983, 23: 6980, 24: 6979, 25: 6981, 26: 6982,
    34: 7077, 35: 7119,
    42: 6854, 43: 11483, 44: 11466, 45: 11473, 46: 6825, 47: 6831,
    52: 7219, 53: 11954, 54: 7182, 55: 7166, 56: 7241, 63: 7226, 64: 7185, 65: 7236,
}  # fmt: skip

# Each left point's partner on the right.
_PARTNER = {
    **{16 - i: i for i in range(8)},
    **{26 - i: 17 + i for i in range(5)},
    34: 32, 35: 31,
    42: 39, 43: 38, 44: 37, 45: 36, 46: 41, 47: 40,
    52: 50, 53: 49, 54: 48, 55: 59, 56: 58, 63: 61, 64: 60, 65: 67,
}  # fmt: skip


def landmark_vertices(region: FaceRegion) -> NDArray[np.int32]:
    """Vertices (68,) of the face region.

    Raises
    ------
    ValueError
        A landmark is not part of the region.
    """
    place = {int(vertex): row for row, vertex in enumerate(region.body_vertices)}
    result = np.full(68, -1, dtype=np.int32)
    for index, vertex in (_MIDDLE | _LEFT).items():
        if vertex not in place:
            raise ValueError(f"landmark {index}, base-mesh vertex {vertex}, lies outside the face region")
        result[index] = place[vertex]
    for index, partner in _PARTNER.items():
        result[partner] = region.mirror[result[index]]
    return result
