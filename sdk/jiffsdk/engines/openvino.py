"""OpenVINO on the CPU."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import openvino

from .base import Array, Engine, Graph, Shape


def _shape(partial: Any) -> Shape:
    return tuple(side.get_length() if side.is_static else -1 for side in partial)


def _shapes(ports: list[Any]) -> dict[str, Shape]:
    return {port.get_any_name(): _shape(port.get_partial_shape()) for port in ports}


class OpenVinoGraph(Graph):
    """A compiled model with one inference request, which threads take in turn."""

    def __init__(self, name: str, compiled: Any) -> None:
        super().__init__(name, _shapes(compiled.inputs), _shapes(compiled.outputs))
        self._request = compiled.create_infer_request()
        self._lock = threading.Lock()

    def _run(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        with self._lock:
            self._request.infer(dict(arrays), share_inputs=True)
            # The request keeps its output memory: copied before the next thread writes there.
            return {name: np.array(self._request.get_tensor(name).data) for name in self.outputs}


class OpenVinoEngine(Engine):
    """Computes in float32 also where the CPU offers bf16: the measured errors of a bundle hold there."""

    name = "openvino"

    def __init__(self, num_threads: int | None = None) -> None:
        super().__init__(num_threads)
        self._core = openvino.Core()
        self._settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
        if num_threads is not None:
            self._settings["INFERENCE_NUM_THREADS"] = num_threads

    def _load(self, path: str) -> Graph:
        return OpenVinoGraph(Path(path).name, self._core.compile_model(path, "CPU", self._settings))
