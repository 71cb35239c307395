"""The C API of the installed libjiff: the same results as in Python, and a status for every misuse."""

from __future__ import annotations

import ctypes
import re
import threading
from ctypes import byref, c_char_p, c_double, c_void_p
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import c_api
import jiffsdk
from c_api import Image, Library, Mesh, StatusError, image_view
from conftest import SIMD_LEVELS
from face_photographs import example
from figures import as_bytes, disc, person, photograph
from jiffsdk import _core
from jiffsdk.reconstructor import DEFAULT_BUNDLE
from synthetic_bundle import read_manifest, write_bundle, write_manifest
from synthetic_face import add_face

RESOLUTION = 64


@pytest.fixture(scope="module")
def library(shared_library: Path) -> Library:
    return Library(shared_library)


@pytest.fixture(scope="module")
def loaded(library: Library, bundle_dir: Path) -> c_void_p:
    bundle = library.open_bundle(bundle_dir)
    reconstructor = library.create(bundle)
    library.check(library.jiff_bundle_free(bundle))
    return reconstructor


def assert_same_mesh(library: Library, handle: c_void_p, expected: jiffsdk.Reconstruction) -> None:
    vertices, faces, colors = c_api.arrays_of(library.mesh(handle))
    np.testing.assert_array_equal(vertices, expected.vertices)
    np.testing.assert_array_equal(faces, expected.faces)
    np.testing.assert_array_equal(colors, expected.colors)


def test_engines_are_listed_and_named_in_the_build_info(library: Library) -> None:
    assert library.engines()[0] == "openvino"
    info = library.jiff_build_info().decode()
    version = library.jiff_version().decode()
    assert version == jiffsdk.__version__
    assert info.startswith(f"jiff {version}, ") and ", openvino 20" in info
    assert info.split(", ")[2] in SIMD_LEVELS


def test_status_names_are_those_of_the_header(library: Library) -> None:
    names = [library.jiff_status_name(status).decode() for status in range(len(c_api.STATUS_NAMES))]
    assert tuple(names) == c_api.STATUS_NAMES
    assert library.jiff_status_name(-1) == b"unknown status"


def test_bundle_tells_what_its_manifest_says(library: Library, bundle_dir: Path) -> None:
    bundle = library.open_bundle(bundle_dir)
    info = c_api.BundleInfo()
    library.check(library.jiff_bundle_get_info(bundle, byref(info)))
    assert (info.name, info.version, info.license) == (b"inflated", b"0.0.1", b"Apache-2.0")
    assert (info.image_size_px, info.has_segmentation) == (128, 1)
    assert (info.detects_faces, info.has_face) == (0, 0)
    assert (info.size_m, info.margin) == (2.0, 0.1)
    library.check(library.jiff_bundle_free(bundle))


@pytest.mark.parametrize("with_mask", [True, False])
def test_result_is_the_one_in_python(
    library: Library, loaded: c_void_p, reconstructor: jiffsdk.Reconstructor, with_mask: bool
) -> None:
    rgb = photograph(person())
    mask = as_bytes(person()) if with_mask else None
    expected = reconstructor(rgb, mask, resolution=RESOLUTION)
    view = image_view(mask) if mask is not None else None
    handle = library.reconstruct(loaded, image_view(rgb), view, resolution=RESOLUTION)
    assert_same_mesh(library, handle, expected)

    found = Image()
    library.check(library.jiff_reconstruction_mask(handle, byref(found)))
    pixels = (ctypes.c_uint8 * found.num_bytes).from_address(found.data)
    np.testing.assert_array_equal(np.frombuffer(pixels, np.uint8).reshape(rgb.shape[:2]), expected.mask)

    info = c_api.ReconstructionInfo()
    library.check(library.jiff_reconstruction_get_info(handle, byref(info)))
    np.testing.assert_array_equal(np.reshape(info.image_from_world, (4, 4)), expected.image_from_world)
    assert info.size_m == expected.size_m
    assert info.num_queries_asked == expected.queries.asked
    assert info.num_queries_ideal == expected.queries.ideal
    stages = {}
    for index in range(info.num_stages):
        name, duration_ms = c_char_p(), c_double()
        library.check(library.jiff_reconstruction_stage(handle, index, byref(name), byref(duration_ms)))
        assert name.value is not None
        stages[name.value.decode()] = duration_ms.value
    assert stages.keys() == expected.timings.keys()
    assert 0.0 < sum(stages.values()) - stages["total"] <= stages["total"]
    library.check(library.jiff_reconstruction_free(handle))


