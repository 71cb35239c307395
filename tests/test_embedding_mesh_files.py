"""Files that the library writes hold what those of Python hold."""

from __future__ import annotations

import json
import locale
import struct
from ctypes import byref
from pathlib import Path

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

import c_api
from c_api import Library, StatusError, mesh_view
from jiffsdk.mesh_files import encoder_for


@pytest.fixture(scope="module")
def library(shared_library: Path) -> Library:
    return Library(shared_library)


def random_mesh(seed: int, num_vertices: int, num_faces: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Triangles at random, degenerate ones among them; colours also outside [0, 1]."""
    random = np.random.default_rng(seed)
    vertices = random.normal(size=(num_vertices, 3)).astype(np.float32)
    faces = random.integers(0, num_vertices, (num_faces, 3), dtype=np.int32)
    colors = random.uniform(-0.1, 1.1, (num_vertices, 3)).astype(np.float32)
    return vertices, faces, colors


def write(library: Library, path: Path, vertices: np.ndarray, faces: np.ndarray, colors: np.ndarray) -> None:
    library.check(library.jiff_mesh_write(byref(mesh_view(vertices, faces, colors)), str(path).encode()))


def without_generator(content: bytes) -> bytes:
    return content.replace(b"jiffsdk ", b"jiff ")


def glb_parts(content: bytes) -> tuple[dict, bytes]:
    magic, version, length = struct.unpack_from("<4sII", content)
    assert (magic, version, length) == (b"glTF", 2, len(content))
    num_text, kind = struct.unpack_from("<I4s", content, 12)
    assert kind == b"JSON" and num_text % 4 == 0
    num_binary, kind = struct.unpack_from("<I4s", content, 20 + num_text)
    assert kind == b"BIN\0" and 28 + num_text + num_binary == length
    return json.loads(content[20 : 20 + num_text]), content[28 + num_text :]


@given(seed=st.integers(0, 2**32 - 1), num_vertices=st.integers(1, 40), num_faces=st.integers(1, 60))
@settings(max_examples=20)
def test_ply_and_obj_are_byte_for_byte_those_of_python(
    library: Library,
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    num_vertices: int,
    num_faces: int,
) -> None:
    mesh = random_mesh(seed, num_vertices, num_faces)
    for suffix in (".ply", ".obj"):
        path = tmp_path_factory.getbasetemp() / f"mesh{suffix}"
        write(library, path, *mesh)
        assert path.read_bytes() == without_generator(encoder_for(path)(*mesh))


@given(seed=st.integers(0, 2**32 - 1), num_vertices=st.integers(1, 40), num_faces=st.integers(1, 60))
@settings(max_examples=20)
def test_glb_holds_what_that_of_python_holds(
    library: Library,
    tmp_path_factory: pytest.TempPathFactory,
    seed: int,
    num_vertices: int,
    num_faces: int,
) -> None:
    mesh = random_mesh(seed, num_vertices, num_faces)
    path = tmp_path_factory.getbasetemp() / "mesh.GLB"
    write(library, path, *mesh)
    document, binary = glb_parts(path.read_bytes())
    expected_document, expected_binary = glb_parts(encoder_for(path)(*mesh))
    generator = expected_document["asset"].pop("generator")
    assert document["asset"].pop("generator") == generator.replace("jiffsdk ", "jiff ")
    assert document == expected_document
    views = document["bufferViews"]
    assert sum(view["byteLength"] for view in views) == len(binary) == len(expected_binary)
    for view, dtype in zip(views, ("<f4", "<f4", "<u2", "<u4"), strict=True):
        span = slice(view["byteOffset"], view["byteOffset"] + view["byteLength"])
        found, expected = np.frombuffer(binary[span], dtype), np.frombuffer(expected_binary[span], dtype)
        if dtype == "<u2":  # powers of float32 differ in the last bit between C and NumPy
            assert np.abs(found.astype(int) - expected.astype(int)).max() <= 1
        else:
            np.testing.assert_array_equal(found, expected)


def test_glb_is_read_by_trimesh_as_a_closed_mesh(library: Library, tmp_path: Path) -> None:
    sphere = trimesh.creation.icosphere(2)
    colors = np.linspace(0, 1, sphere.vertices.size, dtype=np.float32).reshape(-1, 3)
    vertices, faces = sphere.vertices.astype(np.float32), sphere.faces.astype(np.int32)
    for suffix in (".glb", ".ply", ".obj"):
        path = tmp_path / f"sphere{suffix}"
        write(library, path, vertices, faces, colors)
        found = trimesh.load(path, force="mesh", process=False, skip_materials=True)
        assert found.is_watertight and found.is_winding_consistent
        assert found.volume == pytest.approx(sphere.volume, rel=1e-5)


def test_decimal_points_stay_points_in_a_locale_of_commas(library: Library, tmp_path: Path) -> None:
    before = locale.setlocale(locale.LC_NUMERIC)
    for name in ("de_DE.UTF-8", "fr_FR.UTF-8", "de_DE.utf8"):
        try:
            locale.setlocale(locale.LC_NUMERIC, name)
            break
        except locale.Error:
            continue
    else:
        pytest.skip("no locale with decimal commas is installed")
    try:
        write(library, tmp_path / "mesh.obj", *random_mesh(0, 5, 5))
        write(library, tmp_path / "mesh.glb", *random_mesh(0, 5, 5))
    finally:
        locale.setlocale(locale.LC_NUMERIC, before)
    lines = (tmp_path / "mesh.obj").read_text().splitlines()
    assert all("," not in line for line in lines if line.startswith("v "))
    glb_parts((tmp_path / "mesh.glb").read_bytes())


def spoiled(what: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    vertices, faces, colors = random_mesh(0, 9, 9)
    if what == "a corner below zero":
        faces[4, 1] = -1
    elif what == "a corner too far":
        faces[4, 1] = 9
    elif what == "a coordinate that is no number":
        vertices[5, 2] = np.nan
    elif what == "an endless colour":
        colors[5, 0] = np.inf
    elif what == "no vertices":
        vertices, colors = vertices[:0], colors[:0]
    elif what == "no faces":
        faces = faces[:0]
    return vertices, faces, colors


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("a corner below zero", "face 4 .* names vertex -1; there are 9"),
        ("a corner too far", "face 4 .* names vertex 9; there are 9"),
        ("a coordinate that is no number", "vertex 5 .* not a finite number"),
        ("an endless colour", "vertex 5 .* not a finite number"),
        ("no vertices", "0 vertices and 9 faces"),
        ("no faces", "9 vertices and 0 faces"),
    ],
)
def test_meshes_that_cannot_be_written_are_refused(
    library: Library, tmp_path: Path, what: str, message: str
) -> None:
    with pytest.raises(StatusError, match=f"JIFF_INVALID_ARGUMENT: .*{message}"):
        write(library, tmp_path / "mesh.glb", *spoiled(what))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["mesh.stl", "mesh", "mesh.glb.bak", ".glb"])
def test_other_suffixes_are_refused(library: Library, tmp_path: Path, name: str) -> None:
    with pytest.raises(StatusError, match=r"JIFF_INVALID_ARGUMENT: .*by its suffix.*use .glb, .ply, .obj"):
        write(library, tmp_path / name, *random_mesh(0, 3, 1))


def test_a_file_that_cannot_be_written_leaves_what_was_there(library: Library, tmp_path: Path) -> None:
    with pytest.raises(StatusError, match="JIFF_OUTPUT_ERROR: cannot write .*No such file"):
        write(library, tmp_path / "missing" / "mesh.glb", *random_mesh(0, 3, 1))
    (tmp_path / "mesh.ply").mkdir()  # a folder in the way
    with pytest.raises(StatusError, match="JIFF_OUTPUT_ERROR"):
        write(library, tmp_path / "mesh.ply", *random_mesh(0, 3, 1))
    assert [path.name for path in tmp_path.iterdir()] == ["mesh.ply"]


def test_null_arrays_are_refused(library: Library, tmp_path: Path) -> None:
    mesh = c_api.Mesh(num_vertices=3, num_faces=1)
    status = library.jiff_mesh_write(byref(mesh), str(tmp_path / "mesh.glb").encode())
    assert c_api.STATUS_NAMES[status] == "JIFF_INVALID_ARGUMENT"
    assert "are null" in library.jiff_last_error().decode()
