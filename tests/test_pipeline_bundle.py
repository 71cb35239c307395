"""A bundle is read whole and right, or refused with the file, the value and the remedy."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from figures import person, photograph
from jiffsdk import BundleError, Reconstructor, _core, engines
from synthetic_bundle import (
    face_detection_entry,
    file_record,
    read_manifest,
    write_bundle,
    write_manifest,
)

Change = Callable[[dict[str, Any]], None]


@pytest.fixture
def own_bundle(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "bundle")


def refusal(directory: Path) -> str:
    with pytest.raises(_core.Error) as caught:
        _core.load_bundle(str(directory))
    assert caught.value.code == "bundle"
    return str(caught.value)


def test_facts_of_a_good_bundle(bundle_dir: Path) -> None:
    bundle = _core.load_bundle(str(bundle_dir))
    assert (bundle.name, bundle.version, bundle.license) == ("inflated", "0.0.1", "Apache-2.0")
    assert bundle.provenance == "written by a test"
    assert (bundle.image_size_px, bundle.margin, bundle.size_m) == (128, 0.1, 2.0)
    assert bundle.graphs == ["color_encoder", "segmentation", "shape_encoder"]


def test_half_precision_heads_give_the_same_mesh(bundle_dir: Path, tmp_path: Path) -> None:
    # Worst seen 3.2e-4 m, at a seam: only 40 / 0.99 is not exact in float16, by 0.02 %.
    halves = write_bundle(tmp_path / "halves", head_dtype=np.float16)
    full, half = (Reconstructor(path)(photograph(person()), resolution=64) for path in (bundle_dir, halves))
    np.testing.assert_array_equal(full.faces, half.faces)
    np.testing.assert_allclose(full.vertices, half.vertices, atol=1e-3)


def test_a_folder_without_manifest(tmp_path: Path) -> None:
    message = refusal(tmp_path)
    assert str(tmp_path) in message and "bundle.json" in message and "export" in message


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", "\xff\xfe"])
def test_a_manifest_that_is_not_json(own_bundle: Path, text: str) -> None:
    (own_bundle / "bundle.json").write_bytes(text.encode("latin-1"))
    message = refusal(own_bundle)
    assert "bundle.json" in message and "not JSON" in message and "again" in message


@pytest.mark.parametrize("depth", [40, 200_000])  # the latter would take more than the stack
def test_a_manifest_that_is_nested_too_deep(own_bundle: Path, depth: int) -> None:
    text = (own_bundle / "bundle.json").read_text()
    nested = "[" * depth + "]" * depth
    (own_bundle / "bundle.json").write_text(text.replace('"inflated"', nested, 1))
    message = refusal(own_bundle)
    assert "bundle.json" in message and "nested" in message and "export" in message


def test_a_newer_schema(own_bundle: Path) -> None:
    manifest = read_manifest(own_bundle) | {"schema_version": 7}
    (own_bundle / "bundle.json").write_text(json.dumps(manifest))
    message = refusal(own_bundle)
    assert "schema version 7" in message and "up to 1" in message and "upgrade" in message


@pytest.mark.parametrize("name", ["shape_encoder.onnx", "heads.safetensors", "segmentation.onnx"])
def test_a_missing_file(own_bundle: Path, name: str) -> None:
    (own_bundle / name).unlink()
    message = refusal(own_bundle)
    assert name in message and "missing" in message and "again" in message


def test_a_truncated_file(own_bundle: Path) -> None:
    path = own_bundle / "color_encoder.onnx"
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[:-5])
    message = refusal(own_bundle)
    assert "color_encoder.onnx" in message and f"{size - 5} bytes" in message and str(size) in message


def test_an_altered_file(own_bundle: Path) -> None:
    path = own_bundle / "heads.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    message = refusal(own_bundle)
    assert "heads.safetensors" in message and "altered" in message and file_record(path)["sha256"] in message


@pytest.mark.parametrize("length", [0, 1, 55, 56, 63, 64, 65, 119, 120, 1000])
def test_hashes_of_all_paddings(own_bundle: Path, length: int) -> None:
    (own_bundle / "LICENSE-extra.txt").write_bytes(bytes(range(256)) * 4 if length == 1000 else b"x" * length)
    write_manifest(own_bundle, read_manifest(own_bundle))
    assert _core.load_bundle(str(own_bundle)).name == "inflated"


def set_at(path: str, value: Any) -> Change:
    def change(manifest: dict[str, Any]) -> None:
        *parents, last = path.split("/")
        place: Any = manifest
        for key in parents:
            place = place[int(key) if isinstance(place, list) else key]
        place[last] = value

    return change


def drop(path: str) -> Change:
    def change(manifest: dict[str, Any]) -> None:
        *parents, last = path.split("/")
        place: Any = manifest
        for key in parents:
            place = place[int(key) if isinstance(place, list) else key]
        del place[last]

    return change


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (drop("schema_version"), ["schema_version"]),
        (set_at("schema_version", "one"), ["schema_version", "one"]),
        (drop("frame/margin"), ["frame.margin"]),
        (set_at("frame/margin", -0.5), ["frame.margin", "-0.5"]),
        (set_at("frame/image_size_px", 0), ["frame.image_size_px", "got 0"]),
        (set_at("frame/size_m", None), ["frame.size_m", "null"]),
        (drop("graphs/color_encoder"), ["color_encoder"]),
        (set_at("graphs/shape_encoder/file", "../weights.onnx"), ["../weights.onnx", "files"]),
        (set_at("graphs/shape_encoder/file", "unlisted.onnx"), ["unlisted.onnx", "files"]),
        (set_at("graphs/shape_encoder/inputs/image", [1, 4, 60, 60]), ["graphs.shape_encoder.inputs", "128"]),
        (set_at("graphs/shape_encoder/inputs/image", [1, 4, 64, 32]), ["graphs.shape_encoder.inputs", "128"]),
        (set_at("graphs/shape_encoder/outputs", {}), ["graphs.shape_encoder.outputs", "features"]),
        (set_at("graphs/shape_encoder/outputs/log_size_m", [1, 2]), ["log_size_m", "[1,2]"]),
        (set_at("graphs/segmentation/inputs/image", [1, 4, 64, 64]), ["graphs.segmentation.inputs", "[1, 3"]),
        (drop("heads/shape"), ["heads.shape"]),
        (set_at("heads/shape/widths", [3, 2, 1]), ["heads.shape.widths", "the first 2"]),
        (set_at("heads/shape/widths", [2, 2, 3]), ["'shape.layers.1.weight'", "[3, 4]", "[1, 4]"]),
        (set_at("heads/shape/prefix", "body"), ["'body.layers.0.weight'", "heads.safetensors"]),
        (set_at("heads/shape/features", ["segmentation"]), ["heads.shape.features[0]", "segmentation"]),
        (set_at("heads/shape/activation", "relu"), ["heads.shape.activation", "relu", "sigmoid"]),
        (set_at("heads/color/blends_image", False), ["heads.color.widths", "3 (RGB)", "got 4"]),
        (set_at("heads/color/blends_image", "yes"), ["heads.color.blends_image", "yes"]),
    ],
)
def test_a_manifest_with_a_wrong_entry(own_bundle: Path, change: Change, expected: list[str]) -> None:
    manifest = read_manifest(own_bundle)
    change(manifest)
    (own_bundle / "bundle.json").write_text(json.dumps(manifest))
    message = refusal(own_bundle)
    assert "export the bundle again" in message
    for text in expected:
        assert text in message


def write_with_faces(directory: Path, change: Change = lambda manifest: None) -> None:
    """Adds a face detector to the manifest; its graphs are read by an engine only."""
    manifest = read_manifest(directory)
    manifest["face_detection"] = face_detection_entry("color_encoder.onnx")
    change(manifest)
    (directory / "bundle.json").write_text(json.dumps(manifest))


def test_a_face_detector_is_optional(own_bundle: Path) -> None:
    assert not _core.load_bundle(str(own_bundle)).detects_faces
    write_with_faces(own_bundle)
    bundle = _core.load_bundle(str(own_bundle))
    assert bundle.detects_faces
    assert bundle.graphs == ["color_encoder", "segmentation", "shape_encoder"]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (set_at("face_detection", None), ["face_detection", "an object", "null"]),
        (drop("face_detection/refinement"), ["face_detection.refinement"]),
        (drop("face_detection/proposal/least_score"), ["face_detection.proposal.least_score"]),
        (set_at("face_detection/landmarks/least_score", 1.5), ["landmarks.least_score", "0.0 to 1.0", "1.5"]),
        (set_at("face_detection/proposal/file", "unlisted.onnx"), ["unlisted.onnx", "files"]),
        (set_at("face_detection/proposal/inputs/image", [2, 3, 32, 32]), ["proposal.inputs", "[N, 4, S, S]"]),
        (set_at("face_detection/proposal/inputs/image", [2, 4, 31, 31]), ["proposal.inputs", "even"]),
        (set_at("face_detection/proposal/inputs/image", [2, 4, 10, 10]), ["proposal.inputs", "12"]),
        (set_at("face_detection/proposal/outputs/score", [2, 1, 12, 12]), ["score", "[2, 1, 11, 11]"]),
        (set_at("face_detection/refinement/inputs/image", [3, 3, 24, 48]), ["refinement.inputs", "[N, 3"]),
        (set_at("face_detection/refinement/outputs/offsets", [3, 5]), ["offsets", "[3, 4]"]),
        (drop("face_detection/landmarks/outputs/landmarks"), ["landmarks.outputs", "[5, 10]"]),
    ],
)
def test_a_face_detector_with_a_wrong_entry(own_bundle: Path, change: Change, expected: list[str]) -> None:
    write_with_faces(own_bundle, change)
    message = refusal(own_bundle)
    assert "export the bundle again" in message
    for text in expected:
        assert text in message


def test_a_face_graph_with_other_tensors_than_the_manifest_says(own_bundle: Path) -> None:
    write_with_faces(own_bundle)
    bundle = _core.load_bundle(str(own_bundle))
    with pytest.raises(
        _core.Error, match=r"color_encoder.onnx.*'image'.*\[2, 4, 32, 32\].*\[1, 4, 128, 128\]"
    ):
        _core.FaceDetector(bundle, engines.create())


def test_a_listed_name_that_leads_out_of_the_bundle(own_bundle: Path) -> None:
    manifest = read_manifest(own_bundle)
    manifest["files"]["../secret"] = {"sha256": "", "num_bytes": 1}
    (own_bundle / "bundle.json").write_text(json.dumps(manifest))
    assert "../secret" in refusal(own_bundle)


def test_a_graph_with_other_tensors_than_the_manifest_says(own_bundle: Path) -> None:
    manifest = read_manifest(own_bundle)
    manifest["graphs"]["segmentation"]["outputs"]["matte"] = [1, 1, 32, 32]
    (own_bundle / "bundle.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match=r"segmentation.onnx.*'matte'.*\[1, 1, 32, 32\].*\[1, 1, 64, 64\]"):
        Reconstructor(own_bundle)


def safetensors_bytes(header: Any, values: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + values


def entry(dtype: Any = "F32", shape: Any = (2, 2), offsets: Any = (0, 16)) -> dict[str, Any]:
    return {"shape.layers.0.weight": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "0 bytes"),
        (b"1234567", "7 bytes"),
        (struct.pack("<Q", 2**63) + b"{}", "claims 9223372036854775808 bytes"),
        (safetensors_bytes(b"{"), "not JSON"),
        (safetensors_bytes([1]), "not JSON"),
        (safetensors_bytes({"shape.layers.0.weight": 3}), "no dtype"),
        (safetensors_bytes(entry(dtype="F64"), bytes(32)), "'F64'"),
        (safetensors_bytes(entry(dtype=5), bytes(32)), "dtype"),
        (safetensors_bytes(entry(shape=[-1, 4]), bytes(16)), "whole number"),
        (safetensors_bytes(entry(shape=[2**32, 2**32]), bytes(16)), "larger than the file"),
        (safetensors_bytes(entry(shape=[2**62, 4, 2]), bytes(16)), "larger than the file"),
        (safetensors_bytes(entry(shape="4"), bytes(16)), "no list"),
        (safetensors_bytes(entry(), bytes(15)), "past the end"),
        (safetensors_bytes(entry(offsets=[8, 4]), bytes(16)), "past the end"),
        (safetensors_bytes(entry(offsets=[0, 2**63]), bytes(16)), "past the end"),
        (safetensors_bytes(entry(offsets=[0, 12]), bytes(16)), "does not fit"),
        (safetensors_bytes(entry(offsets=[0]), bytes(16)), "data_offsets"),
        (safetensors_bytes({"__metadata__": {}}), "no tensor 'color.layers.0.weight'"),
    ],
)
def test_hostile_weight_files(own_bundle: Path, content: bytes, expected: str) -> None:
    (own_bundle / "heads.safetensors").write_bytes(content)
    write_manifest(own_bundle, read_manifest(own_bundle))
    message = refusal(own_bundle)
    assert "heads.safetensors" in message and expected in message


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_weight_files_with_damaged_bytes_load_or_are_refused(own_bundle: Path, data: st.DataObject) -> None:
    weights = own_bundle / "heads.safetensors"
    save_file({"shape.layers.0.weight": np.zeros((2, 2), np.float32)}, weights)
    content = bytearray(weights.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    weights.write_bytes(bytes(content[: data.draw(st.integers(0, len(content)))]))
    write_manifest(own_bundle, read_manifest(own_bundle))
    assert "heads.safetensors" in refusal(own_bundle)  # the other tensors are missing in any case
