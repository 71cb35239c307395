"""The face regressor and the published one: outputs, projection, export, checkpoints."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch (pip install .[export])")

from scipy.spatial.transform import Rotation  # noqa: E402

import jiffexport.nets as nets  # noqa: E402
from jiffexport.checkpoint import TrainedNetwork, load_face_regressor  # noqa: E402
from jiffexport.errors import CheckpointError  # noqa: E402
from jiffexport.face_regressor import export_face_regressor  # noqa: E402
from jiffexport.nets.face_regressor import project, rotation_from_angles  # noqa: E402
from jiffexport.nets.published_face import as_our_coefficients  # noqa: E402
from jiffexport.verify import verify_graph  # noqa: E402


def regressor(config: nets.FaceRegressorConfig = nets.COMPACT_FACE_REGRESSOR) -> nets.FaceRegressor:
    torch.manual_seed(0)
    net = nets.FaceRegressor(config)
    with torch.no_grad():
        net.first.weight.normal_(0, 0.05)
        for correction in net.corrections:
            correction[2].weight.normal_(0, 0.02)
        net.heatmaps.weight.normal_(0, 0.5)
        net.center.normal_(0, 0.3)
        net.scale.uniform_(0.1, 0.3)
        net.landmark_mean.uniform_(-0.08, 0.08)
        net.landmark_basis.normal_(0, 1e-3)
        for module in net.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
    return net.eval()


def pictures(num: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (num, 14, 14, 3), np.uint8)
    return list(coarse.repeat(16, axis=1).repeat(16, axis=2))


def test_the_whole_crop_is_averaged_first() -> None:
    net = regressor()
    image = torch.rand(2, 3, 224, 224) * 2 - 1
    small = image.unflatten(3, (112, 2)).mean(4).unflatten(2, (112, 2)).mean(3)
    with torch.no_grad():
        found = net.inference(image)["coefficients"]
        assert found.shape == (2, 257)
        torch.testing.assert_close(found, net(small), atol=1e-5, rtol=1e-5)
    assert sum(parameter.numel() for parameter in net.parameters()) < 3.5e6


@pytest.mark.parametrize("size_px", [96, 100, 112])
def test_any_crop_size_makes_a_network(size_px: int) -> None:
    net = regressor(replace(nets.COMPACT_FACE_REGRESSOR, crop_size_px=size_px, shrink=1))
    assert net(torch.zeros(1, 3, size_px, size_px)).shape == (1, 257)


def test_a_landmark_lies_where_its_heatmap_does() -> None:
    """A map that is bright at one pixel only, and heatmaps that follow its first channel."""
    net = regressor()
    side = 28
    maps = torch.zeros(1, net.config.map_channels, side, side)
    column, row = 20, 5
    maps[0, 0, row, column] = 1
    with torch.no_grad():
        net.heatmaps.weight.zero_()
        net.heatmaps.bias.zero_()
        net.heatmaps.weight[:34, 0] = 100.0
    net.merge.forward = lambda _: maps
    with torch.no_grad():
        places = net.read(torch.zeros(1, 3, 112, 112)).places[0]
    expected = torch.tensor([(2 * column + 1) / side - 1, (2 * row + 1) / side - 1])
    torch.testing.assert_close(places[:34], expected.expand(34, 2), atol=1e-5, rtol=0)
    torch.testing.assert_close(places[34:], torch.zeros(34, 2), atol=1e-5, rtol=0)  # flat: the middle


def test_a_correction_sees_how_far_the_places_are_from_the_first_coefficients() -> None:
    """The last layer is set to bring the shift to the mean of the places; it must arrive there."""
    net = regressor(replace(nets.COMPACT_FACE_REGRESSOR, num_corrections=1))
    hidden, correction = net.config.hidden_channels, net.corrections[0]
    with torch.no_grad():
        net.scale.fill_(1.0)
        for layer in (correction[0], correction[2]):
            layer.weight.zero_()
            layer.bias.zero_()
        for axis in (0, 1):  # units 2 axis and 2 axis + 1: the mean miss, and its negative for the relu
            for sign in (0, 1):
                factor = (-1) ** sign / 680
                correction[0].weight[2 * axis + sign, hidden + axis :: 2] = factor
                correction[2].weight[254 + axis, 2 * axis + sign] = (-1) ** sign
        reading = net.read(torch.rand(3, 3, 112, 112) * 2 - 1)
        moved = (reading.coefficients[:, :144] @ net.landmark_basis.flatten(1)).unflatten(1, (68, 3))
        seen = project(net.landmark_mean + moved, reading.coefficients[:, 251:], net.config.side_m)
    torch.testing.assert_close(seen[..., :2].mean(1), reading.places.mean(1), atol=1e-4, rtol=0)


def test_angles_turn_as_the_conventions_say() -> None:
    angles = np.random.default_rng(0).uniform(-1, 1, (20, 3))
    expected = Rotation.from_euler("xyz", angles).as_matrix()  # about the fixed axes: Rz Ry Rx
    found = rotation_from_angles(torch.from_numpy(angles)).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-12)
    # A positive second angle turns the face to its own left, the picture's right.
    assert rotation_from_angles(torch.tensor([[0, 0.5, 0]]))[0, 0, 2] > 0


def test_projection_is_orthographic_with_y_down() -> None:
    vertices = torch.tensor([[[0.0, 0, 0], [0.11, 0, 0], [0, 0.11, 0.02]]])
    pose = torch.tensor([[0, 0, 0, 0.1, -0.2, 0.0]])
    expected = torch.tensor([[[0.1, -0.2, 0], [1.1, -0.2, 0], [0.1, -1.2, 2 * 0.02 / 0.22]]])
    torch.testing.assert_close(project(vertices, pose, 0.22), expected)


@pytest.mark.parametrize(("store", "most_bytes"), [("fp16", 7e6), ("fp32", 13e6)])
def test_the_exported_graph_computes_the_same(store: str, most_bytes: float) -> None:
    trained = TrainedNetwork(regressor(), step=7, provenance="A test.")
    exported = export_face_regressor(trained, pictures(3), store)  # type: ignore[arg-type]
    assert len(exported.model) < most_bytes
    assert "7 training steps" in exported.provenance
    # Worst seen, of the largest coefficient: 4e-4 stored in half, 1e-6 in single precision.
    tolerance = 2e-3 if store == "fp16" else 1e-5
    assert tolerance < exported.tolerance
    verify_graph(exported.name, exported.model, exported.examples, tolerance=tolerance)


def test_a_checkpoint_round_trip_and_a_wrong_kind(tmp_path: Path) -> None:
    net = regressor()
    content = {
        "kind": "face_regressor",
        "config": net.config.to_dict(),
        "model": net.state_dict(),
        "step": 3,
        "provenance": "x",
    }
    torch.save(content, tmp_path / "face.pt")
    loaded = load_face_regressor(tmp_path / "face.pt")
    assert loaded.network.config == net.config and loaded.step == 3
    image = torch.rand(1, 3, 112, 112)
    torch.testing.assert_close(loaded.network(image), net(image))
    torch.save(content | {"kind": "shape"}, tmp_path / "shape.pt")
    with pytest.raises(CheckpointError, match="'shape'"):
        load_face_regressor(tmp_path / "shape.pt")


# ---- the published regressor ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def published_state() -> dict[str, torch.Tensor]:
    torch.manual_seed(1)
    return nets.PublishedFaceRegressor().state_dict()


@pytest.mark.parametrize("is_flat", [False, True])
def test_a_published_checkpoint_is_read_in_both_layouts(
    tmp_path: Path, published_state: dict[str, torch.Tensor], is_flat: bool
) -> None:
    path = tmp_path / "epoch_20.pth"
    flat = {f"net_recon.{name}": value for name, value in published_state.items()}
    torch.save(flat if is_flat else {"net_recon": published_state, "opt_00": {"lr": 1e-4}}, path)
    trained = load_face_regressor(path)
    net = trained.network
    assert trained.license == "LicenseRef-unknown" and "epoch_20.pth (sha256 " in trained.provenance
    with torch.no_grad():
        assert net(torch.zeros(1, 3, 224, 224)).shape == (1, 257)
    for name, value in net.state_dict().items():
        torch.testing.assert_close(value, published_state[name])


def test_the_published_names_are_those_of_the_checkpoint(published_state: dict[str, torch.Tensor]) -> None:
    shapes = {name: tuple(value.shape) for name, value in published_state.items()}
    assert shapes["backbone.conv1.weight"] == (64, 3, 7, 7)
    assert shapes["backbone.layer1.0.downsample.0.weight"] == (256, 64, 1, 1)
    assert shapes["backbone.layer4.2.bn3.running_var"] == (2048,)
    assert [shapes[f"final_layers.{i}.weight"][0] for i in range(7)] == [80, 64, 80, 3, 27, 2, 1]
    assert sum(name.endswith("conv2.weight") for name in shapes) == 16
    assert sum(value.numel() for name, value in published_state.items() if "backbone" in name) > 23.5e6


def test_a_published_checkpoint_that_does_not_fit_is_refused(
    tmp_path: Path, published_state: dict[str, torch.Tensor]
) -> None:
    path = tmp_path / "bad.pth"
    torch.save({"something": 1}, path)
    with pytest.raises(CheckpointError, match="net_recon"):
        load_face_regressor(path)
    torch.save({"net_recon": {k: v for k, v in published_state.items() if k != "final_layers.3.bias"}}, path)
    with pytest.raises(CheckpointError, match="final_layers.3.bias"):
        load_face_regressor(path)
    torch.save({"net_recon": published_state | {"final_layers.3.bias": torch.zeros(4)}}, path)
    with pytest.raises(CheckpointError, match=r"final_layers.3.bias.*\(3,\)"):
        load_face_regressor(path)


def test_published_coefficients_keep_their_values_in_our_order() -> None:
    given = torch.arange(257.0)[None] / 100
    found = as_our_coefficients(given)
    torch.testing.assert_close(found[:, :224], given[:, :224])
    torch.testing.assert_close(found[:, 224:251], given[:, 227:254])  # light
    torch.testing.assert_close(found[:, 251:254], given[:, 224:227])  # angles


def test_the_published_camera_is_ours_at_the_faces_origin() -> None:
    """The published projection, written out, against `project`; exact at the origin, close around it."""
    given = torch.zeros(1, 257)
    given[:, 224:227] = torch.tensor([0.1, 0.3, -0.05])
    given[:, 254:257] = torch.tensor([0.2, -0.1, 0.4])
    points_dm = torch.tensor([[0.0, 0, 0], [0.02, 0, 0], [0, -0.03, 0], [0, 0, 0.02]])
    turned = points_dm @ rotation_from_angles(given[:, 224:227])[0].T + given[0, 254:257]
    x_px = 1015 * turned[:, 0] / (10 - turned[:, 2]) + 112
    y_px = 224 - (1015 * turned[:, 1] / (10 - turned[:, 2]) + 112)  # the published picture's rows
    ours = project(points_dm[None] / 10, as_our_coefficients(given)[:, 251:], 0.22)[0]
    np.testing.assert_allclose((ours[:, 0] + 1) * 112, x_px, atol=0.05)
    np.testing.assert_allclose((ours[:, 1] + 1) * 112, y_px, atol=0.05)
    np.testing.assert_allclose((ours[0, :2] + 1) * 112, [x_px[0], y_px[0]], atol=1e-4)
