"""GPU memory through NVIDIA's own bindings (package cuda-bindings)."""

from __future__ import annotations

from typing import Any

import numpy as np
from cuda.bindings import runtime

from ..errors import EngineError


class CudaMemory:
    """The first GPU: what it is, and moving arrays to and from it.

    Raises
    ------
    EngineError
        When there is no GPU or no driver.
    """

    def __init__(self) -> None:
        status, count = runtime.cudaGetDeviceCount()
        if status != runtime.cudaError_t.cudaSuccess or count == 0:
            raise EngineError(
                f"no CUDA GPU is there ({status.name}); check nvidia-smi, or take an engine of the CPU: "
                "openvino, onnxruntime"
            )
        attribute = runtime.cudaDeviceAttr
        major = _checked(runtime.cudaDeviceGetAttribute(attribute.cudaDevAttrComputeCapabilityMajor, 0))
        minor = _checked(runtime.cudaDeviceGetAttribute(attribute.cudaDevAttrComputeCapabilityMinor, 0))
        self.compute_capability = 10 * int(major) + int(minor)

    def stream(self) -> int:
        """A new stream."""
        return int(_checked(runtime.cudaStreamCreate()))

    def allocate(self, num_bytes: int) -> int:
        """Address of new memory on the device."""
        return int(_checked(runtime.cudaMalloc(num_bytes)))

    def free(self, pointer: int) -> None:
        runtime.cudaFree(pointer)

    def copy_to_device(self, pointer: int, host: np.ndarray, stream: int) -> None:
        kind = runtime.cudaMemcpyKind.cudaMemcpyHostToDevice
        _checked(runtime.cudaMemcpyAsync(pointer, host.ctypes.data, host.nbytes, kind, stream))

    def copy_to_host(self, host: np.ndarray, pointer: int, stream: int) -> None:
        kind = runtime.cudaMemcpyKind.cudaMemcpyDeviceToHost
        _checked(runtime.cudaMemcpyAsync(host.ctypes.data, pointer, host.nbytes, kind, stream))

    def synchronize(self, stream: int) -> None:
        """Waits until the stream has done all."""
        _checked(runtime.cudaStreamSynchronize(stream))


def _checked(answer: tuple[Any, ...]) -> Any:
    """The value of a call that returns its status first."""
    status, *values = answer
    if status != runtime.cudaError_t.cudaSuccess:
        raise RuntimeError(f"CUDA says {status.name}")
    return values[0] if values else None
