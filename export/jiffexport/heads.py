"""Implicit functions as packed weights: the kernels of the SDK evaluate them, no engine does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from safetensors.numpy import save

from .errors import BundleError
from .nets import ImplicitHead
from .onnx_graph import Store

_DTYPE: dict[Store, type[np.floating]] = {"fp16": np.float16, "fp32": np.float32}


def pack_heads(heads: Mapping[str, ImplicitHead], store: Store) -> bytes:
    """The heads of a bundle as one safetensors file.

    Parameters
    ----------
    heads
        By prefix: `shape`, `color`.
    store
        How the numbers lie on disk.

    Returns
    -------
    bytes
        Tensors `{prefix}.layers.{i}.weight` (out, in) and `{prefix}.layers.{i}.bias` (out,).

    Raises
    ------
    BundleError
        If a weight does not fit the range of `store`.
    """
    tensors = {}
    for prefix, head in heads.items():
        for name, parameter in head.state_dict().items():  # layers.{i}.weight (out, in, 1), layers.{i}.bias
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
