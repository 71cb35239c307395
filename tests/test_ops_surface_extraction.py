"""Sparse extraction against the dense one and against the dense truth by definition."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, gaussian_filter

from jiffsdk import _core
from reference import surface_extraction as reference
from reference.mesh_properties import (
    assert_closed_manifold,
    component_of_vertices,
    euler_characteristic,
    num_components,
    signed_volume,
)

Field = Callable[[NDArray[np.int32]], NDArray[np.float32]]


def constant(value: float) -> Field:
    return lambda points: np.full(len(points), value, np.float32)


def lookup(values: NDArray[np.floating]) -> Field:
    """A field given by values[z, y, x]."""
    values = values.astype(np.float32)
    return lambda points: values[points[:, 2], points[:, 1], points[:, 0]]


def smooth_field(resolution: int, seed: int, smoothness: float, threshold: float = 0.8) -> Field:
    """Smooth blobs, squashed to [0, 1] as a trained network does."""
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=(resolution + 1,) * 3), smoothness)
    return lookup(1 / (1 + np.exp(-4 * (noise / noise.std() - threshold))))


def capsules(resolution: int, transition: float) -> Field:
    """A figure of capsules. `transition` is the width from 10 to 90 % in parts of the frame's side."""
    parts = [
        ((0, -0.15, 0), (0, 0.25, 0), 0.16),
        ((0, -0.42, 0), (0, -0.36, 0), 0.11),
        ((-0.2, -0.2, 0), (-0.45, 0.2, 0.1), 0.05),
        ((0.2, -0.2, 0), (0.45, 0.2, -0.1), 0.05),
        ((-0.09, 0.3, 0), (-0.12, 0.9, 0.05), 0.07),
        ((0.09, 0.3, 0), (0.12, 0.9, -0.05), 0.07),
    ]

    def field(points: NDArray[np.int32]) -> NDArray[np.float32]:
        view = -1 + 2 * points / resolution
        distance = np.full(len(points), np.inf)
        for start, end, radius in parts:
            axis = np.subtract(end, start)
            along = np.clip((view - start) @ axis / (axis @ axis), 0, 1)
            distance = np.minimum(
                distance, np.linalg.norm(view - start - along[:, None] * axis, axis=1) - radius
            )
        return (1 / (1 + np.exp(2.2 * distance / transition))).astype(np.float32)

    return field


def silhouette(field: Field, resolution: int, num_dilations: int = 3) -> NDArray[np.uint8]:
    """Columns [y, x] that hold something inside, dilated."""
    inside = (reference.dense_values(field, resolution) > 0.5).any(axis=0)
    return binary_dilation(inside, np.ones((3, 3)), iterations=num_dilations).astype(np.uint8)


def assert_same_surface(first: dict, second: dict) -> None:
    assert np.array_equal(first["vertices"], second["vertices"])
    assert np.array_equal(first["faces"], second["faces"])
    assert first["num_queries_ideal"] == second["num_queries_ideal"]


def sorted_triangles(surface: dict) -> NDArray[np.float32]:
    """(F, 9), each starting at its least corner, in ascending order: equal for equal surfaces."""
    corners = surface["vertices"][surface["faces"]]
    first = np.lexsort(corners.transpose(2, 0, 1)[::-1], axis=-1)[:, 0]
    turned = corners[np.arange(len(corners))[:, None], (first[:, None] + np.arange(3)) % 3].reshape(-1, 9)
    return turned[np.lexsort(turned.T[::-1])]


class Recorder:
    """A field that checks how it is called."""

    def __init__(self, field: Field) -> None:
        self.field = field
        self.num_asked = 0
        self.seen: set[tuple[int, ...]] = set()

    def __call__(self, points: NDArray[np.int32]) -> NDArray[np.float32]:
        x, y, z = points.T
        assert np.array_equal(np.lexsort((z, x, y)), np.arange(len(points))), "not sorted by (y, x, z)"
        self.num_asked += len(points)
        self.seen.update(map(tuple, points.tolist()))
        assert len(self.seen) == self.num_asked, "a lattice point was asked for twice"
        return self.field(points)


