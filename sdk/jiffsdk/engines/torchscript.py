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

    def __call__(self, given: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        with self._lock:
            for mine, value in zip(self._inputs, given, strict=True):
                mine.copy_(value, non_blocking=True)
            self._graph.replay()
            results = [output.clone() for output in self._outputs]
            torch.cuda.current_stream().synchronize()
        return results


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
        self._device = device
        self.is_on_gpu = device == "cuda"
        self._captured: _CapturedModule | None = None
        self._lock = threading.Lock()

    def _run(self, arrays: Mapping[str, Tensor]) -> dict[str, Array]:
        results = self._results(arrays)
        return {
            name: result.float().cpu().numpy() for name, result in zip(self.outputs, results, strict=True)
        }

    def _run_on_gpu(self, arrays: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return dict(zip(self.outputs, self._results(arrays), strict=True))

    def _results(self, arrays: Mapping[str, Tensor]) -> Sequence[torch.Tensor]:
        with torch.inference_mode():
            given = [self._tensor(arrays[name]) for name in self.inputs]
            if not self.is_on_gpu:
                results: Sequence[torch.Tensor] = self._module(*given)
                return results
            with self._lock:
                if self._captured is None:
                    self._captured = _CapturedModule(self._module, list(self.inputs.values()))
            return self._captured(given)

    def _tensor(self, array: Tensor) -> torch.Tensor:
        if DeviceArray.of(array) is not None:
            if not hasattr(array, "__cuda_array_interface__"):
                return torch.from_dlpack(array)
            return torch.as_tensor(array, device="cuda")  # by the interface: nothing is copied
        return torch.from_numpy(np.ascontiguousarray(array)).to(self._device)


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
