"""OpenVINO on the CPU."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import openvino

from ..errors import EngineError
from .base import Array, Engine, Graph, Shape, Tensor
from .variants import decides_places, find_int8, may_be_cut


def _shape(partial: Any) -> Shape:
    return tuple(side.get_length() if side.is_static else -1 for side in partial)


def _shapes(ports: list[Any]) -> dict[str, Shape]:
    return {port.get_any_name(): _shape(port.get_partial_shape()) for port in ports}


def _gives_bf16(model: Any) -> Any:
    """The model with outputs in bf16.

    Those in float32 keep all of a graph's end in it that follows no convolution: in an encoder of colour,
    whose blocks are residual, every sum and every norm of them, 8 % of its time. (Of the others' time it is
    2 %, and the surface moves.)
    """
    steps = openvino.preprocess.PrePostProcessor(model)
    for i, output in enumerate(model.outputs):
        if output.get_element_type() == openvino.Type.f32:
            steps.output(i).tensor().set_element_type(openvino.Type.bf16)
    return steps.build()


def _widened(tensor: Any) -> Array:
    """A copy in float32 of a tensor in bf16 or float32."""
    if tensor.element_type != openvino.Type.bf16:
        return np.array(tensor.data)
    bits = np.left_shift(tensor.data.view(np.uint16), 16, dtype=np.uint32)
    return bits.view(np.float32)


class OpenVinoGraph(Graph):
    """A compiled model with one inference request, which threads take in turn.

    Unless it `keeps_memory`, what it needs between input and output is given back after each run: a
    reconstruction runs one graph after the other, and all together would hold 200 MB, of the published sizes
    500. To take it anew costs 8 to 20 % of a run.
    """

    def __init__(self, name: str, compiled: Any, keeps_memory: bool = False) -> None:
        super().__init__(name, _shapes(compiled.inputs), _shapes(compiled.outputs))
        self._compiled = compiled
        self._request = compiled.create_infer_request()
        self._keeps_memory = keeps_memory
        self._lock = threading.Lock()

    def _run(self, arrays: Mapping[str, Tensor]) -> dict[str, Array]:
        with self._lock:
            outputs = {
                name: np.empty(shape, np.float32) for name, shape in self.outputs.items() if -1 not in shape
            }
            for name, array in outputs.items():
                self._request.set_tensor(name, openvino.Tensor(array, shared_memory=True))
            self._request.infer(dict(arrays), share_inputs=True)
            # The request keeps the rest: copied before the next thread writes there.
            for name in self.outputs.keys() - outputs.keys():
                outputs[name] = _widened(self._request.get_tensor(name))
            if not self._keeps_memory:
                self._compiled.release_memory()
            return outputs


class OpenVinoEngine(Engine):
    """Computes in float32 unless asked otherwise: the measured errors of a bundle hold there.

    In bf16 the graphs that decide where things are still compute in float32 (`decides_places`). In int8 all
    do that the bundle has no such form of; in one, what is not in 8 bits is in bf16 where the CPU has that.
    """

    name = "openvino"
    precisions = ("fp32", "bf16", "int8")

    def __init__(self, num_threads: int | None = None, device: str = "cpu", precision: str = "fp32") -> None:
        super().__init__(num_threads, device, precision)
        self._core = openvino.Core()
        self._has_bf16 = "BF16" in self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        if precision == "bf16" and not self._has_bf16:
            raise EngineError(
                "this CPU does not compute in bf16 (it needs AVX-512 BF16 or AMX); ask for precision='fp32'"
            )
        self._settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
        if num_threads is not None:
            self._settings["INFERENCE_NUM_THREADS"] = num_threads

    def _load(self, path: str) -> Graph:
        file = str(find_int8(path)) if self.precision == "int8" else path
        hint = self._hint(path, file)
        settings = self._settings | {"INFERENCE_PRECISION_HINT": hint}
        model = self._core.read_model(file)
        if file == path and may_be_cut(path):
            image = model.input("image").get_partial_shape()
            model.reshape({"image": [image[0], image[1], -1, -1]})
            if hint == "bf16":  # of open sides, so that what it gives is copied anyway
                model = _gives_bf16(model)
        compiled = self._core.compile_model(model, "CPU", settings)
        return OpenVinoGraph(Path(path).name, compiled, self.keeps_memory)

    def _hint(self, path: str, file: str) -> str:
        if self.precision == "bf16":
            return "f32" if decides_places(path) else "bf16"
        return "bf16" if file != path and self._has_bf16 else "f32"
