"""How far an exported graph is from its original, on every engine that is installed.

An export is only as good as what the engines make of it, so each graph is run on real inputs by OpenVINO
and ONNX Runtime before it enters a bundle, and its TorchScript by torch.
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
import onnx

from .errors import VerificationError

Tensors = Mapping[str, np.ndarray]
RunGraph = Callable[[Tensors], Tensors]

LEAST_MAGNITUDE = 1e-3
"""An output that is as good as zero, as the matte of an empty picture, counts as this large."""
NUM_TIMED_RUNS = 5
ENOUGH_SECONDS = 2.0
"""No further run is timed after so long."""


@dataclass(frozen=True)
class Example:
    """One input of a graph and what the original makes of it; tensors by name, float32."""

    inputs: Tensors
    outputs: Tensors


@dataclass(frozen=True)
class EngineReport:
    """What one engine made of a graph.

    Attributes
    ----------
    engine
        `openvino`, `onnxruntime` or `torchscript`.
    max_abs_error
        Largest difference from the original, over all examples and outputs.
    max_rel_error
        The same, each output's difference divided by that output's largest magnitude (but see
        `LEAST_MAGNITUDE`).
    ms
        Shortest of a few runs on this machine.
    """

    engine: str
    max_abs_error: float
    max_rel_error: float
    ms: float


def installed_engines(format: str = "onnx") -> tuple[str, ...]:
    """Names of the engines that can run a graph of that format here."""
    known = _ENGINES.get(format, {})
    return tuple(name for name, package in known.items() if find_spec(package) is not None)


def compile_graph(graph: bytes, engine: str) -> RunGraph:
    """A serialized graph as a function of named tensors, computing as its types say on the CPU.

    Parameters
    ----------
    graph
        ONNX, or what `to_torchscript` gives for the engine "torchscript".

    Raises
    ------
    VerificationError
        If there is no such engine or it is not installed.
    """
    if engine not in _COMPILERS:
        raise VerificationError(f"unknown engine {engine!r}; known are {', '.join(_COMPILERS)}")
    package = {name: of for engines in _ENGINES.values() for name, of in engines.items()}[engine]
    if find_spec(package) is None:
        raise VerificationError(f"engine {engine!r} is not installed: pip install {package}")
    return _COMPILERS[engine](graph)


def verify_graph(
    name: str,
    graph: bytes,
    examples: Sequence[Example],
    *,
    tolerance: float,
    engines: Sequence[str] | None = None,
    format: str = "onnx",
) -> tuple[EngineReport, ...]:
    """Runs a graph on `examples` and compares with the original's outputs.

    Parameters
    ----------
    name
        For messages.
    graph
        Serialized.
    examples
        At least one.
    tolerance
        Largest allowed `max_rel_error`.
    engines
        Default: all that are installed and run `format`.
    format
        Of `graph`.

    Raises
    ------
    VerificationError
        If no engine is installed, an output is missing, misshapen or not finite, or the error too large.
    """
    engines = installed_engines(format) if engines is None else tuple(engines)
    if not engines:
        raise VerificationError(f"nothing can check {name}: pip install openvino onnxruntime")
    if not examples:
        raise VerificationError(f"nothing to check {name} with: give at least one example")
    return tuple(_verify_on(engine, name, graph, examples, tolerance) for engine in engines)


def _verify_on(
    engine: str, name: str, graph: bytes, examples: Sequence[Example], tolerance: float
) -> EngineReport:
    try:
        run = compile_graph(graph, engine)
    except VerificationError:
        raise
    except Exception as error:  # each vendor has types of its own
        raise VerificationError(
            f"{name}: {engine} cannot load it ({' '.join(str(error).split())})"
        ) from error
    max_abs = max_rel = 0.0
    for example in examples:
        outputs = run(example.inputs)
        for key, expected in example.outputs.items():
            if key not in outputs or outputs[key].shape != expected.shape:
                got = outputs[key].shape if key in outputs else f"only {sorted(outputs)}"
                raise VerificationError(f"{name} on {engine}: {key!r} must be {expected.shape}, got {got}")
            if not np.isfinite(outputs[key]).all():
                raise VerificationError(f"{name} on {engine}: {key!r} is not finite")
            error = float(np.abs(outputs[key] - expected).max())
            max_abs = max(max_abs, error)
            max_rel = max(max_rel, error / max(float(np.abs(expected).max()), LEAST_MAGNITUDE))
    if max_rel > tolerance:
        raise VerificationError(
            f"{name} on {engine}: largest relative error {max_rel:.2e} exceeds {tolerance:.0e} "
            f"(absolute {max_abs:.2e}); the exported graph does not compute what the network does"
        )
    return EngineReport(engine, max_abs, max_rel, _shortest_ms(lambda: run(examples[0].inputs)))


def _shortest_ms(run: Callable[[], object]) -> float:
    times = []
    for _ in range(NUM_TIMED_RUNS):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
        if sum(times) > ENOUGH_SECONDS:
            break
    return 1e3 * min(times)


def _compile_openvino(graph: bytes) -> RunGraph:
    import openvino

    core = openvino.Core()
    compiled = core.compile_model(core.read_model(graph), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    # Its outputs may have gathered other names, of values that were found to be equal.
    names = [output.name for output in onnx.load_from_string(graph).graph.output]

    def run(inputs: Tensors) -> Tensors:
        results = compiled(dict(inputs))
        return {name: np.array(results[i]) for i, name in enumerate(names)}

    return run


def _compile_onnxruntime(graph: bytes) -> RunGraph:
    import onnxruntime

    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda inputs: dict(zip(names, session.run(names, dict(inputs)), strict=True))


def _compile_torchscript(graph: bytes) -> RunGraph:
    import torch

    extra = {"jiff.json": b""}
    module = torch.jit.load(io.BytesIO(graph), map_location="cpu", _extra_files=extra)
    interface = json.loads(extra["jiff.json"])

    def run(inputs: Tensors) -> Tensors:
        with torch.inference_mode():
            given = [torch.from_numpy(np.ascontiguousarray(inputs[name])) for name, _ in interface["inputs"]]
            results = module(*given)
        return {name: tensor.numpy() for (name, _), tensor in zip(interface["outputs"], results, strict=True)}

    return run


_COMPILERS: dict[str, Callable[[bytes], RunGraph]] = {
    "openvino": _compile_openvino,
    "onnxruntime": _compile_onnxruntime,
    "torchscript": _compile_torchscript,
}
# By format: the engines that run it, and the package each comes with.
_ENGINES = {
    "onnx": {"openvino": "openvino", "onnxruntime": "onnxruntime"},
    "torchscript": {"torchscript": "torch"},
}
