"""Arrays of other packages, where they lie: PyCUDA, CuPy, torch and JAX tell it in one of two ways."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

_DLPACK_CPU, _DLPACK_CUDA = 1, 2
_DLPACK_CODES = {0: "i", 1: "u", 2: "f"}


class _DlTensor(ctypes.Structure):
    """`DLTensor` of dlpack.h, which a capsule called "dltensor" begins with."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("num_sides", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


@dataclass(frozen=True)
class DeviceArray:
    """A contiguous array in GPU memory. The array that it is made of must outlive its use.

    CuPy, torch, Numba, JAX and PyCUDA take it without a copy, by ``__cuda_array_interface__``.

    Attributes
    ----------
    pointer
        Address on the device.
    owner
        What is kept alive with it.
    """

    pointer: int
    shape: tuple[int, ...]
    dtype: npt.DTypeLike
    owner: object = field(default=None, repr=False, compare=False)

    @property
    def __cuda_array_interface__(self) -> dict[str, object]:
        typestr = np.dtype(self.dtype).str
        return {"shape": self.shape, "typestr": typestr, "data": (self.pointer, False), "version": 3}

    @classmethod
    def of(cls, array: object) -> DeviceArray | None:
        """From ``__cuda_array_interface__`` or DLPack; None for what lies on the host.

        Raises
        ------
        ValueError
            When the array is not contiguous.
        """
        interface = getattr(array, "__cuda_array_interface__", None)
        if interface is None:
            device = getattr(array, "__dlpack_device__", None)
            return cls._of_dlpack(array) if device and device()[0] == _DLPACK_CUDA else None
        shape, dtype = tuple(interface["shape"]), np.dtype(interface["typestr"])
        strides = interface.get("strides")
        if strides is not None and tuple(strides) != _contiguous_strides(shape, dtype.itemsize):
            raise ValueError(f"a GPU array must be contiguous, got strides {strides} of shape {shape}")
        return cls(int(interface["data"][0]), shape, dtype)

    @classmethod
    def _of_dlpack(cls, array: Any) -> DeviceArray:
        capsule = array.__dlpack__()  # not consumed: it lets go of the array at the end
        address = ctypes.pythonapi.PyCapsule_GetPointer
        address.restype, address.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
        tensor = _DlTensor.from_address(address(capsule, b"dltensor"))
        shape = tuple(tensor.shape[: tensor.num_sides])
        dtype = np.dtype(f"{_DLPACK_CODES.get(tensor.code, 'V')}{tensor.bits // 8}")
        if tensor.strides:
            strides = tuple(side * dtype.itemsize for side in tensor.strides[: tensor.num_sides])
            if strides != _contiguous_strides(shape, dtype.itemsize):
                raise ValueError(f"a GPU array must be contiguous, got strides {strides} of shape {shape}")
        return cls(tensor.data + tensor.byte_offset, shape, dtype)


def on_host(array: Any) -> Any:
    """What lies on the host and speaks DLPack as a NumPy array, not copied; all else as it is."""
    if isinstance(array, np.ndarray) or DeviceArray.of(array) is not None:
        return array
    device = getattr(array, "__dlpack_device__", None)
    return np.from_dlpack(array) if device and device()[0] == _DLPACK_CPU else array


def _contiguous_strides(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    strides: list[int] = []
    step = itemsize
    for side in reversed(shape):
        strides.insert(0, step)
        step *= side
    return tuple(strides)