@pytest.mark.parametrize("resolution", [2, 9, 24])
@pytest.mark.parametrize("with_columns", [False, True])
def test_dense_extraction_is_marching_cubes_of_the_dense_truth(resolution: int, with_columns: bool) -> None:
    field = smooth_field(resolution, 1, 1.5, 0.3)
    columns = None
    if with_columns:
        columns = (np.random.default_rng(2).random((resolution + 1,) * 2) < 0.7).astype(np.uint8)
    recorder = Recorder(field)
    surface = _core.extract_surface(recorder, resolution, dense=True, columns=columns)
    values = reference.dense_values(field, resolution, columns)
    vertices, faces = _core.marching_cubes(values, 0.5)
    assert len(surface["vertices"]) == len(vertices)
    assert np.array_equal(sorted_triangles(surface), sorted_triangles({"vertices": vertices, "faces": faces}))
    asked = np.argwhere(reference.asked_points(resolution, columns))[:, ::-1]
    assert recorder.seen == set(map(tuple, asked.tolist()))
    assert surface["num_queries_asked"] == len(asked)
    assert surface["num_queries_ideal"] == reference.num_queries_ideal(values, 0.5, columns)


def components(surface: dict) -> list[frozenset[bytes]]:
    """The triangles of each connected component, as the bytes of their vertices."""
    labels = component_of_vertices(surface["vertices"], surface["faces"])[surface["faces"][:, 0]]
    triangles = np.ascontiguousarray(surface["vertices"][surface["faces"]])
    return [frozenset(map(bytes, triangles[labels == label])) for label in np.unique(labels)]


@given(
    resolution=st.integers(10, 40),
    seed=st.integers(0, 2**31),
    smoothness=st.sampled_from([2.0, 3.0, 5.0]),
    stride=st.sampled_from([0, 1, 2, 4]),
)
def test_sparse_gives_whole_components_of_the_dense_surface(
    resolution: int, seed: int, smoothness: float, stride: int
) -> None:
    field = smooth_field(resolution, seed, smoothness)
    recorder = Recorder(field)
    sparse = _core.extract_surface(recorder, resolution, coarse_stride=stride)
    dense = _core.extract_surface(field, resolution, dense=True)
    assert set(components(sparse)) <= set(components(dense))
    assert_closed_manifold(sparse["vertices"], sparse["faces"])
    assert sparse["num_queries_asked"] == recorder.num_asked
    if stride < 2:  # automatic is 1 at these resolutions: every cell is seen
        assert_same_surface(sparse, dense)
        values = reference.dense_values(field, resolution)
        assert sparse["num_queries_ideal"] == reference.num_queries_ideal(values, 0.5)


@given(
    resolution=st.integers(20, 60),
    balls=st.lists(st.tuples(*[st.floats(0, 1)] * 3, st.floats(3.47, 12)), min_size=1, max_size=5),
)
def test_whatever_holds_a_coarse_point_is_found(resolution: int, balls: list[tuple[float, ...]]) -> None:
    """A ball of radius √3/2 · stride holds a coarse point, here even where the values have no slope."""

    def field(points: NDArray[np.int32]) -> NDArray[np.float32]:
        centres = [np.array(ball[:3]) * (resolution - 8) + 4 for ball in balls]
        inside = [
            np.linalg.norm(points - centre, axis=1) < ball[3]
            for centre, ball in zip(centres, balls, strict=True)
        ]
        return np.any(inside, axis=0).astype(np.float32)

    assert_same_surface(
        _core.extract_surface(Recorder(field), resolution, coarse_stride=4),
        _core.extract_surface(field, resolution, dense=True),
    )


@given(resolution=st.integers(8, 24), seed=st.integers(0, 2**31), with_columns=st.booleans())
def test_rough_fields_are_closed_and_asked_once(resolution: int, seed: int, with_columns: bool) -> None:
    """On noise the coarse level misses pieces, but what it gives is closed and part of the dense surface."""
    rng = np.random.default_rng(seed)
    field = lookup(rng.random((resolution + 1,) * 3) ** 2)
    columns = (rng.random((resolution + 1,) * 2) < 0.8).astype(np.uint8) if with_columns else None
    sparse = _core.extract_surface(
        Recorder(field), resolution, coarse_stride=4, uncertain_band=0.0, columns=columns
    )
    dense = _core.extract_surface(field, resolution, dense=True, columns=columns)
    assert_closed_manifold(sparse["vertices"], sparse["faces"])
    dense_triangles = set(map(bytes, np.ascontiguousarray(dense["vertices"][dense["faces"]])))
    assert {bytes(t) for t in np.ascontiguousarray(sparse["vertices"][sparse["faces"]])} <= dense_triangles


