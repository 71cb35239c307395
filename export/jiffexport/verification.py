"""All graphs of a build, verified in a clean process.

The process that exported has torch, the exporter's patches and the weights in it; what is deployed has none
of them. So another interpreter (`jiffexport.verify_process`) gets each graph as its bytes and nothing else.
An engine that takes its process down with it is reported as the failure of its graph.
"""

from __future__ import annotations

import logging
import os
import pickle
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from .errors import VerificationError
from .exported_graph import TOLERANCE, ExportedGraph, Variant
from .verify import EngineReport, Example, installed_engines

_ON_GPUS_ONLY = ("torchscript", "fp16")
"""What no engine runs on a CPU in bearable time: torch convolves float16 there in a scalar loop."""

_TOLERANCE = {"fp32": TOLERANCE["fp32"], "fp16": TOLERANCE["fp16"], "int8": 0.5}
"""Largest relative error; what 8 bits do to the surface has been judged before."""

_log = logging.getLogger("jiffexport")


def verify_graphs(graphs: Sequence[ExportedGraph]) -> list[ExportedGraph]:
    """`graphs` and their variants with what every engine that runs here makes of them.

    Raises
    ------
    VerificationError
        Names the first graph that differs, the engine and the error; or says that no engine is installed.
    """
    if not installed_engines():
        raise VerificationError("nothing can check the graphs: pip install openvino onnxruntime")
    with _CleanProcess() as process:
        return [_verified(graph, process) for graph in graphs]


def _verified(graph: ExportedGraph, process: _CleanProcess) -> ExportedGraph:
    reports = process.verify(graph.name, "onnx", graph.model, graph.examples, graph.tolerance)
    _log.info("%s verified: %.1e", graph.name, max(report.max_rel_error for report in reports))
    return replace(
        graph, reports=reports, variants=tuple(_verified_variant(graph, v, process) for v in graph.variants)
    )


def _verified_variant(graph: ExportedGraph, variant: Variant, process: _CleanProcess) -> Variant:
    if not installed_engines(variant.format) or (variant.format, variant.precision) == _ON_GPUS_ONLY:
        return variant
    tolerance = max(graph.tolerance, _TOLERANCE[variant.precision])
    name = f"{graph.name} ({variant.format} {variant.precision})"
    reports = process.verify(name, variant.format, variant.content, graph.examples, tolerance)
    _log.info("%s verified: %.1e", name, max(report.max_rel_error for report in reports))
    return replace(variant, reports=reports)


class _CleanProcess:
    """Runs `jiffexport.verify_process` as long as the context lasts."""

    def __enter__(self) -> _CleanProcess:
        paths = [str(Path(__file__).parent.parent), os.environ.get("PYTHONPATH", "")]
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"{__package__}.verify_process"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))},
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._process.kill()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            with suppress(BrokenPipeError):  # it is gone already
                stream.close()
        self._process.wait()

    def verify(
        self, name: str, format: str, content: bytes, examples: Sequence[Example], tolerance: float
    ) -> tuple[EngineReport, ...]:
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            pickle.dump((name, format, content, tuple(examples), tolerance), self._process.stdin)
            self._process.stdin.flush()
            answer: Any = pickle.load(self._process.stdout)
        except (EOFError, BrokenPipeError) as error:
            code = self._process.wait()
            raise VerificationError(
                f"{name}: an engine took the verifying process down with it (exit code {code})"
            ) from error
        if isinstance(answer, str):
            raise VerificationError(answer)
        return answer