def test_every_pixel_format_and_stride_gives_the_same_result(
    library: Library, loaded: c_void_p, reconstructor: jiffsdk.Reconstructor
) -> None:
    rgb, mask = photograph(person()), as_bytes(person())
    height_px, width_px = mask.shape
    expected = reconstructor(rgb, mask, resolution=RESOLUTION)
    rgba = np.dstack([rgb, mask])
    bgr, bgra = rgb[..., ::-1].copy(), rgba[..., [2, 1, 0, 3]].copy()
    wide = np.full((height_px, width_px + 13, 3), 77, np.uint8)
    wide[:, :width_px] = rgb
    bottom_up = rgb[::-1].copy()[::-1]
    wide_mask = np.full((height_px, width_px + 5), 255, np.uint8)
    wide_mask[:, :width_px] = mask

    views = {
        "RGB8": (image_view(rgb), image_view(mask)),
        "BGR8": (image_view(bgr, c_api.BGR8), image_view(mask)),
        "RGBA8 by its alpha": (image_view(rgba), None),
        "BGRA8 by its alpha": (image_view(bgra, c_api.BGRA8), None),
        "RGBX8": (image_view(rgba, c_api.RGBX8), image_view(mask)),
        "BGRX8": (image_view(bgra, c_api.BGRX8), image_view(mask)),
        "padded rows": (image_view(wide[:, :width_px]), image_view(wide_mask[:, :width_px])),
        "rows from the bottom": (image_view(bottom_up), image_view(mask)),
    }
    for name, (image, mask_view) in views.items():
        handle = library.reconstruct(loaded, image, mask_view, resolution=RESOLUTION)
        assert c_api.arrays_of(library.mesh(handle))[0].size == expected.vertices.size, name
        assert_same_mesh(library, handle, expected)
        library.check(library.jiff_reconstruction_free(handle))

    grey = np.ascontiguousarray(rgb[..., 0])
    expected_grey = reconstructor(grey, mask, resolution=RESOLUTION)
    handle = library.reconstruct(loaded, image_view(grey), image_view(mask), resolution=RESOLUTION)
    assert_same_mesh(library, handle, expected_grey)
    library.check(library.jiff_reconstruction_free(handle))


def test_opaque_alpha_is_no_mask(
    library: Library, loaded: c_void_p, reconstructor: jiffsdk.Reconstructor
) -> None:
    rgb = photograph(person())
    opaque = np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8)])
    handle = library.reconstruct(loaded, image_view(opaque), resolution=RESOLUTION)
    assert_same_mesh(library, handle, reconstructor(rgb, resolution=RESOLUTION))
    library.check(library.jiff_reconstruction_free(handle))


def test_options_are_those_of_python(
    library: Library, loaded: c_void_p, reconstructor: jiffsdk.Reconstructor
) -> None:
    mask = person()
    mask[4:24, 4:24] = True  # a second, smaller body
    rgb, values = photograph(mask), as_bytes(mask)
    options = jiffsdk.ReconstructionOptions(
        resolution=RESOLUTION, keep_largest_component=False, dense=True, silhouette_dilation_px=0
    )
    handle = library.reconstruct(
        loaded,
        image_view(rgb),
        image_view(values),
        resolution=RESOLUTION,
        keep_all_components=1,
        dense=1,
        silhouette_dilation_px=-1,
    )
    assert_same_mesh(library, handle, reconstructor(rgb, values, options=options))
    library.check(library.jiff_reconstruction_free(handle))


def test_warnings_reach_the_result_and_the_log(library: Library, loaded: c_void_p) -> None:
    two = np.concatenate([person(), person()], axis=1)
    said: list[tuple[int, str]] = []
    callback = c_api.LogCallback(lambda level, message, _: said.append((level, message.decode())))
    library.check(library.jiff_set_log_callback(callback, None))
    try:
        rgb, mask = photograph(two), as_bytes(two)
        handle = library.reconstruct(loaded, image_view(rgb), image_view(mask), resolution=32)
    finally:
        library.check(library.jiff_set_log_callback(c_api.LogCallback(), None))
    info, message = c_api.ReconstructionInfo(), c_char_p()
    library.check(library.jiff_reconstruction_get_info(handle, byref(info)))
    assert info.num_warnings == 1
    library.check(library.jiff_reconstruction_warning(handle, 0, byref(message)))
    assert message.value is not None and (1, message.value.decode()) in said
    assert library.jiff_reconstruction_warning(handle, 1, byref(message)) == c_api.STATUS_NAMES.index(
        "JIFF_INVALID_ARGUMENT"
    )
    library.check(library.jiff_reconstruction_free(handle))


