"""Engines and their options: device, precision, forms in the bundle, arrays on a GPU."""

from __future__ import annotations

import ctypes
import importlib.util
import json
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import jiffsdk
from figures import person, photograph
from jiffsdk import EngineError, EngineOptions, engines
from jiffsdk.engines.base import Graph
from jiffsdk.engines.device_array import DeviceArray, on_host
from jiffsdk.engines.tensorrt import TensorRtGraph, choose
from jiffsdk.engines.variants import find_variants, formats_of, graph_files
from jiffsdk.reconstructor import DEFAULT_BUNDLE
from synthetic_bundle import read_manifest, write_bundle


@pytest.mark.parametrize(
    ("name", "device", "precision", "message"),
    [
        ("openvino", "cuda", "fp32", "'openvino' has no device 'cuda'; choose one of: cpu"),
        ("openvino", "cpu", "fp16", "'openvino' has no precision 'fp16'; choose one of: fp32, bf16"),
        ("onnxruntime", "cpu", "bf16", "'onnxruntime' has no precision 'bf16'; choose one of: fp32, fp16"),
    ],
)
def test_what_an_engine_does_not_do_is_said_with_what_it_does(
    name: str, device: str, precision: str, message: str
) -> None:
    with pytest.raises(EngineError, match=message):
        engines.create(name, device=device, precision=precision)


def test_onnx_runtime_for_cpus_names_the_package_for_gpus() -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has CUDA")
    for name in ("onnxruntime", "auto"):
        with pytest.raises(EngineError, match="no CUDAExecutionProvider; pip install onnxruntime-gpu"):
            engines.create(name, device="cuda")


def test_half_floats_are_refused_where_the_cpu_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    import openvino

    def capabilities(*_: object) -> list[str]:
        return ["FP32", "INT8"]

    monkeypatch.setattr(openvino.Core, "get_property", capabilities)
    with pytest.raises(EngineError, match="this CPU does not compute in bf16 .* precision='fp32'"):
        engines.create("openvino", precision="bf16")


def test_outputs_in_bf16_are_floats_near_those_in_float32() -> None:
    path = str(DEFAULT_BUNDLE / "color_encoder.onnx")
    try:
        rounded = engines.create("openvino", precision="bf16").load(path)
    except EngineError as error:
        pytest.skip(str(error))
    whole = engines.create("openvino").load(path)
    rng = np.random.default_rng(0)
    shape = (1, whole.inputs["image"][1], 128, 96)  # one that may be cut
    first, second = ({"image": rng.random(shape, np.float32)} for _ in range(2))
    for name, expected in whole.run(first).items():
        found = rounded.run(first)[name]
        rounded.run(second)  # does not touch what was given before
        assert found.dtype == np.float32 and found.shape == expected.shape
        assert (found.view(np.uint32) & 0xFFFF == 0).all()
        assert 0 < np.linalg.norm(found - expected) < 0.02 * np.linalg.norm(expected)


def test_options_reach_the_engine(bundle_dir: Path) -> None:
    reconstruct = jiffsdk.Reconstructor(bundle_dir, EngineOptions("onnxruntime", 1, "cpu", "fp32"))
    assert len(reconstruct(photograph(person()), resolution=32).faces) > 0
    with pytest.raises(EngineError, match="has no precision 'int4'"):
        jiffsdk.Reconstructor(bundle_dir, EngineOptions("onnxruntime", precision="int4"))


def test_an_engine_of_ones_own_is_taken_as_it_is(bundle_dir: Path) -> None:
    engine = engines.create("onnxruntime")
    reconstruct = jiffsdk.Reconstructor(bundle_dir, engine)
    assert len(reconstruct(photograph(person()), resolution=32).faces) > 0


# ---- forms in a bundle ----------------------------------------------------------------------------


def with_variants(folder: Path, *variants: dict[str, Any]) -> Path:
    bundle = write_bundle(folder / "bundle")
    manifest = read_manifest(bundle)
    manifest["graphs"]["shape_encoder"]["variants"] = list(variants)
    (bundle / "bundle.json").write_text(json.dumps(manifest))
    return bundle


def test_forms_are_found_by_format_and_precision(tmp_path: Path) -> None:
    forms = [
        {"format": "torchscript", "precision": precision, "file": f"{precision}.ts"}
        for precision in ("fp32", "fp16")
    ]
    bundle = with_variants(tmp_path, *forms)
    ((file, entry),) = find_variants(str(bundle / "shape_encoder.onnx"), "torchscript", "fp16")
    assert file == bundle / "fp16.ts" and entry == forms[1]
    assert formats_of(bundle) == set()  # not all graphs have one
    assert graph_files(bundle) == [entry["file"] for entry in read_manifest(bundle)["graphs"].values()]
    with pytest.raises(EngineError, match=r"color_encoder.onnx' has no torchscript of fp32 .*--formats"):
        find_variants(str(bundle / "color_encoder.onnx"), "torchscript", "fp32")
    with pytest.raises(EngineError, match=r"lies in no bundle: .*bundle.json' cannot be read"):
        find_variants(str(tmp_path / "alone.onnx"), "torchscript", "fp32")


