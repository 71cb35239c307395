"""The engines that run networks: found by name, imported only when asked for."""

from __future__ import annotations

import difflib
import importlib
import importlib.metadata
import importlib.util
from dataclasses import dataclass

from ..errors import EngineError
from .base import Engine, Graph

__all__ = ["NAMES", "Engine", "Graph", "available", "create"]

AUTO = "auto"


@dataclass(frozen=True)
class _Entry:
    package: str  # what pip installs and Python imports
    class_name: str  # in the module of this package that has the engine's name


# Fastest first: on the networks that ship, OpenVINO takes about half of ONNX Runtime's time.
_REGISTRY = {
    "openvino": _Entry("openvino", "OpenVinoEngine"),
    "onnxruntime": _Entry("onnxruntime", "OnnxRuntimeEngine"),
}

NAMES = tuple(_REGISTRY)


def available() -> dict[str, str]:
    """Installed engines, fastest first, and their versions. Imports none of them."""
    found = {}
    for name, entry in _REGISTRY.items():
        if importlib.util.find_spec(entry.package) is not None:
            try:
                found[name] = importlib.metadata.version(entry.package)
            except importlib.metadata.PackageNotFoundError:
                found[name] = "unknown"
    return found


def create(name: str = AUTO, num_threads: int | None = None) -> Engine:
    """The engine called `name`; ``"auto"`` takes the fastest that is installed.

    Raises
    ------
    EngineError
        When there is no such engine, or it is not installed. Nothing else is taken in its place.
    """
    installed = available()
    if name == AUTO:
        if not installed:
            raise EngineError(f"no engine is installed; pip install {_REGISTRY[NAMES[0]].package}")
        name = next(iter(installed))
    if name not in _REGISTRY:
        near = difflib.get_close_matches(str(name), [*NAMES, AUTO], n=1, cutoff=0.5)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise EngineError(f"unknown engine {name!r}; {hint}choose one of: {', '.join([AUTO, *NAMES])}")
    entry = _REGISTRY[name]
    if name not in installed:
        raise EngineError(f"engine '{name}' is not installed; pip install {entry.package}")
    module = importlib.import_module(f".{name}", __package__)
    engine: Engine = getattr(module, entry.class_name)(num_threads)
    return engine