def test_progress_never_decreases_and_cancels(library: Library, loaded: c_void_p) -> None:
    rgb, mask = photograph(person()), as_bytes(person())
    heard: list[tuple[str, float, int]] = []

    def listen(stage: bytes, fraction: float, _: object) -> int:
        heard.append((stage.decode(), fraction, threading.get_ident()))
        return 0

    progress = c_api.ProgressCallback(listen)
    handle = library.reconstruct(loaded, image_view(rgb), image_view(mask), resolution=64, progress=progress)
    library.check(library.jiff_reconstruction_free(handle))
    fractions = [fraction for _, fraction, _ in heard]
    assert fractions == sorted(fractions) and fractions[-1] == 1.0
    assert {ident for _, _, ident in heard} == {threading.get_ident()}

    cancel = c_api.ProgressCallback(lambda stage, *_: int(stage == b"extract"))
    with pytest.raises(StatusError, match="cancelled by its progress callback during 'extract'") as caught:
        library.reconstruct(loaded, image_view(rgb), image_view(mask), resolution=64, progress=cancel)
    assert caught.value.status == "JIFF_CANCELLED"


@pytest.mark.skipif(not DEFAULT_BUNDLE.is_dir(), reason="this checkout ships no default bundle")
@pytest.mark.skipif(
    "avx512_bf16" not in _core.supported_simd_levels(), reason="this processor does not compute in bf16"
)
def test_mesh_in_bf16_is_the_one_in_python(library: Library) -> None:
    """Also where rounding would move everything: mask, detector and fit compute in float32 in both."""
    picture = np.array(example("astronaut"))
    expected = jiffsdk.Reconstructor(DEFAULT_BUNDLE, precision="bf16")(picture, resolution=64)
    assert expected.face.is_used
    reconstructor = library.create(library.open_bundle(DEFAULT_BUNDLE), precision=b"bf16")
    handle = library.reconstruct(reconstructor, image_view(picture), resolution=64)
    assert_same_mesh(library, handle, expected)


@pytest.mark.skipif(not DEFAULT_BUNDLE.is_dir(), reason="this checkout ships no default bundle")
@pytest.mark.skipif(
    "avx512_vnni" not in _core.supported_simd_levels(), reason="this processor does not compute in int8"
)
def test_mesh_of_heads_in_int8_is_the_one_in_python(library: Library) -> None:
    picture = np.array(example("astronaut"))
    bundle = library.open_bundle(DEFAULT_BUNDLE)
    for heads, precision in ((b"int8", "int8"), (b"f32", "fp32")):
        expected = jiffsdk.Reconstructor(DEFAULT_BUNDLE, precision=precision)(picture, resolution=64)
        handle = library.reconstruct(library.create(bundle, heads=heads), image_view(picture), resolution=64)
        assert_same_mesh(library, handle, expected)


def test_memory_that_networks_keep_changes_nothing(library: Library, bundle_dir: Path) -> None:
    rgb, mask = photograph(person()), as_bytes(person())
    expected = jiffsdk.Reconstructor(bundle_dir)(rgb, mask, resolution=64)
    reconstructor = library.create(library.open_bundle(bundle_dir), keeps_memory=1)
    for _ in range(2):
        handle = library.reconstruct(reconstructor, image_view(rgb), image_view(mask), resolution=64)
        assert_same_mesh(library, handle, expected)


