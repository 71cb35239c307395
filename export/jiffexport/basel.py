"""A user's own Basel Face Model, in the file that Deep3DFaceReconstruction makes of it.

`BFM_model_front.mat` holds, for N vertices: `meanshape` (1, 3N) and the bases `idBase` (3N, 80) and
`exBase` (3N, 64) in decimetres, each component for one standard deviation; `meantex` (1, 3N) and `texBase`
(3N, 80) in 0 .. 255; `tri` (F, 3) and `keypoints` (1, 68), which count vertices from 1. The model's licence
forbids passing it on, so nothing of it is shipped: this converts the file that a user has.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import FaceModelError
from .face_model import FIVE_POINTS, NUM_LANDMARKS, FaceModel

M_PER_UNIT = 0.1
"""The file's unit is the decimetre."""

_KEYS = ("meanshape", "idBase", "exBase", "meantex", "texBase", "tri", "keypoints")


def load_basel_face_model(path: Path) -> FaceModel:
    """Read `BFM_model_front.mat`.

    The origin is the mean of the mean shape's vertices, as the regressors trained with this file expect.

    Raises
    ------
    FaceModelError
        The file is missing or unreadable, or one of its arrays is missing, misshapen, not finite, or names
        vertices that are not there; the message names the key.
    """
    arrays = _read(path)
    num = arrays["meanshape"].size // 3
    for key in ("meanshape", "meantex"):
        if num == 0 or arrays[key].size != 3 * num:
            raise FaceModelError(f"{path}: {key!r} must have 3 N = {3 * num} values, got {arrays[key].size}")
    bases = {key: _basis(path, key, arrays[key], num) for key in ("idBase", "exBase", "texBase")}
    if arrays["tri"].ndim != 2 or arrays["tri"].shape[1] != 3:
        raise FaceModelError(f"{path}: 'tri' must have shape (F, 3), got {arrays['tri'].shape}")
    if arrays["keypoints"].size != NUM_LANDMARKS:
        raise FaceModelError(f"{path}: 'keypoints' must have 68 values, got {arrays['keypoints'].size}")
    triangles = _from_one(path, "tri", arrays["tri"], num)
    landmarks = _from_one(path, "keypoints", arrays["keypoints"].ravel(), num)
    mean_shape = arrays["meanshape"].reshape(num, 3) * M_PER_UNIT
    mean_shape = mean_shape - mean_shape.mean(axis=0)
    return FaceModel(
        mean_shape=mean_shape.astype(np.float32),
        identity_basis=(bases["idBase"] * M_PER_UNIT).astype(np.float32),
        expression_basis=(bases["exBase"] * M_PER_UNIT).astype(np.float32),
        mean_texture=(arrays["meantex"].reshape(num, 3) / 255.0).astype(np.float32),
        texture_basis=(bases["texBase"] / 255.0).astype(np.float32),
        triangles=_outwards(mean_shape, triangles),
        uv=np.zeros((num, 2), dtype=np.float32),
        landmarks=landmarks,
        five_points=landmarks[np.array(FIVE_POINTS)],
        license="Basel Face Model licence: not to be passed on",
        provenance=f"converted from {path.name}",
        name="basel",
    )


def _read(path: Path) -> dict[str, NDArray[np.floating]]:
    from scipy.io import loadmat

    if not path.is_file():
        raise FaceModelError(f"{path}: no such file")
    try:
        content: dict[str, Any] = loadmat(path)
    except Exception as error:  # scipy raises ValueError, TypeError, NotImplementedError, ... on bad files
        raise FaceModelError(f"{path}: not a readable MATLAB file ({error})") from error
    arrays = {}
    for key in _KEYS:
        if key not in content:
            raise FaceModelError(f"{path}: array {key!r} is missing; is this BFM_model_front.mat?")
        array = np.asarray(content[key])
        if not np.issubdtype(array.dtype, np.number):
            raise FaceModelError(f"{path}: {key!r} must hold numbers, got {array.dtype}")
        if not np.isfinite(array).all():
            raise FaceModelError(f"{path}: {key!r} holds NaN or infinity")
        arrays[key] = array.astype(np.float64)
    return arrays


def _basis(path: Path, key: str, array: NDArray[np.floating], num: int) -> NDArray[np.floating]:
    """(3N, K) as (K, N, 3)."""
    if array.ndim != 2 or array.shape[0] != 3 * num:
        raise FaceModelError(f"{path}: {key!r} must have shape ({3 * num}, K), got {array.shape}")
    return array.T.reshape(-1, num, 3)


def _from_one(path: Path, key: str, indices: NDArray[np.floating], num: int) -> NDArray[np.int32]:
    if indices.size and not (indices.min() >= 1 and indices.max() <= num):
        raise FaceModelError(
            f"{path}: {key!r} counts vertices from 1 to {num}, got {indices.min():.0f} to {indices.max():.0f}"
        )
    return indices.astype(np.int32) - 1


def _outwards(vertices: NDArray[np.floating], triangles: NDArray[np.int32]) -> NDArray[np.int32]:
    """Triangles counter-clockwise from outside: most of a face's surface looks along +z."""
    a, b, c = (vertices[triangles[:, k]] for k in range(3))
    if np.cross(b - a, c - a)[:, 2].sum() >= 0:
        return triangles
    return np.ascontiguousarray(triangles[:, ::-1])
