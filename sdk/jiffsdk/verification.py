"""A bundle on every engine that runs here: graph by graph on real inputs, then whole reconstructions.

The reference is ONNX Runtime in float32 on the CPU. What a graph is compared on are the tensors that it sees
when photographs are reconstructed; a graph that no photograph reaches sees noise.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from . import _core, engines
from .engines.base import Array, Engine, Graph, Tensor
from .engines.variants import files_in_int8, formats_of, graph_files
from .errors import EmptySurfaceError, EngineError, ImageError, MaskError, NoPersonError, OptionError
from .options import ReconstructionOptions
from .reconstructor import Reconstructor
from .result import Reconstruction

REFERENCE = ("onnxruntime", "cpu", "fp32")

# Engine, device, precision, and the form that the bundle must hold for it.
_CANDIDATES = [
    ("openvino", "cpu", "fp32", None),
    ("openvino", "cpu", "bf16", None),
    ("openvino", "cpu", "int8", "onnx"),
    ("onnxruntime", "cpu", "fp16", "onnx"),
    ("torchscript", "cpu", "fp32", "torchscript"),
    ("onnxruntime", "cuda", "fp32", None),
    ("onnxruntime", "cuda", "fp16", "onnx"),
    ("onnxruntime_tensorrt", "cuda", "fp32", None),
    ("torchscript", "cuda", "fp32", "torchscript"),
    ("torchscript", "cuda", "fp16", "torchscript"),
    ("tensorrt", "cuda", "fp32", "tensorrt"),
    ("tensorrt", "cuda", "fp16", "tensorrt"),
]

FP32_TOLERANCE = 1e-3
"""Of a graph in float32: its largest error, relative to its output's magnitude."""
REDUCED_TOLERANCE = {"fp16": 2e-2, "bf16": 2e-2, "int8": 5e-2}
"""In less: the root of its mean squared error. A matte's rim is steep, so that a few of its pixels
are far off; what that does to the mesh is judged by the mesh."""
LEAST_MAGNITUDE = 1e-3
"""An output that is as good as zero, as the matte of an empty picture, counts as this large."""
SURFACE_TOLERANCE_VOXELS = 0.1
COLOR_TOLERANCE = 0.01
"""Mean over the surface; colours from 0 to 1."""

_EXAMPLES_PER_PHOTOGRAPH = 2
_NO_RESULT = (ImageError, MaskError, NoPersonError, EmptySurfaceError)

Example = tuple[dict[str, Array], dict[str, Array]]


@dataclass(frozen=True)
class GraphDifference:
    """What an engine makes of a graph, against the reference.

    Attributes
    ----------
    inputs
        `photographs` or `noise`.
    max_rel_error, rms_rel_error
        Largest and root mean squared error, divided by the output's largest magnitude.
    ms
        Shortest of a few runs here.
    """

    graph: str
    engine: str
    device: str
    precision: str
    inputs: str
    max_abs_error: float
    max_rel_error: float
    rms_rel_error: float
    ms: float


@dataclass(frozen=True)
class SurfaceDifference:
    """What an engine makes of a photograph, against the reference.

    Attributes
    ----------
    mean_voxels, max_voxels
        Distance between the surfaces in cells of the lattice.
    mean_color
        Difference of the colours at nearest vertices.
    """

    photograph: str
    engine: str
    device: str
    precision: str
    mean_voxels: float
    max_voxels: float
    mean_color: float


@dataclass(frozen=True)
class Skipped:
    """A way to run the bundle that there is not here."""

    engine: str
    device: str
    precision: str
    reason: str


@dataclass
class Report:
    """All that was compared, and what could not be."""

    graphs: list[GraphDifference] = field(default_factory=list)
    surfaces: list[SurfaceDifference] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class _RecordingGraph(Graph):
    def __init__(self, graph: Graph, kept: list[Example]) -> None:
        super().__init__(graph.name, graph.inputs, graph.outputs)
        self._graph = graph
        self._kept = kept

    def _run(self, arrays: Mapping[str, Tensor]) -> dict[str, Array]:
        outputs = self._graph.run(arrays)
        if len(self._kept) < _EXAMPLES_PER_PHOTOGRAPH:
            self._kept.append(({name: np.array(value) for name, value in arrays.items()}, outputs))
        return outputs


class RecordingEngine(Engine):
    """Another engine, whose graphs remember what they saw and gave since the last `take`."""

    name = "recording"

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine.num_threads)
        self._engine = engine
        self._kept: dict[str, list[Example]] = {}

    def take(self) -> dict[str, list[Example]]:
        """By the graph's file; a few each."""
        taken = {file: list(kept) for file, kept in self._kept.items()}
        for kept in self._kept.values():
            kept.clear()
        return taken

    def _load(self, path: str) -> Graph:
        return _RecordingGraph(self._engine.load(path), self._kept.setdefault(Path(path).name, []))


