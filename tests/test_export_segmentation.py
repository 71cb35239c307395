"""The static segmentation graph computes what the published one does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto

pytest.importorskip("torch", reason="the export tests need torch (pip install .[export])")

from jiffexport.errors import GraphError  # noqa: E402
from jiffexport.segmentation import load_modnet, reference_mattes, static_segmentation  # noqa: E402
from jiffexport.verify import verify_graph  # noqa: E402
from untrained_checkpoints import write_matting_graph  # noqa: E402


@pytest.mark.parametrize(("store", "tolerance"), [("fp32", 1e-5), ("fp16", 1e-3)])  # seen: 2e-7, 8e-5
def test_static_segmentation_equals_the_dynamic_graph(tmp_path: Path, store: str, tolerance: float) -> None:
    modnet = load_modnet(write_matting_graph(tmp_path / "modnet.onnx"))
    model = static_segmentation(modnet, store)
    assert model.opset_import[0].version == 18
    image = np.random.default_rng(0).uniform(-1, 1, (1, 3, 512, 512)).astype(np.float32)
    examples = reference_mattes(modnet, [image])
    assert examples[0].outputs["matte"].std() > 0.01
    verify_graph("segmentation", model.SerializeToString(), examples, tolerance=tolerance)
    stored = {tensor.data_type for tensor in model.graph.initializer if len(tensor.dims) == 4}
    assert (TensorProto.FLOAT16 in stored) == (store == "fp16")


def test_segmentation_that_is_no_graph_is_named(tmp_path: Path) -> None:
    (tmp_path / "modnet.onnx").write_bytes(b"not a graph")
    with pytest.raises(GraphError, match=r"modnet.onnx: not a readable ONNX graph"):
        load_modnet(tmp_path / "modnet.onnx")
