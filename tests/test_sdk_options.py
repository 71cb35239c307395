"""Options are checked when they are made, engines when they are asked for."""

from __future__ import annotations

import dataclasses
import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import jiffsdk
from figures import person, photograph
from jiffsdk import EngineError, EngineOptions, OptionError, ReconstructionOptions, engines


@pytest.mark.parametrize("resolution", [32, 64, 256, 512, 1024, np.int64(96)])
def test_allowed_resolutions(resolution: int) -> None:
    options = ReconstructionOptions(resolution=resolution)
    assert options.resolution == resolution and type(options.resolution) is int


@pytest.mark.parametrize("resolution", [-32, 0, 16, 100, 255, 1056, 10**9])
def test_other_resolutions_are_refused_with_what_is_allowed(resolution: int) -> None:
    with pytest.raises(OptionError, match=rf"32 from 32 to 1024, got {resolution}; the nearest is \d+"):
        ReconstructionOptions(resolution=resolution)


@pytest.mark.parametrize("value", [256.0, "256", None])
def test_a_resolution_must_be_a_whole_number(value: Any) -> None:
    with pytest.raises(OptionError, match=f"resolution must be a whole number, got {value!r}"):
        ReconstructionOptions(resolution=value)


@pytest.mark.parametrize("dilation_px", [-1, 5000])
def test_dilation_has_a_range(dilation_px: int) -> None:
    with pytest.raises(OptionError, match=f"silhouette_dilation_px .*got {dilation_px}"):
        ReconstructionOptions(silhouette_dilation_px=dilation_px)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"face": "on"}, r"face must be one of 'auto', 'off', got 'on'"),
        ({"face": None}, r"face must be one of 'auto', 'off', got None"),
        ({"face": "Off"}, r"got 'Off'; did you mean 'off'\?"),
        ({"face_blend": "distanc"}, r"face_blend must be .*did you mean 'distance'\?"),
        ({"hidden_colors": "networks"}, r"hidden_colors must be .*did you mean 'network'\?"),
    ],
)
def test_ways_are_asked_for_by_name(given: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        ReconstructionOptions(**given)


@pytest.mark.parametrize("num_threads", [0, -2, 5000])
def test_threads_have_a_range(num_threads: int) -> None:
    with pytest.raises(OptionError, match=f"num_threads .*got {num_threads}"):
        EngineOptions(num_threads=num_threads)


def test_options_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        ReconstructionOptions().resolution = 64  # type: ignore[misc]


def test_the_call_takes_resolution_before_options(reconstructor: jiffsdk.Reconstructor) -> None:
    options = ReconstructionOptions(resolution=64)
    by_options = reconstructor(photograph(person()), options=options)
    by_call = reconstructor(photograph(person()), resolution=32, options=options)
    assert len(by_options.faces) > 3 * len(by_call.faces)


def test_auto_takes_the_first_that_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(engines.available())[:2] == ["openvino", "onnxruntime"]
    assert engines.create().name == "openvino"
    hide(monkeypatch, "openvino")
    assert list(engines.available())[:1] == ["onnxruntime"]
    assert engines.create("auto").name == "onnxruntime"


def test_an_engine_that_is_not_installed_is_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, "openvino")
    with pytest.raises(EngineError, match="'openvino' is not installed; pip install openvino"):
        engines.create("openvino")
    hide(monkeypatch, "onnxruntime")
    with pytest.raises(EngineError, match="no engine is installed; pip install openvino"):
        engines.create("auto")


def hide(monkeypatch: pytest.MonkeyPatch, *packages: str) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name in packages else find_spec(name, *rest)
    )


@pytest.mark.parametrize(("typo", "meant"), [("openvin", "openvino"), ("onnx", "onnxruntime"), ("X", None)])
def test_an_unknown_engine_is_named_with_what_exists(typo: str, meant: str | None, bundle_dir: Path) -> None:
    with pytest.raises(EngineError, match=f"unknown engine '{typo}'.*auto, openvino, onnxruntime") as caught:
        jiffsdk.Reconstructor(bundle_dir, typo)
    assert meant is None or f"did you mean '{meant}'?" in str(caught.value)


@pytest.mark.parametrize("name", engines.ONNX_NAMES)
def test_threads_reach_the_engine(bundle_dir: Path, name: str) -> None:
    reconstructor = jiffsdk.Reconstructor(bundle_dir, name, num_threads=1)
    assert reconstructor.engine == name
    engine = engines.create(name, 1)
    assert engine.num_threads == 1
    assert len(reconstructor(photograph(person()), resolution=32).faces) > 0


@pytest.mark.parametrize("name", engines.ONNX_NAMES)
def test_engines_name_a_file_that_they_cannot_load(tmp_path: Path, name: str) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"no graph")
    with pytest.raises(EngineError, match=rf"{name} cannot load '.*broken.onnx'.*another engine"):
        engines.create(name).load(str(path))


@pytest.mark.parametrize("name", engines.ONNX_NAMES)
def test_graphs_refuse_inputs_that_do_not_fit(bundle_dir: Path, name: str) -> None:
    graph = engines.create(name).load(str(bundle_dir / "segmentation.onnx"))
    assert graph.inputs == {"image": (1, 3, 64, 64)} and graph.outputs == {"matte": (1, 1, 64, 64)}
    with pytest.raises(EngineError, match=r"segmentation.onnx' needs input 'image'.*got \['picture'\]"):
        graph.run({"picture": np.zeros((1, 3, 64, 64), np.float32)})
    with pytest.raises(EngineError, match=r"'image' of graph 'segmentation.onnx'.*float32 of shape \(1, 3"):
        graph.run({"image": np.zeros((1, 3, 32, 64), np.float32)})
    with pytest.raises(EngineError, match="got float64"):
        graph.run({"image": np.zeros((1, 3, 64, 64))})
    assert graph.run({"image": np.zeros((1, 3, 64, 64), np.float32)})["matte"].shape == (1, 1, 64, 64)


def test_own_engines_serve_and_lies_are_caught(bundle_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reconstructor = jiffsdk.Reconstructor(bundle_dir, "onnxruntime")
    graph_class = engines.create("onnxruntime").load(str(bundle_dir / "segmentation.onnx")).__class__

    def lie(self: engines.Graph, arrays: Any) -> dict[str, np.ndarray]:
        return {name: np.zeros(3, np.float32) for name in self.outputs}

    monkeypatch.setattr(graph_class, "_run", lie)
    with pytest.raises(EngineError, match=r"'segmentation' must give 'matte' .*\[1, 1, 64, 64\], got \[3\]"):
        reconstructor(photograph(person()))
