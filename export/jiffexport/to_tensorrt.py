"""A graph of a bundle as a TensorRT engine, by compute capability.

Two builders behind one face. `tensorrt_rtx` (PyPI: tensorrt-rtx-cu13-libs, tensorrt-rtx-cu13-bindings)
compiles for any GPU from sm_75 on, on a machine that has none. `tensorrt` compiles for the GPU at hand and
times kernels on it. An engine runs on its own compute capability and its own version of the builder only, so
both stand in its file name and in the manifest.

Types are the graph's own (strongly typed): what it keeps in float32, norms and sums, stays so. All shapes are
static, so there is no optimization profile to choose.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import onnx

from .errors import EngineBuildError

Builder = Literal["tensorrt", "tensorrt_rtx"]

_MODULES: dict[Builder, str] = {"tensorrt": "tensorrt", "tensorrt_rtx": "tensorrt_rtx_bindings"}
_REMEDY = "pip install tensorrt-rtx-cu13-libs tensorrt-rtx-cu13-bindings"
LEAST_CAPABILITY = 75
_FULL_FP32 = 80
"""From this compute capability on `tensorrt_rtx` takes float32 products; below it refuses them."""


@dataclass(frozen=True)
class TensorRtEngine:
    """A serialized engine and what it runs on."""

    content: bytes
    builder: Builder
    version: str
    compute_capability: int

    def file(self, graph: str, precision: str) -> str:
        """Its name in a bundle."""
        return f"{graph}.{precision}.sm{self.compute_capability}.{self.builder}-{self.version}.engine"


def installed_builder() -> Builder | None:
    """The builder that is taken: the one that needs no GPU, if it is there."""
    return next((name for name in ("tensorrt_rtx", "tensorrt") if find_spec(_MODULES[name])), None)


def check_request(capabilities: Sequence[int], precisions: Sequence[str], builder: Builder | None) -> Builder:
    """Says what cannot be built before anything is.

    Raises
    ------
    EngineBuildError
        No builder is installed, no GPU of a compute capability is known to it, or it refuses a precision.
    """
    if builder is None:
        raise EngineBuildError(f"no TensorRT builder is installed; {_REMEDY}")
    if not capabilities:
        raise EngineBuildError("TensorRT engines are built by compute capability; give --sm, say 75,86,89")
    module = importlib.import_module(_MODULES[builder])
    for capability in capabilities:
        if capability < LEAST_CAPABILITY:
            raise EngineBuildError(
                f"sm_{capability} is older than the RTX 2080 Ti's sm_75, which is the least that is built for"
            )
        if builder == "tensorrt_rtx" and not hasattr(module.ComputeCapability, f"SM{capability}"):
            known = ", ".join(name[2:] for name in dir(module.ComputeCapability) if name.startswith("SM"))
            raise EngineBuildError(
                f"{builder} {module.__version__} does not know sm_{capability}; it knows {known}"
            )
        if builder == "tensorrt_rtx" and capability < _FULL_FP32 and "fp16" not in precisions:
            raise EngineBuildError(
                f"{builder} has no float32 products on sm_{capability}; give --precision fp16 or fp32,fp16"
            )
    return builder


def is_buildable(builder: Builder, capability: int, precision: str) -> bool:
    """Whether `builder` takes graphs of that precision for that GPU."""
    return precision == "fp16" or (
        precision == "fp32" and (builder == "tensorrt" or capability >= _FULL_FP32)
    )


def to_tensorrt(
    model: onnx.ModelProto, builder: Builder, capability: int, timing_cache: Path | None = None
) -> TensorRtEngine:
    """Builds an engine.

    Parameters
    ----------
    model
        Its types are those that the engine computes in.
    capability
        Of the GPU, as 75 for 7.5.
    timing_cache
        A file that `tensorrt` reads what it has timed before from, and writes it to.
        `tensorrt_rtx` times nothing: it compiles for the GPU when an engine is loaded.

    Raises
    ------
    EngineBuildError
        The builder refuses the graph; the message names the graph and what it says.
    """
    name = model.graph.name
    trt = importlib.import_module(_MODULES[builder])
    log = _Log.on(trt)
    maker = trt.Builder(log)
    network = maker.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, log)
    if not parser.parse(model.SerializeToString()):
        reasons = "; ".join(" ".join(str(parser.get_error(i)).split()) for i in range(parser.num_errors))
        raise EngineBuildError(f"{builder} refuses {name}: {reasons}")
    config = maker.create_builder_config()
    if builder == "tensorrt_rtx":
        config.num_compute_capabilities = 1
        config.set_compute_capability(getattr(trt.ComputeCapability, f"SM{capability}"), 0)
    else:
        _check_present_gpu(capability)
        if timing_cache is not None:
            known = timing_cache.read_bytes() if timing_cache.is_file() else b""
            config.set_timing_cache(config.create_timing_cache(known), ignore_mismatch=False)
    engine = maker.build_serialized_network(network, config)
    if engine is None:
        raise EngineBuildError(f"{builder} cannot build {name} for sm_{capability}: {log.last_error}")
    if builder == "tensorrt" and timing_cache is not None:
        timing_cache.write_bytes(bytes(config.get_timing_cache().serialize()))
    return TensorRtEngine(bytes(engine), builder, str(trt.__version__), capability)


class _Log:
    """Keeps what the builder complains of, for the message of an error."""

    @staticmethod
    def on(trt: ModuleType) -> Any:
        class Log(trt.ILogger):  # type: ignore[name-defined, misc]
            last_error = "it gives no reason"

            def __init__(self) -> None:
                trt.ILogger.__init__(self)

            def log(self, severity: Any, message: str) -> None:
                if severity <= trt.ILogger.Severity.ERROR:
                    self.last_error = " ".join(message.split())

        return Log()


def _check_present_gpu(capability: int) -> None:
    import torch

    if not torch.cuda.is_available():
        raise EngineBuildError(
            f"tensorrt builds on a GPU of sm_{capability}, and there is none here; {_REMEDY}"
        )
    present = 10 * torch.cuda.get_device_capability()[0] + torch.cuda.get_device_capability()[1]
    if present != capability:
        raise EngineBuildError(
            f"tensorrt builds for the GPU at hand, sm_{present}, not for sm_{capability}; {_REMEDY}"
        )
