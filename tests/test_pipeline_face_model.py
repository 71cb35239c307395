"""The core's face model and volumes are those of the export's NumPy and torch."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from jiffsdk import _core, engines

torch = pytest.importorskip("torch", reason="the networks that these parts must equal are in torch")

import torch.nn.functional as F  # noqa: E402
from training.people import lights  # noqa: E402

from jiffexport.assemble import build_bundle  # noqa: E402
from jiffexport.checkpoint import load_face_shape, load_fine_color  # noqa: E402
from jiffexport.nets import HeadFrame  # noqa: E402
from jiffexport.nets.volume_frame import sample_volume  # noqa: E402
from reference import framing as reference  # noqa: E402
from small_face_model import NUM, small_model  # noqa: E402
from synthetic_bundle import read_manifest, write_manifest  # noqa: E402
from synthetic_face import patch_model  # noqa: E402
from test_export_face_parts import build_options, mesh_and_points  # noqa: E402
from test_pipeline_bundle import Change, drop, refusal, set_at  # noqa: E402
from untrained_checkpoints import SHAPE_CONFIG  # noqa: E402


@pytest.fixture(scope="module")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "face_model.safetensors"
    path.write_bytes(small_model().to_bytes("fp32"))
    return path


def coefficients_of(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, 257).astype(np.float32)


@given(seed=st.integers(0, 1000))
def test_face_is_the_python_models(model_file: Path, seed: int) -> None:
    core, model, values = _core.FaceModel(str(model_file)), small_model(), coefficients_of(seed)
    vertices = model.shape(values[:80], values[80:144])
    # Worst seen 6e-8 m: single precision, another order of the sum.
    np.testing.assert_allclose(core.vertices(values), vertices, atol=1e-6)
    np.testing.assert_allclose(core.albedo(values), model.texture(values[144:224]), atol=1e-6)
    assert core.num_vertices == NUM
    np.testing.assert_array_equal(core.triangles, model.triangles)
    np.testing.assert_allclose(core.mean_landmarks, model.five_landmarks(), atol=1e-9)


def test_components_that_a_model_lacks_have_no_effect(model_file: Path) -> None:
    core, values = _core.FaceModel(str(model_file)), np.zeros(257, np.float32)
    mean, mean_colors = core.vertices(values), core.albedo(values)
    values[80 + 51 : 144] = 5.0
    values[144 + 19 :] = 5.0
    np.testing.assert_array_equal(core.vertices(values), mean)
    np.testing.assert_array_equal(core.albedo(values), mean_colors)


@given(seed=st.integers(0, 1000))
def test_light_is_that_of_the_generated_people(seed: int) -> None:
    rng = np.random.default_rng(seed)
    albedo = rng.random((50, 3)).astype(np.float32)
    normals = rng.normal(size=(50, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    light = lights.sample_light(rng) if seed % 4 else rng.normal(0, 1, (9, 3))
    found = _core.lit_colors(albedo, normals, light.T.ravel().tolist())
    np.testing.assert_allclose(found, lights.shade(albedo, normals, light), atol=1e-5)  # worst seen 3e-7


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"mean_shape": None}, ["no tensor 'mean_shape'"]),
        ({"five_points": None}, ["no tensor 'five_points'"]),
        ({"mean_shape": np.zeros((4, 2))}, ["'mean_shape'", "[*, 3]", "[4, 2]"]),
        ({"mean_texture": np.zeros((7, 3))}, ["'mean_texture'", "[270, 3]", "[7, 3]"]),
        ({"identity_basis": np.zeros((81, 270, 3))}, ["'identity_basis'", "at most 80", "[81, 270, 3]"]),
        ({"expression_basis": np.full((1, 270, 3), np.nan)}, ["'expression_basis'", "finite", "nan"]),
        ({"triangles": np.full((5, 3), 270.0)}, ["'triangles'", "270", "of 270"]),
        ({"triangles": np.full((5, 3), -1.0)}, ["'triangles'", "-1"]),
        ({"triangles": np.full((5, 3), 0.5)}, ["'triangles'", "0.5"]),
        ({"five_points": np.zeros((4, 2))}, ["'five_points'", "[5, 2]", "[4, 2]"]),
    ],
)
def test_wrong_models_are_refused(
    tmp_path: Path, change: dict[str, np.ndarray | None], expected: list[str]
) -> None:
    path = tmp_path / "face_model.safetensors"
    tensors = patch_model() | {
        name: None if values is None else values.astype(np.float32) for name, values in change.items()
    }
    save_file({name: values for name, values in tensors.items() if values is not None}, path)
    with pytest.raises(_core.Error) as caught:
        _core.FaceModel(str(path))
    assert caught.value.code == "bundle"
    for text in ["face_model.safetensors", "export the bundle again", *expected]:
        assert text in str(caught.value)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> object:
    options = build_options(tmp_path_factory.mktemp("face"))
    build_bundle(options)
    return options


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_volumes_of_the_core_are_the_networks(built, engine: str) -> None:  # type: ignore[no-untyped-def]
    bundle = _core.load_bundle(str(built.out))
    assert bundle.has_face and bundle.has_fine_color
    volumes = _core.FaceVolumes(bundle, engines.create(engine))
    vertices, colors, points = mesh_and_points()
    shape = load_face_shape(built.face.shape).network.volume
    color = load_fine_color(built.face.fine_color).network.volume
    own, asked = vertices[0].numpy(), points[0].numpy()
    with torch.no_grad():
        volume, frame = shape(vertices)
        expected = sample_volume(volume, frame.coordinates(points))[0].T.numpy()
        # Worst seen 1e-6.
        np.testing.assert_allclose(volumes.shape(own, asked), expected, atol=2e-5)
        assert expected.std() > 1e-2
        volume, frame = color(vertices, colors)
        expected = sample_volume(volume, frame.coordinates(points))[0].T.numpy()
        np.testing.assert_allclose(volumes.color(own, colors[0].numpy(), asked), expected, atol=2e-5)
        assert expected.std() > 1e-2


def head_inputs(part: _core.HeadPart) -> tuple[dict[str, np.ndarray], tuple]:
    """What the core makes of a photograph whose head lies half beyond it, and what it was given."""
    rng = np.random.default_rng(3)
    rgb = rng.integers(0, 256, (90, 70, 3), dtype=np.uint8)
    mask = rng.integers(0, 256, (90, 70), dtype=np.uint8)
    crop = (-15.0, -5.0, 100.0, 100.0)
    features = rng.normal(size=(1, 16, 8, 8)).astype(np.float32)
    vertices = mesh_and_points()[0] + torch.tensor([-0.85, 0.1, 0.0])
    return part.inputs(rgb, mask, crop, features, vertices[0].numpy()), (rgb, mask, crop, features, vertices)


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_the_head_is_seen_and_asked_in_its_own_frame(built, engine: str) -> None:  # type: ignore[no-untyped-def]
    part = _core.HeadPart(_core.load_bundle(str(built.out)), engines.create(engine))
    network = load_face_shape(built.face.shape).network
    own = network.config.head_encoder
    found, (rgb, mask, crop, features, vertices) = head_inputs(part)
    with torch.no_grad():
        volume, frame = network.volume(vertices)
        head = HeadFrame(frame, own.reach)
        map_of_body = torch.from_numpy(features)
        body = F.grid_sample(map_of_body, head.texels(8), padding_mode="border", align_corners=True)
        np.testing.assert_allclose(found["body"], body, atol=1e-4)
        believed = head.believed(body[:, :2] / SHAPE_CONFIG.depth_scale, own.depth_scale)
        np.testing.assert_allclose(found["believed"], believed, atol=1e-3)
        assert believed.std() > 1
        corners = head.texels(2)[0, [0, 1], [0, 1]].numpy().astype(float)  # of the square, in the view
        low, high = (np.array(crop[:2]) + (corner + 1) / 2 * crop[2] for corner in corners)
        square = (*low, *(high - low))
        seen = reference.frame_image(rgb, mask, square, own.picture_size_px)
        expected = np.concatenate([2 * seen[:3] - seen[3:], seen[3:]])[None]
        np.testing.assert_allclose(found["picture"], expected, atol=1e-4)
        assert (found["picture"][0, 3] == 0).any() and (found["picture"][0, 3] > 0).any()
        around = vertices[:, :60] + 0.05 * torch.randn(1, 60, 3, generator=torch.Generator().manual_seed(1))
        encoded = network.head(**{name: torch.from_numpy(value) for name, value in found.items()})
        expected = network.face_occupancy(encoded, volume, frame, around).joint[0, 0].numpy()
    answers = part.occupancy(found, vertices[0].numpy(), around[0].numpy())
    np.testing.assert_allclose(answers, expected, atol=1e-5)
    assert expected.std() > 1e-3


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (drop("reach"), ["head_encoder.reach"]),
        (set_at("reach", 0), ["head_encoder.reach", "got 0"]),
        (set_at("inputs/picture", [1, 5, 16, 16]), ["head_encoder.inputs.picture", "3 or 4"]),
        (set_at("inputs/picture", [1, 4, 16, 8]), ["head_encoder.inputs.picture", "S, S"]),
        (set_at("inputs/body", [1, 15, 8, 8]), ["head_encoder.inputs", "[1, 16, *, *]"]),
        (set_at("inputs/body", [1, 16, 8, 7]), ["head_encoder.inputs.body", "T, T"]),
        (set_at("inputs/believed", [1, 2, 7, 7]), ["head_encoder.inputs.believed", "as large as"]),
        (drop("inputs/believed"), ["head_encoder.inputs", "believed"]),
        (set_at("outputs", {"map": [1, 10, 8, 8]}), ["head_encoder.outputs", "features"]),
        (set_at("outputs/features", [1, 9, 8, 8]), ["face.shape.head.widths_2d", "the first 10"]),
    ],
)
def test_a_wrong_head_encoder_is_refused(  # type: ignore[no-untyped-def]
    built, tmp_path: Path, change: Change, expected: list[str]
) -> None:
    own = Path(shutil.copytree(built.out, tmp_path / "bundle"))
    manifest = read_manifest(own)
    change(manifest["face"]["shape"]["head_encoder"])
    write_manifest(own, manifest)
    message = refusal(own)
    for text in [*expected, "export the bundle again"]:
        assert text in message, message


def test_a_head_encoder_needs_the_cube_of_a_face(built, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    own = Path(shutil.copytree(built.out, tmp_path / "bundle"))
    manifest = read_manifest(own)
    manifest["face"]["shape"]["volume"]["frame"] = "body"
    write_manifest(own, manifest)
    assert "face.shape.head_encoder" in refusal(own)


def test_a_mesh_of_another_model_is_refused(built) -> None:  # type: ignore[no-untyped-def]
    volumes = _core.FaceVolumes(_core.load_bundle(str(built.out)), engines.create())
    with pytest.raises(_core.Error, match=r"vertices must have shape \[90, 3\]"):
        volumes.shape(np.zeros((5, 3), np.float32), np.zeros((1, 3), np.float32))
