"""How fast the GPU is, against torch on the same GPU, in one process.

    python benchmarks/gpu.py [--json out.json] [--repeats 20] [--dry-run]

Needs a build with CUDA and torch with CUDA; benchmarks/gpu_check.sh makes the one and calls this.
Measured are

- the card itself: torch's product of two 8192 x 8192 matrices in float16, and a copy on the device;
- heads on random weights: microseconds a point, against torch in float16 computing what the published
  implementation does (`grid_sample`, then 1 x 1 convolutions over all features at every layer), plain and by
  torch.compile, both sides by turns; the largest difference from torch in float32; the share of the measured
  matrix rate that the folded multiply-adds reach; the fold;
- extraction of a surface whose values cost nothing, medians;
- whole reconstructions with and without the face, p50 and p95 by stage, and the memory in use.

--dry-run takes small sizes and torch's CPU, for a build whose kernels are emulated: it proves that the script
runs and measures nothing. `--bounds` only prints what the RTX 2080 Ti can do at most, by its published rates.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parent.parent
DEPTH_SCALE = 1.28

# GeForce RTX 2080 Ti, as NVIDIA publishes it ("Turing GPU Architecture" white paper, Founders Edition):
# float16 products with float32 sums, and memory.
RTX_2080_TI_FLOPS = 56.9e12
RTX_2080_TI_BYTES_PER_S = 616e9


@dataclass(frozen=True)
class Head:
    """One MLP with skips: channels of its maps, of the points' own features, and the widths of its layers."""

    name: str
    map_channels: int
    own_channels: int
    widths: tuple[int, ...]
    map_size: int = 128

    @property
    def macs(self) -> int:
        """Multiply-adds a point as torch does them."""
        return self._macs(self.map_channels + self.own_channels + 1)

    @property
    def folded_macs(self) -> int:
        """Those left when the features' part is in the maps."""
        return self._macs(self.own_channels + 1)

    def _macs(self, num_raw: int) -> int:
        before = (0, *self.widths[:-1])
        return sum((hidden + num_raw) * width for hidden, width in zip(before, self.widths, strict=True))


HEADS = (
    Head("compact body", 128, 0, (256, 256, 128, 64, 1)),
    Head("compact colour", 224, 0, (256, 128, 64, 4)),
    Head("compact fine colour", 48, 64, (256, 128, 64, 4), 256),
    Head("paper body", 256, 0, (1024, 512, 256, 128, 1)),
    Head("paper colour", 512, 0, (1024, 512, 256, 128, 3)),
    Head("paper fine colour", 256, 256, (1024, 512, 256, 128, 3), 512),
)


def random_layers(head: Head, seed: int = 0) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    rng = np.random.default_rng(seed)
    layers, hidden = [], 0
    for width in head.widths:
        inputs = hidden + head.map_channels + head.own_channels + 1
        weight = rng.normal(scale=1.5 / inputs**0.5, size=(width, inputs))
        layers.append((weight.astype(np.float32), rng.normal(scale=0.1, size=width).astype(np.float32)))
        hidden = width
    return layers


