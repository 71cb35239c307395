"""Checkpoints, ours and published ones, read without running any code from the file.

A checkpoint is `{"kind": "shape" | "color" | "face_shape" | "fine_color" | "face_regressor",
"config": {...}, "model": state_dict, "step": int, "provenance": str}`. A "face_shape" checkpoint holds the
tensors of `volume.*` and `face_head.*`, and of `body.*` only if the body was trained with them. What has no
kind is taken for published weights (`jiffexport.published`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

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
from .published import LICENSE as PUBLISHED_LICENSE
from .published import (
    PublishedWeights,
    published_color,
    published_face_shape,
    published_fine_color,
    published_provenance,
    published_shape,
)
from .torch_file import check_tensors, read_dictionary

_FIELDS: dict[str, type] = {"kind": str, "config": dict, "model": dict, "step": int, "provenance": str}


NetworkT = TypeVar(
    "NetworkT", ShapeNet, ColorNet, FaceShapeNet, FineColorNet, FaceRegressor, PublishedFaceRegressor
)


@dataclass(frozen=True)
class TrainedNetwork(Generic[NetworkT]):
    """A network with its weights, in evaluation mode, and where they come from.

    Attributes
    ----------
    step
        How many steps it was trained; None where the file does not say.
    license
        Of the weights (SPDX).
    ignored
        Tensors of the file that nothing reads.
    """

    network: NetworkT
    step: int | None
    provenance: str
    license: str = "Apache-2.0"
    ignored: tuple[str, ...] = ()

    @property
    def is_published(self) -> bool:
        """Whether the file is in the published layout."""
        return self.step is None


def load_shape(path: Path) -> TrainedNetwork[ShapeNet]:
    """A shape checkpoint, the body of a "face_shape" one that holds it, or the body of `netG` or `net_G`.

    Raises `CheckpointError`, which names the file and what is wrong with it.
    """
    content = read_dictionary(path)
    if "kind" not in content:
        return _published(path, content, published_shape)
    if content["kind"] == "face_shape":
        trained = load_face_shape(path)
        if trained.network.body is None:
            raise CheckpointError(f"{path}: holds a face alone, without the body network it was trained on")
        return TrainedNetwork(trained.network.body, trained.step, trained.provenance)
    return _load(path, content, "shape", lambda config, _: ShapeNet(ShapeConfig.from_dict(config)))


def load_color(path: Path) -> TrainedNetwork[ColorNet]:
    """A colour checkpoint, `netC_coarse` or `net_C`.

    Raises `CheckpointError`, which names the file and what is wrong with it.
    """
    content = read_dictionary(path)
    if "kind" not in content:
        return _published(path, content, published_color)
    return _load(path, content, "color", lambda config, _: ColorNet(ColorConfig.from_dict(config)))


def load_face_shape(path: Path) -> TrainedNetwork[FaceShapeNet]:
    """The face's parts of the shape network; `network.body` is None if they were trained on a finished one.

    Raises `CheckpointError`, which names the file and what is wrong with it.
    """

    def build(config: dict[str, Any], names: Iterable[str]) -> FaceShapeNet:
        has_body = any(name.startswith("body.") for name in names)
        return FaceShapeNet(FaceShapeConfig.from_dict(config), has_body)

    content = read_dictionary(path)
    if "kind" not in content:
        return _published(path, content, published_face_shape)
    return _load(path, content, "face_shape", build)


def load_fine_color(path: Path) -> TrainedNetwork[FineColorNet]:
    """A fine colour checkpoint or `netC`.

    Raises `CheckpointError`, which names the file and what is wrong with it.
    """
    content = read_dictionary(path)
    if "kind" not in content:
        return _published(path, content, published_fine_color)
    return _load(
        path, content, "fine_color", lambda config, _: FineColorNet(FineColorConfig.from_dict(config))
    )


def load_face_regressor(
    path: Path,
) -> TrainedNetwork[FaceRegressor] | TrainedNetwork[PublishedFaceRegressor]:
    """A face regressor checkpoint, or that of Deep3DFaceReconstruction: `{"net_recon": state_dict, ...}`, or
    one flat state dictionary whose names begin with `net_recon.`.

    Raises `CheckpointError`, which names the file and what is wrong with it.
    """
    content = read_dictionary(path)
    if "kind" not in content:
        network = _published_face_regressor(path, content)
        return TrainedNetwork(network, None, published_provenance(path), PUBLISHED_LICENSE)
    return _load(
        path,
        content,
        "face_regressor",
        lambda config, _: FaceRegressor(FaceRegressorConfig.from_dict(config)),
    )


def _published_face_regressor(path: Path, content: dict[str, Any]) -> PublishedFaceRegressor:
    given = content.get("net_recon")
    if given is None:
        prefix = "net_recon."
        given = {name[len(prefix) :]: value for name, value in content.items() if name.startswith(prefix)}
    if not isinstance(given, dict) or not given:
        raise CheckpointError(
            f"{path}: no face regressor: neither a checkpoint of this project nor the published one, which "
            "has 'net_recon'"
        )
    given = {name: value for name, value in given.items() if isinstance(value, Tensor)}
    network = PublishedFaceRegressor()
    wanted = {k: v for k, v in network.state_dict().items() if not k.endswith("num_batches_tracked")}
    given = {name: value for name, value in given.items() if not name.endswith("num_batches_tracked")}
    check_tensors(path, given, wanted)
    network.load_state_dict(given, strict=False)
    return network.eval()


def _published(
    path: Path, content: dict[str, Any], build: Callable[[PublishedWeights], NetworkT]
) -> TrainedNetwork[NetworkT]:
    weights = PublishedWeights.of(path, content)
    provenance = published_provenance(path)
    return TrainedNetwork(build(weights), None, provenance, PUBLISHED_LICENSE, weights.ignored)


def _load(
    path: Path,
    checkpoint: dict[str, Any],
    kind: str,
    build: Callable[[dict[str, Any], Iterable[str]], NetworkT],
) -> TrainedNetwork[NetworkT]:
    """`build` takes the configuration and the names of the tensors."""
    _check_fields(path, checkpoint)
    if checkpoint["kind"] != kind:
        raise CheckpointError(f"{path}: holds a {checkpoint['kind']!r} network, not a {kind!r} one")
    try:
        network = build(checkpoint["config"], checkpoint["model"])
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: the configuration does not make a {kind} network: {error}") from error
    check_tensors(path, checkpoint["model"], network.state_dict())
    network.load_state_dict(checkpoint["model"])
    return TrainedNetwork(network.eval(), checkpoint["step"], checkpoint["provenance"])


def _check_fields(path: Path, checkpoint: dict[str, Any]) -> None:
    for field, type_ in _FIELDS.items():
        if not isinstance(checkpoint.get(field), type_):
            got = type(checkpoint[field]).__name__ if field in checkpoint else "nothing"
            raise CheckpointError(f"{path}: field {field!r} must be {type_.__name__}, got {got}")
