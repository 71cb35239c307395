"""The morphable face model: S = mean + B_id alpha + B_exp beta, T = mean + B_tex delta (paper Eq. 2).

On disk it is one safetensors file. Lengths are metres, y is up and the face looks along +z. The origin is
the mean of the mean face's five landmarks in our own model; a Basel model keeps the mean of its vertices.

| tensor | shape | type |
|---|---|---|
| `mean_shape` | (N, 3) | float32 |
| `identity_basis` | (K, N, 3) | float16 or float32; metres for one standard deviation |
| `expression_basis` | (E, N, 3) | the same; metres at coefficient 1 |
| `mean_texture` | (N, 3) | float32; sRGB albedo in [0, 1] |
| `texture_basis` | (T, N, 3) | float16 or float32; for one standard deviation |
| `triangles` | (F, 3) | index, counter-clockwise from outside |
| `uv` | (N, 2) | float32, v up; zero where the model has none |
| `landmarks` | (68,) | index, vertices in the order of the iBUG layout |
| `five_points` | (5, 2) | index; two vertices whose mean is a landmark of the detector (`FIVE_POINTS`) |
| `body_vertices` | (N,) | index; the base-mesh vertex of each vertex, only for the model that we build |

Indices count from 0 and lie in the file as float32, exact below 2^24: the core reads floats only.
K, E and T are at most 80, 64 and 80. The interface is always 257 coefficients wide: those that a model
lacks have no effect.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from .errors import FaceModelError
from .onnx_graph import Store

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int32]

NUM_IDENTITY, NUM_EXPRESSION, NUM_TEXTURE, NUM_LIGHT, NUM_POSE = 80, 64, 80, 27, 6
NUM_COEFFICIENTS = NUM_IDENTITY + NUM_EXPRESSION + NUM_TEXTURE + NUM_LIGHT + NUM_POSE
NUM_LANDMARKS = 68
FIVE_POINTS = ((36, 39), (42, 45), (30, 30), (48, 48), (54, 54))
"""The detector's landmarks as means of two of the 68: eyes, nose, mouth corners, the picture's left first."""

_METADATA = "face_model"
_BASES = ("identity_basis", "expression_basis", "texture_basis")
_WIDTHS = {"identity_basis": NUM_IDENTITY, "expression_basis": NUM_EXPRESSION, "texture_basis": NUM_TEXTURE}
_INTEGERS = ("triangles", "landmarks", "five_points", "body_vertices")


@dataclass(frozen=True)
class Coefficients:
    """The 257 numbers of a face, each (B, n).

    Attributes
    ----------
    identity, expression, texture : alpha (80), beta (64), delta (80) of Eq. 2.
    light : gamma (27), nine harmonics of red, then of green, then of blue.
    pose : (6), see `docs/conventions.md`: angles about x, y, z in radians, then shift x, y and log scale.
    """

    identity: NDArray[np.floating]
    expression: NDArray[np.floating]
    texture: NDArray[np.floating]
    light: NDArray[np.floating]
    pose: NDArray[np.floating]

    @staticmethod
    def split(values: NDArray[np.floating]) -> Coefficients:
        """From the regressor's output, (B, 257).

        Raises
        ------
        FaceModelError
            The last axis is not 257 long.
        """
        if values.ndim != 2 or values.shape[1] != NUM_COEFFICIENTS:
            raise FaceModelError(f"coefficients must be (B, {NUM_COEFFICIENTS}), got {values.shape}")
        ends = np.cumsum([NUM_IDENTITY, NUM_EXPRESSION, NUM_TEXTURE, NUM_LIGHT])
        return Coefficients(*np.split(values, ends, axis=1))


@dataclass(frozen=True)
class FaceModel:
    """A face model in memory; the module's docstring lists the arrays.

    Attributes
    ----------
    expression_names : of the components of `expression_basis`; empty where they have no names.
    license, provenance : of the data it was made from.
    """

    mean_shape: FloatArray
    identity_basis: FloatArray
    expression_basis: FloatArray
    mean_texture: FloatArray
    texture_basis: FloatArray
    triangles: IntArray
    uv: FloatArray
    landmarks: IntArray
    five_points: IntArray
    body_vertices: IntArray | None = None
    expression_names: tuple[str, ...] = ()
    license: str = ""
    provenance: str = ""
    name: str = field(default="face")

    def __post_init__(self) -> None:
        num = len(self.mean_shape)
        shapes: dict[str, tuple[int | None, ...]] = {
            "mean_shape": (num, 3), "identity_basis": (None, num, 3), "expression_basis": (None, num, 3),
            "mean_texture": (num, 3), "texture_basis": (None, num, 3), "triangles": (None, 3),
            "uv": (num, 2), "landmarks": (NUM_LANDMARKS,), "five_points": (5, 2), "body_vertices": (num,),
        }  # fmt: skip
        for key, wanted in shapes.items():
            array = getattr(self, key)
            if array is None:
                continue
            fits = array.ndim == len(wanted) and all(
                w is None or w == s for w, s in zip(wanted, array.shape, strict=True)
            )
            if not fits:
                raise FaceModelError(f"{key} must have shape {_spelled(wanted)}, got {array.shape}")
            if key in _WIDTHS and len(array) > _WIDTHS[key]:
                raise FaceModelError(f"{key} has {len(array)} components, at most {_WIDTHS[key]} are used")
            if not np.isfinite(array).all():
                raise FaceModelError(f"{key} holds NaN or infinity")
        for key in ("triangles", "landmarks", "five_points"):
            array = getattr(self, key)
            if array.size and not (array.min() >= 0 and array.max() < num):
                raise FaceModelError(f"{key} names vertices {array.min()} to {array.max()} of {num}")

    @property
    def num_vertices(self) -> int:
        return len(self.mean_shape)

    def shape(
        self, identity: NDArray[np.floating] | None = None, expression: NDArray[np.floating] | None = None
    ) -> FloatArray:
        """Vertices (N, 3) in metres for alpha (80,) and beta (64,); absent ones are zero."""
        vertices = self.mean_shape.copy()
        for basis, values in ((self.identity_basis, identity), (self.expression_basis, expression)):
            if values is not None:
                vertices += _combine(basis, values)
        return vertices

    def texture(self, texture: NDArray[np.floating] | None = None) -> FloatArray:
        """sRGB albedo (N, 3) for delta (80,), clipped to [0, 1]."""
        colors = self.mean_texture.copy()
        if texture is not None:
            colors += _combine(self.texture_basis, texture)
        return np.clip(colors, 0.0, 1.0)

    def five_landmarks(self, vertices: NDArray[np.floating] | None = None) -> NDArray[np.float64]:
        """The detector's landmarks (5, 3) of a shape (default: the mean)."""
        chosen = self.mean_shape if vertices is None else vertices
        return np.asarray(chosen[self.five_points].astype(np.float64).mean(axis=1))

    def to_bytes(self, store: Store = "fp16") -> bytes:
        """The model as a safetensors file; `store` is how the bases lie in it."""
        tensors: dict[str, NDArray[np.generic]] = {}
        for entry in fields(self):
            value = getattr(self, entry.name)
            if not isinstance(value, np.ndarray):
                continue
            type_ = np.float16 if entry.name in _BASES and store == "fp16" else np.float32
            tensors[entry.name] = np.ascontiguousarray(value, dtype=type_)
        described = {
            "name": self.name,
            "license": self.license,
            "provenance": self.provenance,
            "expression_names": list(self.expression_names),
        }
        # One entry: safetensors writes several in no fixed order, and equal models should be equal files.
        return save(tensors, metadata={_METADATA: json.dumps(described)})


