"""The face graphs compute what the package's networks do, and enter a bundle with their licence."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch", reason="the export tests need torch (pip install .[export])")

from torch.nn import functional  # noqa: E402

from jiffexport import command  # noqa: E402
from jiffexport.assemble import BuildOptions, Frame, build_bundle, extend_bundle  # noqa: E402
from jiffexport.bundle import read_bundle  # noqa: E402
from jiffexport.errors import BundleError, CheckpointError  # noqa: E402
from jiffexport.face_detection import (  # noqa: E402
    STAGES,
    FaceStage,
    face_graph,
    load_face_weights,
    reference_scores,
)
from jiffexport.nets.mtcnn import ProposalNet  # noqa: E402
from jiffexport.verify import verify_graph  # noqa: E402
from untrained_checkpoints import face_package_files, save_checkpoint, write_wheel  # noqa: E402

FACE_FILES = {
    "face_proposal.onnx",
    "face_refinement.onnx",
    "face_landmarks.onnx",
    "LICENSE-facenet-pytorch.txt",
}


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    return write_wheel(tmp_path / "facenet_pytorch.whl", face_package_files())


@pytest.fixture
def options(tmp_path: Path, wheel: Path) -> BuildOptions:
    picture = np.random.default_rng(0).integers(0, 255, (50, 40, 3), dtype=np.uint8)
    Image.fromarray(picture).save(tmp_path / "photo.png")
    return BuildOptions(
        shape=save_checkpoint(tmp_path, "shape"),
        color=save_checkpoint(tmp_path, "color"),
        out=tmp_path / "bundle",
        photographs=(tmp_path / "photo.png",),
        version="1.2.3",
        face_detection=wheel,
        frame=Frame(image_size_px=64),
    )


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_graph_equals_the_network(wheel: Path, stage: FaceStage) -> None:
    network = load_face_weights(wheel).networks[stage.name]
    model = face_graph(stage, network)
    assert model.opset_import[0].version == 18
    picture = np.random.default_rng(0).integers(0, 256, (512, 512, 3), np.uint8)
    examples = reference_scores(stage, network, [picture])
    assert examples[0].outputs["score"].std() > 0
    verify_graph(stage.name, model.SerializeToString(), examples, tolerance=1e-5)  # seen: 8e-7


@pytest.mark.parametrize("size", [(40, 52), (41, 52), (40, 53), (41, 53), (13, 12)])
def test_marked_borders_give_what_pooling_at_a_real_border_does(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    network = ProposalNet().eval()
    height, width = size
    picture = torch.randn(1, 3, height, width)
    tile = torch.cat([torch.randn(1, 3, 64, 64), torch.ones(1, 1, 64, 64)], 1)
    tile[:, :3, :height, :width], tile[:, 3:, :height, :width] = picture, 0
    with torch.no_grad():
        found = network.inference(tile)
        x = functional.max_pool2d(network.prelu1(network.conv1(picture)), 2, 2, ceil_mode=True)
        x = network.prelu3(network.conv3(network.prelu2(network.conv2(x))))
        expected = {"score": torch.softmax(network.conv4_1(x), 1)[:, 1:], "offsets": network.conv4_2(x)}
    for name, values in expected.items():
        torch.testing.assert_close(found[name][..., : values.shape[2], : values.shape[3]], values)


def test_wheel_and_folder_hold_the_same_weights(wheel: Path, tmp_path: Path) -> None:
    for name, content in face_package_files().items():
        path = tmp_path / "site" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    packed, installed = load_face_weights(wheel), load_face_weights(tmp_path / "site")
    assert packed.sha256 == installed.sha256
    assert packed.license == installed.license == b"licence of the weights"


@pytest.mark.parametrize("missing", ["pnet.pt", "onet.pt", "LICENSE"])
def test_package_with_a_file_missing_is_refused(tmp_path: Path, missing: str) -> None:
    files = {name: content for name, content in face_package_files().items() if missing not in name}
    with pytest.raises(CheckpointError, match=f"other.whl: .*{missing}"):
        load_face_weights(write_wheel(tmp_path / "other.whl", files))


def test_package_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.whl").write_bytes(b"nothing")
    for path in (tmp_path / "broken.whl", tmp_path / "absent.whl"):
        with pytest.raises(CheckpointError, match=f"{path.name}: not a wheel or folder"):
            load_face_weights(path)
    with pytest.raises(CheckpointError, match="has no facenet_pytorch/data/pnet.pt"):
        load_face_weights(tmp_path)


@pytest.mark.parametrize(
    "content", [b"", b"no weights", face_package_files()["facenet_pytorch/data/pnet.pt"]], ids=len
)
def test_weights_that_do_not_fit_are_refused(tmp_path: Path, content: bytes) -> None:
    files = face_package_files() | {"facenet_pytorch/data/rnet.pt": content}
    with pytest.raises(CheckpointError, match="rnet.pt does not fit its network"):
        load_face_weights(write_wheel(tmp_path / "odd.whl", files))


def test_built_bundle_holds_the_detector(options: BuildOptions) -> None:
    graphs = build_bundle(options)
    assert [graph.name for graph in graphs][2:] == ["face_proposal", "face_refinement", "face_landmarks"]
    manifest, files = read_bundle(options.out)
    assert set(files) >= FACE_FILES
    assert files["LICENSE-facenet-pytorch.txt"] == b"licence of the weights"
    stages = manifest["face_detection"]
    assert [(name, stage["least_score"]) for name, stage in stages.items()] == [
        ("proposal", 0.6),
        ("refinement", 0.7),
        ("landmarks", 0.7),
    ]
    assert stages["proposal"]["inputs"] == {"image": [8, 4, 64, 64]}
    assert stages["proposal"]["outputs"] == {"score": [8, 1, 27, 27], "offsets": [8, 4, 27, 27]}
    assert stages["landmarks"]["outputs"] == {"score": [8, 1], "offsets": [8, 4], "landmarks": [8, 10]}
    for stage in stages.values():
        assert stage["license"] == "MIT" and "sha256" in stage["provenance"]
        assert 0 < stage["max_abs_error"] < 1e-4


def test_detector_is_added_to_a_bundle_whose_rest_stays(options: BuildOptions, wheel: Path) -> None:
    build_bundle(replace(options, face_detection=None))
    before, files_before = read_bundle(options.out)
    assert "face_detection" not in before
    for _ in range(2):  # added, then replaced
        graphs = extend_bundle(options.out, options.photographs, wheel)
        assert len(graphs) == 3
        manifest, files = read_bundle(options.out)
        assert manifest.pop("face_detection").keys() == {"proposal", "refinement", "landmarks"}
        assert manifest == before
        assert files.items() >= files_before.items()
        assert files.keys() - files_before.keys() == FACE_FILES


def test_command_adds_the_detector_alone(
    options: BuildOptions, wheel: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build_bundle(replace(options, face_detection=None))
    arguments = ["--face-detection", wheel, "--out", options.out, "--photographs", options.photographs[0]]
    assert command.main([str(argument) for argument in arguments]) == 0
    assert "face_landmarks" in capsys.readouterr().out
    assert "face_detection" in json.loads((options.out / "bundle.json").read_text())


def test_detector_is_not_added_to_what_is_no_bundle(
    tmp_path: Path, wheel: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["--face-detection", str(wheel), "--out", str(tmp_path / "none")]) == 1
    assert "none/bundle.json: not a readable manifest" in capsys.readouterr().err


@pytest.mark.parametrize(
    "given", [[], ["--shape", "shape.pt"], ["--segmentation", "m.onnx", "--face-detection", "w"]]
)
def test_command_with_half_of_its_arguments_is_refused(
    given: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        command.parse_arguments([*given, "--out", "bundle"])
    assert "--face-detection, a face or --formats alone" in capsys.readouterr().err


@pytest.mark.parametrize("damage", ["altered", "missing"])
def test_damaged_bundle_is_not_read(options: BuildOptions, damage: str) -> None:
    build_bundle(replace(options, face_detection=None))
    heads = options.out / "heads.safetensors"
    if damage == "altered":
        heads.write_bytes(heads.read_bytes() + b"x")
    else:
        heads.unlink()
    with pytest.raises(BundleError, match=r"heads.safetensors: (was altered|cannot be read)"):
        read_bundle(options.out)


def test_bundle_of_another_schema_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "bundle.json").write_text('{"schema_version": 9}')
    with pytest.raises(BundleError, match="not a manifest of schema version 1"):
        read_bundle(tmp_path)
