"""The networks' dense parts on every engine that runs here, against torch eager, in one process by turns.

    python benchmarks/encoders.py                       # the published sizes; some minutes of two cores
    python benchmarks/encoders.py --config compact --json

Weights are random: they change no time. A ratio above 1 says how many times faster than torch an engine is.
`int8` is the form that `--precision int8` makes, its ranges those of this input. With `--bound` the rates of
torch's matrix products in float32 and bf16 are measured first, and what each network would take at these.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / folder) for folder in ("sdk", "export")]

import torch  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch.utils.flop_counter import FlopCounterMode  # noqa: E402

from jiffexport.nets import (  # noqa: E402
    COMPACT_COLOR,
    COMPACT_FACE_SHAPE,
    COMPACT_FINE_COLOR,
    PAPER_COLOR,
    PAPER_FACE_SHAPE,
    PAPER_FINE_COLOR,
    HourglassEncoder,
    ResidualEncoder,
)
from jiffexport.nets.unet3d import UNet3d  # noqa: E402
from jiffexport.onnx_graph import finish  # noqa: E402
from jiffexport.passes import compute_in_int8, measure_ranges  # noqa: E402
from jiffexport.to_onnx import module_to_onnx  # noqa: E402
from jiffexport.verify import compile_graph  # noqa: E402
from jiffsdk import EngineError, engines  # noqa: E402

CONFIGS = {
    "paper": (PAPER_FACE_SHAPE, PAPER_COLOR, PAPER_FINE_COLOR),
    "compact": (COMPACT_FACE_SHAPE, COMPACT_COLOR, COMPACT_FINE_COLOR),
}
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
WAYS = [("onnxruntime", "fp32"), ("openvino", "fp32"), ("openvino", "bf16"), ("openvino", "int8")]

Run = Callable[[], object]


class _LastStack(nn.Module):
    """What a deployed hourglass gives: the features of its last stack."""

    def __init__(self, encoder: HourglassEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, image: Tensor) -> Tensor:
        return self.encoder.inference(image)["features"]


def networks(config: str) -> Iterator[tuple[str, nn.Module, tuple[int, ...]]]:
    """Name, module and the shape of its input."""
    shape, color, fine = CONFIGS[config]
    body, volume = shape.body, shape.volume
    side = volume.resolution
    torch.manual_seed(0)
    yield (
        "hourglass",
        _LastStack(HourglassEncoder(body)),
        (1, body.in_channels, body.image_size_px, body.image_size_px),
    )
    yield "3-D U-Net", UNet3d(volume), (1, volume.point_channels, side, side, side)
    for name, each in (("coarse colour", color), ("fine colour", fine)):
        yield name, ResidualEncoder(each), (1, each.in_channels, each.image_size_px, each.image_size_px)


def ways_to_run(
    module: nn.Module, shape: tuple[int, ...], folder: Path, threads: int | None
) -> dict[str, Run]:
    """Torch eager and every engine that runs here, on one input."""
    module.eval()
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    tensor = torch.from_numpy(x)

    def eager() -> Tensor:
        with torch.inference_mode():
            return module(tensor)

    found: dict[str, Run] = {"torch eager": eager}
    path, path_int8 = folder / "network.onnx", folder / "network.int8.onnx"
    model = module_to_onnx(module, {"x": shape}, ["y"], "network", "fp16")
    path.write_bytes(model.SerializeToString())
    ranges = measure_ranges(model, lambda graph: compile_graph(graph, "openvino"), [{"x": x}])
    path_int8.write_bytes(finish(compute_in_int8(model, ranges), "network").SerializeToString())
    for name, precision in WAYS:
        # What lies in no bundle is run as it is: 8 bits where the file has them.
        file = path_int8 if precision == "int8" else path
        try:
            graph = engines.create(name, threads, precision=_beside(precision)).load(str(file))
        except EngineError as error:
            print(f"not run: {name} {precision}: {error}", file=sys.stderr)
            continue
        found[f"{name} {precision}"] = lambda graph=graph: graph.run({"x": x})
    return found


def _beside(precision: str) -> str:
    """What an engine computes in that runs graphs of this precision; in 8 bits: all but the convolutions."""
    if precision != "int8":
        return precision
    try:
        return engines.create("openvino", precision="bf16").precision
    except EngineError:
        return "fp32"


def shortest_ms(runs: dict[str, Run], num_rounds: int, clock: Callable[[], float]) -> dict[str, float]:
    """Each way's shortest time; they take turns, so that a busy machine disturbs all alike."""
    for run in runs.values():
        run()
    best = dict.fromkeys(runs, float("inf"))
    for _ in range(num_rounds):
        for name, run in runs.items():
            begin = clock()
            run()
            best[name] = min(best[name], 1e3 * (clock() - begin))
    return best


def multiply_adds(module: nn.Module, shape: tuple[int, ...]) -> float:
    """Of the module's convolutions and matrix products."""
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        module(torch.zeros(shape))
    return counter.get_total_flops() / 2


def product_rate(dtype: torch.dtype, clock: Callable[[], float], size: int = 1536) -> float:
    """Multiply-adds a second of torch's matrix product, the best of some."""
    a, b = torch.randn(2, size, size).to(dtype)
    best = float("inf")
    for _ in range(8):
        begin = clock()
        a @ b
        best = min(best, clock() - begin)
    return size**3 / best


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", choices=CONFIGS, default="paper")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, help="of torch and of the engines; default: their own choice")
    parser.add_argument(
        "--clock",
        choices=CLOCKS,
        default="wall",
        help="cpu: the time of all threads, which a busy machine disturbs least; with --threads 1",
    )
    parser.add_argument("--only", help="name of one network")
    parser.add_argument("--bound", action="store_true", help="print what matrix products alone would take")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    records, clock = [], CLOCKS[arguments.clock]
    rates = {}
    if arguments.bound:
        rates = {name: product_rate(getattr(torch, name), clock) for name in ("float32", "bfloat16")}
        shown = ", ".join(f"{name} {2e-9 * rate:.0f}" for name, rate in rates.items())
        print(f"matrix products, GFLOP/s: {shown}", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        for name, module, shape in networks(arguments.config):
            if arguments.only not in (None, name):
                continue
            runs = ways_to_run(module, shape, Path(folder), arguments.threads)
            times = shortest_ms(runs, arguments.rounds, clock)
            eager = times["torch eager"]
            if rates:
                number = multiply_adds(module, shape)
                bounds = ", ".join(f"{1e3 * number / rate:.0f} ms in {way}" for way, rate in rates.items())
                print(f"{name}: {2e-9 * number:.0f} GFLOP, at those rates {bounds}", file=sys.stderr)
            records += [
                {"network": name, "way": way, "ms": ms, "times_torch": eager / ms}
                for way, ms in times.items()
            ]
            if not arguments.json:
                shown = "  ".join(f"{way} {ms:.0f} ms ({eager / ms:.2f} x)" for way, ms in times.items())
                print(f"{name:14} {shown}; best {eager / min(times.values()):.2f} x torch", flush=True)
    if arguments.json:
        print(json.dumps({"config": arguments.config, "latencies": records}))


if __name__ == "__main__":
    main()
