"""ONNX Runtime on the CPU."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnxruntime

from .base import Array, Engine, Graph, Shape

_ERRORS_ONLY = 3


def _shape(sides: list[Any]) -> Shape:
    return tuple(side if isinstance(side, int) else -1 for side in sides)


def _shapes(tensors: list[Any]) -> dict[str, Shape]:
    return {tensor.name: _shape(tensor.shape) for tensor in tensors}


class OnnxRuntimeGraph(Graph):
    """A session; ONNX Runtime lets threads run it at once."""

    def __init__(self, name: str, session: Any) -> None:
        super().__init__(name, _shapes(session.get_inputs()), _shapes(session.get_outputs()))
        self._session = session

    def _run(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        names = list(self.outputs)
        return dict(zip(names, self._session.run(names, dict(arrays)), strict=True))


class OnnxRuntimeEngine(Engine):
    """The CPU execution provider."""

    name = "onnxruntime"

    def _load(self, path: str) -> Graph:
        settings = onnxruntime.SessionOptions()
        settings.log_severity_level = _ERRORS_ONLY
        settings.intra_op_num_threads = self.num_threads or 0
        session = onnxruntime.InferenceSession(path, settings, providers=["CPUExecutionProvider"])
        return OnnxRuntimeGraph(Path(path).name, session)
