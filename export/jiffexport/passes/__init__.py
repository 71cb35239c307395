"""Graph passes: each takes an ONNX model and returns another that computes the same."""

from .constants import fold_constants, with_static_shapes
from .half import compute_in_fp16
from .storage import store_weights_fp16

__all__ = ["compute_in_fp16", "fold_constants", "store_weights_fp16", "with_static_shapes"]