def test_hidden_colours_are_those_of_python(library: Library, bundle_dir: Path, loaded: c_void_p) -> None:
    rgb, mask = photograph(person()), as_bytes(person())
    for keep, choice in ((0, "smooth"), (1, "network")):
        options = jiffsdk.ReconstructionOptions(64, hidden_colors=choice)
        expected = jiffsdk.Reconstructor(bundle_dir)(rgb, mask, options=options)
        views = image_view(rgb), image_view(mask)
        handle = library.reconstruct(loaded, *views, resolution=64, keep_hidden_colors=keep)
        assert_same_mesh(library, handle, expected)
    with refused("JIFF_INVALID_ARGUMENT", "keep_hidden_colors must be 0 or 1, got 3"):
        library.reconstruct(loaded, *views, keep_hidden_colors=3)
    with refused("JIFF_INVALID_ARGUMENT", "reserved of 'options' is 5"):
        library.reconstruct(loaded, *views, reserved=5)


def test_options_of_an_older_header_end_before_what_it_did_not_know(
    library: Library, bundle_dir: Path
) -> None:
    """The structure of the first version had no `heads`; what stands behind it is not read."""
    options = c_api.ReconstructorOptions(heads=b"not a precision")
    first = options.struct_size = c_api.ReconstructorOptions.heads.offset
    handle, bundle = c_void_p(), library.open_bundle(bundle_dir)
    library.check(library.jiff_reconstructor_create(bundle, byref(options), byref(handle)))
    library.check(library.jiff_reconstructor_free(handle))
    options.struct_size = first + 4  # half a pointer
    status = library.jiff_reconstructor_create(bundle, byref(options), byref(handle))
    assert c_api.STATUS_NAMES[status] == "JIFF_INVALID_ARGUMENT"
    known = ctypes.sizeof(c_api.ReconstructorOptions)
    assert f"is {first + 4}, this library knows {known}" in library.jiff_last_error().decode()
    with refused("JIFF_INVALID_ARGUMENT", "heads is 'not a precision'", '"int8"'):
        library.create(bundle, heads=b"not a precision")
    with refused("JIFF_INVALID_ARGUMENT", "keeps_memory must be 0 or 1, got 2"):
        library.create(bundle, keeps_memory=2)


def refused(status: str, *needles: str) -> Any:
    """Expects a StatusError of this status whose message holds every needle."""
    pattern = "".join(f"(?=.*{re.escape(needle)})" for needle in needles)
    return pytest.raises(StatusError, match=rf"^{status}: {pattern}")


def test_what_cannot_be_had_is_refused_by_name(library: Library, bundle_dir: Path, tmp_path: Path) -> None:
    with refused("JIFF_BUNDLE_ERROR", str(tmp_path), "no bundle.json"):
        library.open_bundle(tmp_path)
    bundle = library.open_bundle(bundle_dir)
    with refused("JIFF_ENGINE_ERROR", "unknown engine 'onnx'", "openvino"):
        library.create(bundle, engine=b"onnx")
    with refused("JIFF_ENGINE_ERROR", "no device 'gpu'", "it has: cpu"):
        library.create(bundle, device=b"gpu")
    with refused("JIFF_ENGINE_ERROR", "this build of jiffsdk has no CUDA; build it with JIFF_CUDA=ON"):
        library.create(bundle, device=b"cuda")
    with refused("JIFF_INVALID_ARGUMENT", "networks is 'cuda', but device is 'cpu'; set that to \"cuda\""):
        library.create(bundle, networks=b"cuda")
    with refused("JIFF_INVALID_ARGUMENT", 'networks is \'npu\'; use "cpu" or "cuda"'):
        library.create(bundle, device=b"cuda", networks=b"npu")
    with refused("JIFF_ENGINE_ERROR", "no precision 'int8'"):
        library.create(bundle, precision=b"int8")
    with refused("JIFF_INVALID_ARGUMENT", "num_threads", "1025"):
        library.create(bundle, num_threads=1025)
    library.check(library.jiff_bundle_free(bundle))


