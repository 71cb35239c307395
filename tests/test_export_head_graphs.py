"""The implicit functions as graphs: what the packed weights say, in every form."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch", reason="the export tests need torch (pip install .[export])")

from jiffsdk._core import load_bundle  # noqa: E402

from bundle_reader import BundleReader  # noqa: E402
from figures import person, photograph  # noqa: E402
from jiffexport.assemble import add_formats, build_bundle  # noqa: E402
from jiffexport.bundle import read_bundle  # noqa: E402
from jiffexport.deployed import recorded_examples  # noqa: E402
from jiffexport.formats import FormatOptions  # noqa: E402
from jiffexport.head_graphs import NUM_POINTS, head_entries  # noqa: E402
from synthetic_bundle import write_bundle as write_synthetic  # noqa: E402
from test_export_face_parts import build_options  # noqa: E402


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a face, all heads as graphs; nobody changes it."""
    formats = FormatOptions(heads=True)
    options = build_options(tmp_path_factory.mktemp("heads"), formats=formats, verify=False)
    build_bundle(options)
    return options.out


def heads_of(bundle: Path) -> dict[str, dict[str, Any]]:
    return {head["prefix"]: head for head in head_entries(read_bundle(bundle)[0])}


def test_every_head_has_a_graph_and_the_core_reads_on(bundle: Path) -> None:
    heads = heads_of(bundle)
    assert heads.keys() == {"shape", "color", "face_shape", "fine_color", "face_color"}
    for prefix, head in heads.items():
        graph = head["graph"]
        assert graph["file"] == f"{prefix}_head.onnx"
        assert {tuple(shape[:1] + shape[2:]) for shape in graph["inputs"].values()} == {(1, NUM_POINTS)}
    load_bundle(str(bundle))


def test_a_graph_gives_what_the_packed_weights_give(bundle: Path) -> None:
    reader, rng = BundleReader(bundle, "openvino"), np.random.default_rng(1)
    for prefix, head in heads_of(bundle).items():
        samples = {
            name: rng.standard_normal(shape).astype(np.float32)
            for name, shape in head["graph"]["inputs"].items()
        }
        given = {name: torch.from_numpy(values) for name, values in samples.items()}
        found = reader.run(head["graph"], **given)[0].numpy()
        raw = [values[0] for values in samples.values()]
        expected = reader.joint(head, *raw) if "widths_joint" in head else reader.plain(head, raw[0])
        assert found.shape == expected.shape and expected.std() > 1e-4
        assert np.abs(found - expected).max() < 1e-5, prefix


def test_they_have_the_forms_of_graphs_and_are_verified_as_those(tmp_path: Path) -> None:
    Image.fromarray(photograph(person())).save(tmp_path / "person.png")
    bundle = write_synthetic(tmp_path / "bundle")
    examples = recorded_examples(bundle, [tmp_path / "person.png"])
    forms = FormatOptions(("onnx", "torchscript"), ("fp32", "fp16"), heads=True)
    add_formats(bundle, forms, examples)
    heads = heads_of(bundle)
    assert heads.keys() == {"shape", "color"}
    for head in heads.values():
        assert 0 < head["graph"]["max_rel_error"] < 1e-3
        errors = {(v["format"], v["precision"]): v.get("max_rel_error") for v in head["graph"]["variants"]}
        assert errors.keys() == {("onnx", "fp16"), ("torchscript", "fp32"), ("torchscript", "fp16")}
        assert 0 <= errors["torchscript", "fp32"] < 1e-3 and 0 < errors["onnx", "fp16"] < 5e-2


def test_they_are_made_anew_for_a_bundle_that_has_them(bundle: Path, tmp_path: Path) -> None:
    copy = tmp_path / "bundle"
    copy.mkdir()
    for path in bundle.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    graphs = add_formats(copy, FormatOptions(heads=True), None, store="fp32")
    names = [graph.name for graph in graphs]
    assert len(names) == len(set(names)) and {f"{prefix}_head" for prefix in heads_of(copy)} <= set(names)
    assert (copy / "shape_head.onnx").read_bytes() == (bundle / "shape_head.onnx").read_bytes()