def test_a_thin_sheet_and_tube_are_followed_from_the_part_that_was_seen() -> None:
    """Half a cell thick, so the coarse grid sees only the ball that they hang on."""
    resolution, stride = 64, 8
    z, y, x = np.meshgrid(*[np.arange(resolution + 1)] * 3, indexing="ij")
    ball = np.sqrt((x - 18.0) ** 2 + (y - 32) ** 2 + (z - 32) ** 2) < 9
    sheet = (z == 33) & (x > 18) & (x < 61) & (np.abs(y - 31) < 9)
    tube = (y == 35) & (z == 29) & (x > 3) & (x < 60)
    bent = (x == 59) & (z == 29) & (y > 5) & (y < 36)
    field = lookup(ball | sheet | tube | bent)
    sparse = _core.extract_surface(Recorder(field), resolution, coarse_stride=stride)
    dense = _core.extract_surface(field, resolution, dense=True)
    assert num_components(dense["vertices"], dense["faces"]) == 1
    assert_same_surface(sparse, dense)


def test_a_component_between_coarse_points_is_seen_through_its_slope() -> None:
    resolution = 64
    z, y, x = np.meshgrid(*[np.arange(resolution + 1)] * 3, indexing="ij")
    distance = np.sqrt((x - 27.0) ** 2 + (y - 29) ** 2 + (z - 26) ** 2) - 3  # no multiple of 8 inside
    assert distance[::8, ::8, ::8].min() > 0
    field = lookup(np.clip(0.5 - 0.05 * distance, 0, 1))
    surface = _core.extract_surface(field, resolution, coarse_stride=8)
    assert_same_surface(surface, _core.extract_surface(field, resolution, dense=True))
    assert euler_characteristic(surface["vertices"], surface["faces"]) == 2


@pytest.mark.parametrize("resolution", [128, 256])
@pytest.mark.parametrize("transition", [0.01, 0.03, 0.1])
def test_a_figure_costs_little_more_than_the_ideal(resolution: int, transition: float) -> None:
    field = capsules(resolution, transition)
    coarse = silhouette(capsules(64, transition), 64)
    step = resolution // 64
    nearest = np.round(np.arange(resolution + 1) / step).astype(int)
    columns = np.ascontiguousarray(coarse[nearest][:, nearest])
    surface = _core.extract_surface(field, resolution, columns=columns)
    assert surface["num_queries_asked"] <= {128: 1.6, 256: 1.2}[resolution] * surface["num_queries_ideal"]
    assert euler_characteristic(surface["vertices"], surface["faces"]) == 2
    if resolution == 128:
        assert_same_surface(surface, _core.extract_surface(field, resolution, dense=True, columns=columns))


def small_balls(resolution: int, centres: list[tuple[int, int, int]], radius: float) -> Field:
    """Hard balls that stand alone, so that only what touches them sees them."""

    def field(points: NDArray[np.int32]) -> NDArray[np.float32]:
        inside = [np.linalg.norm(points - np.array(centre), axis=1) < radius for centre in centres]
        return np.any(inside, axis=0).astype(np.float32)

    return field


def test_check_reports_missed_components_by_size_and_that_the_rest_is_equal() -> None:
    resolution = 64
    tiny = small_balls(resolution, [(12, 12, 12), (36, 44, 52)], 1.1)
    medium = small_balls(resolution, [(44, 12, 20)], 2.5)
    large = small_balls(resolution, [(20, 40, 30)], 9)
    check = _core.check_surface(
        lambda points: np.max([tiny(points), medium(points), large(points)], axis=0),
        resolution,
        coarse_stride=8,
    )
    assert check["num_components"] == 4
    assert [entry["num_faces"] for entry in check["missed"]] == sorted(
        (entry["num_faces"] for entry in check["missed"]), reverse=True
    )
    assert check["missed"][0]["lowest"] == [41.5, 9.5, 17.5]
    assert check["missed"][0]["highest"] == [46.5, 14.5, 22.5]
    assert sorted(entry["lowest"] for entry in check["missed"][1:]) == [[10.5] * 3, [34.5, 42.5, 50.5]]
    assert len(check["followed"]["faces"]) + sum(entry["num_faces"] for entry in check["missed"]) == len(
        check["dense"]["faces"]
    )
    assert check["is_rest_identical"]


