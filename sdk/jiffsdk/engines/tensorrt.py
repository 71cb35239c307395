"""TensorRT engines of a bundle, on the GPU that they were built for.

An engine runs on one compute capability and in one version of its builder. `choose` finds the one that fits
and says how to build it where there is none; nothing else is run in its place.
"""

from __future__ import annotations

import importlib
import importlib.util
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import numpy as np

from ..errors import EngineError
from .base import Array, Engine, Graph, Shape, Tensor
from .device_array import DeviceArray
from .variants import Variant, find_variants, rebuild_command

_MODULES = {"tensorrt_rtx": "tensorrt_rtx_bindings", "tensorrt": "tensorrt"}


def choose(
    path: str,
    found: Sequence[tuple[Path, Variant]],
    builders: Mapping[str, str],
    capability: int,
    precision: str,
) -> tuple[Path, str]:
    """The engine of the graph at `path` that runs here, and its builder.

    Parameters
    ----------
    found
        Engines in the bundle.
    builders
        Versions of the builders that are installed, by name.
    capability
        Of the GPU, as 75 for 7.5.

    Raises
    ------
    EngineError
        When every engine is for another GPU or another version, with what was found and how to rebuild.
    """
    for file, variant in found:
        same_gpu = variant["compute_capability"] == capability
        if same_gpu and builders.get(variant["builder"]) == variant["builder_version"]:
            return file, variant["builder"]
    there = ", ".join(
        f"sm_{variant['compute_capability']} by {variant['builder']} {variant['builder_version']}"
        for _, variant in found
    )
    here = ", ".join(f"{name} {version}" for name, version in builders.items()) or "no TensorRT"
    raise EngineError(
        f"'{path}' has engines for {there}; this GPU is sm_{capability} and installed is {here}; rebuild: "
        f"{rebuild_command(Path(path).parent, 'tensorrt', precision, capability)}"
    )


class _GpuBuffer:
    """An output that stays on the GPU, until nothing refers to it."""

    def __init__(self, cuda: Any, shape: Shape) -> None:
        self._cuda = cuda
        self.array = DeviceArray(cuda.allocate(4 * int(np.prod(shape))), shape, np.float32)

    @property
    def __cuda_array_interface__(self) -> dict[str, object]:
        return self.array.__cuda_array_interface__

    def __del__(self) -> None:
        if hasattr(self, "array"):
            self._cuda.free(self.array.pointer)


class TensorRtGraph(Graph):
    """An engine with one execution context and its buffers, which threads take in turn."""

    is_on_gpu = True

    def __init__(self, name: str, trt: ModuleType, engine: Any, cuda: Any) -> None:
        shapes: dict[bool, dict[str, Shape]] = {True: {}, False: {}}
        for index in range(engine.num_io_tensors):
            tensor = engine.get_tensor_name(index)
            is_input = engine.get_tensor_mode(tensor) == trt.TensorIOMode.INPUT
            shapes[is_input][tensor] = tuple(engine.get_tensor_shape(tensor))
        super().__init__(name, shapes[True], shapes[False], takes_device_arrays=True)
        self._engine = engine  # must outlive its context
        self._context = engine.create_execution_context()
        self._cuda = cuda
        self._stream = cuda.stream()
        self._buffers = {
            tensor: cuda.allocate(4 * int(np.prod(shape)))
            for tensor, shape in {**self.inputs, **self.outputs}.items()
        }
        self._lock = threading.Lock()

    def _run(self, arrays: Mapping[str, Tensor]) -> dict[str, Array]:
        with self._lock:
            kept = self._enqueue(arrays, {name: self._buffers[name] for name in self.outputs})
            results = {name: np.empty(shape, np.float32) for name, shape in self.outputs.items()}
            for name, host in results.items():
                self._cuda.copy_to_host(host, self._buffers[name], self._stream)
            self._cuda.synchronize(self._stream)
            del kept
            return results

    def _run_on_gpu(self, arrays: Mapping[str, Tensor]) -> dict[str, Tensor]:
        results = {name: _GpuBuffer(self._cuda, shape) for name, shape in self.outputs.items()}
        with self._lock:
            kept = self._enqueue(arrays, {name: buffer.array.pointer for name, buffer in results.items()})
            self._cuda.synchronize(self._stream)
            del kept
        return dict(results)

    def _enqueue(self, arrays: Mapping[str, Tensor], outputs: Mapping[str, int]) -> list[np.ndarray]:
        """Starts a run that writes to the addresses `outputs`; what it reads must stay until it is over."""
        kept = []
        for name in self.inputs:
            on_device = DeviceArray.of(arrays[name])
            if on_device is not None:
                self._context.set_tensor_address(name, on_device.pointer)
                continue
            host = np.ascontiguousarray(arrays[name])
            kept.append(host)
            self._cuda.copy_to_device(self._buffers[name], host, self._stream)
            self._context.set_tensor_address(name, self._buffers[name])
        for name, pointer in outputs.items():
            self._context.set_tensor_address(name, pointer)
        if not self._context.execute_async_v3(self._stream):
            raise RuntimeError("TensorRT could not enqueue it")
        return kept

    def __del__(self) -> None:
        for pointer in getattr(self, "_buffers", {}).values():
            self._cuda.free(pointer)


class TensorRtEngine(Engine):
    """Runs the `.engine` files of a bundle."""

    name = "tensorrt"
    devices: ClassVar[tuple[str, ...]] = ("cuda",)
    precisions = ("fp32", "fp16")

    def __init__(self, num_threads: int | None = None, device: str = "cuda", precision: str = "fp16") -> None:
        super().__init__(num_threads, device, precision)
        if importlib.util.find_spec("cuda") is None or importlib.util.find_spec("cuda.bindings") is None:
            raise EngineError("engine 'tensorrt' needs CUDA from Python; pip install cuda-bindings")
        from .cuda_memory import CudaMemory

        self._cuda = CudaMemory()
        self._modules = {
            builder: importlib.import_module(module)
            for builder, module in _MODULES.items()
            if importlib.util.find_spec(module) is not None
        }
        self._runtimes: dict[str, Any] = {}

    def _load(self, path: str) -> Graph:
        versions = {name: str(module.__version__) for name, module in self._modules.items()}
        found = find_variants(path, "tensorrt", self.precision)
        file, builder = choose(path, found, versions, self._cuda.compute_capability, self.precision)
        trt = self._modules[builder]
        if builder not in self._runtimes:
            self._runtimes[builder] = trt.Runtime(trt.Logger(trt.Logger.ERROR))
        engine = self._runtimes[builder].deserialize_cuda_engine(file.read_bytes())
        if engine is None:
            again = rebuild_command(Path(path).parent, "tensorrt", self.precision)
            raise EngineError(f"TensorRT refuses '{file}'; rebuild: {again}")
        return TensorRtGraph(Path(path).name, trt, engine, self._cuda)