def engine_entry(capability: int, version: str, builder: str = "tensorrt_rtx") -> tuple[Path, dict[str, Any]]:
    entry = {"compute_capability": capability, "builder": builder, "builder_version": version}
    return Path(f"sm{capability}-{version}.engine"), entry


def test_the_engine_of_this_gpu_and_version_is_chosen() -> None:
    found = [engine_entry(75, "1.6"), engine_entry(86, "1.7"), engine_entry(75, "1.7")]
    assert choose("a.onnx", found, {"tensorrt_rtx": "1.7"}, 75, "fp16") == (found[2][0], "tensorrt_rtx")


@pytest.mark.parametrize(
    ("builders", "capability", "here"),
    [
        ({"tensorrt_rtx": "1.7"}, 89, "this GPU is sm_89 and installed is tensorrt_rtx 1.7"),
        ({"tensorrt_rtx": "1.8"}, 75, "this GPU is sm_75 and installed is tensorrt_rtx 1.8"),
        ({"tensorrt": "1.7"}, 75, "installed is tensorrt 1.7"),
        ({}, 75, "installed is no TensorRT"),
    ],
)
def test_an_engine_of_another_gpu_or_version_is_refused_with_the_command_that_rebuilds_it(
    builders: dict[str, str], capability: int, here: str
) -> None:
    with pytest.raises(EngineError) as refused:
        choose("b/a.onnx", [engine_entry(75, "1.7"), engine_entry(86, "1.7")], builders, capability, "fp16")
    message = str(refused.value)
    assert "'b/a.onnx' has engines for sm_75 by tensorrt_rtx 1.7, sm_86 by tensorrt_rtx 1.7" in message
    assert here in message
    assert f"build_engines.py --out 'b' --formats onnx,tensorrt --precision fp16 --sm {capability}" in message


def test_tensorrt_without_a_gpu_says_so() -> None:
    if importlib.util.find_spec("tensorrt_rtx_bindings") is None:
        pytest.skip("pip install tensorrt-rtx-cu13-libs tensorrt-rtx-cu13-bindings")
    if importlib.util.find_spec("cuda") is None:
        message = "pip install cuda-bindings"
    else:
        from cuda.bindings import runtime

        status, count = runtime.cudaGetDeviceCount()
        if status == runtime.cudaError_t.cudaSuccess and count:
            pytest.skip("there is a GPU")
        message = r"no CUDA GPU is there \(cudaError\w+\); check nvidia-smi"
    with pytest.raises(EngineError, match=message):
        engines.create("tensorrt", device="cuda", precision="fp16")


# ---- arrays on a GPU ------------------------------------------------------------------------------


class OnGpu:
    """What PyCUDA, CuPy and torch say of their arrays."""

    def __init__(self, array: np.ndarray, strides: tuple[int, ...] | None = None) -> None:
        self.__cuda_array_interface__ = {
            "shape": array.shape,
            "typestr": array.dtype.str,
            "data": (array.ctypes.data, False),
            "strides": strides,
            "version": 3,
        }


def test_gpu_arrays_are_taken_by_their_interface() -> None:
    array = np.zeros((2, 3), np.float32)
    assert DeviceArray.of(array) is None
    assert DeviceArray.of(OnGpu(array)) == DeviceArray(array.ctypes.data, (2, 3), np.dtype(np.float32))
    assert DeviceArray.of(OnGpu(array, (12, 4))) is not None
    with pytest.raises(ValueError, match=r"must be contiguous, got strides \(4, 8\)"):
        DeviceArray.of(OnGpu(array, (4, 8)))


class SpeaksDlpack:
    """What has DLPack alone, as arrays of JAX; on the device that it says it is on."""

    def __init__(self, array: np.ndarray, device_type: int) -> None:
        self._array, self._device_type = array, device_type

    def __dlpack__(self, **options: object) -> object:
        return self._array.__dlpack__()

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._device_type, 0


def test_arrays_are_taken_by_dlpack() -> None:
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    for part in (array, array[1:], array.astype(np.float64), array.astype(np.int32)):
        found = DeviceArray.of(SpeaksDlpack(part, device_type=2))
        assert found == DeviceArray(part.ctypes.data, part.shape, part.dtype)
    with pytest.raises(ValueError, match=r"must be contiguous, got strides \(16, 8\) of shape \(3, 2\)"):
        DeviceArray.of(SpeaksDlpack(array[:, ::2], device_type=2))
    assert DeviceArray.of(SpeaksDlpack(array, device_type=1)) is None
    host = on_host(SpeaksDlpack(array, device_type=1))
    np.testing.assert_array_equal(host, array)
    assert host.ctypes.data == array.ctypes.data and on_host(array) is array


