"""The loop that all networks share: budget, schedule, averaged weights, checkpoints, log."""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from tqdm import tqdm

Losses = dict[str, Tensor]

MOST_SKIPPED = 20
"""Steps in a row that bf16 may spoil."""


@dataclass(frozen=True)
class Budget:
    """When training ends: after `minutes` or `steps`, whichever is set (minutes survive a resume)."""

    minutes: float | None
    steps: int | None

    def __post_init__(self) -> None:
        if (self.minutes is None) == (self.steps is None):
            raise ValueError("give either minutes or steps")

    def spent(self, seconds: float, step: int) -> float:
        """The used fraction, 0 to 1."""
        return min(1.0, seconds / (60 * self.minutes) if self.minutes else step / self.steps)  # type: ignore[operator]


@dataclass(frozen=True)
class TrainOptions:
    out: Path
    budget: Budget
    learning_rate: float
    checkpoint_every_s: float = 60.0
    warmup: float = 0.02
    provenance: str = ""
    best_by: str | None = None
    """The score by which the best checkpoint is kept beside the last; lower is better."""
    bf16: bool = False
    """Compute in bf16 on a CPU as well: twice as fast where it multiplies bf16 (a GPU always does)."""


def train(
    kind: str,
    net: nn.Module,
    loss: Callable[[nn.Module], Losses],
    options: TrainOptions,
    evaluate: Callable[[nn.Module], dict[str, float]] | None = None,
) -> nn.Module:
    """Minimise the sum of `loss(net)` and return the averaged weights.

    Parameters
    ----------
    kind
        Written into checkpoints: "shape" or "color".
    loss
        Draws its own batch; each named part is logged.
    evaluate
        Called at checkpoints with the averaged network.

    `options.out/state.pt` holds everything to resume; `options.out/{kind}.pt` is what the exporter
    takes, and `{kind}_best.pt` the same where `options.best_by` was lowest. `log.csv` and `log.png`
    tell how it goes. Interrupting saves first.
    """
    options.out.mkdir(parents=True, exist_ok=True)
    state_path = options.out / "state.pt"
    average = AveragedModel(net, multi_avg_fn=lambda a, v, _: _average(a, v, step), use_buffers=True)
    trained = [parameter for parameter in net.parameters() if parameter.requires_grad]
    device = next(net.parameters()).device
    fused = device.type == "cuda"
    may_spoil = options.bf16 and not fused
    optimizer = torch.optim.AdamW(trained, lr=options.learning_rate, weight_decay=1e-4, fused=fused)
    torch.backends.cudnn.benchmark = True  # all batches have one shape
    step, seconds, best, skipped = 0, 0.0, math.inf, 0
    if state_path.exists():
        state = torch.load(state_path, map_location="cpu", weights_only=True)
        net.load_state_dict(state["net"])
        average.load_state_dict(state["average"])
        optimizer.load_state_dict(state["optimizer"])
        step, seconds, best = state["step"], state["seconds"], state.get("best", math.inf)

    log = _Log(options.out)
    started, saved = time.monotonic() - seconds, time.monotonic()
    sums: dict[str, Tensor] = {}
    since = 0

    def save() -> None:
        nonlocal sums, since, best
        scores = evaluate(average.module.eval()) if evaluate else {}
        means = {key: float(value) / max(since, 1) for key, value in sums.items()}
        log.write(step, seconds, means | scores)
        tqdm.write(f"{kind} step {step}: " + ", ".join(f"{k} {v:.5f}" for k, v in (means | scores).items()))
        parts = {"net": net, "average": average, "optimizer": optimizer}
        checkpoint = {
            "kind": kind,
            "config": net.config.to_dict(),
            "model": average.module.state_dict(),
            "step": step,
            "provenance": options.provenance,
        }
        _save(options.out / f"{kind}.pt", checkpoint)
        if options.best_by and scores[options.best_by] < best:
            best = scores[options.best_by]
            _save(options.out / f"{kind}_best.pt", checkpoint)
        progress = {"step": step, "seconds": seconds, "best": best}
        _save(state_path, {k: p.state_dict() for k, p in parts.items()} | progress)
        sums, since = {}, 0

    # The gradients of a sure head are denormal numbers, with which a CPU takes 17 times as long.
    torch.set_flush_denormal(True)
    bar = tqdm(total=1000, unit="‰", desc=kind, mininterval=5)
    try:
        while (spent := options.budget.spent(seconds, step)) < 1:
            bar.update(int(1000 * spent) - bar.n)
            ramp = min(1.0, spent / options.warmup)
            for group in optimizer.param_groups:
                decay = 0.01 + 0.495 * (1 + math.cos(math.pi * spent))
                group["lr"] = options.learning_rate * ramp * decay
            net.train()
            statistics = [buffer.clone() for buffer in net.buffers()] if may_spoil else []
            with autocast(device, options.bf16):
                parts = loss(net)
            total = torch.stack(list(parts.values())).sum()
            optimizer.zero_grad(set_to_none=True)
            total.backward()
            norm = nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            if may_spoil and not norm.isfinite():  # see `autocast`: as if the step had not been
                for buffer, value in zip(net.buffers(), statistics, strict=True):
                    buffer.copy_(value)
                skipped += 1
                if skipped > MOST_SKIPPED:
                    raise FloatingPointError(f"{skipped} steps in a row were not finite; train without bf16")
                continue
            skipped = 0
            optimizer.step()
            average.update_parameters(net)
            step, since = step + 1, since + 1
            for key, value in parts.items():
                sums[key] = sums.get(key, torch.zeros((), device=device)) + value.detach()
            if step % 10 == 0 and device.type == "cuda":
                torch.cuda.synchronize()  # keep the clock honest
            seconds = time.monotonic() - started
            if time.monotonic() - saved > options.checkpoint_every_s:
                save()
                saved = time.monotonic()
    finally:
        torch.set_flush_denormal(False)
        bar.close()
        save()
    return average.module.eval()