def test_pictures_that_cannot_be_used_are_refused(library: Library, loaded: c_void_p) -> None:
    rgb, mask = photograph(person()), as_bytes(person())
    small = np.zeros((63, 64, 3), np.uint8)
    with refused("JIFF_INVALID_IMAGE", "64 x 63 px", "at least 64"):
        library.reconstruct(loaded, image_view(small))
    with refused("JIFF_INVALID_MASK", "100 x 240 px", "200 x 240 px"):
        library.reconstruct(loaded, image_view(rgb), image_view(mask[:, :100]))
    with refused("JIFF_INVALID_MASK", "JIFF_GRAY8"):
        library.reconstruct(loaded, image_view(rgb), image_view(rgb))
    with refused("JIFF_INVALID_MASK", "is empty"):
        library.reconstruct(loaded, image_view(rgb), image_view(np.zeros_like(mask)))
    with refused("JIFF_NO_PERSON"):
        library.reconstruct(loaded, image_view(photograph(np.zeros_like(person()))))
    huge = image_view(rgb)
    huge.width_px = huge.height_px = 40000
    with refused("JIFF_INVALID_IMAGE", "80 megapixels"):
        library.reconstruct(loaded, huge)
    short = image_view(rgb)
    short.num_bytes = rgb.nbytes - 1
    with refused("JIFF_INVALID_IMAGE", str(rgb.nbytes), str(rgb.nbytes - 1)):
        library.reconstruct(loaded, short)
    with refused("JIFF_INVALID_ARGUMENT", "multiple of 32", "33"):
        library.reconstruct(loaded, image_view(rgb), resolution=33)


class Newer(ctypes.Structure):
    """jiff_reconstruct_options of a header to come: one field more."""

    _fields_ = (("known", c_api.ReconstructOptions), ("unknown", ctypes.c_int64))


def test_structures_of_newer_headers_work_while_their_new_fields_are_zero(
    library: Library, loaded: c_void_p
) -> None:
    rgb, mask = image_view(photograph(person())), image_view(as_bytes(person()))
    newer = Newer(known=c_api.ReconstructOptions(resolution=32))
    newer.known.struct_size = ctypes.sizeof(Newer)
    pointer = ctypes.cast(byref(newer), ctypes.POINTER(c_api.ReconstructOptions))
    handle = c_void_p()
    library.check(library.jiff_reconstruct(loaded, byref(rgb), byref(mask), pointer, byref(handle)))
    library.check(library.jiff_reconstruction_free(handle))
    newer.unknown = 1
    status = library.jiff_reconstruct(loaded, byref(rgb), byref(mask), pointer, byref(handle))
    assert c_api.STATUS_NAMES[status] == "JIFF_INVALID_ARGUMENT"
    assert "does not know" in library.jiff_last_error().decode()


@pytest.mark.parametrize("size", [0, 1, 8, 39, 4097, 2**63])
def test_structures_of_impossible_size_are_refused(
    library: Library, loaded: c_void_p, bundle_dir: Path, size: int
) -> None:
    rgb = photograph(person())
    image = image_view(rgb)
    image.struct_size = size
    with refused("JIFF_INVALID_ARGUMENT", "struct_size of 'image'", str(size), "INIT macro"):
        library.reconstruct(loaded, image)
    bundle = library.open_bundle(bundle_dir)
    info = c_api.BundleInfo()
    info.struct_size = size
    status = library.jiff_bundle_get_info(bundle, byref(info))
    assert c_api.STATUS_NAMES[status] == "JIFF_INVALID_ARGUMENT" and info.name is None
    library.check(library.jiff_bundle_free(bundle))


def test_freed_null_and_foreign_handles_get_a_status(
    library: Library, loaded: c_void_p, bundle_dir: Path
) -> None:
    bundle = library.open_bundle(bundle_dir)
    other_kind = c_void_p(loaded.value)
    memory = ctypes.create_string_buffer(64)
    info = c_api.BundleInfo()
    invalid = c_api.STATUS_NAMES.index("JIFF_INVALID_HANDLE")
    for wrong in (None, other_kind, ctypes.addressof(memory), 2**64 - 1):
        assert library.jiff_bundle_get_info(wrong, byref(info)) == invalid
    assert library.jiff_bundle_free(None) == c_api.OK
    assert library.jiff_bundle_free(other_kind) == invalid
    assert library.jiff_bundle_free(bundle) == c_api.OK
    assert library.jiff_bundle_free(bundle) == invalid
    assert "freed" in library.jiff_last_error().decode()
    handle = c_void_p()
    assert library.jiff_reconstructor_create(bundle, None, byref(handle)) == invalid
    assert handle.value is None
    assert library.jiff_reconstructor_engine(loaded) == b"openvino"
    assert library.jiff_reconstructor_networks(loaded) == b"cpu"


