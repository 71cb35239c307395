"""The weights and inputs that the golden outputs in `tests/golden` belong to, made anew from seeds.

`paper_tensors.txt` names every tensor of the three published checkpoints: `network name shape`.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FOLDER = Path(__file__).parent / "golden"
SALTS = {"netG": "A", "netC_coarse": "Ac", "netC_fine": "Af"}

FloatArray = NDArray[np.float32]


def golden_arrays() -> dict[str, NDArray]:
    """What the published networks give for these weights and inputs."""
    with np.load(FOLDER / "paper.npz") as arrays:
        return dict(arrays)


def tensor_shapes(network: str) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a checkpoint's tensors."""
    rows = (line.split() for line in (FOLDER / "paper_tensors.txt").read_text().splitlines())
    return {
        name: () if shape == "scalar" else tuple(map(int, shape.split("x")))
        for owner, name, shape in rows
        if owner == network
    }


def tensors(network: str) -> dict[str, NDArray]:
    """A checkpoint, each tensor seeded by its own name."""
    return {name: _tensor(SALTS[network] + name, shape) for name, shape in tensor_shapes(network).items()}


def _tensor(name: str, shape: tuple[int, ...]) -> NDArray:
    if name.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    values = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape)
    if name.endswith("running_var"):
        values = 1 + 0.1 * np.abs(values)
    elif len(shape) >= 2:
        values = values * np.sqrt(2.0 / np.prod(shape[1:]))
    elif name.endswith("weight"):
        values = 1 + 0.1 * values
    else:
        values = 0.1 * values
    return values.astype(np.float32)


@dataclass(frozen=True)
class Inputs:
    """Pictures (1, 3, S, S); a face mesh and query points, (N, 3), in the published world."""

    image: FloatArray
    large_image: FloatArray
    vertices: FloatArray
    colors: FloatArray
    points: FloatArray


def inputs() -> Inputs:
    rng = np.random.default_rng(0)
    image = rng.standard_normal((1, 3, 512, 512)).astype(np.float32)
    image = image.reshape(1, 3, 64, 8, 64, 8).mean((3, 5))
    image = np.clip(_enlarged(image, 8) * 4, -1, 1).astype(np.float32)
    directions = rng.standard_normal((6000, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    directions[:, 2] = np.abs(directions[:, 2])
    vertices = directions * [8.0, 11.0, 9.0] + [1.5, 160.0, 2.0]
    colors = rng.uniform(0, 1, (6000, 3))
    in_frame = rng.uniform(-1, 1, (3, 2048)) * 102.9 + [[0], [90], [1.5]]
    near_face = rng.uniform(-1, 1, (3, 2048)) * [[9], [12], [10]] + [[1.5], [160], [2]]
    points = np.concatenate([in_frame, near_face], axis=1).T
    return Inputs(image, _enlarged(image, 2), *(a.astype(np.float32) for a in (vertices, colors, points)))


def _enlarged(image: FloatArray, factor: int) -> FloatArray:
    return np.repeat(np.repeat(image, factor, 2), factor, 3)


def view_from_world(points: FloatArray, calibration: FloatArray) -> FloatArray:
    """Points (N, 3) of the published world in view coordinates."""
    view = points.astype(np.float64) @ calibration[0, :3, :3].T + calibration[0, :3, 3]
    return view.astype(np.float32)
