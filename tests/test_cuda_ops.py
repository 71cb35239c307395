"""The smaller operators on the GPU against the CPU's, which the references test."""

from __future__ import annotations

import numpy as np
import pytest

from gpu import needs_gpu
from jiffsdk import _core
from reference.feature_sampling import sample_features
from reference.image_warp import warp_image

pytestmark = needs_gpu


def test_samples_of_feature_maps() -> None:
    rng = np.random.default_rng(0)
    feature_map = rng.normal(size=(1, 5, 7, 4)).astype(np.float32)
    xy = rng.uniform(-1.6, 1.6, size=(300, 2)).astype(np.float32)
    xy[:6] = [(-1, -1), (1, 1), (1, -1), (np.nan, 0), (0, np.nan), (np.inf, 0)]
    samples = _core.cuda_sample_features(feature_map, xy)
    assert np.array_equal(samples, _core.sample_features(feature_map, xy), equal_nan=True)
    assert np.nanmax(np.abs(samples[6:] - sample_features(feature_map, xy[6:]))) < 1e-5


@pytest.mark.parametrize("kind", ["scattered", "lattice", "one place"])
@pytest.mark.parametrize(("num_points", "num_samples"), [(1, 1), (7, 7), (700, 40)])
def test_farthest_points(kind: str, num_points: int, num_samples: int) -> None:
    rng = np.random.default_rng(1)
    points = {
        "scattered": rng.normal(size=(num_points, 3)),
        "lattice": rng.integers(0, 3, size=(num_points, 3)),  # many equally far
        "one place": np.ones((num_points, 3)),
    }[kind].astype(np.float32)
    expected = _core.farthest_point_sampling(points, num_samples)
    assert np.array_equal(_core.cuda_farthest_point_sampling(points, num_samples), expected)


@pytest.mark.parametrize("num_voxels", [1, 27, 1000])
def test_codes_pooled_by_voxels(num_voxels: int) -> None:
    rng = np.random.default_rng(2)
    voxels = rng.integers(0, num_voxels, size=400).astype(np.int32)
    codes = rng.normal(size=(400, 6)).astype(np.float32)
    codes[0] = -3e38
    largest, means = _core.cuda_pool_voxels(voxels, codes, num_voxels)
    for voxel in range(num_voxels):
        inside = codes[voxels == voxel]
        if len(inside) == 0:
            assert (means[:, voxel] == 0).all()
            continue
        assert np.array_equal(largest[voxels == voxel], np.broadcast_to(inside.max(axis=0), inside.shape))
        assert np.allclose(means[:, voxel], inside.mean(axis=0, dtype=np.float64), rtol=1e-6)


def test_distances_from_a_mesh() -> None:
    rng = np.random.default_rng(3)
    vertices = rng.normal(size=(60, 3)).astype(np.float32)
    faces = rng.integers(0, 60, size=(150, 3)).astype(np.int32)  # some degenerate
    points = np.concatenate([rng.normal(scale=2, size=(250, 3)), vertices[:9]]).astype(np.float32)
    distances = np.array(_core.cuda_mesh_distances(vertices, faces, points), np.float32)
    assert np.array_equal(distances, _core.MeshDistance(vertices, faces).query(points))


@pytest.mark.parametrize(
    "box", [(0, 0, 9, 7), (-3.2, 1.7, 20.5, 4.4), (2.25, 2.5, 1.5, 1.25), (30, 30, 5, 5), (-9, -9, 40, 40)]
)
@pytest.mark.parametrize("num_channels", [1, 3])
def test_warped_images(box: tuple[float, ...], num_channels: int) -> None:
    image = np.random.default_rng(4).integers(0, 256, size=(7, 9, num_channels)).astype(np.uint8)
    values = _core.cuda_warp_image(image, box, 11, 6)
    expected = warp_image(image / 255, box, 11, 6)
    assert np.abs(values - expected).max() < 1e-5
