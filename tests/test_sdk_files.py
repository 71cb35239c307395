"""Meshes and pictures on disk: right when read back, and whole or not there."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

import jiffsdk
from figures import as_bytes, person, photograph
from jiffsdk import OptionError, OutputError
from jiffsdk.mesh_files import linear_from_srgb


@pytest.fixture(scope="module")
def result(reconstructor: jiffsdk.Reconstructor) -> jiffsdk.Reconstruction:
    return reconstructor(photograph(person()), as_bytes(person()), resolution=64)


def read_back(path: Path) -> trimesh.Trimesh:
    return trimesh.load(path, force="mesh", process=False, skip_materials=True)


@pytest.mark.parametrize("suffix", [".glb", ".ply", ".obj", ".GLB"])
def test_files_hold_the_mesh(result: jiffsdk.Reconstruction, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"person{suffix}"
    result.save(path)
    mesh = read_back(path)
    np.testing.assert_allclose(mesh.vertices, result.vertices, atol=1e-6)  # metres
    np.testing.assert_array_equal(mesh.faces, result.faces)
    assert mesh.is_watertight and mesh.is_winding_consistent
    assert mesh.volume == pytest.approx(result.mesh.volume, rel=1e-4) and mesh.volume > 0
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".ply", ".obj"])
def test_ply_and_obj_hold_srgb_colours(result: jiffsdk.Reconstruction, tmp_path: Path, suffix: str) -> None:
    result.save(tmp_path / f"person{suffix}")
    colors = read_back(tmp_path / f"person{suffix}").visual.vertex_colors[:, :3]
    np.testing.assert_allclose(colors, result.colors * 255, atol=1.0)


def glb_parts(path: Path) -> tuple[dict, bytes]:
    content = path.read_bytes()
    magic, version, length = struct.unpack_from("<4sII", content)
    assert (magic, version, length) == (b"glTF", 2, len(content))
    num_text, kind = struct.unpack_from("<I4s", content, 12)
    assert kind == b"JSON" and num_text % 4 == 0
    num_binary, kind = struct.unpack_from("<I4s", content, 20 + num_text)
    assert kind == b"BIN\0" and num_binary % 4 == 0 and 28 + num_text + num_binary == length
    return json.loads(content[20 : 20 + num_text]), content[28 + num_text :]


def test_glb_holds_linear_colours_under_an_unlit_material(
    result: jiffsdk.Reconstruction, tmp_path: Path
) -> None:
    result.save(tmp_path / "person.glb")
    document, binary = glb_parts(tmp_path / "person.glb")
    primitive = document["meshes"][0]["primitives"][0]
    accessor = document["accessors"][primitive["attributes"]["COLOR_0"]]
    view = document["bufferViews"][accessor["bufferView"]]
    assert accessor["normalized"] and accessor["count"] == len(result.vertices)
    stored = np.frombuffer(binary, "<u2", accessor["count"] * 4, view["byteOffset"]).reshape(-1, 4) / 65535.0
    np.testing.assert_allclose(stored[:, :3], linear_from_srgb(result.colors), atol=1e-5)
    assert (stored[:, 3] == 1.0).all()
    material = document["materials"][primitive["material"]]
    assert "KHR_materials_unlit" in material["extensions"]
    assert material["pbrMetallicRoughness"]["metallicFactor"] == 0.0
    assert document["buffers"][0]["byteLength"] == len(binary)


def test_glb_holds_outward_unit_normals(result: jiffsdk.Reconstruction, tmp_path: Path) -> None:
    result.save(tmp_path / "person.glb")
    document, binary = glb_parts(tmp_path / "person.glb")
    accessor = document["accessors"][document["meshes"][0]["primitives"][0]["attributes"]["NORMAL"]]
    offset = document["bufferViews"][accessor["bufferView"]]["byteOffset"]
    normals = np.frombuffer(binary, "<f4", accessor["count"] * 3, offset).reshape(-1, 3)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1.0, atol=1e-5)
    # The body's halves mirror each other in depth.
    assert (normals[:, 2] * result.vertices[:, 2] >= -1e-3).mean() > 0.99


def test_linear_light_of_known_values() -> None:
    known = np.array([0.0, 0.04045, 0.5, 1.0], np.float32)
    np.testing.assert_allclose(linear_from_srgb(known), [0.0, 0.0031308, 0.2140411, 1.0], atol=1e-6)


def test_mesh_is_a_trimesh_in_metres_with_colours(result: jiffsdk.Reconstruction) -> None:
    mesh = result.mesh
    assert isinstance(mesh, trimesh.Trimesh) and mesh is result.mesh
    assert mesh.visual.kind == "vertex"
    np.testing.assert_allclose(mesh.visual.vertex_colors[:, :3], result.colors * 255, atol=0.51)
    mesh.apply_scale(2.0)  # the result itself does not change
    assert np.abs(result.vertices).max() <= result.size_m / 2
    mesh.apply_scale(0.5)


@pytest.mark.parametrize("name", ["person.stl", "person", "person.glb.bak", ".glb"])
def test_an_unknown_suffix_is_refused(result: jiffsdk.Reconstruction, tmp_path: Path, name: str) -> None:
    with pytest.raises(OptionError, match=rf"{name}' by its suffix .*use .glb, .ply, .obj"):
        result.save(tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_does_not_exist(result: jiffsdk.Reconstruction, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="absent/person.glb': No such file or directory.*folder exists"):
        result.save(tmp_path / "absent" / "person.glb")


def test_no_permission_to_write(
    result: jiffsdk.Reconstruction, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o555)
    tmp_path.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    result.preview(height_px=16)  # imports what it needs
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)  # root may write everywhere
    try:
        with pytest.raises(OutputError, match="person.glb': Permission denied.*may write"):
            result.save("locked/person.glb")
        with pytest.raises(OutputError, match="person.png': Permission denied.*may write"):
            result.preview("locked/person.png", height_px=16)
    finally:
        os.seteuid(user)
    assert not list(folder.iterdir())


def test_what_was_there_stays_when_writing_fails(
    result: jiffsdk.Reconstruction, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "person.ply"
    path.write_bytes(b"before")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OutputError, match="No space left on device.*disk has room"):
        result.save(path)
    assert path.read_bytes() == b"before"
    assert [entry.name for entry in tmp_path.iterdir()] == ["person.ply"]


def test_an_interrupted_write_leaves_nothing(
    result: jiffsdk.Reconstruction, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        result.save(tmp_path / "person.glb")
    assert not list(tmp_path.iterdir())


def test_preview_is_written_as_png_too(result: jiffsdk.Reconstruction, tmp_path: Path) -> None:
    image = result.preview(tmp_path / "views.png", height_px=64)
    with Image.open(tmp_path / "views.png") as read:
        assert read.format == "PNG"
        np.testing.assert_array_equal(np.asarray(read), np.asarray(image))
