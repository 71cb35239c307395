"""The parts of the face cascade that are no network, one window and one pixel at a time.

A window is (left, top, right, bottom, score): first and last pixel, counted from 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

Window = tuple[float, float, float, float, float]


def face_pyramid(width_px: int, height_px: int, min_face_px: float) -> list[tuple[float, int, int]]:
    """Scale, width and height of the levels: a face of `min_face_px` becomes 12 px, then halves in area."""
    levels = []
    scale, shorter_side = 12 / min_face_px, min(width_px, height_px) * (12 / min_face_px)
    while shorter_side >= 12:
        levels.append((scale, int(width_px * scale + 1), int(height_px * scale + 1)))
        scale, shorter_side = scale * 0.709, shorter_side * 0.709
    return levels


def average_pixels(
    rgb: np.ndarray, part: tuple[int, int, int, int], width_px: int, height_px: int
) -> np.ndarray:
    """(H, W, 3) bytes to (3, height_px, width_px): means of whole pixels, as (value - 127.5) / 128."""
    left, top, right, bottom = part
    source = rgb[top:bottom, left:right].astype(np.float64)
    result = np.zeros((3, height_px, width_px))
    for row in range(height_px):
        first_row = math.floor(row * (bottom - top) / height_px)
        last_row = math.ceil((row + 1) * (bottom - top) / height_px)
        for column in range(width_px):
            first_column = math.floor(column * (right - left) / width_px)
            last_column = math.ceil((column + 1) * (right - left) / width_px)
            block = source[first_row:last_row, first_column:last_column]
            result[:, row, column] = (block.mean((0, 1)) - 127.5) / 128
    return result


def overlap(a: Sequence[float], b: Sequence[float], of_smaller: bool) -> float:
    """Shared area by that of the union, or of the smaller window; the latter counts last pixels."""
    last = 1 if of_smaller else 0
    area_a = (a[2] - a[0] + last) * (a[3] - a[1] + last)
    area_b = (b[2] - b[0] + last) * (b[3] - b[1] + last)
    width = max(0, min(a[2], b[2]) - max(a[0], b[0]) + last)
    height = max(0, min(a[3], b[3]) - max(a[1], b[1]) + last)
    whole = min(area_a, area_b) if of_smaller else area_a + area_b - width * height
    return width * height / whole if whole else math.nan


def suppress_overlaps(windows: np.ndarray, most_overlap: float, of_smaller: bool) -> list[int]:
    """Takes the best that is left and removes what it overlaps, until nothing is left."""
    left = list(range(len(windows)))
    kept = []
    while left:
        best_score = max(windows[i][4] for i in left)
        best = [i for i in left if windows[i][4] == best_score][-1 if of_smaller else 0]
        kept.append(best)
        left = [
            i for i in left if i != best and not overlap(windows[best], windows[i], of_smaller) > most_overlap
        ]
    return kept


def regress_window(window: Window, offsets: Sequence[float], with_last_pixel: bool) -> Window:
    left, top, right, bottom, score = window
    width, height = right - left + with_last_pixel, bottom - top + with_last_pixel
    return (
        left + offsets[0] * width,
        top + offsets[1] * height,
        right + offsets[2] * width,
        bottom + offsets[3] * height,
        score,
    )


def square_window(window: Window) -> Window:
    left, top, right, bottom, score = window
    side = max(right - left, bottom - top)
    x, y = (left + right - side) / 2, (top + bottom - side) / 2
    return x, y, x + side, y + side, score


def window_pixels(window: Window, width_px: int, height_px: int) -> tuple[int, int, int, int] | None:
    """Columns and rows of the photo, counted from 0, whose number lies in the window."""
    columns = [i for i in range(width_px) if math.trunc(window[0]) <= i + 1 <= math.trunc(window[2])]
    rows = [i for i in range(height_px) if math.trunc(window[1]) <= i + 1 <= math.trunc(window[3])]
    if not columns or not rows:
        return None
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1


def main_face(boxes: Sequence[Sequence[float]], scores: Sequence[float], mask: np.ndarray) -> int | None:
    """The greatest area · score of the faces whose visible box is half or more on the mask."""
    best, greatest = None, 0.0
    for i, ((left, top, width, height), score) in enumerate(zip(boxes, scores, strict=True)):
        pixels = [
            mask[row, column] >= 128
            for row in range(mask.shape[0])
            for column in range(mask.shape[1])
            if left < column + 0.5 < left + width and top < row + 0.5 < top + height
        ]
        if pixels and np.mean(pixels) >= 0.5 and width * height * score > greatest:
            best, greatest = i, width * height * score
    return best
