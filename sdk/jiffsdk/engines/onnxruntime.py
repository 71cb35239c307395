"""ONNX Runtime, on the CPU and on NVIDIA GPUs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import onnxruntime

from ..errors import EngineError
from .base import Array, Engine, Graph, Shape, Tensor
from .device_array import DeviceArray
from .variants import find_variants

_ERRORS_ONLY = 3


def _shape(sides: list[Any]) -> Shape:
    return tuple(side if isinstance(side, int) else -1 for side in sides)


def _shapes(tensors: list[Any]) -> dict[str, Shape]:
    return {tensor.name: _shape(tensor.shape) for tensor in tensors}


class _GpuValue:
    """An output that ONNX Runtime left on the GPU."""

    def __init__(self, value: Any) -> None:
        self._value = value  # which owns the memory
        self._array = DeviceArray(value.data_ptr(), tuple(value.shape()), np.float32)

    @property
    def __cuda_array_interface__(self) -> dict[str, object]:
        return self._array.__cuda_array_interface__


class OnnxRuntimeGraph(Graph):
    """A session; ONNX Runtime lets threads run it at once.

    Inputs and outputs are bound: an input that lies on the GPU is read where it is, and outputs stay there or
    come to the host once.
    """

    def __init__(self, name: str, session: Any, device: str) -> None:
        inputs, outputs = _shapes(session.get_inputs()), _shapes(session.get_outputs())
        super().__init__(name, inputs, outputs, takes_device_arrays=device == "cuda")
        self._session = session
        self.is_on_gpu = device == "cuda"

    def _run(self, arrays: Mapping[str, Tensor]) -> dict[str, Array]:
        binding = self._run_bound(arrays, "cpu")
        return dict(zip(self.outputs, binding.copy_outputs_to_cpu(), strict=True))

    def _run_on_gpu(self, arrays: Mapping[str, Tensor]) -> dict[str, Tensor]:
        values = self._run_bound(arrays, "cuda").get_outputs()
        return {name: _GpuValue(value) for name, value in zip(self.outputs, values, strict=True)}

    def _run_bound(self, arrays: Mapping[str, Tensor], outputs: str) -> Any:
        """Runs with outputs on the device `outputs`; they are complete."""
        binding = self._session.io_binding()
        for name in self.inputs:
            on_device = DeviceArray.of(arrays[name])
            if on_device is None:
                binding.bind_cpu_input(name, np.ascontiguousarray(arrays[name]))
            else:
                binding.bind_input(name, "cuda", 0, np.float32, on_device.shape, on_device.pointer)
        for name in self.outputs:
            binding.bind_output(name, outputs)
        self._session.run_with_iobinding(binding)
        binding.synchronize_outputs()
        return binding


class OnnxRuntimeEngine(Engine):
    """The CPU or CUDA execution provider. fp16 runs the bundle's graphs of that precision."""

    name = "onnxruntime"
    devices: ClassVar[tuple[str, ...]] = ("cpu", "cuda")
    precisions = ("fp32", "fp16")
    provider: ClassVar[dict[str, str]] = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
    remedy: ClassVar[str] = "pip install onnxruntime-gpu in the place of onnxruntime"

    def __init__(self, num_threads: int | None = None, device: str = "cpu", precision: str = "fp32") -> None:
        super().__init__(num_threads, device, precision)
        wanted = self.provider[device]
        if wanted not in onnxruntime.get_available_providers():
            raise EngineError(
                f"the installed onnxruntime {onnxruntime.__version__} has no {wanted}; {self.remedy}"
            )

    def _load(self, path: str) -> Graph:
        file = path
        if self.precision == "fp16":
            file = str(find_variants(path, "onnx", "fp16")[0][0])
        settings = onnxruntime.SessionOptions()
        settings.log_severity_level = _ERRORS_ONLY
        settings.intra_op_num_threads = self.num_threads or 0
        wanted = self.provider[self.device]
        session = onnxruntime.InferenceSession(file, settings, providers=self._providers())
        if session.get_providers()[0] != wanted:  # it goes on without a provider that fails to start
            raise EngineError(
                f"{wanted} does not start, onnxruntime offers {session.get_providers()[0]} instead; "
                "check the driver with nvidia-smi, or ask for device='cpu'"
            )
        return OnnxRuntimeGraph(Path(path).name, session, self.device)

    def _providers(self) -> list[Any]:
        return [self.provider[self.device]]


class OnnxRuntimeTensorRtEngine(OnnxRuntimeEngine):
    """TensorRT inside of ONNX Runtime: builds an engine for the GPU at hand when a graph is loaded."""

    name = "onnxruntime_tensorrt"
    devices: ClassVar[tuple[str, ...]] = ("cuda",)
    provider: ClassVar[dict[str, str]] = {"cuda": "TensorrtExecutionProvider"}
    remedy: ClassVar[str] = "pip install onnxruntime-gpu tensorrt in the place of onnxruntime"

    def _providers(self) -> list[Any]:
        return [self.provider[self.device], "CUDAExecutionProvider"]
