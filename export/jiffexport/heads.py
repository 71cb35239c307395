"""Implicit functions as packed weights: the kernels of the SDK evaluate them, no engine does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from safetensors.numpy import save
from torch import Tensor

from .errors import BundleError
from .nets import ImplicitHead, JointHead
from .onnx_graph import Store

HEADS_FILE = "heads.safetensors"
Head = ImplicitHead | JointHead

_DTYPE: dict[Store, type[np.floating]] = {"fp16": np.float16, "fp32": np.float32}
_TRAINING_ONLY = ("branch_2d", "branch_3d")
"""Parts of a joint head whose last layer answers in training alone."""


def pack_heads(
    heads: Mapping[str, Head], store: Store, beside: Mapping[str, np.ndarray] | None = None
) -> bytes:
    """The heads of a bundle as one safetensors file.

    Parameters
    ----------
    heads
        By prefix: `shape`, `color`, `face_shape`, ….
    store
        How the numbers lie on disk.
    beside
        Tensors of other heads, as they lie in a file already.

    Returns
    -------
    bytes
        Tensors `{prefix}.layers.{i}.weight` (out, in) and `{prefix}.layers.{i}.bias` (out,); of a joint
        head the same for `{prefix}.branch_2d`, `.branch_3d`, whose own output layers are left out, and
        `.joint`.

    Raises
    ------
    BundleError
        If a weight does not fit the range of `store`.
    """
    tensors = dict(beside or {})
    for prefix, head in heads.items():
        for name, parameter in _deployed(head):
            values = parameter.numpy()
            values = values[:, :, 0] if values.ndim == 3 else values
            with np.errstate(over="ignore"):
                packed = np.ascontiguousarray(values, dtype=_DTYPE[store])
            if not np.isfinite(packed).all():
                largest = np.abs(values).max()
                raise BundleError(f"{prefix}.{name}: largest magnitude {largest:.3g} does not fit {store}")
            tensors[f"{prefix}.{name}"] = packed
    return save(tensors)


def describe_head(head: ImplicitHead, prefix: str, features: tuple[str, ...], file: str) -> dict[str, Any]:
    """The manifest's entry for a head whose input samples the maps of `features`, in this order."""
    return {
        "file": file,
        "prefix": prefix,
        "features": list(features),
        "widths": list(head.widths),
        "depth_scale": head.depth_scale,
        "activation": head.activation,
    }


def describe_joint_head(head: JointHead, prefix: str) -> dict[str, Any]:
    """The manifest's entry for a joint head; branches end with their last hidden layer."""
    return {
        "file": HEADS_FILE,
        "prefix": prefix,
        "widths_2d": list(head.branch_2d.widths[:-1]),
        "widths_3d": list(head.branch_3d.widths[:-1]),
        "widths_joint": [head.joint.layers[0].in_channels - _raw_channels(head), *head.joint.widths[1:]],
        "depth_scale": head.depth_scale,
        "activation": head.activation,
    }


def _raw_channels(head: JointHead) -> int:
    return head.branch_2d.widths[0] + head.branch_3d.widths[0]


def _deployed(head: Head) -> Iterator[tuple[str, Tensor]]:
    """The tensors that a reconstruction needs: layers.{i}.weight (out, in, 1), layers.{i}.bias."""
    dropped = tuple(
        f"{part}.layers.{len(getattr(head, part).layers) - 1}."
        for part in _TRAINING_ONLY
        if isinstance(head, JointHead)
    )
    for name, tensor in head.state_dict().items():
        if not name.startswith(dropped):
            yield name, tensor
