"""The joint query against the float64 reference and the network it serves, at every SIMD level."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from jiffsdk import _core
from random_heads import Layers
from reference import joint_query as reference
from test_ops_implicit_query import assert_rounded_equal, column_points, random_maps
from thread_counts import outputs_by_threads

# Worst error seen against float64 at these sizes: 7e-7.
TOLERANCE = 3e-6

Array = NDArray[np.float32]


def random_mlp(num_start: int, num_raw: int, widths: list[int], rng: np.random.Generator) -> Layers:
    """Layers of the given output widths that start from `num_start` hidden channels."""
    layers, previous = [], num_start
    for width in widths:
        weight = rng.normal(scale=1.5 / (previous + num_raw) ** 0.5, size=(width, previous + num_raw))
        layers.append((weight.astype(np.float32), rng.normal(scale=0.1, size=width).astype(np.float32)))
        previous = width
    return layers


@dataclass
class Case:
    """A joint function of the given widths, and what it reads."""

    channels: list[int] = field(default_factory=lambda: [9, 5])
    num_point_features: int = 3
    num_volume_channels: int = 6
    widths_2d: list[int] = field(default_factory=lambda: [19, 10])
    widths_3d: list[int] = field(default_factory=lambda: [11, 7])
    widths_joint: list[int] = field(default_factory=lambda: [21, 13, 2])
    activation: str = "sigmoid"
    seed: int = 0
    precision: str = "fp32"

    def __post_init__(self) -> None:
        rng = np.random.default_rng(self.seed)
        raw_2d, raw_3d = sum(self.channels) + self.num_point_features + 1, self.num_volume_channels
        self.mlps = (
            random_mlp(0, raw_2d, self.widths_2d, rng),
            random_mlp(0, raw_3d, self.widths_3d, rng),
            random_mlp(self.widths_2d[-1] + self.widths_3d[-1], raw_2d + raw_3d, self.widths_joint, rng),
        )
        self.maps = random_maps(self.channels, self.seed + 1)
        self.volume = rng.normal(size=(1, raw_3d, 4, 5, 6)).astype(np.float32)
        # Part of the points lie beyond the cube.
        self.scale = np.array([0.7, -0.6, 0.9], np.float32)
        self.offset = np.array([0.5, 0.45, 0.4], np.float32)
        self.query = _core.JointQuery(
            *self.mlps, 1.28, self.activation, self.num_point_features, self.precision
        )
        self.sampler = _core.VolumeSampler(self.volume)

    def features(self, points: Array) -> Array | None:
        """A point's own features, a function of where it is."""
        if self.num_point_features == 0:
            return None
        directions = np.random.default_rng(self.seed).normal(size=(3, self.num_point_features))
        return np.sin(3 * np.nan_to_num(points, posinf=2, neginf=-2) @ directions).astype(np.float32)

    def values(self, points: Array) -> Array:
        return self.query.query(
            self.maps, self.sampler, self.scale, self.offset, points, self.features(points)
        )

    def expected(self, points: Array, precision: str = "fp32") -> NDArray[np.float64]:
        return reference.query(
            *self.mlps,
            self.maps,
            self.volume,
            self.scale,
            self.offset,
            points,
            1.28,
            self.activation,
            self.features(points),
            precision,
        )


