"""The face regressor as a graph: `image` (1, 3, 224, 224) in [-1, 1] -> `coefficients` (1, 257)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .checkpoint import TrainedNetwork
from .exported_graph import ExportedGraph, exported, trained_provenance
from .nets import FaceRegressor, PublishedFaceRegressor
from .onnx_graph import Store
from .photographs import normalize
from .to_onnx import encoder_to_onnx, reference_features

GRAPH_NAME = "face_regressor"
TOLERANCE: dict[Store, float] = {"fp32": 1e-4, "fp16": 5e-3}
"""Largest error relative to the largest coefficient; a graph beyond it is not shipped."""


def export_face_regressor(
    trained: TrainedNetwork[FaceRegressor] | TrainedNetwork[PublishedFaceRegressor],
    pictures: Sequence[np.ndarray],
    store: Store,
) -> ExportedGraph:
    """Export and verify.

    Parameters
    ----------
    pictures
        Faces to compare with, (S, S, 3) uint8 with S the crop's side; at least one.

    Raises
    ------
    VerificationError
        The graph strays from torch, or no engine is installed.
    """
    size_px = trained.network.config.crop_size_px
    model = encoder_to_onnx(trained.network, (1, 3, size_px, size_px), GRAPH_NAME, store)
    examples = reference_features(trained.network, [normalize(picture) for picture in pictures])
    provenance = trained_provenance(trained.provenance, trained.step)
    return exported(
        GRAPH_NAME, model, examples, store, provenance, license=trained.license, tolerance=TOLERANCE[store]
    )
