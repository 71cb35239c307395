"""The engines that run networks: found by name, imported only when asked for."""

from __future__ import annotations

import difflib
import importlib
import importlib.metadata
import importlib.util
from dataclasses import dataclass

from ..errors import EngineError
from .base import Array, Engine, Graph, Tensor

__all__ = ["AUTO", "NAMES", "ONNX_NAMES", "Array", "Engine", "Graph", "Tensor", "available", "create"]

AUTO = "auto"


@dataclass(frozen=True)
class _Entry:
    """Where an engine comes from.

    Attributes
    ----------
    packages
        What Python imports; the first that is there serves.
    distributions
        What pip installs, in the same order.
    module, class_name
        Of this package.
    """

    packages: tuple[str, ...]
    distributions: tuple[str, ...]
    module: str
    class_name: str

    def installed(self) -> str | None:
        """The distribution that is there."""
        found = zip(self.packages, self.distributions, strict=True)
        return next((dist for package, dist in found if importlib.util.find_spec(package)), None)


# Fastest on a CPU first: on the networks that ship, OpenVINO takes about half of ONNX Runtime's time.
_REGISTRY = {
    "openvino": _Entry(("openvino",), ("openvino",), "openvino", "OpenVinoEngine"),
    "onnxruntime": _Entry(("onnxruntime",), ("onnxruntime",), "onnxruntime", "OnnxRuntimeEngine"),
    "onnxruntime_tensorrt": _Entry(
        ("onnxruntime",), ("onnxruntime-gpu",), "onnxruntime", "OnnxRuntimeTensorRtEngine"
    ),
    "torchscript": _Entry(("torch",), ("torch",), "torchscript", "TorchScriptEngine"),
    "tensorrt": _Entry(
        ("tensorrt_rtx_bindings", "tensorrt"),
        ("tensorrt-rtx-cu13-bindings", "tensorrt"),
        "tensorrt",
        "TensorRtEngine",
    ),
}

NAMES = tuple(_REGISTRY)

ONNX_NAMES = ("openvino", "onnxruntime")
"""Those that run every bundle on any CPU; ``"auto"`` takes the first of them that is there."""

_INSTALL = {
    "openvino": "openvino",
    "onnxruntime": "onnxruntime",
    "onnxruntime_tensorrt": "onnxruntime-gpu tensorrt",
    "torchscript": "torch",
    "tensorrt": "tensorrt-rtx-cu13-libs tensorrt-rtx-cu13-bindings cuda-bindings",
}


def available() -> dict[str, str]:
    """Installed engines, fastest first, and their versions. Imports none of them.

    The package says nothing of hardware: "onnxruntime_tensorrt" and "tensorrt" need a GPU as well.
    """
    found = {}
    for name, entry in _REGISTRY.items():
        distribution = entry.installed()
        if distribution is not None:
            try:
                found[name] = importlib.metadata.version(distribution)
            except importlib.metadata.PackageNotFoundError:
                found[name] = "unknown"
    if found.get("onnxruntime_tensorrt") == "unknown":
        del found["onnxruntime_tensorrt"]  # the package for CPUs has the same module and no such provider
    return found


def create(
    name: str = AUTO,
    num_threads: int | None = None,
    device: str = "cpu",
    precision: str = "fp32",
    keeps_memory: bool = False,
) -> Engine:
    """The engine called `name`; ``"auto"`` takes the fastest that is installed and runs every bundle.

    Parameters
    ----------
    num_threads : int or None
        Of one run; None leaves the choice to the engine.
    device : str
        ``"cpu"`` or ``"cuda"``.
    precision : str
        What the networks compute in: ``"fp32"``, ``"fp16"``, ``"bf16"`` or ``"int8"``; each engine has its
        own.
    keeps_memory : bool
        As in `jiffsdk.EngineOptions`.

    Raises
    ------
    EngineError
        When there is no such engine, it is not installed, or it does not run so here. Nothing else is
        taken in its place.
    """
    installed = available()
    if name == AUTO:
        if device != "cpu":
            name = "onnxruntime"
        elif (found := next((each for each in ONNX_NAMES if each in installed), None)) is not None:
            name = found
        else:
            raise EngineError(f"no engine is installed; pip install {_INSTALL[ONNX_NAMES[0]]}")
    if name not in _REGISTRY:
        near = difflib.get_close_matches(str(name), [*NAMES, AUTO], n=1, cutoff=0.5)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise EngineError(f"unknown engine {name!r}; {hint}choose one of: {', '.join([AUTO, *NAMES])}")
    entry = _REGISTRY[name]
    if name not in installed:
        raise EngineError(f"engine '{name}' is not installed; pip install {_INSTALL[name]}")
    module = importlib.import_module(f".{entry.module}", __package__)
    engine: Engine = getattr(module, entry.class_name)(num_threads, device, precision)
    engine.keeps_memory = keeps_memory
    return engine
