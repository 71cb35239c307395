"""The surface followed on the GPU is the CPU's, vertex for vertex and triangle for triangle."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from gpu import fewer, needs_gpu
from jiffsdk import _core

pytestmark = needs_gpu

Values = NDArray[np.float32]


def grid(resolution: int) -> tuple[NDArray, NDArray, NDArray]:
    axis = np.linspace(-1, 1, resolution + 1)
    z, y, x = np.meshgrid(axis, axis, axis, indexing="ij")
    return x, y, z


def balls(resolution: int) -> Values:
    """Three balls of different sizes under a soft step; two touch."""
    x, y, z = grid(resolution)
    depth = np.full(x.shape, -np.inf)
    for cx, cy, cz, radius in [(-0.3, 0.1, 0.0, 0.45), (0.35, 0.0, 0.1, 0.3), (0.6, -0.6, -0.6, 0.2)]:
        depth = np.maximum(depth, radius - np.sqrt((x - cx) ** 2 + (y - cy) ** 2 + (z - cz) ** 2))
    return (1 / (1 + np.exp(-20 * depth))).astype(np.float32)


def noise(resolution: int, seed: int) -> Values:
    """Rough: every cell may be crossed, ambiguous faces and holes come up."""
    rng = np.random.default_rng(seed)
    return rng.uniform(0, 1, size=(resolution + 1,) * 3).astype(np.float32)


def sheet(resolution: int) -> Values:
    """One cell thin, reaching the border, where it is cut and closed."""
    x, y, z = grid(resolution)
    return (np.abs(z - 0.3 * np.sin(3 * x) * y) < 1.5 / resolution).astype(np.float32)


def compare(values: Values, **options: object) -> dict:
    resolution = len(values) - 1
    expected = _core.extract_surface(lambda p: values[p[:, 2], p[:, 1], p[:, 0]], resolution, **options)
    vertices, faces, asked, ideal = _core.cuda_extract_surface(values, resolution, **options)
    assert np.array_equal(vertices, expected["vertices"])
    assert np.array_equal(faces, expected["faces"])
    assert (asked, ideal) == (expected["num_queries_asked"], expected["num_queries_ideal"])
    return expected


@pytest.mark.parametrize("resolution", [9, 32, 64])
def test_soft_balls(resolution: int) -> None:
    assert len(compare(balls(resolution))["faces"]) > 100


@pytest.mark.parametrize("coarse_stride", [1, 4])
@pytest.mark.parametrize("seed", range(3))
def test_noise(seed: int, coarse_stride: int) -> None:
    compare(noise(17, seed), coarse_stride=coarse_stride)


def test_a_thin_sheet_that_reaches_the_border() -> None:
    assert len(compare(sheet(40))["faces"]) > 1000


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_an_empty_and_a_full_field(value: float) -> None:
    found = compare(np.full((17,) * 3, value, np.float32))
    assert (len(found["faces"]) > 0) == (value == 1.0)


def test_closed_columns_and_seeds() -> None:
    values = balls(32)
    columns = np.ones((33, 33), np.uint8)
    columns[:, 18:] = 0
    compare(values, columns=columns)
    compare(values, coarse_stride=16, seeds=np.array([[26, 6, 6], [0, 32, 5], [32, 32, 32]], np.int32))


def test_infinite_values_are_values() -> None:
    compare(np.where(balls(24) > 0.5, np.inf, -np.inf).astype(np.float32))


def test_more_blocks_than_a_plain_surface_takes() -> None:
    # A block in every place, where room was made for a fraction of them.
    compare(noise(fewer(128, 72), 1), coarse_stride=8)


def test_more_seeds_than_a_plain_surface_has() -> None:
    assert len(compare(noise(fewer(48, 40), 0), coarse_stride=1)["faces"]) > 100_000


def test_more_uncertain_cells_than_a_plain_surface_has() -> None:
    """Every cell may hide surface, and all of them are looked into; a ball is found among them."""
    values = (0.49 * noise(64, 1)).astype(np.float32)
    x, y, z = grid(64)
    values[x**2 + y**2 + z**2 < 0.1] = 1
    found = compare(values, coarse_stride=4, uncertain_band=0.5)
    assert found["num_queries_asked"] > 200_000
    assert len(found["faces"]) > 100


@pytest.mark.parametrize("resolution", [33, 50])
def test_a_coarse_grid_that_reaches_beyond_the_lattice(resolution: int) -> None:
    compare(balls(resolution), coarse_stride=8)


def test_nan_is_an_error_that_names_the_point() -> None:
    values = balls(32)
    values[16, 16, :] = np.nan  # coarse points are asked on the host
    with pytest.raises(_core.Error, match=r"NaN at lattice point \(\d+, 16, 16\)"):
        _core.cuda_extract_surface(values, 32)
    values = balls(32)
    x = int((values[17, 17] > 0.5).nonzero()[0][0])
    values[17, 17, x] = np.nan
    with pytest.raises(_core.Error, match=rf"NaN at lattice point \({x}, 17, 17\)"):
        _core.cuda_extract_surface(values, 32)


@pytest.mark.parametrize("seed", range(2))
def test_the_largest_component_is_the_cpus(seed: int) -> None:
    values = balls(48) if seed == 0 else np.where(noise(20, seed) > 0.85, 1, 0).astype(np.float32)
    whole = _core.extract_surface(lambda p: values[p[:, 2], p[:, 1], p[:, 0]], len(values) - 1)
    vertices, faces = _core.largest_component(whole["vertices"], whole["faces"])
    found = _core.cuda_extract_surface(values, len(values) - 1, only_largest=True)
    assert 0 < len(faces) < len(whole["faces"])
    assert np.array_equal(found[0], vertices)
    assert np.array_equal(found[1], faces)


def test_what_cannot_be_used_is_refused() -> None:
    with pytest.raises(_core.Error, match="coarse_stride must be a power of two"):
        _core.cuda_extract_surface(balls(32), 32, coarse_stride=3)
