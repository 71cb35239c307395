"""`Reconstructor(device="cuda")` gives the mesh of the CPU."""

from __future__ import annotations

import ctypes
import gc
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import jiffsdk
from gpu import EMULATED, fewer, needs_gpu
from jiffsdk import _core, engines
from jiffsdk.engines import Engine, Graph
from jiffsdk.engines.device_array import DeviceArray
from synthetic_bundle import write_bundle
from synthetic_face import add_face
from synthetic_head import add_head_encoder
from test_pipeline_face import astronaut, figure_bundle

pytestmark = needs_gpu

ENGINE = "onnxruntime"
RESOLUTION = fewer(128, 32)
QUICK = jiffsdk.ReconstructionOptions(resolution=RESOLUTION, face="off" if EMULATED else "auto")


def is_closed(faces: np.ndarray) -> bool:
    """Each edge of a face is the same edge backwards of one other."""
    edges = np.concatenate([faces[:, [i, (i + 1) % 3]] for i in range(3)])
    forward = {tuple(edge) for edge in edges.tolist()}
    return len(forward) == len(edges) and all((b, a) in forward for a, b in forward)


# Minutes in the emulation: asked for by JIFF_TEST_SLOW=1.
slow = pytest.mark.skipif(EMULATED and "JIFF_TEST_SLOW" not in os.environ, reason="minutes in the emulation")


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    """The example with its alpha channel."""
    path = Path(__file__).parent.parent / "examples" / "held_out_render.png"
    return np.asarray(Image.open(path).convert("RGBA"))


@pytest.fixture(scope="module")
def on_cpu() -> jiffsdk.Reconstructor:
    return jiffsdk.Reconstructor(engine=ENGINE, precision="fp32")


@slow
@pytest.mark.parametrize("face_blend", ["region", "distance"])
def test_float32_heads_give_the_cpus_triangles(
    photo: np.ndarray, on_cpu: jiffsdk.Reconstructor, face_blend: str
) -> None:
    options = jiffsdk.ReconstructionOptions(resolution=RESOLUTION, face_blend=face_blend)
    expected = on_cpu(photo, options=options)
    on_gpu = jiffsdk.Reconstructor(engine=ENGINE, device="cuda", gpu_precision="fp32")
    assert (on_gpu.device, on_cpu.device) == ("cuda", "cpu")
    person = on_gpu(photo, options=options)
    assert person.face.status == expected.face.status
    assert np.array_equal(person.faces, expected.faces)
    assert np.abs(person.vertices - expected.vertices).max() < 1e-4
    assert np.abs(person.colors - expected.colors).max() < 1e-4
    assert person.queries == expected.queries


