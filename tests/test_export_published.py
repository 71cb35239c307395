"""Weights in the published layouts: recognized by their tensors, sized by the shapes, or refused by name."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="the export tests need torch (pip install .[export])")

from golden_paper import tensor_shapes  # noqa: E402
from jiffexport.checkpoint import (  # noqa: E402
    TrainedNetwork,
    load_color,
    load_face_shape,
    load_fine_color,
    load_shape,
)
from jiffexport.errors import CheckpointError  # noqa: E402
from jiffexport.published import PublishedWeights  # noqa: E402
from small_published import (  # noqa: E402
    COLOR,
    FACE_SHAPE,
    FINE_COLOR,
    published_tensors,
    save_published,
    small_network,
)

Load = Callable[[Path], TrainedNetwork]
LAYOUTS = {
    "netG": (load_face_shape, FACE_SHAPE),
    "net_G": (load_shape, FACE_SHAPE.body),
    "netC_coarse": (load_color, COLOR),
    "net_C": (load_color, COLOR),
    "netC": (load_fine_color, FINE_COLOR),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_configuration_and_weights_come_from_the_tensors_alone(tmp_path: Path, name: str) -> None:
    load, config = LAYOUTS[name]
    trained = load(save_published(tmp_path, name))
    assert trained.network.config == config
    assert not trained.network.training
    expected = small_network(name).state_dict()
    assert trained.network.state_dict().keys() == expected.keys()
    for key, tensor in expected.items():
        assert torch.equal(trained.network.state_dict()[key], tensor), key
    assert trained.is_published
    assert f"published layout: {name} (sha256 " in trained.provenance
    assert trained.license == "LicenseRef-unknown"


def test_body_of_a_network_with_a_face_is_read_from_the_same_file(tmp_path: Path) -> None:
    body = load_shape(save_published(tmp_path, "netG")).network
    pifu = load_shape(save_published(tmp_path, "net_G")).network
    assert body.config == pifu.config
    for key, tensor in pifu.state_dict().items():
        assert torch.equal(body.state_dict()[key], tensor)


@pytest.mark.parametrize("name", LAYOUTS)
def test_names_of_parallel_training_and_absent_counters_change_nothing(tmp_path: Path, name: str) -> None:
    load, config = LAYOUTS[name]
    path = tmp_path / name
    tensors = {f"module.{key}": t for key, t in published_tensors(name).items()}
    torch.save({key: t for key, t in tensors.items() if not key.endswith("num_batches_tracked")}, path)
    assert load(path).network.config == config


def test_unused_tensors_are_named(tmp_path: Path) -> None:
    trained = load_face_shape(save_published(tmp_path, "netG"))
    assert trained.ignored == ("image_filter.*.bn4.* (1)", "smpl_filter.* (2)")


@pytest.mark.parametrize(
    ("given", "load", "message"),
    [
        (
            "netC",
            load_shape,
            r"holds a fine colour network \(netC\), not a shape .* did you mean --fine-color",
        ),
        ("netC", load_color, r"not a coarse colour network .* did you mean --fine-color .*netC\?"),
        ("netC_coarse", load_fine_color, r"holds a coarse colour network .* did you mean --color"),
        ("netG", load_color, r"holds a shape network .* did you mean --shape"),
        ("net_G", load_face_shape, r"no parts for a face \(tdmm_filter\.\*\)"),
    ],
)
def test_another_network_is_refused_with_its_name(
    tmp_path: Path, given: str, load: Load, message: str
) -> None:
    with pytest.raises(CheckpointError, match=message):
        load(save_published(tmp_path, given))


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_file_without_one_of_its_tensors_names_it(tmp_path: Path, name: str) -> None:
    """Whichever it is: also those that the sizes are read from."""
    load, _ = LAYOUTS[name]
    tensors = published_tensors(name)
    used = [key for key in tensors if "bn4" not in key and "smpl" not in key and "num_batches" not in key]
    path = tmp_path / name
    for key in used[::17]:
        torch.save({other: tensor for other, tensor in tensors.items() if other != key}, path)
        with pytest.raises(CheckpointError) as refused:
            load(path)
        layers = re.sub(r"\d+\.(weight|bias)$", "", key)
        assert key in str(refused.value) or f"layers {layers}" in str(refused.value), str(refused.value)


def test_unexpected_and_misshapen_tensors_are_named_as_in_the_file(tmp_path: Path) -> None:
    extra = {"surface_classifier.gate": torch.zeros(3)}
    with pytest.raises(CheckpointError, match="missing: none; unexpected: surface_classifier.gate"):
        load_shape(save_published(tmp_path, "net_G", extra))
    short = {"image_filter.l0.bias": torch.zeros(3)}
    with pytest.raises(CheckpointError, match=r"'image_filter.l0.bias' must have shape \(128,\), got \(3,\)"):
        load_shape(save_published(tmp_path, "net_G", short))
    wide = {"image_filter.conv1.weight": torch.zeros(33, 3, 7, 7)}
    with pytest.raises(CheckpointError, match="the shapes of its tensors make no network: .*num_channels"):
        load_shape(save_published(tmp_path, "net_G", wide))


def test_a_checkpoint_of_another_project_is_refused_with_what_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "resnet.pth"
    torch.save({"backbone.conv1.weight": torch.zeros(1)}, path)
    with pytest.raises(CheckpointError, match=r"resnet.pth: no network .* holds backbone.conv1.weight"):
        load_shape(path)
    torch.save({"state_dict": {}}, path)
    with pytest.raises(CheckpointError, match="entry 'state_dict' must be a tensor, got dict"):
        load_shape(path)


@pytest.mark.parametrize("network", ["netG", "netC_coarse", "netC_fine"])
def test_the_real_files_are_recognized_and_nothing_else_is_dropped(network: str) -> None:
    content = {name: torch.empty(shape, device="meta") for name, shape in tensor_shapes(network).items()}
    weights = PublishedWeights.of(Path(network), content)
    kinds = {"netG": "shape", "netC_coarse": "color", "netC_fine": "fine_color"}
    assert weights.kind() == kinds[network]
    dropped = content.keys() - weights.tensors.keys()
    assert all(name.startswith("smpl_filter.") or ".bn4." in name for name in dropped)
    assert bool(dropped) == (network == "netG")
