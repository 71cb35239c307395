"""A face model of random numbers, as large as tests need."""

from __future__ import annotations

import numpy as np

from jiffexport.face_model import FaceModel

NUM = 90


def small_model(num: int = NUM) -> FaceModel:
    rng = np.random.default_rng(0)
    landmarks = rng.integers(0, num, 68).astype(np.int32)
    return FaceModel(
        mean_shape=rng.normal(0, 0.05, (num, 3)).astype(np.float32),
        identity_basis=rng.normal(0, 0.002, (80, num, 3)).astype(np.float32),
        expression_basis=rng.normal(0, 0.004, (51, num, 3)).astype(np.float32),
        mean_texture=rng.uniform(0.3, 0.7, (num, 3)).astype(np.float32),
        texture_basis=rng.normal(0, 0.01, (19, num, 3)).astype(np.float32),
        triangles=rng.integers(0, num, (120, 3)).astype(np.int32),
        uv=rng.random((num, 2), np.float32),
        landmarks=landmarks,
        five_points=landmarks[np.array([[36, 39], [42, 45], [30, 30], [48, 48], [54, 54]])],
        body_vertices=np.arange(num, dtype=np.int32) * 3,
        expression_names=tuple(f"action{i}" for i in range(51)),
        license="CC0-1.0",
        provenance="a test",
    )