CASES = {
    "usual": {},
    "no point features": {"num_point_features": 0},
    "one of everything": {
        "channels": [1],
        "num_point_features": 0,
        "num_volume_channels": 1,
        "widths_2d": [1],
        "widths_3d": [1],
        "widths_joint": [1],
    },
    "compact shape": {
        "channels": [128],
        "num_point_features": 0,
        "num_volume_channels": 32,
        "widths_2d": [256, 128, 64],
        "widths_3d": [128, 64, 64],
        "widths_joint": [256, 128, 64, 1],
    },
    "colour": {
        "channels": [48],
        "num_point_features": 64,
        "num_volume_channels": 32,
        "widths_2d": [256, 128, 64],
        "widths_3d": [128, 64, 64],
        "widths_joint": [256, 128, 64, 4],
        "activation": "tanh",
    },
    "deeper than a block of the product": {"num_point_features": 300, "widths_2d": [290], "widths_3d": [280]},
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("shape_of_batch", ["scattered", "long runs", "mixed"])
def test_equals_the_reference(simd_level: str, case: str, shape_of_batch: str) -> None:
    joint = Case(**CASES[case])
    rng = np.random.default_rng(3)
    run_lengths = {
        "scattered": [1] * 150,
        "long runs": [150, 100],
        "mixed": rng.integers(1, 40, size=12).tolist(),
    }[shape_of_batch]
    points = column_points(run_lengths)
    values, expected = joint.values(points), joint.expected(points)
    assert values.shape == expected.shape == (len(points), joint.query.num_outputs)
    assert np.abs(values - expected).max() < TOLERANCE


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_rounded_equals_the_reference(simd_level: str, case: str, precision: str) -> None:
    joint = Case(**CASES[case], precision=precision)
    points = column_points([1, 1, 1, 4, 17, 90] * 3)
    assert_rounded_equal(joint.values(points), joint.expected(points, precision), joint.expected(points))


@given(
    channels=st.lists(st.integers(1, 5), min_size=1, max_size=3),
    num_point_features=st.integers(0, 4),
    num_volume_channels=st.integers(1, 5),
    widths=st.tuples(*[st.lists(st.integers(1, 9), min_size=1, max_size=3)] * 3),
    run_lengths=st.lists(st.integers(1, 30), max_size=9),
    activation=st.sampled_from(["sigmoid", "tanh"]),
    seed=st.integers(0, 2**31),
)
def test_equals_the_reference_at_any_size(
    channels: list[int],
    num_point_features: int,
    num_volume_channels: int,
    widths: tuple[list[int], list[int], list[int]],
    run_lengths: list[int],
    activation: str,
    seed: int,
) -> None:
    joint = Case(channels, num_point_features, num_volume_channels, *widths, activation, seed)
    points = column_points(run_lengths, seed)
    values, expected = joint.values(points), joint.expected(points)
    assert values.shape == expected.shape
    assert np.abs(values - expected).max(initial=0) < TOLERANCE


@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8"])
def test_a_point_has_one_result_whatever_its_neighbours(simd_level: str, precision: str) -> None:
    joint = Case(precision=precision)
    rng = np.random.default_rng(5)
    points = column_points(rng.integers(1, 30, size=90).tolist())
    values = joint.values(points)
    order = rng.permutation(len(points))
    assert np.array_equal(joint.values(points[order]), values[order])
    for begin, end in [(0, 1), (7, 8), (100, 133), (500, len(points))]:
        assert np.array_equal(joint.values(points[begin:end]), values[begin:end])


def test_maps_folded_for_many_queries_give_the_bits_of_maps_folded_for_one(simd_level: str) -> None:
    joint, points = Case(), column_points([1, 9, 30, 2] * 9)
    values = joint.values(points)
    joint.maps = joint.query.fold(joint.maps)
    for part in np.array_split(np.arange(len(points))[::-1], 5):
        assert np.array_equal(joint.values(points[part]), values[part])
    joint.query = _core.JointQuery(*joint.mlps, 1.28, joint.activation, joint.num_point_features)
    with pytest.raises(_core.Error, match="folded for another implicit function"):
        joint.values(points)


def test_points_outside_the_frame_give_zero_and_nan_gives_nan(simd_level: str) -> None:
    inf, nan = np.inf, np.nan
    outside = [[1.0001, 0, 0], [0, -1.0001, 0], [inf, 0, 0], [0, -inf, 0]]
    unknown = [[nan, 0, 0], [0, nan, 0], [0, 0, nan], [2, 0, nan], [nan, 2, 0]]
    usual = [[1, -1, 0], [-1, 1, 3], [0.2, 0.3, -0.4], [0, 0, -50]]
    points = np.array(outside + unknown + usual, np.float32)
    joint = Case()
    values = joint.values(points)
    assert (values[:4] == 0).all()
    assert np.isnan(values[4:9]).all()
    assert np.abs(values[9:] - joint.expected(points[9:])).max() < TOLERANCE


def test_a_nan_in_the_volume_reaches_the_points_it_touches_and_no_others(simd_level: str) -> None:
    joint = Case()
    joint.volume[0, 2, 0, 0, 0] = np.nan
    joint.sampler = _core.VolumeSampler(joint.volume)
    points = column_points([1] * 64)
    # The corner (0, 0, 0) of the cube; the others stay in its other half.
    points[5] = [-0.7, 0.74, -0.4]
    others = np.arange(64) != 5
    points[others] = np.abs(points[others]) * [0.7, -1, 0.6]
    is_nan = np.isnan(joint.values(points)).any(axis=1)
    assert np.flatnonzero(is_nan).tolist() == [5]


def test_no_points_give_no_values(simd_level: str) -> None:
    assert Case().values(np.zeros((0, 3), np.float32)).shape == (0, 2)


def test_equal_points_have_equal_values(simd_level: str) -> None:
    values = Case().values(np.full((500, 3), 0.25, np.float32))
    assert (values == values[0]).all()


def test_several_host_threads_may_ask_at_once(simd_level: str) -> None:
    joint = Case()
    batches = [column_points([1, 9, 30] * 20, seed) for seed in range(6)]
    alone = [joint.values(points) for points in batches]
    with ThreadPoolExecutor(3) as executor:
        together = list(executor.map(joint.values, batches))
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))


PRINT_DIGEST = """
import hashlib
from test_ops_joint_query import Case, column_points
from jiffsdk import _core
points, digest = column_points([1, 2, 9, 30] * 60), hashlib.sha256()
for precision in ("fp32", "bf16", "int8"):
    digest.update(Case(precision=precision).values(points).tobytes())
print(_core.num_threads(), digest.hexdigest())
"""


