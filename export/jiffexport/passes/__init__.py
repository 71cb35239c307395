"""Graph passes: each takes an ONNX model and returns another that computes the same."""

from .constants import fold_constants, with_static_shapes
from .storage import store_weights_fp16

__all__ = ["fold_constants", "store_weights_fp16", "with_static_shapes"]