def record(
    bundle: str | os.PathLike[str], photographs: Sequence[str], resolution: int
) -> tuple[dict[str, list[Example]], list[Reconstruction | Exception]]:
    """What the graphs of a bundle see and give by the reference, and what becomes of each photograph."""
    engine = RecordingEngine(_engine(*REFERENCE))
    reconstruct = Reconstructor(bundle, engine, precision="fp32")
    examples: dict[str, list[Example]] = {}
    results: list[Reconstruction | Exception] = []
    for photograph in photographs:
        results.append(_outcome(reconstruct, photograph, resolution))
        for file, seen in engine.take().items():
            examples.setdefault(file, []).extend(seen)
    return examples, results


def with_noise(
    bundle: str | os.PathLike[str], examples: dict[str, list[Example]]
) -> dict[str, list[Example]]:
    """`examples` and, for each graph that has none, noise and what the reference makes of it."""
    engine = _engine(*REFERENCE)
    complete = dict(examples)
    for file in graph_files(Path(bundle)):
        if complete.get(file):
            continue
        graph = engine.load(os.fspath(Path(bundle) / file))
        rng = np.random.default_rng(0)
        arrays = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in graph.inputs.items()}
        complete[file] = [(arrays, graph.run(arrays))]
    return complete


def verify(bundle: str | os.PathLike[str], photographs: Sequence[str], resolution: int = 128) -> Report:
    """Compares all engines that run here with the reference.

    Raises
    ------
    EngineError
        Names the first graph, or the photograph, in which an engine strays too far; or when the reference
        is not installed.
    OptionError
        Without photographs.
    """
    if not photographs:
        raise OptionError("verifying needs photographs of people; give --photographs FILE ...")
    recorded, expected = record(bundle, photographs, resolution)
    examples = with_noise(bundle, recorded)
    report = Report()
    for photograph, result in zip(photographs, expected, strict=True):
        if isinstance(result, Exception):
            report.notes.append(f"'{photograph}' gives no surface to compare: {result}")
    for engine in _runnable(bundle, report.skipped):
        for file, seen in sorted(examples.items()):
            inputs = "photographs" if recorded.get(file) else "noise"
            report.graphs.append(_compare_graph(engine, Path(bundle) / file, seen, inputs))
        heads = "bf16" if engine.precision == "bf16" else "fp32"
        reconstruct = Reconstructor(bundle, engine, precision=heads)
        for photograph, result in zip(photographs, expected, strict=True):
            found = _outcome(reconstruct, photograph, resolution)
            difference = _compare_results(engine, photograph, result, found, resolution)
            if difference is not None:
                report.surfaces.append(difference)
    return report


class _OneInInt8(Engine):
    """Float32, but for one graph."""

    name = "openvino"
    precisions = ("int8",)

    def __init__(self, file: str) -> None:
        super().__init__(precision="int8")
        self._file = file
        self._single, self._reduced = (_engine(self.name, "cpu", each) for each in ("fp32", "int8"))

    def _load(self, path: str) -> Graph:
        return (self._reduced if Path(path).name == self._file else self._single).load(path)


def judge_int8(
    bundle: str | os.PathLike[str], photographs: Sequence[str], resolution: int
) -> dict[str, str | None]:
    """For each graph that a bundle has in 8 bits: what is wrong if it alone runs so; None if nothing is.

    Raises
    ------
    OptionError
        Without photographs.
    """
    if not photographs:
        raise OptionError("8 bits are judged by photographs of people; give --photographs FILE ...")
    _, expected = record(bundle, photographs, resolution)
    answers: dict[str, str | None] = {}
    for file in files_in_int8(Path(bundle)):
        engine = _OneInInt8(file)
        reconstruct = Reconstructor(bundle, engine)
        answers[file] = None
        for photograph, result in zip(photographs, expected, strict=True):
            try:
                _compare_results(
                    engine, photograph, result, _outcome(reconstruct, photograph, resolution), resolution
                )
            except EngineError as error:
                answers[file] = str(error)
                break
    return answers


def measure(
    bundle: str | os.PathLike[str], photographs: Sequence[str], resolution: int, num_runs: int
) -> tuple[list[tuple[str, Engine, float]], list[Skipped]]:
    """Median latency in milliseconds of every graph on every engine that runs here, the reference first."""
    recorded, _ = record(bundle, photographs, resolution) if photographs else ({}, [])
    examples = with_noise(bundle, recorded)
    skipped: list[Skipped] = []
    rows = []
    for engine in [_engine(*REFERENCE), *_runnable(bundle, skipped)]:
        for file, seen in sorted(examples.items()):
            graph = engine.load(os.fspath(Path(bundle) / file))
            arrays = seen[0][0]
            graph.run(arrays)  # the first run allocates
            rows.append((file, engine, float(np.median(_times_ms(graph, arrays, num_runs)))))
    return rows, skipped


def _runnable(bundle: str | os.PathLike[str], skipped: list[Skipped]) -> list[Engine]:
    """Every way to run the bundle but the reference; `skipped` gets the others."""
    forms = formats_of(Path(bundle))
    found = []
    for name, device, precision, form in _CANDIDATES:
        try:
            if form is not None and (form, precision) not in forms:
                raise EngineError(f"the bundle has no {form} of {precision}")
            found.append(_engine(name, device, precision))
        except EngineError as error:
            skipped.append(Skipped(name, device, precision, str(error)))
    return found


