"""Graph passes: each takes an ONNX model and returns another that computes the same, or nearly."""

from .constants import fold_constants, with_static_shapes
from .group_norms import spread_group_norms
from .half import compute_in_fp16
from .joined_norms import join_group_norms
from .quantize import compute_in_int8, count_multiply_adds, measure_ranges
from .storage import store_weights_fp16
from .upsampling import convolve_before_upsampling

__all__ = [
    "compute_in_fp16",
    "compute_in_int8",
    "convolve_before_upsampling",
    "count_multiply_adds",
    "fold_constants",
    "join_group_norms",
    "measure_ranges",
    "spread_group_norms",
    "store_weights_fp16",
    "with_static_shapes",
]