def test_check_finds_a_surface_that_is_not_the_dense_one() -> None:
    """A field that answers otherwise when asked again."""
    num_calls = 0
    ball = capsules(32, 0.05)

    def field(points: NDArray[np.int32]) -> NDArray[np.float32]:
        nonlocal num_calls
        num_calls += 1
        return ball(points) + np.float32(1e-3 * num_calls)

    assert not _core.check_surface(field, 32)["is_rest_identical"]
    assert _core.check_surface(ball, 32)["is_rest_identical"]


def test_seeds_lead_to_what_the_coarse_level_cannot_see() -> None:
    field = small_balls(64, [(12, 12, 12), (36, 44, 52)], 1.1)
    assert len(_core.extract_surface(field, 64, coarse_stride=8)["faces"]) == 0
    seeds = np.array([[36, 45, 52], [0, 64, 64], [30, 30, 30]], np.int32)
    surface = _core.extract_surface(Recorder(field), 64, coarse_stride=8, seeds=seeds)
    assert_closed_manifold(surface["vertices"], surface["faces"])
    assert np.abs(surface["vertices"] - [36, 44, 52]).max() <= 1.5
    both = _core.extract_surface(
        field, 64, coarse_stride=8, seeds=np.array([[36, 45, 52], [12, 12, 13]], "i4")
    )
    assert_same_surface(both, _core.extract_surface(field, 64, dense=True))


@given(st.integers(0, 2**31), st.integers(0, 2**31))
def test_seeds_anywhere_change_nothing_that_is_seen(seed: int, seed_of_seeds: int) -> None:
    field = smooth_field(24, seed, 2.0)
    seeds = np.random.default_rng(seed_of_seeds).integers(0, 25, size=(20, 3), dtype=np.int32)
    surface = _core.extract_surface(Recorder(field), 24, seeds=seeds)
    assert_same_surface(surface, _core.extract_surface(field, 24, dense=True))


def sphere(centre: NDArray[np.floating], radius: float, width: float) -> Field:
    """The occupancy of a ball as a network gives it: bent across each cell of the surface."""

    def field(points: NDArray[np.floating]) -> NDArray[np.float32]:
        distance = np.linalg.norm(points.astype(np.float64) - centre, axis=1) - radius
        return (1 / (1 + np.exp(np.clip(distance / width, -60, 60)))).astype(np.float32)

    return field


@pytest.mark.parametrize("width", [0.08, 0.2, 0.5])
def test_secant_steps_bring_vertices_to_the_true_surface_by_an_order(width: float) -> None:
    centre = np.array([20.3, 19.6, 20.1])
    field = sphere(centre, 12.4, width)

    def error(num_steps: int) -> float:
        surface = _core.extract_surface(field, 40, num_secant_steps=num_steps, continuous_field=field)
        assert_closed_manifold(surface["vertices"], surface["faces"])
        return float(np.abs(np.linalg.norm(surface["vertices"] - centre, axis=1) - 12.4).mean())

    errors = {num_steps: error(num_steps) for num_steps in (0, 1, 2, 4)}
    assert errors[1] < errors[0]
    assert errors[2] < errors[0] / 3
    assert errors[4] < errors[0] / 10


def test_secant_steps_keep_topology_edges_and_ask_by_columns() -> None:
    field = smooth_field(24, 7, 2.0)
    plain = _core.extract_surface(field, 24)
    batches: list[NDArray[np.float32]] = []

    def noise(points: NDArray[np.float32]) -> NDArray[np.float32]:
        """Not the field at all: steps must stay on their edges whatever they are told."""
        x, y, z = points.T
        batches.append(points)
        return np.float32(0.5) + np.sin(100 * x + 70 * y + 130 * z).astype(np.float32)

    moved = _core.extract_surface(field, 24, num_secant_steps=3, continuous_field=noise)
    assert np.array_equal(moved["faces"], plain["faces"])
    assert [len(batch) for batch in batches] == [len(plain["vertices"])] * 3
    x, y, z = batches[0].T
    assert np.array_equal(np.lexsort((z, x, y)), np.arange(len(x)))
    on_axis = plain["vertices"] != np.floor(plain["vertices"])
    assert np.array_equal(moved["vertices"] != np.floor(moved["vertices"]), on_axis)
    assert np.array_equal(np.floor(moved["vertices"]), np.floor(plain["vertices"]))
    assert_closed_manifold(moved["vertices"], moved["faces"])