@pytest.mark.parametrize("engine", engines.ONNX_NAMES)
def test_a_graph_on_the_cpu_takes_arrays_that_speak_dlpack(bundle_dir: Path, engine: str) -> None:
    graph = engines.create(engine).load(str(bundle_dir / "segmentation.onnx"))
    image = np.random.default_rng(0).standard_normal((1, 3, 64, 64)).astype(np.float32)
    found = graph.run({"image": SpeaksDlpack(image, device_type=1)})
    np.testing.assert_array_equal(found["matte"], graph.run({"image": image})["matte"])
    with pytest.raises(EngineError, match="must be float32 of shape"):
        graph.run({"image": SpeaksDlpack(image.astype(np.float64), device_type=1)})


def test_a_graph_on_the_cpu_refuses_gpu_arrays(bundle_dir: Path) -> None:
    graph: Graph = engines.create("onnxruntime").load(str(bundle_dir / "segmentation.onnx"))
    with pytest.raises(EngineError, match=r"'image' of graph 'segmentation.onnx' lies on a GPU"):
        graph.run({"image": OnGpu(np.zeros((1, 3, 64, 64), np.float32))})


class HostAsGpu:
    """CUDA memory that is the host's: the calls of `CudaMemory`, counted."""

    def __init__(self) -> None:
        self.blocks: dict[int, Any] = {}
        self.copies = 0

    def stream(self) -> int:
        return 7

    def allocate(self, num_bytes: int) -> int:
        block = ctypes.create_string_buffer(num_bytes)
        self.blocks[ctypes.addressof(block)] = block
        return ctypes.addressof(block)

    def free(self, pointer: int) -> None:
        del self.blocks[pointer]

    def copy_to_device(self, pointer: int, host: np.ndarray, stream: int) -> None:
        self.copies += 1
        ctypes.memmove(pointer, host.ctypes.data, host.nbytes)

    def copy_to_host(self, host: np.ndarray, pointer: int, stream: int) -> None:
        ctypes.memmove(host.ctypes.data, pointer, host.nbytes)

    def synchronize(self, stream: int) -> None:
        assert stream == 7


class Doubling:
    """An engine of TensorRT's interface: y = 2 x of shape (2, 3). Its own context."""

    num_io_tensors = 2

    def __init__(self) -> None:
        self.addresses: dict[str, int] = {}

    def get_tensor_name(self, index: int) -> str:
        return "xy"[index]

    def get_tensor_mode(self, name: str) -> str:
        return "in" if name == "x" else "out"

    def get_tensor_shape(self, name: str) -> list[int]:
        return [2, 3]

    def create_execution_context(self) -> Doubling:
        return self

    def set_tensor_address(self, name: str, pointer: int) -> None:
        self.addresses[name] = pointer

    def execute_async_v3(self, stream: int) -> bool:
        x, y = ((ctypes.c_float * 6).from_address(self.addresses[name]) for name in "xy")
        y[:] = [2 * value for value in x]
        return True


def test_tensorrt_copies_host_arrays_and_reads_gpu_arrays_where_they_are() -> None:
    trt = types.ModuleType("trt")
    trt.TensorIOMode = types.SimpleNamespace(INPUT="in")  # type: ignore[attr-defined]
    cuda = HostAsGpu()
    graph = TensorRtGraph("double", trt, Doubling(), cuda)
    assert (graph.inputs, graph.outputs) == ({"x": (2, 3)}, {"y": (2, 3)})
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.testing.assert_array_equal(graph.run({"x": x})["y"], 2 * x)
    assert cuda.copies == 1
    np.testing.assert_array_equal(graph.run({"x": OnGpu(x + 1)})["y"], 2 * (x + 1))
    assert cuda.copies == 1
    with pytest.raises(EngineError, match=r"'x' of graph 'double' must be float32 of shape \(2, 3\)"):
        graph.run({"x": OnGpu(x[:1])})
    stays = graph.run_on_gpu({"x": OnGpu(x)})["y"]
    assert cuda.copies == 1
    on_gpu = DeviceArray.of(stays)
    assert on_gpu is not None and (on_gpu.shape, on_gpu.dtype) == ((2, 3), np.float32)
    assert list((ctypes.c_float * 6).from_address(on_gpu.pointer)) == [0, 2, 4, 6, 8, 10]
    del graph
    assert len(cuda.blocks) == 1  # the output's own
    del stays
    assert not cuda.blocks


def test_a_graph_on_the_cpu_leaves_nothing_on_a_gpu(bundle_dir: Path) -> None:
    graph: Graph = engines.create("onnxruntime").load(str(bundle_dir / "segmentation.onnx"))
    with pytest.raises(
        EngineError, match=r"'segmentation.onnx' does not run on the GPU; ask for device='cuda'"
    ):
        graph.run_on_gpu({"image": np.zeros((1, 3, 64, 64), np.float32)})
