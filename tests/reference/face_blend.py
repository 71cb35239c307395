"""Body and face answers joined, point by point."""

import math

import numpy as np
from numpy.typing import NDArray


def blend_face(
    region: tuple[float, float, float, float],
    points: NDArray[np.float32],
    body: NDArray[np.float32],
    face: NDArray[np.float32],
    distances_cm: NDArray[np.float32] | None = None,
) -> NDArray[np.float64]:
    """Answers (N, C); the region is (left, right, top, bottom), borders included."""
    left, right, top, bottom = (np.float32(border) for border in region)
    answers = body.astype(np.float64)
    for i, (x, y, _) in enumerate(points):
        if left <= x <= right and top <= y <= bottom:
            distance = 0.0 if distances_cm is None else float(distances_cm[i])
            weight = math.exp(-0.03 * (distance / math.sqrt(3)) ** 2)
            answers[i] = weight * face[i].astype(np.float64) + (1 - weight) * answers[i]
    return answers
