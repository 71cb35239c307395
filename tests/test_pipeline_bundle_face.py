"""The face's sections of a bundle are read whole and right, or refused with place, value and remedy."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from jiffsdk import BundleError, Reconstructor, _core
from jiffsdk.reconstructor import DEFAULT_BUNDLE
from synthetic_bundle import read_manifest, write_bundle, write_manifest
from synthetic_face import add_face
from test_pipeline_bundle import Change, drop, refusal, set_at

pytestmark = pytest.mark.skipif(not DEFAULT_BUNDLE.is_dir(), reason="this checkout ships no face detector")


@pytest.fixture(scope="module")
def faced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return add_face(write_bundle(tmp_path_factory.mktemp("faced")))


@pytest.fixture
def own(faced: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(faced, tmp_path / "bundle"))


def test_a_face_and_fine_colours_are_optional(own: Path) -> None:
    bundle = _core.load_bundle(str(own))
    assert (bundle.has_face, bundle.has_fine_color) == (True, True)
    manifest = read_manifest(own)
    for section, facts in (("color", (True, True)), ("face", (False, True)), ("fine_color", (False, False))):
        (manifest["face"] if section == "color" else manifest).pop(section)
        (own / "bundle.json").write_text(json.dumps(manifest))
        bundle = _core.load_bundle(str(own))
        assert (bundle.has_face, bundle.has_fine_color) == facts


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (set_at("face", 3), ["'face'", "an object", "got 3"]),
        (drop("face_detection"), ["'face'", "no 'face_detection'"]),
        (drop("fine_color"), ["'face.color'", "no 'fine_color'"]),
        (drop("face/model"), ["face.model"]),
        (set_at("face/model/file", "unlisted.safetensors"), ["unlisted.safetensors", "files"]),
        (set_at("face/regressor/file", "../regressor.onnx"), ["../regressor.onnx", "files"]),
        (set_at("face/regressor/inputs/image", [1, 3, 64, 32]), ["face.regressor.inputs", "square"]),
        (set_at("face/regressor/inputs/image", [1, 4, 64, 64]), ["face.regressor.inputs", "[1, 3, *, *]"]),
        (set_at("face/regressor/outputs/coefficients", [1, 256]), ["coefficients", "[1, 257]"]),
        (drop("face/regressor/side_m"), ["face.regressor.side_m"]),
        (set_at("face/regressor/side_m", 0), ["face.regressor.side_m", "got 0"]),
        (set_at("face/region_margin", -1), ["face.region_margin", "-1"]),
        (drop("face/shape"), ["face.shape"]),
        (set_at("face/shape/volume/frame", "head"), ["face.shape.volume.frame", '"body" or "face"', "head"]),
        (set_at("face/shape/volume/resolution", 5), ["unet.inputs", "[1, 2, 5, 5, 5]"]),
        (set_at("face/shape/volume/resolution", 0), ["face.shape.volume.resolution", "got 0"]),
        (set_at("face/shape/volume/points", []), ["face.shape.volume.points", "one graph or more"]),
        (set_at("face/shape/volume/points/0/inputs", {}), ["points[0].inputs", "[1, 270, 3]"]),
        (
            set_at("face/shape/volume/points/0/inputs/coordinates", [1, 99, 3]),
            ["points[0].inputs", "[1, 270, 3]"],
        ),
        (
            set_at("face/shape/volume/points/0/inputs/other", [1]),
            ["points[0].inputs", '"coordinates" alone'],
        ),
        (set_at("face/shape/volume/points/0/outputs/codes", [1, 270, 7]), ["unet.inputs", "[1, 7, 4, 4, 4]"]),
        (set_at("face/shape/volume/unet/outputs/features", [1, 2, 8, 8, 8]), ["unet.outputs", "[1, *, 4"]),
        (set_at("face/shape/head/widths_2d", [3, 2]), ["face.shape.head.widths_2d", "the first 2"]),
        (set_at("face/shape/head/widths_3d", [3, 1]), ["face.shape.head.widths_3d", "the first 2", "volume"]),
        (set_at("face/shape/head/widths_joint", [4, 1]), ["head.widths_joint", "the first 3", "branches"]),
        (set_at("face/shape/head/widths_joint", [3]), ["head.widths_joint", "two or more"]),
        (set_at("face/shape/head/widths_joint", [3, 2]), ["face_shape.joint.layers.0.weight", "[2, 7]"]),
        (set_at("face/shape/head/features", ["fine"]), ["face.shape.head.features[0]", "fine"]),
        (set_at("face/shape/head/prefix", "other"), ["'other.branch_2d.layers.0.weight'", "heads.safet"]),
        (set_at("face/shape/head/activation", "relu"), ["face.shape.head.activation", "relu"]),
        (set_at("face/color/volume/num_centers", [12]), ["num_centers", "a list of two"]),
        (set_at("face/color/volume/num_centers", [12, 13]), ["num_centers[1]", "3 to 12", "got 13"]),
        (set_at("face/color/volume/num_centers", [271, 4]), ["num_centers[0]", "3 to 270", "got 271"]),
        (set_at("face/color/volume/radii", [0.3, 0]), ["radii[1]", "got 0"]),
        (set_at("face/color/volume/group_sizes", [5, 4]), ["sa2.inputs", "[1, 4, 4, 12]"]),
        (drop("face/color/volume/points/fp2"), ["face.color.volume.points.fp2"]),
        (set_at("face/color/volume/points/fp3/inputs/carried", [1, 4, 14]), ["fp3.inputs", "[1, 4, 15]"]),
        (set_at("face/color/volume/points/fp1/outputs/codes", [1, 12, 2]), ["fp1.outputs", "[1, 270, *]"]),
        (set_at("face/color/head/widths_2d", [5, 1]), ["face.color.head.widths_2d", "the first 8"]),
        (set_at("face/color/head/blends_image", True), ["face.color.head.widths_joint", "4 (RGB", "got 3"]),
        (drop("fine_color/encoder"), ["fine_color.encoder"]),
        (set_at("fine_color/encoder/inputs/image", [1, 5, 64, 64]), ["encoder.inputs", "3 or 4"]),
        (set_at("fine_color/encoder/inputs/image", [1, 4, 64, 32]), ["encoder.inputs", "S, S"]),
        (set_at("fine_color/coarse_layers", 2), ["fine_color.coarse_layers", "1 to 1", "got 2"]),
        (set_at("fine_color/head/widths", [7, 3]), ["fine_color.head.widths", "the first 8"]),
    ],
)
def test_a_face_with_a_wrong_entry(own: Path, change: Change, expected: list[str]) -> None:
    manifest = read_manifest(own)
    change(manifest)
    (own / "bundle.json").write_text(json.dumps(manifest))
    message = refusal(own)
    assert "export the bundle again" in message
    for text in expected:
        assert text in message, message


def test_fine_colours_need_a_coarse_head_with_a_hidden_layer(own: Path) -> None:
    manifest, heads = read_manifest(own), load_file(own / "heads.safetensors")
    heads["color.layers.0.weight"] = np.zeros((3, 5), np.float32)
    heads["color.layers.0.bias"] = np.zeros(3, np.float32)
    save_file(heads, own / "heads.safetensors")
    manifest["heads"]["color"]["widths"] = [5, 3]
    write_manifest(own, manifest)
    message = refusal(own)
    assert "fine_color.coarse_layers" in message and "no hidden layer" in message


def test_a_face_graph_with_other_tensors_than_the_manifest_says(own: Path) -> None:
    manifest = read_manifest(own)
    manifest["face"]["regressor"]["inputs"]["image"] = [1, 3, 96, 96]
    (own / "bundle.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match=r"regressor.onnx.*'image'.*\[1, 3, 96, 96\].*\[1, 3, 64, 64\]"):
        Reconstructor(own)
