"""`Reconstructor(device="cuda")` gives the mesh of the CPU."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import jiffsdk
from gpu import EMULATED, fewer, needs_gpu
from synthetic_bundle import write_bundle

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
