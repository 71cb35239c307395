"""Checkpoints: what is read, and what is refused by name without running it."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="the export tests need torch (pip install .[export])")

from jiffexport.checkpoint import load_color, load_face_shape, load_fine_color, load_shape  # noqa: E402
from jiffexport.errors import CheckpointError  # noqa: E402
from untrained_checkpoints import (  # noqa: E402
    FACE_SHAPE_CONFIG,
    FINE_COLOR_CONFIG,
    SHAPE_CONFIG,
    checkpoint_of,
    save_checkpoint,
)


def test_checkpoint_gives_back_network_step_and_provenance(tmp_path: Path) -> None:
    trained = load_shape(save_checkpoint(tmp_path, "shape"))
    assert (trained.step, trained.provenance) == (12, "Untrained shape network.")
    assert trained.network.config == SHAPE_CONFIG
    assert not trained.network.training
    for name, tensor in checkpoint_of("shape")["model"].items():
        assert torch.equal(trained.network.state_dict()[name], tensor)


def test_checkpoints_of_the_face_give_back_their_nested_configurations(tmp_path: Path) -> None:
    for kind, load, config in (
        ("face_shape", load_face_shape, FACE_SHAPE_CONFIG),
        ("fine_color", load_fine_color, FINE_COLOR_CONFIG),
    ):
        network = load(save_checkpoint(tmp_path, kind)).network
        assert network.config == config
        assert not network.training
        for name, tensor in checkpoint_of(kind)["model"].items():
            assert torch.equal(network.state_dict()[name], tensor)


def test_a_face_trained_on_a_finished_body_is_read_without_one(tmp_path: Path) -> None:
    model = checkpoint_of("face_shape")["model"]
    alone = {name: tensor for name, tensor in model.items() if not name.startswith("body.")}
    network = load_face_shape(save_checkpoint(tmp_path, "face_shape", model=alone)).network
    assert network.body is None
    assert network.state_dict().keys() == alone.keys()
    del alone["face_head.joint.layers.0.bias"]
    with pytest.raises(CheckpointError, match="missing: face_head.joint.layers.0.bias; unexpected: none"):
        load_face_shape(save_checkpoint(tmp_path, "face_shape", model=alone))


def test_checkpoint_with_an_unknown_nested_key_is_refused(tmp_path: Path) -> None:
    config = FACE_SHAPE_CONFIG.to_dict()
    config["volume"]["depth"] = 3
    with pytest.raises(CheckpointError, match=r"ShapeVolumeConfig: unknown keys \['depth'\]"):
        load_face_shape(save_checkpoint(tmp_path, "face_shape", config=config))


def test_checkpoint_of_the_other_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="holds a 'color' network, not a 'shape' one"):
        load_shape(save_checkpoint(tmp_path, "color"))


def test_checkpoint_names_missing_and_unexpected_tensors(tmp_path: Path) -> None:
    model = checkpoint_of("shape")["model"]
    model["head.layers.9.weight"] = model.pop("head.layers.0.weight")
    message = "missing: head.layers.0.weight; unexpected: head.layers.9.weight"
    with pytest.raises(CheckpointError, match=message):
        load_shape(save_checkpoint(tmp_path, "shape", model=model))


def test_checkpoint_names_a_tensor_of_another_shape(tmp_path: Path) -> None:
    model = checkpoint_of("color")["model"]
    model["head.layers.0.bias"] = torch.zeros(3)
    with pytest.raises(CheckpointError, match=r"'head.layers.0.bias' must have shape \(256,\), got \(3,\)"):
        load_color(save_checkpoint(tmp_path, "color", model=model))


def test_checkpoint_of_a_diverged_training_is_refused(tmp_path: Path) -> None:
    model = checkpoint_of("shape")["model"]
    model["head.layers.0.bias"][0] = float("nan")
    with pytest.raises(CheckpointError, match=r"'head.layers.0.bias' holds NaN"):
        load_shape(save_checkpoint(tmp_path, "shape", model=model))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"step": "many"}, "'step' must be int, got str"),
        ({"config": {"in_channels": 4}}, "missing keys"),
        ({"config": SHAPE_CONFIG.to_dict() | {"norm": "layer"}}, "norm must be"),
    ],
)
def test_checkpoint_with_a_bad_field_is_refused(tmp_path: Path, changes: dict, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        load_shape(save_checkpoint(tmp_path, "shape", **changes))


class _RunsCode:
    """Unpickling it would make a directory."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("zipped", [True, False])
def test_checkpoint_that_holds_code_is_refused_and_not_run(tmp_path: Path, zipped: bool) -> None:
    path, target = tmp_path / "shape.pt", tmp_path / "made_by_the_checkpoint"
    content = checkpoint_of("shape") | {"provenance": _RunsCode(target)}
    if zipped:
        torch.save(content, path)
    else:
        path.write_bytes(pickle.dumps(_RunsCode(target), protocol=2))
    with pytest.raises(CheckpointError, match="could run code"):
        load_shape(path)
    assert not target.exists()


def test_checkpoint_cut_short_or_absent_is_named(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path, "shape")
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(CheckpointError, match=r"shape.pt: not a readable torch checkpoint"):
        load_shape(path)
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        load_shape(tmp_path / "absent.pt")
