"""The face's parts of a bundle: read back as docs/bundle.md describes them, they are the torch networks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load as load_safetensors

torch = pytest.importorskip("torch", reason="the export tests need torch (pip install .[export])")

from bundle_reader import BundleReader  # noqa: E402
from jiffexport import assemble, command, verification  # noqa: E402
from jiffexport.assemble import BuildOptions, Frame, build_bundle, extend_bundle  # noqa: E402
from jiffexport.bundle import read_bundle  # noqa: E402
from jiffexport.checkpoint import load_face_regressor, load_face_shape, load_fine_color  # noqa: E402
from jiffexport.errors import BundleError, FaceModelError, VerificationError  # noqa: E402
from jiffexport.exported_graph import ExportedGraph  # noqa: E402
from jiffexport.face_assembly import FaceSources  # noqa: E402
from jiffexport.face_inputs import cut_face, find_landmarks, fitted_mesh  # noqa: E402
from jiffexport.face_model import load_face_model  # noqa: E402
from jiffexport.nets import FaceShapeNet, HeadFrame, PublishedFaceRegressor, sample_features  # noqa: E402
from jiffexport.nets.volume_frame import sample_volume, volume_frame  # noqa: E402
from jiffexport.verify import Example  # noqa: E402
from reference import face_crop  # noqa: E402
from small_face_model import NUM, small_model  # noqa: E402
from untrained_checkpoints import (  # noqa: E402
    FACE_SHAPE_CONFIG,
    FINE_COLOR_CONFIG,
    checkpoint_of,
    face_package_files,
    network_of,
    save_checkpoint,
    write_wheel,
)

FACE_GRAPHS = {
    "face_regressor",
    *(f"face_shape_points_{i}" for i in range(4)),
    "face_shape_unet",
    "head_encoder",
    "fine_color_encoder",
    *(f"face_color_{part}" for part in ("sa1", "sa2", "sa3", "fp3", "fp2", "fp1", "unet")),
}


def save_face(folder: Path) -> FaceSources:
    """A face model and the three checkpoints; the face's networks were trained on a finished body."""
    model = folder / "face_model.safetensors"
    model.write_bytes(small_model().to_bytes())
    alone = {
        name: tensor
        for name, tensor in checkpoint_of("face_shape")["model"].items()
        if not name.startswith("body.")
    }
    return FaceSources(
        model,
        save_checkpoint(folder, "face_regressor"),
        save_checkpoint(folder, "face_shape", model=alone),
        save_checkpoint(folder, "fine_color"),
    )


def build_options(folder: Path, **changes: object) -> BuildOptions:
    picture = np.random.default_rng(0).integers(0, 255, (50, 40, 3), dtype=np.uint8)
    Image.fromarray(picture).save(folder / "photo.png")
    options = BuildOptions(
        shape=save_checkpoint(folder, "shape"),
        color=save_checkpoint(folder, "color"),
        out=folder / "bundle",
        photographs=(folder / "photo.png",),
        version="1.2.3",
        face_detection=write_wheel(folder / "facenet_pytorch.whl", face_package_files()),
        face=save_face(folder),
        store="fp32",
        frame=Frame(image_size_px=64),
    )
    return replace(options, **changes)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> BuildOptions:
    """A bundle with a face, weights in single precision; nobody changes it."""
    options = build_options(tmp_path_factory.mktemp("face"))
    build_bundle(options)
    return options


@pytest.fixture(scope="module")
def bundle(built: BuildOptions) -> tuple[dict[str, Any], dict[str, bytes]]:
    return read_bundle(built.out)


