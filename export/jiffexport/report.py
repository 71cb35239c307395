"""What was built, as a table and as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from .exported_graph import ExportedGraph
from .verify import EngineReport

NOT_RUN, NOT_VERIFIED = "built, not run here", "not verified"


@dataclass(frozen=True)
class Row:
    """One graph in one form on one engine.

    Attributes
    ----------
    engine
        None where none ran it.
    max_abs_error, max_rel_error
        Against the original.
    ms
        Here.
    """

    graph: str
    format: str
    precision: str
    file: str
    num_bytes: int
    engine: str | None
    max_abs_error: float | None
    max_rel_error: float | None
    ms: float | None


def rows(graphs: Sequence[ExportedGraph]) -> Iterator[Row]:
    """A row for every form and engine."""
    for graph in graphs:
        yield from _rows(graph.name, "onnx", "fp32", graph.file, graph.model, graph.reports)
        for variant in graph.variants:
            yield from _rows(
                graph.name,
                variant.format,
                variant.precision,
                variant.file,
                variant.content,
                variant.reports,
            )


def _rows(
    graph: str, format: str, precision: str, file: str, content: bytes, reports: Sequence[EngineReport]
) -> Iterator[Row]:
    start = (graph, format, precision, file, len(content))
    if not reports:
        yield Row(*start, None, None, None, None)
    for report in reports:
        yield Row(*start, report.engine, report.max_abs_error, report.max_rel_error, report.ms)


def as_records(graphs: Sequence[ExportedGraph]) -> list[dict]:
    """The rows as plain values."""
    return [asdict(row) for row in rows(graphs)]


def table(graphs: Sequence[ExportedGraph]) -> str:
    """The rows for people, a file named once."""
    listed = list(rows(graphs))
    names = [row.graph for row in listed] or [""]
    width = max(map(len, [*names, "graph"]))
    kinds = [_kind(row) for row in listed]
    kind_width = max(map(len, [*kinds, "format"]))
    lines = [
        f"{'graph':{width}}  {'format':{kind_width}}      MB  engine       max error  relative   ms here"
    ]
    # Where no engine ran anything, nothing was asked for.
    unmeasured = NOT_RUN if any(row.engine for row in listed) else NOT_VERIFIED
    previous = None
    for row, kind in zip(listed, kinds, strict=True):
        start = f"{row.graph:{width}}  {kind:{kind_width}}  {row.num_bytes / 1e6:6.2f}"
        if row.file == previous:
            start = " " * len(start)
        previous = row.file
        if row.engine is None:
            lines.append(f"{start}  {unmeasured}")
        else:
            errors = f"{row.max_abs_error:9.1e}  {row.max_rel_error:8.1e}"
            lines.append(f"{start}  {row.engine:11}  {errors}  {row.ms:8.1f}")
    return "\n".join(lines)


def _kind(row: Row) -> str:
    """Format and precision; of an engine also what it runs on."""
    parts = row.file.split(".")
    capability = next((part for part in parts if part.startswith("sm") and part[2:].isdigit()), "")
    return f"{row.format} {row.precision} {capability}".rstrip()
