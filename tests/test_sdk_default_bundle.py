"""The bundle that ships, on a real photograph (public domain, in scikit-image)."""

from __future__ import annotations

import numpy as np
import pytest
import skimage.data

from jiffsdk import Reconstruction, Reconstructor, _core
from jiffsdk.preview import rasterize
from jiffsdk.reconstructor import DEFAULT_BUNDLE

pytestmark = pytest.mark.skipif(not DEFAULT_BUNDLE.is_dir(), reason="this checkout ships no bundle")

RESOLUTION = 128


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    return np.asarray(skimage.data.astronaut())


@pytest.fixture(scope="module")
def result(photo: np.ndarray) -> Reconstruction:
    return Reconstructor()(photo, resolution=RESOLUTION)


def test_mask_covers_the_astronaut(result: Reconstruction) -> None:
    # The network finds 53 % of the picture; her face lies near (row 120, column 220).
    assert 0.45 < (result.mask > 127).mean() < 0.62
    assert result.mask[120, 220] == 255 and result.mask[20, 480] == 0
    assert result.warnings == ()


def test_mesh_is_closed_and_as_large_as_half_a_person(result: Reconstruction) -> None:
    assert result.mesh.is_watertight and result.mesh.is_winding_consistent and result.mesh.volume > 0
    width_m, height_m, depth_m = result.mesh.extents
    assert 0.4 < height_m < 1.4 and 0.4 < width_m < 1.4
    assert 0.15 < depth_m < 0.9  # neither a slab nor a tunnel


def test_outline_of_the_mesh_is_the_mask(result: Reconstruction) -> None:
    height_px, width_px = result.mask.shape
    homogeneous = np.concatenate([result.vertices, np.ones((len(result.vertices), 1))], axis=1)
    columns, rows, depths = (homogeneous @ result.image_from_world.T)[:, :3].T
    positions = np.stack([columns - width_px / 2, height_px / 2 - rows, depths], axis=1)
    covered = np.zeros(result.mask.size, bool)
    covered[rasterize(positions, result.faces, width_px, height_px).pixels] = True
    covered, mask = covered.reshape(result.mask.shape), result.mask > 127
    assert (covered & mask).sum() > 0.85 * (covered | mask).sum()


def test_colours_in_front_are_the_photographs(result: Reconstruction, photo: np.ndarray) -> None:
    normals = result.mesh.vertex_normals
    homogeneous = np.concatenate([result.vertices, np.ones((len(result.vertices), 1))], axis=1)
    columns, rows = (homogeneous @ result.image_from_world.T)[:, :2].T.astype(int)
    seen = (normals[:, 2] > 0.7) & (result.vertices[:, 2] > 0)
    seen &= (rows >= 0) & (rows < len(photo)) & (columns >= 0) & (columns < photo.shape[1])
    difference = np.abs(result.colors[seen] - photo[rows[seen], columns[seen]] / 255.0)
    assert seen.sum() > 1000
    assert difference.mean() < 0.15


def test_bundle_is_small() -> None:
    assert sum(path.stat().st_size for path in DEFAULT_BUNDLE.iterdir()) < 40e6


def test_few_queries_are_asked(result: Reconstruction) -> None:
    assert result.queries.ideal <= result.queries.asked <= 3 * result.queries.ideal


def test_face_detector_is_small_and_its_licence_lies_beside_it() -> None:
    assert _core.load_bundle(str(DEFAULT_BUNDLE)).detects_faces
    graphs = [DEFAULT_BUNDLE / f"face_{stage}.onnx" for stage in ("proposal", "refinement", "landmarks")]
    assert sum(graph.stat().st_size for graph in graphs) < 2.5e6
    licence = (DEFAULT_BUNDLE / "LICENSE-facenet-pytorch.txt").read_text()
    assert "MIT License" in licence and "Copyright" in licence