def surface_points(num_points: int, resolution: int) -> NDArray[np.float32]:
    """Lattice points of a surface: four in each of neighbouring columns."""
    columns = -(-num_points // 4)
    side = int(np.ceil(columns**0.5))
    y, x = np.divmod(np.arange(columns), side)
    xy = ((np.stack([x, y], axis=1) - side / 2) * (2 / max(resolution, side))).repeat(4, axis=0)[:num_points]
    z = np.random.default_rng(1).uniform(-0.5, 0.5, size=(num_points, 1))
    return np.concatenate([xy, z], axis=1).astype(np.float32)


def torch_head(layers: list, device: str, dtype: Any) -> Callable[..., Any]:
    """What the published implementation computes, as a function of map, own features and points."""
    import torch
    from torch.nn import functional

    weights = [
        (torch.tensor(w, device=device, dtype=dtype)[:, :, None], torch.tensor(b, device=device, dtype=dtype))
        for w, b in layers
    ]

    def run(feature_map: Any, own: Any, points: Any) -> Any:
        grid = points[None, :, None, :2].to(dtype)
        sampled = functional.grid_sample(feature_map, grid, align_corners=True)[..., 0]
        raw = torch.cat([sampled, own, (points[None, :, 2] * DEPTH_SCALE).to(dtype)[:, None]], dim=1)
        hidden = None
        for i, (weight, bias) in enumerate(weights):
            inputs = raw if hidden is None else torch.cat([hidden, raw], dim=1)
            hidden = functional.conv1d(inputs, weight, bias)
            if i + 1 < len(weights):
                hidden = functional.leaky_relu(hidden, 0.01)
        return torch.sigmoid(hidden)

    return run


@dataclass(frozen=True)
class Card:
    """What the GPU does at most, as torch shows it."""

    matrix_flops: float
    copy_bytes_per_s: float


def seconds(run: Callable[[], object], repeats: int, synchronize: Callable[[], object]) -> float:
    run()
    synchronize()
    begin = time.perf_counter()
    for _ in range(repeats):
        run()
    synchronize()
    return (time.perf_counter() - begin) / repeats


class Benchmark:
    """Runs all of it at full size on a GPU, or small without one."""

    def __init__(self, repeats: int, is_dry: bool, compiles: bool) -> None:
        import torch

        self.torch = torch
        self.is_dry = is_dry
        self.compiles = compiles and not is_dry
        self.repeats = 1 if is_dry else repeats
        self.device = "cpu" if is_dry else "cuda"
        self.dtype = torch.float32 if is_dry else torch.float16
        self.synchronize = (lambda: None) if is_dry else torch.cuda.synchronize

    def card(self) -> Card:
        torch = self.torch
        size = 64 if self.is_dry else 8192
        a, b = (torch.randn(size, size, device=self.device).to(self.dtype) for _ in range(2))
        product = seconds(lambda: a @ b, self.repeats, self.synchronize)
        values = torch.empty(1 << (12 if self.is_dry else 30), dtype=torch.uint8, device=self.device)
        other = torch.empty_like(values)
        copy = seconds(lambda: other.copy_(values), self.repeats, self.synchronize)
        return Card(2 * size**3 / product, 2 * len(values) / copy)

    def forget(self) -> None:
        """Gives back what torch keeps of the GPU's memory, which would count as a reconstruction's."""
        if not self.is_dry:
            self.torch.cuda.empty_cache()

    def head(self, head: Head, card: Card) -> dict[str, Any]:
        from jiffsdk import _core

        torch = self.torch
        num_points = 130 if self.is_dry else 400_000
        map_size = 4 if self.is_dry else head.map_size
        layers = random_layers(head)
        rng = np.random.default_rng(3)
        feature_map = rng.normal(size=(1, head.map_channels, map_size, map_size)).astype(np.float32)
        own = rng.normal(size=(num_points, head.own_channels)).astype(np.float32)
        points = surface_points(num_points, 512)
        ours = _core.CudaHead(layers, DEPTH_SCALE, "sigmoid", head.own_channels)
        ours.fold([feature_map])
        given = own if head.own_channels else None

        def on_device(array: NDArray, dtype: Any) -> Any:
            return torch.tensor(array, device=self.device).to(dtype)

        exact = torch_head(layers, self.device, torch.float32)
        half = torch_head(layers, self.device, self.dtype)
        inputs = [
            (
                on_device(feature_map, kind),
                on_device(own.T[None].copy(), kind),
                on_device(points, torch.float32),
            )
            for kind in (torch.float32, self.dtype)
        ]
        with torch.inference_mode():
            error = float(np.abs(ours.query(points, given).T - exact(*inputs[0])[0].cpu().numpy()).max())
            compiled = torch.compile(half) if self.compiles else half
            sides: dict[str, list[float]] = {"ours": [], "torch": [], "compiled": []}
            for _ in range(3):
                sides["ours"].append(ours.time_query(points, given, self.repeats))
                sides["torch"].append(seconds(lambda: half(*inputs[1]), self.repeats, self.synchronize))
                sides["compiled"].append(
                    seconds(lambda: compiled(*inputs[1]), self.repeats, self.synchronize)
                )
        best = {side: statistics.median(times) for side, times in sides.items()}
        return {
            "name": head.name,
            "num_points": num_points,
            "tile_points": ours.tile_points(num_points),
            "us": 1e6 * best["ours"] / num_points,
            "torch_us": 1e6 * best["torch"] / num_points,
            "compiled_us": 1e6 * best["compiled"] / num_points,
            "ratio": best["torch"] / best["ours"],
            "ratio_compiled": best["compiled"] / best["ours"],
            "share_of_matrix_rate": 2 * head.folded_macs * num_points / best["ours"] / card.matrix_flops,
            "fold_ms": 1e3 * ours.time_fold([feature_map], self.repeats),
            "max_abs_error": error,
        }

    def extraction(self, resolution: int) -> dict[str, Any]:
        from jiffsdk import _core

        axis = np.linspace(-1, 1, resolution + 1, dtype=np.float32)
        z, y, x = np.meshgrid(axis, axis, axis, indexing="ij", sparse=True)
        depth = np.full((resolution + 1,) * 3, -9, np.float32)
        parts = [(0, -0.7, 0.11), (0, -0.3, 0.17), (-0.12, 0.4, 0.08), (0.12, 0.4, 0.08), (0.35, -0.2, 0.06)]
        for cx, cy, radius in parts:  # a head, a trunk, legs, an arm: capsules along y
            along = np.clip(y - cy, -0.3, 0.3)
            distance = np.sqrt((x - cx) ** 2 + (y - cy - along) ** 2 + z**2)
            np.maximum(depth, radius - distance, out=depth)
        values = (1 / (1 + np.exp(-40 * depth))).astype(np.float32)
        times = _core.cuda_time_extract(values, resolution, self.repeats + 1)[1:]
        _, faces, asked, ideal = _core.cuda_extract_surface(values, resolution)
        return {
            "resolution": resolution,
            "ms": 1e3 * statistics.median(times),
            "num_faces": len(faces),
            "asked": asked,
            "ideal": ideal,
        }

    def reconstruction(self, resolution: int, engine: str, bundle: str | None, face: str) -> dict[str, Any]:
        import jiffsdk
        from jiffsdk import _core

        is_on_gpu = engine in ("torchscript", "tensorrt")
        options = jiffsdk.EngineOptions(
            engine, device="cuda" if is_on_gpu else "cpu", precision=network_precision(engine, bundle)
        )
        reconstruct = jiffsdk.Reconstructor(bundle, options, device="cuda")
        photo = ROOT / "examples" / "held_out_render.png"
        asked = jiffsdk.ReconstructionOptions(resolution=resolution, face=face)
        num_warm_up = 0 if self.is_dry else 3  # captures and specialises what the engine runs
        runs = [reconstruct(photo, options=asked) for _ in range(num_warm_up + self.repeats)][num_warm_up:]
        stages = {}
        for stage in runs[0].timings:
            times = sorted(run.timings.get(stage, 0.0) for run in runs)
            stages[stage] = {"p50": statistics.median(times), "p95": times[int(0.95 * (len(times) - 1))]}
        free, total = _core.cuda_memory()
        return {
            "bundle": reconstruct.bundle.name,
            "resolution": resolution,
            "engine": f"{engine} {options.precision}",
            "face": runs[0].face.status,
            "num_vertices": len(runs[0].vertices),
            "asked": runs[0].queries.asked,
            "ideal": runs[0].queries.ideal,
            "stages_ms": stages,
            "memory_used_mb": (total - free) / 2**20,
        }


def network_precision(engine: str, bundle: str | None) -> str:
    """Half where the bundle has its graphs in that, in the engine's form."""
    if bundle is None or engine not in ("torchscript", "tensorrt"):
        return "fp32"
    manifest = json.loads((Path(bundle) / "bundle.json").read_text())
    forms = [(v["format"], v["precision"]) for v in manifest["graphs"]["shape_encoder"].get("variants", [])]
    return "fp16" if (engine, "fp16") in forms else "fp32"


def bounds() -> list[dict[str, Any]]:
    """What the RTX 2080 Ti does at most: operations over its published rate."""
    return [
        {
            "name": head.name,
            "mmac": head.macs / 1e6,
            "folded_mmac": head.folded_macs / 1e6,
            "million_points_per_s": RTX_2080_TI_FLOPS / (2 * head.folded_macs) / 1e6,
        }
        for head in HEADS
    ]


def show(rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    columns = list(rows[0])
    table = [[f"{v:.4g}" if isinstance(v, float) else str(v) for v in row.values()] for row in rows]
    widths = [max(map(len, column)) for column in zip(columns, *table, strict=True)]
    for line in [columns, *table]:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)))
    print()