def test_null_pointers_get_a_status(library: Library, loaded: c_void_p) -> None:
    rgb = photograph(person())
    view, handle = image_view(rgb), c_void_p()
    calls = {
        "directory": lambda: library.jiff_bundle_open(None, byref(handle)),
        "bundle": lambda: library.jiff_bundle_open(b"x", None),
        "image": lambda: library.jiff_reconstruct(loaded, None, None, None, byref(handle)),
        "reconstruction": lambda: library.jiff_reconstruct(loaded, byref(view), None, None, None),
        "mesh": lambda: library.jiff_mesh_write(None, b"x.glb"),
        "path": lambda: library.jiff_mesh_write(byref(Mesh()), None),
    }
    for name, call in calls.items():
        assert c_api.STATUS_NAMES[call()] == "JIFF_INVALID_ARGUMENT", name
        assert f"'{name}' is null" in library.jiff_last_error().decode()


def test_last_error_belongs_to_its_thread(library: Library) -> None:
    library.jiff_bundle_open(b"/no/such/a", byref(c_void_p()))
    there: list[bytes] = []

    def elsewhere() -> None:
        there.append(library.jiff_last_error())
        library.jiff_bundle_open(b"/no/such/b", byref(c_void_p()))
        there.append(library.jiff_last_error())

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert there[0] == b"" and b"/no/such/b" in there[1]
    assert b"/no/such/a" in library.jiff_last_error()


def test_without_a_face_model_the_status_says_so(library: Library, loaded: c_void_p) -> None:
    rgb, mask = image_view(photograph(person())), image_view(as_bytes(person()))
    for options, expected in (({}, b"no_face_model"), ({"ignore_face": 1}, b"off")):
        handle = library.reconstruct(loaded, rgb, mask, resolution=32, **options)
        status, mesh = c_char_p(), Mesh()
        library.check(library.jiff_reconstruction_face_status(handle, byref(status)))
        library.check(library.jiff_reconstruction_face_mesh(handle, byref(mesh)))
        assert status.value == expected and (mesh.num_vertices, mesh.num_faces) == (0, 0)
        library.check(library.jiff_reconstruction_free(handle))
    with refused("JIFF_INVALID_ARGUMENT", "face_blend is 2"):
        library.reconstruct(loaded, rgb, mask, resolution=32, face_blend=2)


@pytest.mark.skipif(not DEFAULT_BUNDLE.is_dir(), reason="this checkout ships no face detector")
@pytest.mark.parametrize("blend", ["region", "distance"])
def test_face_is_the_one_in_python(library: Library, tmp_path: Path, blend: str) -> None:
    directory = add_face(write_bundle(tmp_path / "bundle", estimates_size=False))
    manifest = read_manifest(directory)
    manifest["frame"]["size_m"] = 0.45
    write_manifest(directory, manifest)
    picture = np.array(example("astronaut"))
    mask = as_bytes(disc(512, 512, 116, 225, 100))
    options = jiffsdk.ReconstructionOptions(resolution=RESOLUTION, face_blend=blend)  # type: ignore[arg-type]
    expected = jiffsdk.Reconstructor(directory)(picture, mask, options=options)
    assert expected.face.is_used and expected.face.vertices is not None

    bundle, info = library.open_bundle(directory), c_api.BundleInfo()
    library.check(library.jiff_bundle_get_info(bundle, byref(info)))
    assert (info.detects_faces, info.has_face) == (1, 1)
    reconstructor = library.create(bundle)
    handle = library.reconstruct(
        reconstructor,
        image_view(picture),
        image_view(mask),
        resolution=RESOLUTION,
        face_blend=int(blend == "distance"),
    )
    assert_same_mesh(library, handle, expected)
    status, mesh = c_char_p(), Mesh()
    library.check(library.jiff_reconstruction_face_status(handle, byref(status)))
    library.check(library.jiff_reconstruction_face_mesh(handle, byref(mesh)))
    assert status.value == b"used"
    vertices, triangles, colors = c_api.arrays_of(mesh)
    np.testing.assert_array_equal(vertices, expected.face.vertices)
    np.testing.assert_array_equal(triangles, expected.face.triangles)
    np.testing.assert_array_equal(colors, expected.face.colors)
    library.check(library.jiff_reconstruction_free(handle))
    library.check(library.jiff_reconstructor_free(reconstructor))
    library.check(library.jiff_bundle_free(bundle))
