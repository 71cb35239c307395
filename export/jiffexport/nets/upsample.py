"""Bicubic upsampling as two matrix products.

With fixed sizes, separable resampling is linear in each axis: `Y = A X B^T` with constant matrices. Every
engine multiplies matrices well, while a cubic `Resize` is a scalar loop in ONNX Runtime and its gradient
takes most of a training step on a GPU. Rows come first: OpenVINO multiplies by a constant on the left in
float32, and by one on the right in bf16, which in this order is the larger product (5 % of the published
shape encoder).
"""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor


@lru_cache
def cubic_matrix(num_in: int, num_out: int) -> Tensor:
    """Cubic convolution with aligned corners and a repeated border, (num_out, num_in); rows sum to 1."""
    with torch.inference_mode(False), torch.no_grad():
        basis = torch.eye(num_in)[None, None]
        return F.interpolate(basis, size=(num_out, num_in), mode="bicubic", align_corners=True)[0, 0]


def upsample_bicubic(x: Tensor, height: int, width: int) -> Tensor:
    """(B, C, H, W) -> (B, C, height, width), as `F.interpolate(mode="bicubic", align_corners=True)`."""
    rows = cubic_matrix(int(x.shape[-2]), int(height)).to(x)
    columns = cubic_matrix(int(x.shape[-1]), int(width)).to(x)
    channels_last = x.dim() == 4 and not x.is_contiguous()
    y = (rows @ x.contiguous()) @ columns.T
    return y.contiguous(memory_format=torch.channels_last) if channels_last else y
