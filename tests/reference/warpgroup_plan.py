"""What a block of warpgroups does with a plan for some points, as slow and plain as it can be said.

Only the order of things is the kernel's; numbers are float64 but for the plan's own weights.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
LEAK = 0.01
TILE, RUN, CHUNK = 16, 8, 64


def output_at(position: int) -> int:
    """The output of a layer that stands at a position: within 16, lanes hold two of either half."""
    lane, i = divmod(position % TILE, 4)
    return position // TILE * TILE + 2 * lane + i // 2 * 8 + i % 2


def position_of(column: int) -> int:
    """Where the output of a column of a warpgroup's product stands: a thread's eight follow each other."""
    block, lane, i = column % 32 // 8, column % 8 // 2, column % 2
    return column // 32 * 32 + 8 * lane + 2 * block + i


def query(
    plan: dict[str, Any], layers: list[tuple[Array, Array]], features: Array, own: Array, depth: Array
) -> Array:
    """Sums of the last layer (N, outputs) at points that see `features` (N, C) at scaled `depth` (N,) and
    have `own` ones (N, M).

    Folded maps are not the plan's: their rows are computed here from the layers' weights and biases.
    """
    halves = np.frombuffer(plan["weights"], np.float16).astype(np.float64)
    rows = folded_rows(layers, features, own.shape[1])
    own = np.pad(own, ((0, 0), (0, plan["num_own"] - own.shape[1])))
    places: dict[str, Array] = {}
    chunks: list[Array] = []
    for job in plan["jobs"]:
        if job["place"] == "own":
            assert len(chunks) == min(2, plan["num_chunks"])
            continue
        first, num = job["first_row"], job["num_positions"]
        start = np.zeros((len(features), CHUNK))
        start[:, :num] = rows[:, first : first + num]
        weights = halves[job["depth_weights"] // 2 :][:CHUNK]
        start[:, :num] += depth[:, None] * weights[:num]
        if job["place"] == "chunk":
            chunks.append(start)
            continue
        place = places.setdefault(f"step {job['step']}", np.zeros((len(features), 0)))
        assert job["first_position"] == place.shape[1]
        places[f"step {job['step']}"] = np.concatenate([place, start], axis=1)
    assert len(chunks) == plan["num_chunks"]
    stages = iter(plan["stages"])

    def product(inputs: Array, num_columns: int, start: Array | None = None) -> Array:
        """Of as many stages as the inputs take; a start stands by positions."""
        sums = np.zeros((len(inputs), num_columns))
        done = 0
        while done < inputs.shape[1]:
            offset, num_bytes = next(stages)
            stage = halves[offset // 2 :][: num_bytes // 2].reshape(-1, num_columns, RUN)
            for run in stage:
                sums += inputs[:, done : done + RUN] @ run.T
                done += RUN
        if start is None:
            return sums
        by_position = start.copy()
        by_position[:, [position_of(column) for column in range(num_columns)]] += sums
        return by_position

    hidden = np.zeros((len(features), 0))
    for number, step in enumerate(plan["steps"]):
        sums = np.zeros((len(features), step["num_columns"]))
        if number == 0 and plan["num_own"] > 0:
            # A chunk is finished while the one before it is consumed.
            finished = leaky(product(own, CHUNK, chunks[0]))
            for following in [*chunks[1:], None]:
                chunk = finished
                if following is not None:
                    finished = leaky(product(own, CHUNK, following))
                sums += product(chunk, step["num_columns"])
        else:
            hidden = leaky(np.concatenate(chunks, axis=1)) if number == 0 else hidden
            sums += product(hidden[:, : step["num_hidden"]], step["num_columns"])
        sums += product(own, step["num_columns"])
        by_position = places[f"step {number}"].copy()
        by_position[:, [position_of(column) for column in range(step["num_columns"])]] += sums
        hidden = leaky(by_position)
    assert next(stages, None) is None
    outputs = np.zeros((len(features), by_position.shape[1]))
    outputs[:, [output_at(position) for position in range(by_position.shape[1])]] = by_position
    return outputs[:, : plan["steps"][-1]["num_outputs"]]


def folded_rows(layers: list[tuple[Array, Array]], features: Array, num_own: int) -> Array:
    """What points take from the folded maps (N, rows): outputs by positions, in whole tiles a layer."""
    rows, num_hidden = [], 0
    for weight, bias in layers:
        from_maps = features @ weight[:, num_hidden : weight.shape[1] - num_own - 1].T + bias
        size = -(-len(weight) // TILE) * TILE
        padded = np.zeros((len(features), size))
        padded[:, : len(weight)] = from_maps
        rows.append(padded[:, [output_at(position) for position in range(size)]])
        num_hidden = len(weight)
    return np.concatenate(rows, axis=1)


def leaky(values: Array) -> Array:
    return np.where(values > 0, values, LEAK * values)
