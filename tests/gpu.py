"""What tests of the GPU share: they run on a build with CUDA, or on its emulation by the processor."""

from __future__ import annotations

import pytest

from jiffsdk import _core

EMULATED = _core.cuda_build == "emulated"


def why_not() -> str | None:
    """Why nothing can run on a GPU here; None where it can."""
    if _core.cuda_build == "none":
        return "this build has no CUDA (cmake -DJIFF_CUDA=ON)"
    try:
        _core.cuda_device()
    except _core.Error as error:
        return str(error)
    return None


needs_gpu = pytest.mark.skipif(why_not() is not None, reason=f"needs a GPU: {why_not()}")
"""For a module: ``pytestmark = needs_gpu``."""


def fewer(number: int, emulated: int) -> int:
    """A size for the GPU, or a smaller one where the processor plays it."""
    return emulated if EMULATED else number