def test_the_number_of_threads_does_not_show() -> None:
    alone, *others = outputs_by_threads(PRINT_DIGEST)
    assert len(alone) == 1
    assert others == [alone, alone]


def ones(num_out: int, num_in: int) -> tuple[Array, Array]:
    return np.ones((num_out, num_in), np.float32), np.ones(num_out, np.float32)


@pytest.mark.parametrize(
    ("mlps", "message"),
    [
        (([], [ones(1, 1)], [ones(1, 6)]), "branch_2d needs at least one layer"),
        (([ones(2, 2)], [], [ones(1, 6)]), "branch_3d needs at least one layer"),
        (([ones(2, 2)], [ones(1, 1)], []), "joint needs at least one layer"),
        (([ones(2, 1)], [ones(1, 1)], [ones(1, 5)]), r"branch_2d layer 0: .* at least 2 .*got \[2, 1\]"),
        (([ones(2, 2), ones(1, 3)], [ones(1, 1)], []), "joint needs"),
        (
            ([ones(2, 2), ones(1, 3)], [ones(1, 1)], [ones(1, 5)]),
            r"branch_2d layer 1: .* 2 hidden and 2 input channels, got \[1, 3\]",
        ),
        (
            ([ones(2, 2)], [ones(4, 3), ones(1, 8)], [ones(1, 8)]),
            r"branch_3d layer 1: .* 4 hidden and 3 input channels, got \[1, 8\]",
        ),
        (
            ([ones(2, 2)], [ones(3, 4)], [ones(1, 10)]),
            r"joint layer 0: .* 5 hidden and 6 input channels, got \[1, 10\]",
        ),
    ],
)
def test_layers_that_do_not_fit_are_named(mlps: tuple[Layers, Layers, Layers], message: str) -> None:
    with pytest.raises(_core.Error, match=message) as caught:
        _core.JointQuery(*mlps)
    assert caught.value.code == "invalid_argument"


def test_arguments_that_do_not_fit_are_named() -> None:
    joint, points = Case(), np.zeros((2, 3), np.float32)
    frame = joint.scale, joint.offset
    features = joint.features(points)
    with pytest.raises(_core.Error, match="takes 14 feature channels, the maps have 9"):
        joint.query.query(joint.maps[:1], joint.sampler, *frame, points, features)
    with pytest.raises(_core.Error, match="takes 3 features of each point, got none"):
        joint.query.query(joint.maps, joint.sampler, *frame, points)
    with pytest.raises(_core.Error, match=r"point_features must have shape \[2, 3\] .*got \[2, 2\]"):
        joint.query.query(joint.maps, joint.sampler, *frame, points, features[:, :2])
    other = _core.VolumeSampler(joint.volume[:, :4].copy())
    with pytest.raises(_core.Error, match="takes a volume of 6 channels, got one of 4"):
        joint.query.query(joint.maps, other, *frame, points, features)
    with pytest.raises(_core.Error, match="num_point_features must be 0 or more, got -1"):
        _core.JointQuery(*joint.mlps, 1.28, "sigmoid", -1)


def test_a_joint_head_of_torch_gives_the_same(simd_level: str) -> None:
    torch = pytest.importorskip("torch", reason="compares with the network that is exported")
    from jiffexport.nets.config import JointHeadConfig
    from jiffexport.nets.head import sample_features
    from jiffexport.nets.joint_head import JointHead
    from jiffexport.nets.volume_frame import VolumeFrame, sample_volume

    torch.manual_seed(0)
    config = JointHeadConfig(widths_2d=(32, 16), widths_3d=(16, 8), widths_joint=(24, 12))
    head = JointHead(config, 14 + 3, 6, 4, 1.28, "tanh")
    case = Case()
    mlps = [
        [(layer.weight[:, :, 0].detach().numpy(), layer.bias.detach().numpy()) for layer in layers]
        for layers in (head.branch_2d.layers[:-1], head.branch_3d.layers[:-1], head.joint.layers)
    ]
    points = column_points([1, 5, 30] * 9)
    features = case.features(points)
    ours = _core.JointQuery(*mlps, 1.28, "tanh", 3).query(
        case.maps, case.sampler, case.scale, case.offset, points, features
    )
    with torch.inference_mode():
        at = torch.from_numpy(points)[None]
        samples = [sample_features(torch.from_numpy(feature_map), at) for feature_map in case.maps]
        frame = VolumeFrame(torch.from_numpy(case.scale)[None], torch.from_numpy(case.offset)[None])
        samples_3d = sample_volume(torch.from_numpy(case.volume), frame.coordinates(at))
        samples_2d = torch.cat([*samples, torch.from_numpy(features).T[None]], 1)
        theirs = head(samples_2d, samples_3d, at[..., 2])[0].T.numpy()
    assert np.abs(ours - theirs).max() < TOLERANCE