def _engine(name: str, device: str, precision: str) -> Engine:
    return engines.create(name, None, device, precision)


def _outcome(reconstruct: Reconstructor, photograph: str, resolution: int) -> Reconstruction | Exception:
    """The reconstruction, or that there is none: an answer as well, which engines must agree on."""
    try:
        return reconstruct(photograph, options=ReconstructionOptions(resolution=resolution))
    except _NO_RESULT as error:
        return error


def _compare_graph(engine: Engine, path: Path, examples: Sequence[Example], inputs: str) -> GraphDifference:
    graph = engine.load(os.fspath(path))
    max_abs = max_rel = rms_rel = 0.0
    for arrays, expected in examples:
        outputs = graph.run(arrays)
        for name, wanted in expected.items():
            where = f"graph '{path.name}' on {_described(engine)}"
            if name not in outputs or outputs[name].shape != wanted.shape:
                raise EngineError(
                    f"{where} must give '{name}' of shape {wanted.shape}; export the bundle again"
                )
            if not np.isfinite(outputs[name]).all():
                raise EngineError(f"{where} gives '{name}' that is not finite; export the bundle again")
            errors = np.abs(outputs[name] - wanted)
            magnitude = max(float(np.abs(wanted).max()), LEAST_MAGNITUDE)
            max_abs = max(max_abs, float(errors.max()))
            max_rel = max(max_rel, float(errors.max()) / magnitude)
            rms_rel = max(rms_rel, float(np.sqrt(np.mean(errors**2, dtype=np.float64))) / magnitude)
    judged, allowed = max_rel, FP32_TOLERANCE
    if engine.precision != "fp32":
        judged, allowed = rms_rel, REDUCED_TOLERANCE[engine.precision]
    if judged > allowed:
        raise EngineError(
            f"graph '{path.name}' on {_described(engine)} differs by {judged:.2e} of its output from "
            f"onnxruntime in fp32, more than {allowed:.0e}; export the bundle again, or take another engine"
        )
    times = _times_ms(graph, examples[0][0], 3)
    return GraphDifference(
        path.stem,
        engine.name,
        engine.device,
        engine.precision,
        inputs,
        max_abs,
        max_rel,
        rms_rel,
        min(times),
    )


def _compare_results(
    engine: Engine,
    photograph: str,
    expected: Reconstruction | Exception,
    found: Reconstruction | Exception,
    resolution: int,
) -> SurfaceDifference | None:
    """None where there is no surface on either side."""
    where = f"'{photograph}' on {_described(engine)}"
    if isinstance(expected, Exception) or isinstance(found, Exception):
        if type(expected) is type(found):
            return None
        raise EngineError(
            f"{where}: {_said(found)}, where onnxruntime in fp32 has: {_said(expected)}; "
            "export the bundle again"
        )
    to_found = _core.MeshDistance(found.vertices, found.faces).query(expected.vertices)
    to_expected = _core.MeshDistance(expected.vertices, expected.faces).query(found.vertices)
    voxel_m = expected.size_m / resolution
    distances = np.concatenate([to_found, to_expected]) / voxel_m
    difference = SurfaceDifference(
        photograph,
        engine.name,
        engine.device,
        engine.precision,
        float(distances.mean()),
        float(distances.max()),
        _color_difference(expected, found, 2 * voxel_m),
    )
    if difference.mean_voxels > SURFACE_TOLERANCE_VOXELS or difference.mean_color > COLOR_TOLERANCE:
        raise EngineError(
            f"{where}: the surface is {difference.mean_voxels:.3f} voxels and the colour "
            f"{difference.mean_color:.4f} from onnxruntime's in the mean, allowed are "
            f"{SURFACE_TOLERANCE_VOXELS} and {COLOR_TOLERANCE}; export the bundle again"
        )
    return difference


def _color_difference(expected: Reconstruction, found: Reconstruction, reach_m: float) -> float:
    """Mean over the vertices that have one of the other surface within reach."""
    index, _ = _core.nearest_points(found.vertices, expected.vertices, reach_m)
    matched = index >= 0
    if not matched.any():
        return float("inf")
    differences = np.abs(expected.colors[matched].astype(float) - found.colors[index[matched]])
    return float(differences.mean())


def _times_ms(graph: Graph, arrays: Mapping[str, Array], num_runs: int) -> npt.NDArray[np.float64]:
    times = []
    for _ in range(num_runs):
        begin = time.perf_counter()
        graph.run(arrays)
        times.append(1e3 * (time.perf_counter() - begin))
    return np.array(times)


def _described(engine: Engine) -> str:
    return f"{engine.name} ({engine.device}, {engine.precision})"


def _said(outcome: Reconstruction | Exception) -> str:
    return str(outcome) if isinstance(outcome, Exception) else "a surface"
