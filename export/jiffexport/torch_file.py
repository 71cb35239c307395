"""Files of torch, read without running any code from them."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .errors import CheckpointError

_COUNTER = "num_batches_tracked"
"""Of batch norms; says how long a training ran and changes nothing of what a network computes."""


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


def check_tensors(path: Path, given: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    """Raises `CheckpointError` unless the tensors of `path` have the names and shapes of `wanted`.

    Counters of batch norms may be there or not.
    """
    missing = [name for name in wanted if name not in given and not name.endswith(_COUNTER)]
    unexpected = [name for name in given if name not in wanted and not name.endswith(_COUNTER)]
    if missing or unexpected:
        raise CheckpointError(
            f"{path}: tensors do not fit the configuration; missing: {listing(missing)}; "
            f"unexpected: {listing(unexpected)}"
        )
    for name, tensor in wanted.items():
        if name not in given:
            continue
        if given[name].shape != tensor.shape:
            raise CheckpointError(
                f"{path}: tensor {name!r} must have shape {tuple(tensor.shape)}, "
                f"got {tuple(given[name].shape)}"
            )
        if not torch.isfinite(given[name]).all():
            raise CheckpointError(f"{path}: tensor {name!r} holds NaN or infinity; training diverged")


def listing(names: list[str], most: int = 8) -> str:
    """The first `most` names and how many more there are."""
    if not names:
        return "none"
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + rest
