"""TorchScript, for programs that have torch anyway. The only module of this package that imports it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from ..errors import EngineError
from .base import Array, Engine, Graph, Tensor
from .device_array import DeviceArray
from .variants import find_variants

_INTERFACE = "jiff.json"


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

    def _run(self, arrays: Mapping[str, Tensor]) -> dict[str, Array]:
        with torch.inference_mode():
            given = [self._tensor(arrays[name]) for name in self.inputs]
            results = self._module(*given)
        return {
            name: result.float().cpu().numpy() for name, result in zip(self.outputs, results, strict=True)
        }

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
