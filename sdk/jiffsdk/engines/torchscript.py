"""TorchScript, for programs that have torch anyway. The only module of this package that imports it."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from ..errors import EngineError
from .base import Array, Engine, Graph, Shape, Tensor
from .device_array import DeviceArray
from .variants import find_variants

_INTERFACE = "jiff.json"


_WARM_UP_RUNS = 3
"""Before a capture: torch specialises a module in its first runs."""

_CAPTURES = threading.Lock()
"""One at a time: a capture begins with a wait for the whole GPU, which another would not survive."""


def _on_gpu(array: Tensor) -> torch.Tensor:
    """An array of the GPU as torch's, by its interface: nothing is copied."""
    if hasattr(array, "__cuda_array_interface__"):
        return torch.as_tensor(array, device="cuda")
    return torch.from_dlpack(array)


class _CapturedModule:
    """A module as one CUDA graph: launching its many small kernels one by one takes longer than they do."""

    def __init__(self, module: Any, shapes: Sequence[Shape]) -> None:
        self._inputs = [torch.zeros(shape, device="cuda") for shape in shapes]
        self._graph = torch.cuda.CUDAGraph()
        self._lock = threading.Lock()
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UP_RUNS):
                module(*self._inputs)
        torch.cuda.current_stream().wait_stream(stream)
        # Other threads may use the GPU meanwhile.
        with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
            self._outputs = [output.float().contiguous() for output in module(*self._inputs)]
        # What comes from the host or goes there passes through memory that the GPU reads by itself: copies of
        # other memory wait, each for itself.
        self._host_inputs: list[torch.Tensor | None] = [None] * len(self._inputs)
        self._host_outputs: list[torch.Tensor] = []

    def run(self, given: Sequence[Tensor]) -> list[torch.Tensor]:
        """Outputs on the GPU, complete."""
        with self._lock:
            self._replay(given)
            results = [output.clone() for output in self._outputs]
            torch.cuda.current_stream().synchronize()
        return results

    def run_to_host(self, given: Sequence[Tensor]) -> list[Array]:
        with self._lock:
            if not self._host_outputs:
                self._host_outputs = [torch.empty(output.shape, pin_memory=True) for output in self._outputs]
            self._replay(given)
            for host, output in zip(self._host_outputs, self._outputs, strict=True):
                host.copy_(output, non_blocking=True)
            torch.cuda.current_stream().synchronize()
            return [host.numpy().copy() for host in self._host_outputs]

    def _replay(self, given: Sequence[Tensor]) -> None:
        for i, (mine, value) in enumerate(zip(self._inputs, given, strict=True)):
            if DeviceArray.of(value) is not None:
                mine.copy_(_on_gpu(value), non_blocking=True)
                continue
            host = self._host_inputs[i]
            if host is None:
                host = self._host_inputs[i] = torch.empty(mine.shape, pin_memory=True)
            np.copyto(host.numpy(), value)
            mine.copy_(host, non_blocking=True)
        self._graph.replay()


class TorchScriptGraph(Graph):
    """A frozen module; threads may run it at once."""

    def __init__(self, name: str, module: Any, interface: Any, device: str) -> None:
        super().__init__(
            name,
            {tensor: tuple(shape) for tensor, shape in interface["inputs"]},
            {tensor: tuple(shape) for tensor, shape in interface["outputs"]},
            takes_device_arrays=device == "cuda",
        )
        self._module = module
        self.is_on_gpu = device == "cuda"
        self._captured: _CapturedModule | None = None
        self._lock = threading.Lock()

    def _run(self, arrays: Mapping[str, Tensor]) -> dict[str, Array]:
        given = [arrays[name] for name in self.inputs]
        with torch.inference_mode():
            if self.is_on_gpu:
                results = self._capture().run_to_host(given)
            else:
                tensors = self._module(*(torch.from_numpy(np.ascontiguousarray(array)) for array in given))
                results = [tensor.float().numpy() for tensor in tensors]
        return dict(zip(self.outputs, results, strict=True))

    def _run_on_gpu(self, arrays: Mapping[str, Tensor]) -> dict[str, Tensor]:
        with torch.inference_mode():
            results = self._capture().run([arrays[name] for name in self.inputs])
        return dict(zip(self.outputs, results, strict=True))

    def _capture(self) -> _CapturedModule:
        with self._lock:
            if self._captured is None:
                with _CAPTURES:
                    self._captured = _CapturedModule(self._module, list(self.inputs.values()))
            return self._captured


class TorchScriptEngine(Engine):
    """Runs the `.ts` files of a bundle. The number of threads is torch's own, for the whole process."""

    name = "torchscript"
    devices: ClassVar[tuple[str, ...]] = ("cpu", "cuda")
    precisions = ("fp32", "fp16")

    def __init__(self, num_threads: int | None = None, device: str = "cpu", precision: str = "fp32") -> None:
        super().__init__(num_threads, device, precision)
        if (device, precision) == ("cpu", "fp16"):
            raise EngineError(
                "torch computes float16 on a CPU in a scalar loop; ask for device='cuda' or precision='fp32'"
            )
        if device == "cuda" and not torch.cuda.is_available():
            raise EngineError(
                f"torch {torch.__version__} sees no CUDA GPU; check nvidia-smi and install torch with CUDA, "
                "or ask for device='cpu'"
            )
        if num_threads is not None:
            torch.set_num_threads(num_threads)

    def _load(self, path: str) -> Graph:
        file = find_variants(path, "torchscript", self.precision)[0][0]
        extra = {_INTERFACE: b""}
        module = torch.jit.load(str(file), map_location=self.device, _extra_files=extra)
        return TorchScriptGraph(Path(path).name, module, json.loads(extra[_INTERFACE]), self.device)
