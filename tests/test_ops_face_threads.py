"""Every operator of the face gives the same bits on any number of threads."""

from thread_counts import outputs_by_threads

CODE = """
import hashlib
import numpy as np
from jiffsdk import _core

rng = np.random.default_rng(0)
points = rng.uniform(0, 0.999, (20_000, 3)).astype(np.float32)
codes = rng.normal(size=(20_000, 8)).astype(np.float32)
volume = rng.normal(size=(1, 4, 16, 16, 16)).astype(np.float32)
faces = rng.integers(0, 20_000, (500, 3)).astype(np.int32)
voxels = _core.voxel_indices(points, 16)
centers = points[_core.farthest_point_sampling(points, 64)]
distances = _core.MeshDistance(points, faces).query(points)
results = [
    centers,
    _core.ball_query(points, centers, 0.1, 16),
    _core.interpolate_nearest(codes[:64], centers, points),
    _core.voxel_max(codes, voxels),
    _core.voxel_mean(codes, voxels, 16),
    _core.VolumeSampler(volume).sample(points),
    distances,
    _core.blend_face((0.2, 0.8, 0.1, 0.9), points, codes, codes[::-1], 10 * distances),
]
print(_core.num_threads(), *(hashlib.sha256(np.ascontiguousarray(r)).hexdigest() for r in results))
"""


def test_results_do_not_depend_on_the_number_of_threads() -> None:
    alone, *others = outputs_by_threads(CODE)
    assert len(alone) == 8
    assert others == [alone, alone]
