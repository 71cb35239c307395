"""Arrays in GPU memory, whoever made them: PyCUDA, CuPy and torch all describe theirs the same way."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class DeviceArray:
    """A contiguous array in GPU memory. It owns nothing: its maker must outlive its use.

    Attributes
    ----------
    pointer
        Address on the device.
    """

    pointer: int
    shape: tuple[int, ...]
    dtype: npt.DTypeLike

    @classmethod
    def of(cls, array: object) -> DeviceArray | None:
        """From ``__cuda_array_interface__``; None for what has none, which lies on the host.

        Raises
        ------
        ValueError
            When the array is not contiguous.
        """
        interface = getattr(array, "__cuda_array_interface__", None)
        if interface is None:
            return None
        shape, dtype = tuple(interface["shape"]), np.dtype(interface["typestr"])
        strides = interface.get("strides")
        if strides is not None and tuple(strides) != _contiguous_strides(shape, dtype.itemsize):
            raise ValueError(f"a GPU array must be contiguous, got strides {strides} of shape {shape}")
        return cls(int(interface["data"][0]), shape, dtype)


def _contiguous_strides(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    strides: list[int] = []
    step = itemsize
    for side in reversed(shape):
        strides.insert(0, step)
        step *= side
    return tuple(strides)
