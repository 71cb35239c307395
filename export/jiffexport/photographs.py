"""Photographs as network inputs, to verify exported graphs with what they will really see."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from .errors import ExportError

Segment = Callable[[np.ndarray], np.ndarray]
"""(1, 3, S, S) in [-1, 1] -> matte (1, 1, S, S) in [0, 1]."""


def load_square(path: Path, size_px: int) -> np.ndarray:
    """A picture, upright, padded to a square and resized.

    Returns
    -------
    numpy.ndarray
        (size_px, size_px, 4) uint8, RGBA; the padding is transparent.

    Raises
    ------
    ExportError
        If the file is not an image.
    """
    try:
        with Image.open(path) as image:
            picture = ImageOps.exif_transpose(image).convert("RGBA")
    except (OSError, UnidentifiedImageError) as error:
        raise ExportError(f"{path}: not a readable image ({error})") from error
    return np.asarray(ImageOps.pad(picture, (size_px, size_px), color=(0, 0, 0, 0)))


def normalize(rgb: np.ndarray) -> np.ndarray:
    """(S, S, 3) uint8 -> (1, 3, S, S) float32 in [-1, 1]."""
    scaled = (rgb.astype(np.float32) / 255 - 0.5) / 0.5
    return np.ascontiguousarray(scaled.transpose(2, 0, 1)[None])


def cut_out(rgba: np.ndarray, segment: Segment, segment_size_px: int) -> np.ndarray:
    """A picture (S, S, 4) whose alpha is multiplied by the matte of the person in it."""
    size_px = rgba.shape[0]
    picture = Image.fromarray(rgba)
    small = picture.resize((segment_size_px, segment_size_px), Image.Resampling.BILINEAR)
    matte = segment(normalize(np.asarray(small)[..., :3]))[0, 0]
    mask = Image.fromarray(matte).resize((size_px, size_px), Image.Resampling.BILINEAR)
    alpha = rgba[..., 3] * np.clip(np.asarray(mask), 0, 1)
    return np.concatenate([rgba[..., :3], np.rint(alpha).astype(np.uint8)[..., None]], 2)


def encoder_input(rgba: np.ndarray, num_channels: int, size_px: int) -> np.ndarray:
    """What an encoder sees of a picture (docs/conventions.md, Sampling).

    Parameters
    ----------
    rgba
        (S, S, 4) uint8; alpha is the mask.
    num_channels
        3: masked RGB; 4: the mask as well.
    size_px
        S or a whole fraction of it: blocks of pixels are averaged.

    Returns
    -------
    numpy.ndarray
        (1, num_channels, size_px, size_px) float32.
    """
    mask = (rgba[..., 3].astype(np.float32) / 255)[None, None]
    masked = np.concatenate([normalize(rgba[..., :3]) * mask, mask], 1)[:, :num_channels]
    block = rgba.shape[0] // size_px
    blocks = masked.reshape(1, num_channels, size_px, block, size_px, block)
    return np.ascontiguousarray(blocks.mean((3, 5)))