def mesh_and_points() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Vertices in the view, their colours, and query points around them."""
    torch.manual_seed(4)
    vertices = torch.from_numpy(small_model().mean_shape)[None] + torch.tensor([0.1, -0.6, 0.05])
    return vertices, torch.rand(1, NUM, 3), vertices[:, :40] + 0.01 * torch.randn(1, 40, 3)


def test_bundle_names_every_part_of_the_face(bundle: tuple[dict[str, Any], dict[str, bytes]]) -> None:
    manifest, files = bundle
    assert {f"{name}.onnx" for name in FACE_GRAPHS} | {"face_model.safetensors"} <= set(files)
    face = manifest["face"]
    assert face["model"] == {"file": "face_model.safetensors", "license": "CC0-1.0", "provenance": "a test"}
    assert face["regressor"]["inputs"] == {"image": [1, 3, 64, 64]}
    assert face["regressor"]["outputs"] == {"coefficients": [1, 257]}
    assert (face["regressor"]["side_m"], face["region_margin"]) == (0.22, 0.3)
    assert face["shape"]["head"] | {"provenance": ""} == {
        "file": "heads.safetensors",
        "prefix": "face_shape",
        "widths_2d": [11, 256, 128, 64],
        "widths_3d": [6, 128, 64, 64],
        "widths_joint": [128, 256, 128, 64, 1],
        "depth_scale": 6.0,
        "activation": "sigmoid",
        "provenance": "",
    }
    encoder = face["shape"]["head_encoder"]
    sizes = {"picture": [1, 4, 16, 16], "body": [1, 16, 8, 8], "believed": [1, 2, 8, 8]}
    assert encoder["inputs"] == sizes
    assert (encoder["outputs"], encoder["reach"]) == ({"features": [1, 10, 8, 8]}, 1.3)
    assert face["shape"]["volume"].keys() == {"frame", "frame_margin", "resolution", "points", "unet"}
    volume = face["color"]["volume"]
    assert list(volume["points"]) == ["sa1", "sa2", "sa3", "fp3", "fp2", "fp1"]
    assert (volume["num_centers"], volume["group_sizes"]) == ([24, 8], [6, 4])
    assert volume["points"]["sa1"]["inputs"] == {"groups": [1, 24, 6, 9]}
    assert volume["points"]["sa3"]["inputs"] == {"groups": [1, 1, 8, 35]}
    assert face["color"]["head"]["blends_image"] is manifest["fine_color"]["head"]["blends_image"] is True
    assert "features" not in face["color"]["head"] and "features" not in manifest["fine_color"]["head"]
    assert manifest["fine_color"]["coarse_layers"] == 3
    assert manifest["fine_color"]["head"]["widths"] == [16 + 64 + 1, 256, 128, 64, 4]


def test_face_occupancy_from_the_bundle_is_the_networks(
    built: BuildOptions, bundle: tuple[dict[str, Any], dict[str, bytes]]
) -> None:
    manifest, files = bundle
    reader, shape = BundleReader(built.out), manifest["face"]["shape"]
    vertices, _, points = mesh_and_points()
    sizes = {"picture": (1, 4, 16, 16), "body": (1, 16, 8, 8), "believed": (1, 2, 8, 8)}
    inputs = {name: torch.randn(size) for name, size in sizes.items()}
    network = load_face_shape(built.face.shape).network  # type: ignore[union-attr]
    frame = volume_frame(FACE_SHAPE_CONFIG.volume, vertices)
    coordinates = frame.coordinates(vertices)
    volume = reader.shape_volume(shape["volume"], coordinates)
    with torch.no_grad():
        expected_volume, _ = network.volume(vertices)
        own = network.head(**inputs)
        expected = network.face_occupancy(own, expected_volume, frame, points).joint[0].numpy()
        head = HeadFrame(frame, shape["head_encoder"]["reach"])
        features = reader.run(shape["head_encoder"], **inputs)
        raw_2d = torch.cat(
            [
                sample_features(features, head.on_map(points)),
                (head.on_map(points)[..., 2] * shape["head"]["depth_scale"])[:, None],
            ],
            1,
        )
    raw_3d = sample_volume(volume, frame.coordinates(points))
    found = reader.joint(shape["head"], raw_2d[0].numpy(), raw_3d[0].numpy())
    np.testing.assert_allclose(found, expected, atol=1e-5)  # worst seen 2e-7
    assert expected.std() > 1e-3


def test_fine_colours_from_the_bundle_are_the_networks(
    built: BuildOptions, bundle: tuple[dict[str, Any], dict[str, bytes]]
) -> None:
    manifest, files = bundle
    reader, color, fine = BundleReader(built.out), manifest["face"]["color"], manifest["fine_color"]
    config = color["volume"]
    vertices, colors, points = mesh_and_points()
    image, coarse = torch.rand(1, 4, 128, 128) * 2 - 1, torch.randn(1, 64, points.shape[1])
    network = load_fine_color(built.face.fine_color).network  # type: ignore[union-attr,arg-type]
    frame = volume_frame(FINE_COLOR_CONFIG.volume, vertices)
    coordinates = frame.coordinates(vertices)

    volume = reader.color_volume(config, coordinates, colors)
    features = reader.run(fine["encoder"], image=image)

    raw_2d = torch.cat(
        [
            sample_features(features, points),
            coarse,
            (points[..., 2] * fine["head"]["depth_scale"])[:, None],
        ],
        1,
    )[0].numpy()
    raw_3d = sample_volume(volume, frame.coordinates(points))[0].numpy()
    answers = {
        "face": torch.from_numpy(reader.joint(color["head"], raw_2d, raw_3d))[None],
        "body": network.head(torch.from_numpy(raw_2d)[None, :-1], points[..., 2]),
    }
    with torch.no_grad():
        expected_volume, _ = network.volume(vertices, colors)
        features = network.encoder(image)
        outputs = network.face_head.outputs(
            torch.cat([sample_features(features, points), coarse], 1),
            sample_volume(expected_volume, frame.coordinates(points)),
            points[..., 2],
        )
        samples = torch.cat([sample_features(features, points), coarse], 1)
        expected = {"face": outputs.joint, "body": network.head(samples, points[..., 2])}
    for name, values in expected.items():
        assert values.shape[1] == 4 and values.std() > 1e-3
        torch.testing.assert_close(answers[name].float(), values, atol=1e-5, rtol=0)  # worst seen 4e-7
    packed_head = load_safetensors(files["heads.safetensors"])
    for name, tensor in network.head.state_dict().items():
        packed = packed_head[f"fine_color.{name}"]
        np.testing.assert_array_equal(packed, tensor.numpy().reshape(packed.shape))


def test_output_layers_of_the_branches_are_not_packed(built: BuildOptions) -> None:
    names = load_safetensors((built.out / "heads.safetensors").read_bytes())
    for prefix in ("face_shape", "face_color"):
        layers = {name.removeprefix(f"{prefix}.") for name in names if name.startswith(prefix)}
        assert layers == {
            f"{part}.layers.{i}.{kind}"
            for part, count in (("branch_2d", 3), ("branch_3d", 3), ("joint", 4))
            for i in range(count)
            for kind in ("weight", "bias")
        }


def test_face_is_added_and_replaced_and_the_rest_stays(tmp_path: Path) -> None:
    options = build_options(tmp_path, face=None, store="fp16")
    face = save_face(tmp_path)
    build_bundle(options)
    before, files_before = read_bundle(options.out)
    for sources, names in ((face, FACE_GRAPHS), (replace(face, fine_color=None), None)):
        graphs = extend_bundle(options.out, options.photographs, face=sources)
        manifest, files = read_bundle(options.out)
        assert {key: value for key, value in manifest.items() if key in before} == before
        if names is not None:
            assert {graph.name for graph in graphs} == names
    assert "fine_color" not in manifest and "color" not in manifest["face"]
    assert not [name for name in files if name.startswith(("face_color", "fine_color"))]
    heads, heads_before = (load_safetensors(f["heads.safetensors"]) for f in (files, files_before))
    assert {name.split(".")[0] for name in heads} == {"shape", "color", "face_shape"}
    for name, values in heads_before.items():
        np.testing.assert_array_equal(heads[name], values)
    assert {values.dtype for values in heads.values()} == {np.dtype(np.float16)}
    assert {k: v for k, v in files.items() if k in files_before and k != "heads.safetensors"} == {
        k: v for k, v in files_before.items() if k != "heads.safetensors"
    }


def test_command_adds_the_face(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = build_options(tmp_path, face=None)
    build_bundle(options)
    face = save_face(tmp_path)
    arguments = ["--face-model", face.model, "--face-regressor", face.regressor, "--face-shape", face.shape]
    arguments += ["--out", options.out, "--photographs", options.photographs[0]]
    assert command.main([str(argument) for argument in arguments]) == 0
    assert "face_shape_unet" in capsys.readouterr().out
    assert "face" in json.loads((options.out / "bundle.json").read_text())


def test_command_takes_the_published_regressor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = build_options(tmp_path, face=None)
    build_bundle(options)
    torch.manual_seed(2)
    published, face = tmp_path / "epoch_20.pth", save_face(tmp_path)
    torch.save({"net_recon": PublishedFaceRegressor().state_dict()}, published)
    arguments = ["--face-model", face.model, "--face-regressor", published, "--face-shape", face.shape]
    arguments += ["--out", options.out, "--photographs", options.photographs[0]]
    assert command.main([str(argument) for argument in arguments]) == 0, capsys.readouterr().err
    entry = read_bundle(options.out)[0]["face"]["regressor"]
    assert entry["inputs"] == {"image": [1, 3, 224, 224]} and entry["side_m"] == 0.22
    assert entry["license"] == "LicenseRef-unknown" and "epoch_20.pth" in entry["provenance"]
    assert 0 < entry["max_rel_error"] < 5e-3


@pytest.mark.parametrize(
    "given",
    [["--face-model", "m"], ["--fine-color", "f"], ["--shape", "s", "--color", "c", "--face-shape", "f"]],
)
def test_command_with_a_part_of_the_face_is_refused(
    given: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        command.parse_arguments([*given, "--out", "bundle"])
    assert "needs --face-model, --face-regressor and --face-shape" in capsys.readouterr().err


def test_face_without_a_detector_is_refused_and_the_bundle_stays(tmp_path: Path) -> None:
    options = build_options(tmp_path, face=None, face_detection=None)
    build_bundle(options)
    before = read_bundle(options.out)
    with pytest.raises(BundleError, match="give --face-detection"):
        extend_bundle(options.out, options.photographs, face=save_face(tmp_path))
    assert read_bundle(options.out) == before


def test_face_of_another_body_is_refused(tmp_path: Path) -> None:
    options = build_options(tmp_path)
    other = replace(FACE_SHAPE_CONFIG, body=replace(FACE_SHAPE_CONFIG.body, feature_channels=24))
    alone = FaceShapeNet(other, has_body=False).state_dict()
    save_checkpoint(tmp_path, "face_shape", config=other.to_dict(), model=alone)
    with pytest.raises(BundleError, match="face_shape.pt: .* trained on 24 channels .* gives 16"):
        build_bundle(options)
    model = checkpoint_of("face_shape")["model"]
    model["body.head.layers.0.bias"] += 1
    save_checkpoint(tmp_path, "face_shape", model=model)
    with pytest.raises(BundleError, match=r"trained along .*\(layers.*differs\)"):
        build_bundle(options)
    assert not options.out.exists()


def test_body_that_was_trained_along_serves_as_the_shape_network(tmp_path: Path) -> None:
    save_face(tmp_path)
    options = build_options(tmp_path)
    with_body = save_checkpoint(tmp_path, "face_shape")
    build_bundle(replace(options, shape=with_body))
    manifest, files = read_bundle(options.out)
    packed = load_safetensors(files["heads.safetensors"])["shape.layers.0.bias"]
    body = network_of("face_shape").body
    np.testing.assert_array_equal(packed, body.head.layers[0].bias.detach().numpy())
    assert "Untrained face_shape network." in manifest["graphs"]["shape_encoder"]["provenance"]


def test_fine_colour_of_another_coarse_head_is_refused(tmp_path: Path) -> None:
    options = build_options(tmp_path)
    config = replace(FINE_COLOR_CONFIG, coarse_layers=1)
    save_checkpoint(tmp_path, "fine_color", config=config.to_dict())
    with pytest.raises(
        BundleError, match=r"fine_color.pt: reads 64 activations after layer 1 .*\[256, 128, 64\]"
    ):
        build_bundle(options)


def test_a_broken_part_names_its_graph_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def strays(graphs: Sequence[ExportedGraph]) -> list[ExportedGraph]:
        unet = next(graph for graph in graphs if graph.name == "face_shape_unet")
        wrong = tuple(Example(e.inputs, {k: 2 * v for k, v in e.outputs.items()}) for e in unet.examples)
        return verification.verify_graphs([replace(unet, examples=wrong)])

    monkeypatch.setattr(assemble, "verify_graphs", strays)
    options = build_options(tmp_path)
    with pytest.raises(VerificationError, match="face_shape_unet on openvino: largest relative error"):
        build_bundle(options)
    assert not options.out.exists()
    (tmp_path / "face_model.safetensors").write_bytes(b"none")
    with pytest.raises(FaceModelError, match=r"face_model.safetensors: not a readable"):
        build_bundle(options)


def test_likeliest_window_gives_the_landmarks() -> None:
    """A network that likes red finds the red square, and its landmarks are mapped from the window."""
    picture = np.zeros((240, 240, 3), np.uint8)
    picture[120:180, 60:120] = (255, 0, 0)

    def likes_red(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        batch = inputs["image"]
        score = (batch[:, 0] - batch[:, 1]).mean((1, 2))[:, None] / 4
        return {"score": score, "landmarks": np.tile(np.linspace(0, 0.9, 10, dtype=np.float32), (8, 1))}

    found = find_landmarks(picture, likes_red, 8)
    expected = np.stack([60 + 60 * np.linspace(0, 0.4, 5), 120 + 60 * np.linspace(0.5, 0.9, 5)], 1)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_crop_is_the_conventions() -> None:
    model = small_model()
    template = model.five_landmarks()
    landmarks = 300 + 800 * template[:, :2] * [1, -1] + np.random.default_rng(0).normal(0, 1, (5, 2))
    y, x = np.mgrid[:600, :600]
    picture = np.stack([x / 600 * 255, y / 600 * 255, 0 * x], 2).astype(np.uint8)
    left, top, side, _ = face_crop.face_crop_box(landmarks, template, 0.22)
    crop = cut_face(picture, landmarks, model, 0.22, 64)
    centers = (np.arange(64) + 0.5) / 64 * side
    np.testing.assert_allclose(crop[32, :, 0], (left + centers) / 600 * 255, atol=2)
    np.testing.assert_allclose(crop[:, 32, 1], (top + centers) / 600 * 255, atol=2)
    assert (cut_face(picture, landmarks - 300, model, 0.22, 64)[0, 0] == 0).all()


def test_mesh_of_a_crop_is_the_models(tmp_path: Path) -> None:
    sources = save_face(tmp_path)
    model, regressor = load_face_model(sources.model), load_face_regressor(sources.regressor).network
    with torch.no_grad():
        for last in (regressor.first, *(correction[2] for correction in regressor.corrections)):
            last.weight.zero_()
            last.bias.zero_()
    mesh = fitted_mesh(np.zeros((64, 64, 3), np.uint8), regressor, model)
    expected = model.mean_shape * [1, -1, 1] + [0.0, -0.7, 0.1]  # a metre is one half frame
    np.testing.assert_allclose(mesh.vertices[0].numpy(), expected, atol=1e-6)
    np.testing.assert_allclose(mesh.colors[0].numpy(), model.texture(), atol=1e-6)