def show_stages(row: dict[str, Any]) -> None:
    """A reconstruction's stages, the median and, in brackets, the 95th percentile of each."""
    times = ", ".join(f"{name} {t['p50']:.2f} ({t['p95']:.2f})" for name, t in row["stages_ms"].items())
    head = {key: value for key, value in row.items() if key != "stages_ms"}
    print(json.dumps(head) + "\n  ms: " + times + "\n", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument(
        "--bundle", help="a bundle directory; with --engine torchscript or tensorrt it holds theirs"
    )
    parser.add_argument("--paper", help="another bundle to measure: benchmarks/paper_bundle.py makes one")
    parser.add_argument("--engine", default="onnxruntime", help="of the networks")
    parser.add_argument("--only", choices=("heads", "extraction", "reconstruction"), help="measure no more")
    parser.add_argument("--no-compile", action="store_true", help="saves the minutes of torch.compile")
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("--bounds", action="store_true")
    parsed = parser.parse_args()
    print("RTX 2080 Ti, computed from its published rates, not measured:")
    show(bounds())
    if parsed.bounds:
        return
    from jiffsdk import _core

    if not parsed.dry_run and _core.cuda_build != "cuda":
        raise SystemExit("this build has no CUDA; build with JIFF_CUDA=ON, see benchmarks/gpu_check.sh")
    device = _core.cuda_device()
    print(device)
    benchmark = Benchmark(parsed.repeats, parsed.dry_run, not parsed.no_compile)
    card = benchmark.card()
    print(
        f"matrix products {card.matrix_flops / 1e12:.1f} TFLOP/s, copy {card.copy_bytes_per_s / 1e9:.0f} GB/s"
    )
    wanted = {parsed.only} if parsed.only else {"heads", "extraction", "reconstruction"}
    heads = [benchmark.head(head, card) for head in HEADS] if "heads" in wanted else []
    show(heads)
    resolutions = (32,) if parsed.dry_run else (128, 256, 512)
    extractions = [benchmark.extraction(r) for r in resolutions] if "extraction" in wanted else []
    show(extractions)
    benchmark.forget()
    reconstructions = []
    sizes = (32,) if parsed.dry_run else (256, 512)
    wanted_runs = [(parsed.bundle, size, face) for size in sizes for face in ("off", "auto")]
    if parsed.paper:
        wanted_runs += [(parsed.paper, sizes[-1], face) for face in ("off", "auto")]
    for bundle, size, face in wanted_runs if "reconstruction" in wanted else []:
        reconstructions.append(benchmark.reconstruction(size, parsed.engine, bundle, face))
        show_stages(reconstructions[-1])
    if parsed.json:
        report = {
            "dry_run": parsed.dry_run,
            "device": device,
            "torch": benchmark.torch.__version__,
            "card": asdict(card),
            "bounds_rtx_2080_ti": bounds(),
            "heads": heads,
            "extraction": extractions,
            "reconstruction": reconstructions,
        }
        parsed.json.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