def load_face_model(path: Path) -> FaceModel:
    """Read a face model.

    Raises
    ------
    FaceModelError
        The file is missing, is no safetensors file, or lacks a tensor; the message names it.
    """
    if not path.is_file():
        raise FaceModelError(f"{path}: no such face model")
    try:
        with safe_open(path, framework="numpy") as opened:
            described = json.loads((opened.metadata() or {}).get(_METADATA, "{}"))
            tensors = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118  # no mapping
    except (SafetensorError, json.JSONDecodeError) as error:
        raise FaceModelError(f"{path}: not a readable safetensors file ({error})") from error
    arrays = {}
    for entry in fields(FaceModel):
        is_array = "Array" in str(entry.type)
        if not is_array or (entry.name == "body_vertices" and entry.name not in tensors):
            continue
        if entry.name not in tensors:
            raise FaceModelError(f"{path}: tensor {entry.name!r} is missing")
        type_ = np.int32 if entry.name in _INTEGERS else np.float32
        arrays[entry.name] = tensors[entry.name].astype(type_)
    try:
        return FaceModel(
            **arrays,
            expression_names=tuple(described.get("expression_names", ())),
            license=described.get("license", ""),
            provenance=described.get("provenance", ""),
            name=described.get("name", "face"),
        )
    except FaceModelError as error:
        raise FaceModelError(f"{path}: {error}") from error


def _combine(basis: FloatArray, values: NDArray[np.floating]) -> FloatArray:
    return np.tensordot(np.asarray(values, dtype=np.float32)[: len(basis)], basis[: len(values)], axes=1)


def _spelled(shape: tuple[int | None, ...]) -> str:
    return "(" + ", ".join("*" if size is None else str(size) for size in shape) + ")"
