"""The sheet of heads without and with the face model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from training.head_sheet import GAP_PX, main

from face_photographs import example
from figures import as_bytes, disc
from jiffsdk.reconstructor import DEFAULT_BUNDLE
from synthetic_bundle import read_manifest, write_bundle, write_manifest
from synthetic_face import add_face

pytestmark = pytest.mark.skipif(not DEFAULT_BUNDLE.is_dir(), reason="this checkout ships no face detector")

CELL_PX = 64


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_bundle(tmp_path_factory.mktemp("bundle"), estimates_size=False)
    manifest = read_manifest(folder)
    manifest["frame"]["size_m"] = 0.45
    write_manifest(folder, manifest)
    return add_face(folder)


def photograph(folder: Path, name: str, row: int, column: int) -> str:
    """The astronaut, cut out by a disc."""
    alpha = as_bytes(disc(512, 512, row, column, 100))
    Image.fromarray(np.dstack([np.array(example("astronaut")), alpha])).save(folder / name)
    return str(folder / name)


def test_a_row_is_the_photo_and_the_head_twice(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    face, no_face = photograph(tmp_path, "face.png", 116, 225), photograph(tmp_path, "none.png", 380, 250)
    out = tmp_path / "sheet.png"
    options = ["-o", str(out), "--bundle", str(bundle), "--resolution", "64", "--cell", str(CELL_PX)]
    main([face, no_face, *options])
    assert f"{no_face}: face not used, no_face" in capsys.readouterr().out
    sheet = np.asarray(Image.open(out)).astype(int)
    cells_px = (sheet.shape[1] - CELL_PX - 2 * GAP_PX) // 2
    assert sheet.shape == (CELL_PX, CELL_PX + 2 * (GAP_PX + cells_px), 3)
    # The photograph is there: the face's own colours, in the middle of its cell.
    middle = sheet[24:40, 24:40].mean(axis=(0, 1))
    assert middle[0] > middle[1] > middle[2]
    without, with_face = sheet[:, CELL_PX + GAP_PX :][:, :cells_px], sheet[:, -cells_px:]
    assert (without < 200).any() and (without != with_face).mean() > 0.02
    with pytest.raises(SystemExit, match="nothing to show"):
        main([no_face, *options])