@slow
def test_half_precision_stays_close_and_closed(photo: np.ndarray, on_cpu: jiffsdk.Reconstructor) -> None:
    expected = on_cpu(photo, options=QUICK)
    person = jiffsdk.Reconstructor(engine=ENGINE, device="cuda")(photo, options=QUICK)
    assert is_closed(person.faces)
    # Half a lattice cell: what half precision moves of the surface is a small part of it.
    cell_m = expected.size_m / RESOLUTION
    step = max(1, len(person.vertices) // 500)
    for vertex, color in zip(person.vertices[::step], person.colors[::step], strict=True):
        distances = np.linalg.norm(expected.vertices - vertex, axis=1)
        assert distances.min() < 0.6 * cell_m
        assert np.abs(expected.colors[distances.argmin()] - color).max() < 0.3


def test_bundles_without_a_face_and_dense_extraction(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path)
    photo = np.zeros((200, 100, 4), np.uint8)
    photo[20:180, 30:70] = 255
    options = jiffsdk.ReconstructionOptions(resolution=32)
    expected = jiffsdk.Reconstructor(bundle, ENGINE, precision="fp32")(photo, options=options)
    on_gpu = jiffsdk.Reconstructor(bundle, ENGINE, device="cuda", gpu_precision="fp32")
    assert np.array_equal(on_gpu(photo, options=options).faces, expected.faces)
    dense = on_gpu(photo, options=jiffsdk.ReconstructionOptions(resolution=32, dense=True))
    assert len(dense.faces) >= len(expected.faces)
    assert is_closed(dense.faces)


@pytest.mark.parametrize("face_blend", ["region", "distance"])
@pytest.mark.parametrize("on", ["host", "gpu"])
def test_a_head_with_a_map_of_its_own_gives_the_cpus_triangles(
    tmp_path: Path, face_blend: str, on: str
) -> None:
    if on == "gpu" and not EMULATED:
        pytest.skip("needs the emulated GPU, whose memory is the host's")
    bundle = add_head_encoder(add_face(figure_bundle(tmp_path), colored=False))
    options = jiffsdk.ReconstructionOptions(fewer(96, 32), face_blend=face_blend)
    expected = jiffsdk.Reconstructor(bundle, ENGINE, precision="fp32")(*astronaut(), options=options)
    assert expected.face.status == "used"
    engine = ENGINE if on == "host" else EngineOnEmulatedGpu()
    on_gpu = jiffsdk.Reconstructor(bundle, engine, device="cuda", gpu_precision="fp32")
    person = on_gpu(*astronaut(), options=options)
    assert person.face.status == "used"
    assert np.array_equal(person.faces, expected.faces)
    assert np.abs(person.vertices - expected.vertices).max() < 1e-5
    without = on_gpu(*astronaut(), options=replace(options, face="off"))
    assert not np.array_equal(person.vertices, without.vertices)


class OnEmulatedGpu(Graph):
    """ONNX Runtime with its tensors on the emulated GPU, whose memory is the host's."""

    is_on_gpu = True

    def __init__(self, graph: Graph) -> None:
        super().__init__(graph.name, graph.inputs, graph.outputs, takes_device_arrays=True)
        self._graph = graph

    def _run(self, arrays: Mapping[str, Any]) -> dict[str, Any]:
        return self._graph.run(arrays)

    def _run_on_gpu(self, arrays: Mapping[str, Any]) -> dict[str, Any]:
        def at(array: Any) -> np.ndarray:
            floats = ctypes.c_float * int(np.prod(array.shape))
            return np.frombuffer(floats.from_address(array.pointer), np.float32).reshape(array.shape)

        results = self._graph.run({name: at(array) for name, array in arrays.items()})
        return {name: OnGpu(value) for name, value in results.items()}


class OnGpu:
    def __init__(self, values: np.ndarray) -> None:
        self._values = np.ascontiguousarray(values)
        array = DeviceArray(self._values.ctypes.data, self._values.shape, np.float32)
        self.__cuda_array_interface__ = array.__cuda_array_interface__


class EngineOnEmulatedGpu(Engine):
    name = "emulated"

    def _load(self, path: str) -> Graph:
        return OnEmulatedGpu(engines.create(ENGINE).load(path))


@pytest.mark.skipif(not EMULATED, reason="needs the emulated GPU, whose memory is the host's")
def test_what_stays_on_the_gpu_is_what_would_be_copied(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path)
    photo = np.random.default_rng(0).integers(0, 256, (200, 100, 4), dtype=np.uint8)
    photo[..., 3] = 0
    photo[20:180, 30:70, 3] = 255
    options = jiffsdk.ReconstructionOptions(resolution=32)
    copied = jiffsdk.Reconstructor(bundle, ENGINE, device="cuda", gpu_precision="fp32")(
        photo, options=options
    )
    engine = EngineOnEmulatedGpu()
    kept = jiffsdk.Reconstructor(bundle, engine, device="cuda", gpu_precision="fp32")(photo, options=options)
    assert np.array_equal(kept.vertices, copied.vertices)
    assert np.array_equal(kept.faces, copied.faces)
    assert np.array_equal(kept.colors, copied.colors)
    assert kept.size_m == copied.size_m


@slow
@pytest.mark.skipif(not EMULATED, reason="needs the emulated GPU, whose memory is the host's")
def test_a_face_that_stays_on_the_gpu_is_what_would_be_copied(photo: np.ndarray) -> None:
    """Its volumes, and the maps of fine colour, which are made beside the rest."""
    options = jiffsdk.ReconstructionOptions(resolution=RESOLUTION)
    copied = jiffsdk.Reconstructor(engine=ENGINE, device="cuda", gpu_precision="fp32")(photo, options=options)
    engine = EngineOnEmulatedGpu()
    kept = jiffsdk.Reconstructor(engine=engine, device="cuda", gpu_precision="fp32")(photo, options=options)
    assert kept.face.status == copied.face.status == "used"
    assert np.array_equal(kept.vertices, copied.vertices)
    assert np.array_equal(kept.faces, copied.faces)
    assert np.array_equal(kept.colors, copied.colors)


def test_photographs_of_several_threads_do_not_mix(tmp_path: Path) -> None:
    on_gpu = jiffsdk.Reconstructor(write_bundle(tmp_path), ENGINE, device="cuda")
    options = jiffsdk.ReconstructionOptions(32)
    photos = [np.roll(framed_person(), shift, axis=1) for shift in (0, 7, -9, 15, 3, -20)]
    expected = [on_gpu(photo, options=options) for photo in photos]
    with ThreadPoolExecutor(3) as threads:
        found = list(threads.map(lambda photo: on_gpu(photo, options=options), photos))
    for person, alone in zip(found, expected, strict=True):
        assert np.array_equal(person.vertices, alone.vertices)
        assert np.array_equal(person.colors, alone.colors)


class ArrayOnGpu:
    """What other packages have: an array that the GPU alone can read, with its strides."""

    def __init__(self, values: np.ndarray) -> None:
        self._values = values
        data = (values.ctypes.data, False)
        self.__cuda_array_interface__ = {
            "shape": values.shape, "typestr": values.dtype.str, "data": data, "version": 3,
            "strides": values.strides,
        }  # fmt: skip


def framed_person() -> np.ndarray:
    photo = np.random.default_rng(1).integers(0, 256, (200, 100, 4), dtype=np.uint8)
    photo[..., 3] = 0
    photo[20:180, 30:70, 3] = 255
    return photo


def read_gpu(array: DeviceArray) -> np.ndarray:
    values = np.empty(array.shape, array.dtype)
    _core.copy_from_gpu(array.pointer, values)
    return values


@pytest.mark.skipif(not EMULATED, reason="needs the emulated GPU, whose memory is the host's")
def test_images_and_masks_may_lie_on_the_gpu(tmp_path: Path) -> None:
    photo = framed_person()
    on_gpu = jiffsdk.Reconstructor(write_bundle(tmp_path), ENGINE, device="cuda")
    options = jiffsdk.ReconstructionOptions(resolution=32)
    expected = on_gpu(photo, options=options)
    rgb, mask = np.ascontiguousarray(photo[..., :3]), np.ascontiguousarray(photo[..., 3])
    for person in (
        on_gpu(ArrayOnGpu(photo), options=options),
        on_gpu(ArrayOnGpu(rgb), ArrayOnGpu(mask / np.float32(255)), options=options),
        on_gpu(rgb, ArrayOnGpu(mask > 0), options=options),
    ):
        assert np.array_equal(person.vertices, expected.vertices)
        assert np.array_equal(person.colors, expected.colors)
    with pytest.raises(jiffsdk.ImageError, match=r"must be contiguous, got strides .*; make it contiguous"):
        on_gpu(ArrayOnGpu(photo[..., :3]))


def test_the_mesh_may_stay_on_the_gpu(tmp_path: Path) -> None:
    on_gpu = jiffsdk.Reconstructor(write_bundle(tmp_path), ENGINE, device="cuda")
    person = on_gpu(framed_person(), options=jiffsdk.ReconstructionOptions(32, keep_on_device=True))
    mesh = person.device_mesh
    assert mesh is not None
    colors = mesh.colors  # keeps all of the mesh alive
    expected = person.vertices.copy(), person.faces.copy(), person.colors.copy()
    for array, values in zip((mesh.vertices, mesh.faces, colors), expected, strict=True):
        assert np.array_equal(read_gpu(array), values)
        assert array.__cuda_array_interface__["typestr"] == values.dtype.str
    del person, mesh, array, on_gpu
    gc.collect()
    assert np.array_equal(read_gpu(colors), expected[2])


def test_a_mesh_does_not_stay_there_unasked(tmp_path: Path) -> None:
    on_gpu = jiffsdk.Reconstructor(write_bundle(tmp_path), ENGINE, device="cuda")
    assert on_gpu(framed_person(), options=jiffsdk.ReconstructionOptions(32)).device_mesh is None


@slow
@pytest.mark.skipif(not EMULATED, reason="needs the emulated GPU, whose memory can be set")
def test_out_of_memory_names_the_remedy_and_leaves_the_reconstructor_usable(
    photo: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_gpu = jiffsdk.Reconstructor(engine=ENGINE, device="cuda")
    monkeypatch.setenv("JIFF_EMULATED_MEMORY_MB", "30")
    with pytest.raises(jiffsdk.DeviceError, match=r"out of memory: \d+ MB asked, .* lower the resolution"):
        on_gpu(photo, options=QUICK)
    monkeypatch.delenv("JIFF_EMULATED_MEMORY_MB")
    assert is_closed(on_gpu(photo, options=QUICK).faces)


def test_precisions_that_the_gpu_does_not_have_are_refused() -> None:
    with pytest.raises(jiffsdk.OptionError, match="must be 'fp16' or 'fp32', got 'bf16'"):
        jiffsdk.Reconstructor(engine=ENGINE, device="cuda", gpu_precision="bf16")