def test_secant_steps_on_infinite_values_and_on_nan() -> None:
    def ball(points: NDArray[np.floating]) -> NDArray[np.float32]:
        return np.where(np.linalg.norm(points - 8, axis=1) < 4.3, np.inf, -np.inf).astype(np.float32)

    surface = _core.extract_surface(ball, 16, num_secant_steps=20, continuous_field=ball)
    assert np.linalg.norm(surface["vertices"] - 8, axis=1) == pytest.approx(4.3, abs=2e-3)
    with pytest.raises(_core.Error, match=r"NaN at \(.*\) in lattice coordinates") as caught:
        _core.extract_surface(
            ball, 16, num_secant_steps=1, continuous_field=lambda points: np.full(len(points), np.nan, "f4")
        )
    assert caught.value.code == "invalid_field"


@pytest.mark.parametrize("dense", [False, True])
def test_an_empty_field_has_no_surface(dense: bool) -> None:
    for value in (0.0, 0.5):  # inside is strictly above iso
        surface = _core.extract_surface(constant(value), 16, dense=dense)
        assert surface["vertices"].shape == (0, 3)
        assert surface["faces"].shape == (0, 3)
        assert surface["num_queries_ideal"] == 0


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("resolution", [2, 3, 17, 32])
def test_a_full_field_is_closed_at_the_border(dense: bool, resolution: int) -> None:
    surface = _core.extract_surface(constant(1.0), resolution, dense=dense)
    assert_closed_manifold(surface["vertices"], surface["faces"])
    assert euler_characteristic(surface["vertices"], surface["faces"]) == 2
    assert surface["vertices"].min() == pytest.approx(0.5)
    assert surface["vertices"].max() == pytest.approx(resolution - 0.5)
    assert signed_volume(surface["vertices"], surface["faces"]) > (resolution - 2) ** 3


def test_closed_columns_cut_the_surface_and_are_not_asked() -> None:
    columns = np.zeros((33, 33), np.uint8)
    columns[10:20, 5:30] = 1
    recorder = Recorder(constant(1.0))
    surface = _core.extract_surface(recorder, 32, columns=columns)
    assert all(columns[y, x] and 0 < z < 32 for x, y, z in recorder.seen)
    assert_closed_manifold(surface["vertices"], surface["faces"])
    assert surface["vertices"][:, :2].min(axis=0).tolist() == [4.5, 9.5]
    assert surface["vertices"][:, :2].max(axis=0).tolist() == [29.5, 19.5]
    assert _core.extract_surface(constant(1.0), 32, columns=np.zeros((33, 33), np.uint8))["faces"].shape == (
        0,
        3,
    )


@pytest.mark.parametrize("dense", [False, True])
def test_nan_is_an_error_that_names_the_point(dense: bool) -> None:
    def field(points: NDArray[np.int32]) -> NDArray[np.float32]:
        values = (np.linalg.norm(points - 16, axis=1) < 9).astype(np.float32)
        values[(points == [16, 24, 16]).all(axis=1)] = np.nan
        return values

    with pytest.raises(_core.Error, match=r"NaN at lattice point \(16, 24, 16\)") as caught:
        _core.extract_surface(field, 32, dense=dense)
    assert caught.value.code == "invalid_field"


def test_infinite_values_are_values() -> None:
    surface = _core.extract_surface(
        lambda points: np.where(np.linalg.norm(points - 8, axis=1) < 4, np.inf, -np.inf).astype(np.float32),
        16,
    )
    assert_closed_manifold(surface["vertices"], surface["faces"])
    assert np.isfinite(surface["vertices"]).all()


