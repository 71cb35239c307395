"""Training checkpoints, read without running any code from the file.

A checkpoint is `{"kind": "shape" | "color" | "face_shape" | "fine_color" | "face_regressor",
"config": {...}, "model": state_dict, "step": int, "provenance": str}`. A "face_shape" checkpoint holds the
tensors of `volume.*` and `face_head.*`, and of `body.*` only if the body was trained with them.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from .errors import CheckpointError
from .nets import (
    ColorConfig,
    ColorNet,
    FaceRegressor,
    FaceRegressorConfig,
    FaceShapeConfig,
    FaceShapeNet,
    FineColorConfig,
    FineColorNet,
    PublishedFaceRegressor,
    ShapeConfig,
    ShapeNet,
)

_FIELDS: dict[str, type] = {"kind": str, "config": dict, "model": dict, "step": int, "provenance": str}


NetworkT = TypeVar("NetworkT", ShapeNet, ColorNet, FaceShapeNet, FineColorNet, FaceRegressor)


@dataclass(frozen=True)
class TrainedNetwork(Generic[NetworkT]):
    """A network with its weights, in evaluation mode, and where they come from."""

    network: NetworkT
    step: int
    provenance: str


def load_shape(path: Path) -> TrainedNetwork[ShapeNet]:
    """A shape checkpoint. Raises `CheckpointError`, which names the file and what is wrong with it."""
    return _load(path, "shape", lambda config, _: ShapeNet(ShapeConfig.from_dict(config)))


def load_color(path: Path) -> TrainedNetwork[ColorNet]:
    """A colour checkpoint. Raises `CheckpointError`, which names the file and what is wrong with it."""
    return _load(path, "color", lambda config, _: ColorNet(ColorConfig.from_dict(config)))


def load_face_shape(path: Path) -> TrainedNetwork[FaceShapeNet]:
    """The face's parts of the shape network; `network.body` is None where they were trained on a finished one.

    Raises `CheckpointError`, which names the file and what is wrong with it.
    """

    def build(config: dict[str, Any], names: Iterable[str]) -> FaceShapeNet:
        has_body = any(name.startswith("body.") for name in names)
        return FaceShapeNet(FaceShapeConfig.from_dict(config), has_body)

    return _load(path, "face_shape", build)


def load_fine_color(path: Path) -> TrainedNetwork[FineColorNet]:
    """A fine colour checkpoint. Raises `CheckpointError`, which names the file and what is wrong with it."""
    return _load(path, "fine_color", lambda config, _: FineColorNet(FineColorConfig.from_dict(config)))


def load_face_regressor(path: Path) -> TrainedNetwork[FaceRegressor]:
    """A face regressor checkpoint. Raises `CheckpointError`, which names the file and what is wrong."""
    return _load(path, "face_regressor", lambda config, _: FaceRegressor(FaceRegressorConfig.from_dict(config)))


def load_published_face_regressor(path: Path) -> PublishedFaceRegressor:
    """The checkpoint of Deep3DFaceReconstruction: `{"net_recon": state_dict, ...}`, or one flat state dict
    whose names begin with `net_recon.`.

    Raises
    ------
    CheckpointError
        The file is no such checkpoint; the message names it and what is wrong.
    """
    content = read_dictionary(path)
    given = content.get("net_recon")
    if given is None:
        prefix = "net_recon."
        given = {name[len(prefix) :]: value for name, value in content.items() if name.startswith(prefix)}
    if not isinstance(given, dict) or not given:
        raise CheckpointError(f"{path}: holds no 'net_recon', the face regressor's weights")
    given = {name: value for name, value in given.items() if isinstance(value, Tensor)}
    network = PublishedFaceRegressor()
    wanted = {k: v for k, v in network.state_dict().items() if not k.endswith("num_batches_tracked")}
    given = {name: value for name, value in given.items() if not name.endswith("num_batches_tracked")}
    check_tensors(path, given, wanted)
    network.load_state_dict(given, strict=False)
    return network.eval()


def _load(
    path: Path, kind: str, build: Callable[[dict[str, Any], Iterable[str]], NetworkT]
) -> TrainedNetwork[NetworkT]:
    """`build` takes the configuration and the names of the tensors."""
    checkpoint = _read(path)
    if checkpoint["kind"] != kind:
        raise CheckpointError(f"{path}: holds a {checkpoint['kind']!r} network, not a {kind!r} one")
    try:
        network = build(checkpoint["config"], checkpoint["model"])
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: the configuration does not make a {kind} network: {error}") from error
    check_tensors(path, checkpoint["model"], network.state_dict())
    network.load_state_dict(checkpoint["model"])
    return TrainedNetwork(network.eval(), checkpoint["step"], checkpoint["provenance"])


def _read(path: Path) -> dict[str, Any]:
    checkpoint = read_dictionary(path)
    for field, type_ in _FIELDS.items():
        if not isinstance(checkpoint.get(field), type_):
            got = type(checkpoint[field]).__name__ if field in checkpoint else "nothing"
            raise CheckpointError(f"{path}: field {field!r} must be {type_.__name__}, got {got}")
    return checkpoint


def read_dictionary(path: Path) -> dict[str, Any]:
    """The dictionary that a torch file holds. Raises `CheckpointError`, which names the file."""
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(f"{path}: no such checkpoint") from error
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path}: refused, since it holds more than tensors and plain values (or is no checkpoint); "
            "loading it could run code"
        ) from error
    except Exception as error:  # torch raises RuntimeError, EOFError, KeyError, ... on files cut short
        raise CheckpointError(f"{path}: not a readable torch checkpoint ({error})") from error
    if not isinstance(checkpoint, dict):
        raise CheckpointError(f"{path}: a checkpoint is a dictionary, this is a {type(checkpoint).__name__}")
    return checkpoint


def check_tensors(path: Path, given: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    """Raises `CheckpointError` unless the tensors of `path` have the names and shapes of `wanted`."""
    missing = [name for name in wanted if name not in given]
    unexpected = [name for name in given if name not in wanted]
    if missing or unexpected:
        raise CheckpointError(
            f"{path}: tensors do not fit the configuration; missing: {_listing(missing)}; "
            f"unexpected: {_listing(unexpected)}"
        )
    for name, tensor in wanted.items():
        if given[name].shape != tensor.shape:
            raise CheckpointError(
                f"{path}: tensor {name!r} must have shape {tuple(tensor.shape)}, "
                f"got {tuple(given[name].shape)}"
            )
        if not torch.isfinite(given[name]).all():
            raise CheckpointError(f"{path}: tensor {name!r} holds NaN or infinity; training diverged")


def _listing(names: list[str], most: int = 8) -> str:
    if not names:
        return "none"
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest
