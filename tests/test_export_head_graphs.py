"""The implicit functions as graphs: what the packed weights say, in every form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the export tests need torch (pip install .[export])")

from jiffsdk._core import load_bundle  # noqa: E402

from bundle_reader import BundleReader  # noqa: E402
from jiffexport.assemble import add_formats, build_bundle  # noqa: E402
from jiffexport.bundle import read_bundle  # noqa: E402
from jiffexport.formats import FormatOptions  # noqa: E402
from jiffexport.head_graphs import NUM_POINTS, head_entries  # noqa: E402
from jiffsdk import engines  # noqa: E402
from test_export_face_parts import build_options  # noqa: E402

FORMS = FormatOptions(("onnx", "torchscript"), ("fp32", "fp16"), heads=True)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a face, all heads as graphs; nobody changes it."""
    options = build_options(tmp_path_factory.mktemp("heads"), formats=FORMS)
    build_bundle(options)
    return options.out


def heads_of(bundle: Path) -> dict[str, dict[str, Any]]:
    return {head["prefix"]: head for head in head_entries(read_bundle(bundle)[0])}


def test_every_head_has_a_graph_and_the_core_reads_on(bundle: Path) -> None:
    heads = heads_of(bundle)
    assert heads.keys() == {"shape", "color", "face_shape", "fine_color", "face_color"}
    for prefix, head in heads.items():
        graph = head["graph"]
        assert graph["file"] == f"{prefix}_head.onnx" and 0 < graph["max_rel_error"] < 1e-3
        assert {tuple(shape[:1] + shape[2:]) for shape in graph["inputs"].values()} == {(1, NUM_POINTS)}
        assert {(v["format"], v["precision"]) for v in graph["variants"]} == {
            ("onnx", "fp16"),
            ("torchscript", "fp32"),
            ("torchscript", "fp16"),
        }
    load_bundle(str(bundle))


@pytest.mark.parametrize(("engine", "precision"), [("openvino", "fp32"), ("onnxruntime", "fp16")])
def test_a_graph_gives_what_the_packed_weights_give(bundle: Path, engine: str, precision: str) -> None:
    reader, rng = BundleReader(bundle), np.random.default_rng(1)
    for prefix, head in heads_of(bundle).items():
        samples = {
            name: rng.standard_normal(shape).astype(np.float32)
            for name, shape in head["graph"]["inputs"].items()
        }
        graph = engines.create(engine, precision=precision).load(str(bundle / head["graph"]["file"]))
        found = graph.run(samples)["values"][0]
        raw = [values[0] for values in samples.values()]
        expected = reader.joint(head, *raw) if "widths_joint" in head else reader.plain(head, raw[0])
        assert found.shape == expected.shape and expected.std() > 1e-4
        assert np.abs(found - expected).max() < (1e-5 if precision == "fp32" else 5e-3), prefix


def test_they_are_made_anew_for_a_bundle_that_has_them(bundle: Path, tmp_path: Path) -> None:
    copy = tmp_path / "bundle"
    copy.mkdir()
    for path in bundle.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    graphs = add_formats(copy, FormatOptions(heads=True), None, store="fp32")
    names = [graph.name for graph in graphs]
    assert len(names) == len(set(names)) and {f"{prefix}_head" for prefix in heads_of(copy)} <= set(names)
    for head in heads_of(copy).values():
        assert "variants" not in head["graph"]
    assert (copy / "shape_head.onnx").read_bytes() == (bundle / "shape_head.onnx").read_bytes()
    assert not (copy / "shape_head.fp16.onnx").exists() and (copy / "shape_encoder.fp16.onnx").exists()
