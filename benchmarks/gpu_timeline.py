"""What a GPU and its host do during one reconstruction, and when neither does anything.

    python benchmarks/gpu_timeline.py --bundle BUNDLE [--resolution 256] [--face off] [--json trace.json]

Needs a build with CUDA, torch with CUDA (its profiler records all kernels, copies and calls of the process,
ours too) and a bundle that has TorchScript. Printed are the kernels and calls by their time, and the gaps in
which the GPU had nothing to do, the longest first, each with what came before and after it. `--json` keeps
the trace for a viewer (chrome://tracing, Perfetto).
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gpu import ROOT, network_precision

ON_GPU = ("kernel", "gpu_memcpy", "gpu_memset")
CALLS = ("cuda_runtime", "cuda_driver")


@dataclass(frozen=True)
class Event:
    name: str
    on_gpu: bool
    begin_ms: float
    length_ms: float

    @property
    def end_ms(self) -> float:
        return self.begin_ms + self.length_ms


@dataclass(frozen=True)
class Gap:
    """A time without an event."""

    begin_ms: float
    length_ms: float
    before: str
    after: str


def events_of(trace: dict[str, Any]) -> list[Event]:
    """In the order of their beginnings; the first one begins at zero."""
    found = [
        Event(event["name"], event["cat"] in ON_GPU, event["ts"] / 1e3, event["dur"] / 1e3)
        for event in trace["traceEvents"]
        if event.get("ph") == "X" and event.get("cat") in ON_GPU + CALLS
    ]
    found.sort(key=lambda event: event.begin_ms)
    first = found[0].begin_ms if found else 0.0
    return [Event(e.name, e.on_gpu, e.begin_ms - first, e.length_ms) for e in found]


def totals(events: Sequence[Event]) -> list[tuple[float, int, Event]]:
    """Milliseconds, number and one of the events of each name, the longest first."""
    by_name: dict[tuple[str, bool], list[Event]] = defaultdict(list)
    for event in events:
        by_name[event.name, event.on_gpu].append(event)
    rows = [(sum(e.length_ms for e in each), len(each), each[0]) for each in by_name.values()]
    return sorted(rows, key=lambda row: -row[0])


def gaps(events: Sequence[Event]) -> list[Gap]:
    """Between the events, the longest first."""
    found, last = [], None
    for event in events:
        if last is not None and event.begin_ms > last.end_ms:
            found.append(Gap(last.end_ms, event.begin_ms - last.end_ms, last.name, event.name))
        if last is None or event.end_ms > last.end_ms:
            last = event
    return sorted(found, key=lambda gap: -gap.length_ms)


def record(bundle: str, resolution: int, face: str, out: Path) -> None:
    """Writes the trace of one reconstruction, after some that warm up."""
    from torch.profiler import ProfilerActivity, profile

    import jiffsdk

    engine = jiffsdk.EngineOptions(
        "torchscript", device="cuda", precision=network_precision("torchscript", bundle)
    )
    reconstruct = jiffsdk.Reconstructor(bundle, engine, device="cuda")
    options = jiffsdk.ReconstructionOptions(resolution=resolution, face=face)
    photograph = ROOT / "examples" / "held_out_render.png"
    for _ in range(5):
        reconstruct(photograph, options=options)
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiler:
        person = reconstruct(photograph, options=options)
    profiler.export_chrome_trace(str(out))
    print({stage: round(ms, 2) for stage, ms in person.timings.items()}, "ms under the profiler")


def show(events: Sequence[Event], num_rows: int) -> None:
    on_gpu = [event for event in events if event.on_gpu]
    print(f"\n{sum(e.length_ms for e in on_gpu):.2f} ms on the GPU within {events[-1].end_ms:.2f} ms")
    for length_ms, number, event in totals(events)[:num_rows]:
        print(f"{length_ms:9.3f} ms {number:5d}  {'GPU ' if event.on_gpu else 'call'}  {event.name[:90]}")
    print("\nThe GPU waits")
    for gap in gaps(on_gpu)[: num_rows // 2]:
        names = f"after {gap.before[:40]}, before {gap.after[:40]}"
        print(f"{gap.length_ms:9.3f} ms from {gap.begin_ms:8.3f}  {names}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bundle", required=True, help="a bundle directory with TorchScript")
    parser.add_argument("--resolution", type=int, default=256)
    parser.add_argument("--face", choices=("auto", "off"), default="auto")
    parser.add_argument("--rows", type=int, default=40)
    parser.add_argument("--json", type=Path, help="keeps the trace")
    parsed = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        trace = parsed.json or Path(scratch) / "trace.json"
        record(parsed.bundle, parsed.resolution, parsed.face, trace)
        show(events_of(json.loads(trace.read_text())), parsed.rows)


if __name__ == "__main__":
    main()