def memory_format(device: torch.device) -> torch.memory_format:
    """Channels last feeds a GPU's tensor cores; on a CPU it makes these networks several times slower."""
    return torch.channels_last if device.type == "cuda" else torch.contiguous_format


def autocast(device: torch.device, on_cpu: bool = False) -> torch.autocast:
    """bf16; on a CPU only if asked for: torch 2.13's there now and then gives small networks NaN."""
    enabled = on_cpu or device.type == "cuda"
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled)


@torch.no_grad()
def _average(averages: list[Tensor], values: list[Tensor], step: int) -> None:
    """Exponential moving average over about 1000 steps, shorter while there are fewer.

    All tensors of a call are of one type. Nothing here waits for the GPU.
    """
    if averages[0].is_floating_point():
        torch._foreach_lerp_(averages, values, 1 - min(0.999, (1 + step) / (10 + step)))
    else:
        torch._foreach_copy_(averages, values)


def load_checkpoint(path: Path, kind: str) -> dict:
    """A checkpoint of `train`, on the CPU.

    Raises
    ------
    ValueError
        If it is of another kind.
    """
    checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    if checkpoint.get("kind") != kind:
        raise ValueError(f"{path}: expected a {kind} checkpoint, got kind {checkpoint.get('kind')!r}")
    return checkpoint


def _save(path: Path, state: dict) -> None:
    temporary = path.with_suffix(".tmp")
    torch.save(state, temporary)
    temporary.replace(path)


class _Log:
    """A table of step, seconds, name and value, and its plot."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "log.csv"
        if not self.path.exists():
            self.path.write_text("step,seconds,name,value\n")

    def write(self, step: int, seconds: float, values: dict[str, float]) -> None:
        with self.path.open("a", newline="") as file:
            csv.writer(file).writerows([step, round(seconds, 1), k, v] for k, v in values.items())
        self._plot()

    def _rows(self) -> Iterator[dict[str, str]]:
        with self.path.open(newline="") as file:
            yield from csv.DictReader(file)

    def _plot(self) -> None:
        from matplotlib.figure import Figure

        series: dict[str, list[tuple[int, float]]] = {}
        for row in self._rows():
            series.setdefault(row["name"], []).append((int(row["step"]), float(row["value"])))
        figure = Figure(figsize=(4 * max(len(series), 1), 3))
        for i, (name, points) in enumerate(series.items()):
            axes = figure.add_subplot(1, len(series), i + 1)
            axes.plot(*zip(*points, strict=True))
            axes.set_title(name)
            axes.set_xlabel("step")
        figure.tight_layout()
        figure.savefig(self.path.with_suffix(".png"))
