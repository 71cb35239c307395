"""The plan of the warpgroups' kernel does what the head does: host code, so tested without a Hopper GPU."""

from __future__ import annotations

import numpy as np
import pytest

from jiffsdk import _core
from random_heads import random_layers
from reference import warpgroup_plan

pytestmark = pytest.mark.skipif(_core.cuda_build == "none", reason="this build has no CUDA")


def plain_sums(layers: list, features: np.ndarray, own: np.ndarray, depth: np.ndarray) -> np.ndarray:
    raw = np.concatenate([features, own, depth[:, None]], axis=1)
    hidden = np.zeros((len(features), 0))
    for weight, bias in layers:
        sums = np.concatenate([hidden, raw], axis=1) @ weight.T + bias
        hidden = warpgroup_plan.leaky(sums)
    return sums


@pytest.mark.parametrize(
    "widths",
    [
        [129, 256, 256, 128, 64, 1],
        [257, 1024, 512, 256, 128, 1],
        [225, 256, 128, 64, 4],
        [20, 7, 3],
        [20, 65, 130, 70, 5],
        [33, 300, 40],
    ],
)
@pytest.mark.parametrize("num_own", [0, 1, 70, 256])
def test_a_plan_is_the_head(widths: list[int], num_own: int) -> None:
    rng = np.random.default_rng(0)
    widths = [widths[0] + num_own, *widths[1:]]
    layers = [tuple(part.astype(np.float64) for part in layer) for layer in random_layers(widths)]
    features, own = rng.normal(size=(5, widths[0] - num_own - 1)), rng.normal(size=(5, num_own))
    depth = rng.normal(size=5)
    plan = _core.cuda_wide_plan([tuple(p.astype(np.float32) for p in layer) for layer in layers], num_own)
    expected = plain_sums(layers, features, own, depth)
    found = warpgroup_plan.query(plan, layers, features, own, depth)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 4e-3  # weights in half precision


def test_starts_wait_for_what_stood_there_before() -> None:
    plan = _core.cuda_wide_plan(random_layers([257, 1024, 512, 256, 128, 1]))
    jobs = plan["jobs"]
    # The first two chunks come first: the products could not begin without them.
    assert [job["place"] for job in jobs[:2]] == ["chunk", "chunk"]
    for step in range(len(plan["steps"])):
        of_step = [job for job in jobs if job["step"] == step and job["place"] != "chunk"]
        assert [job["is_first"] for job in of_step] == [True] + [False] * (len(of_step) - 1)
        assert [job["is_last"] for job in of_step] == [False] * (len(of_step) - 1) + [True]
        assert 64 * len(of_step) == plan["steps"][step]["num_columns"]
        last = step + 1 == len(plan["steps"])
        assert {job["place"] for job in of_step} == {"answers" if last else f"hidden {step % 2}"}


@pytest.mark.parametrize("widths", [[9, 1], [9, 64, 600, 1], [9, 64, 300], [9, *[32] * 10, 1]])
def test_heads_of_other_sizes_are_left_to_the_common_kernel(widths: list[int]) -> None:
    assert _core.cuda_wide_plan(random_layers(widths)) is None


def test_more_features_than_fit_are_left_to_the_common_kernel() -> None:
    assert _core.cuda_wide_plan(random_layers([9 + 257, 64, 1]), 257) is None