@pytest.mark.parametrize("dense", [False, True])
def test_progress_rises_to_one_and_can_cancel(dense: bool) -> None:
    field = smooth_field(24, 3, 3.0)
    fractions: list[float] = []

    def record(stage: str, fraction: float) -> bool:
        fractions.append(fraction)
        return True

    _core.extract_surface(field, 24, dense=dense, progress=record)
    assert fractions[0] == 0 and fractions[-1] == 1
    assert fractions == sorted(fractions)
    for num_allowed in range(len(fractions)):
        calls = iter(range(num_allowed))
        with pytest.raises(_core.Error, match="cancelled") as caught:
            _core.extract_surface(
                field, 24, dense=dense, progress=lambda *_, calls=calls: next(calls, None) is not None
            )
        assert caught.value.code == "cancelled"


def test_errors_of_the_field_arrive_unchanged() -> None:
    def field(points: NDArray[np.int32]) -> NDArray[np.float32]:
        raise ZeroDivisionError("from the field")

    with pytest.raises(ZeroDivisionError, match="from the field"):
        _core.extract_surface(field, 16)
    with pytest.raises(_core.Error, match="the field's values must have shape"):
        _core.extract_surface(lambda points: np.zeros(3, np.float32), 16)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resolution": 1}, "resolution must be from 2 to 1024, got 1"),
        ({"resolution": 5000}, "resolution must be from 2 to 1024, got 5000"),
        ({"resolution": 16, "iso": -0.1}, "iso must be finite and not negative"),
        ({"resolution": 16, "iso": np.nan}, "iso must be finite and not negative"),
        ({"resolution": 16, "coarse_stride": 3}, "power of two below the resolution, .* got 3"),
        ({"resolution": 16, "coarse_stride": -4}, "power of two below the resolution, .* got -4"),
        ({"resolution": 16, "coarse_stride": 16}, "power of two below the resolution, .* got 16"),
        ({"resolution": 16, "uncertain_band": -1.0}, "uncertain_band must be finite and not negative"),
        ({"resolution": 16, "columns": np.ones((16, 16), np.uint8)}, r"columns must have shape \[17, 17\]"),
        ({"resolution": 16, "seeds": np.array([[1, 2, 17]], "i4")}, r"lattice points, .* got \(1, 2, 17\)"),
        ({"resolution": 16, "seeds": np.array([[-1, 2, 3]], "i4")}, r"lattice points, .* got \(-1, 2, 3\)"),
        ({"resolution": 16, "seeds": np.zeros((2, 2), "i4")}, r"seeds must have shape \[\*, 3\]"),
        ({"resolution": 16, "num_secant_steps": -1}, "num_secant_steps must be from 0 to 32, got -1"),
        ({"resolution": 16, "num_secant_steps": 33}, "num_secant_steps must be from 0 to 32, got 33"),
        ({"resolution": 16, "num_secant_steps": 1}, "num_secant_steps above 0 needs continuous_field"),
    ],
)
def test_unusable_options_are_named(options: dict, message: str) -> None:
    with pytest.raises(_core.Error, match=message) as caught:
        _core.extract_surface(constant(0.0), **options)
    assert caught.value.code == "invalid_argument"


def test_largest_component_keeps_the_largest_and_its_order() -> None:
    def field(points: NDArray[np.int32]) -> NDArray[np.float32]:
        balls = [((10, 10, 10), 4), ((30, 30, 30), 8), ((30, 8, 20), 5)]
        return np.max(
            [r + 0.5 - np.linalg.norm(np.subtract(points, c), axis=1) for c, r in balls], axis=0
        ).astype(np.float32)

    surface = _core.extract_surface(field, 40, dense=True)
    assert num_components(surface["vertices"], surface["faces"]) == 3
    vertices, faces = _core.largest_component(surface["vertices"], surface["faces"])
    assert_closed_manifold(vertices, faces)
    assert euler_characteristic(vertices, faces) == 2
    kept = np.linalg.norm(surface["vertices"] - 30.0, axis=1) < 12
    assert np.array_equal(vertices, surface["vertices"][kept])
    kept_faces = surface["faces"][kept[surface["faces"]].all(axis=1)]
    assert np.array_equal(vertices[faces], surface["vertices"][kept_faces])


def test_largest_component_of_nothing_is_nothing_and_bad_faces_are_named() -> None:
    nothing = _core.largest_component(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.int32))
    assert [array.shape for array in nothing] == [(0, 3), (0, 3)]
    with pytest.raises(_core.Error, match="names vertex 7 of 3"):
        _core.largest_component(np.zeros((3, 3), np.float32), np.array([[0, 1, 7]], np.int32))
