"""Where the regressor's crop lies in a picture, from five landmarks: the twin of the core's `face_crop`.

As in Deep3DFaceReconstruction, the crop is upright: the landmarks' places are a linear map of the model's
own landmarks in least squares, and only its scale and shift are used. In-plane rotation stays in the
picture and is part of the pose.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def crop_squares(
    landmarks_px: NDArray[np.floating], template: NDArray[np.floating], side_m: float
) -> NDArray[np.float64]:
    """Left, top and side (B, 3) of the crops, pixels.

    Parameters
    ----------
    landmarks_px : (B, 5, 2), x right, y down, in the picture's pixels (edges, not centres, are whole).
    template : (5, 3) the same landmarks of the mean face in metres, y up.
    side_m : side of the crop on the mean face.
    """
    landmarks = np.asarray(landmarks_px, dtype=np.float64)
    center = landmarks.mean(axis=1)
    offsets = (landmarks - center[:, None]) * np.array([1.0, -1.0])
    maps = np.linalg.pinv(template - template.mean(axis=0)) @ offsets  # (B, 3, 2): metres to pixels
    side = side_m * np.linalg.norm(maps, axis=1).mean(axis=1)
    return np.column_stack([center - side[:, None] / 2, side])
