"""Heads without and with the face model: `python -m training.head_sheet PHOTOS... -o faces.png`.

One row a photograph: the photograph, then the body network alone, then the face model with it; each in clay
from the front, three quarters and the side, and in colours. A photograph whose face is not used is left out,
with the reason.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from jiffsdk import Reconstruction, ReconstructionOptions, Reconstructor
from jiffsdk.preview import render_preview

NUM_VIEWS = 3
"""Of the preview's four, the back left out."""
GAP_PX = 6
PHOTO_SHARE = 0.7
"""Of a cell's height, for the fitted face at most."""


def photo_cell(path: Path, result: Reconstruction, cell_px: int) -> NDArray[np.uint8]:
    """The head in the photograph, on white, about as large as the preview shows it."""
    face = result.face.vertices
    assert face is not None
    seen = np.column_stack([face, np.ones(len(face))]) @ np.asarray(result.image_from_world).T
    low, high = seen[:, :2].min(axis=0), seen[:, :2].max(axis=0)
    half = (high - low)[1] / PHOTO_SHARE / 2
    box = [*((low + high) / 2 - half), *((low + high) / 2 + half)]
    with Image.open(path) as photo:
        straight = photo.convert("RGBA")
    ground = Image.new("RGBA", straight.size, "white")
    ground.alpha_composite(straight)
    cut = ground.convert("RGB").transform(
        (cell_px, cell_px), Image.Transform.EXTENT, box, Image.Resampling.BICUBIC, fillcolor="white"
    )
    return np.asarray(cut)


def mesh_cells(result: Reconstruction, face: NDArray[np.floating], cell_px: int) -> NDArray[np.uint8]:
    """The head in clay from three sides, and its front in colours; (cell_px, about 4 · cell_px, 3)."""
    sheet = render_preview(result.vertices, result.faces, result.colors, cell_px, face)
    width_px = sheet.shape[1] // 4
    colors, clay = sheet[2 * cell_px : 3 * cell_px], sheet[3 * cell_px :]
    return np.concatenate([clay[:, : NUM_VIEWS * width_px], colors[:, :width_px]], axis=1)


def head_row(path: Path, reconstruct: Reconstructor, resolution: int, cell_px: int) -> NDArray[np.uint8]:
    """A photograph's row.

    Raises
    ------
    ValueError
        The face is not used.
    """
    with_face = reconstruct(path, options=ReconstructionOptions(resolution))
    if not with_face.face.is_used or with_face.face.vertices is None:
        raise ValueError(f"{path}: face not used, {with_face.face.status}")
    without = reconstruct(path, options=ReconstructionOptions(resolution, face="off"))
    face = with_face.face.vertices
    gap = np.full((cell_px, GAP_PX, 3), 255, np.uint8)
    parts = [
        photo_cell(path, with_face, cell_px),
        gap,
        mesh_cells(without, face, cell_px),
        gap,
        mesh_cells(with_face, face, cell_px),
    ]
    return np.concatenate(parts, axis=1)


def head_sheet(rows: list[NDArray[np.uint8]]) -> Image.Image:
    """Rows of different widths below each other."""
    width_px = max(row.shape[1] for row in rows)
    padded = [
        np.pad(row, ((0, 0), (0, width_px - row.shape[1]), (0, 0)), constant_values=255) for row in rows
    ]
    return Image.fromarray(np.concatenate(padded))


def main(argv: list[str] | None = None) -> None:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("photos", nargs="+", type=Path)
    parser.add_argument("-o", "--out", type=Path, required=True, help="picture file")
    parser.add_argument("--bundle", type=Path, help="default: the one that ships")
    parser.add_argument("--resolution", type=int, default=512)
    parser.add_argument("--cell", type=int, default=280, help="pixels of a cell's height")
    arguments = parser.parse_args(argv)
    reconstruct = Reconstructor(arguments.bundle) if arguments.bundle else Reconstructor()
    rows = []
    for path in arguments.photos:
        try:
            rows.append(head_row(path, reconstruct, arguments.resolution, arguments.cell))
        except ValueError as error:
            print(error)
    if not rows:
        raise SystemExit("no face was used: nothing to show")
    head_sheet(rows).save(arguments.out)


if __name__ == "__main__":
    main()
