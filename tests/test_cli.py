"""The command line, as scripts and people call it."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

import jiffsdk
from figures import as_bytes, disc, person, photograph
from jiffsdk import cli
from signals import heed_interrupts

SDK_DIR = Path(jiffsdk.__file__).parent.parent


@pytest.fixture
def photo(tmp_path: Path) -> str:
    path = tmp_path / "photo.png"
    Image.fromarray(photograph(person())).save(path)
    return str(path)


@pytest.fixture
def reconstruct(bundle_dir: Path, photo: str, tmp_path: Path) -> list[str]:
    output = tmp_path / "person.glb"
    return ["reconstruct", photo, "-o", str(output), "--bundle", str(bundle_dir), "--resolution", "64"]


def error_line(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line on stderr; nothing stands on stdout."""
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("jiff: error: ") and captured.err.count("\n") == 1
    return captured.err


def test_reconstruct_writes_mesh_and_preview(
    reconstruct: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*reconstruct, "--preview", str(tmp_path / "views.png")]) == 0
    mesh = trimesh.load(tmp_path / "person.glb", force="mesh", process=False)
    assert mesh.is_watertight
    with Image.open(tmp_path / "views.png") as views:
        assert views.height == 1024
    captured = capsys.readouterr()
    assert captured.err == ""  # quiet where stderr is no terminal
    assert (
        f"{tmp_path / 'person.glb'}: {len(mesh.vertices)} vertices, {len(mesh.faces)} faces" in captured.out
    )


def test_reconstruct_takes_a_mask_and_an_engine(
    reconstruct: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mask = tmp_path / "mask.png"
    Image.fromarray(as_bytes(disc(240, 200, 144, 90, 50))).save(mask)
    extra = ["--mask", str(mask), "--engine", "onnxruntime", "--threads", "1", "--json"]
    assert cli.main([*reconstruct, *extra]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["engine"] == "onnxruntime"
    assert facts["image_from_world"][1][3] == pytest.approx(144, abs=1.0)


def test_json_reports_the_facts(reconstruct: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*reconstruct, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["resolution"] == 64 and facts["output"].endswith("person.glb") and facts["preview"] is None
    assert (
        facts["num_vertices"] > 1000 and facts["num_faces"] > 2000 and facts["size_m"] == pytest.approx(1.5)
    )
    assert facts["queries"]["ideal"] <= facts["queries"]["asked"] <= 4 * facts["queries"]["ideal"]
    assert facts["timings_ms"]["total"] > 0 and facts["warnings"] == []
    assert facts["face"]["status"] == "no_face_model" and facts["face"]["box"] is None


def test_quiet_says_nothing(reconstruct: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*reconstruct, "-q"]) == 0
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")


def test_warnings_are_one_line(
    reconstruct: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    two = disc(200, 400, 100, 110, 70) | disc(200, 400, 100, 320, 45)
    Image.fromarray(photograph(two)).save(tmp_path / "two.png")
    reconstruct[1] = str(tmp_path / "two.png")
    assert cli.main([*reconstruct, "--json"]) == 0
    captured = capsys.readouterr()
    assert captured.err.startswith("jiff: warning: ") and captured.err.count("\n") == 1
    assert "2 people" in json.loads(captured.out)["warnings"][0]


@pytest.mark.parametrize(
    ("changes", "code", "expected"),
    [
        (["--resolution", "100"], 2, "got 100"),
        (["--resolution", "many"], 2, "invalid int value: 'many'"),
        (["--threads", "0"], 2, "got 0"),
        (["-o", "person.stl"], 2, "use .glb, .ply, .obj"),
        (["--colour"], 2, "--colour"),
        (["--mask", "absent.png"], 3, "no file 'absent.png'"),
        (["--engine", "opnvino"], 4, "did you mean 'openvino'?"),
        (["--bundle", "/absent"], 4, "'/absent' is no bundle"),
        (["-o", "/absent/person.glb"], 5, "no folder '/absent'; make it first"),
        (["--preview", "/absent/person.png"], 5, "no folder '/absent'; make it first"),
        (["-o", "/proc/person.glb"], 5, "cannot write '/proc/person.glb'"),
    ],
)
def test_errors_are_one_line_with_an_exit_code(
    reconstruct: list[str],
    capsys: pytest.CaptureFixture[str],
    changes: list[str],
    code: int,
    expected: str,
) -> None:
    try:
        found = cli.main([*reconstruct, *changes])
    except SystemExit as leaving:  # argparse leaves by itself
        found = leaving.code
    assert found == code
    assert expected in error_line(capsys)


def test_a_file_that_is_no_photograph(
    reconstruct: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.txt").write_text("not an image")
    reconstruct[1] = str(tmp_path / "notes.txt")
    assert cli.main(reconstruct) == 3
    assert "notes.txt' is not an image" in error_line(capsys)
    assert not (tmp_path / "person.glb").exists()


def test_a_photograph_without_anybody(
    reconstruct: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(photograph(np.zeros((200, 200), bool))).save(tmp_path / "wall.png")
    reconstruct[1] = str(tmp_path / "wall.png")
    assert cli.main(reconstruct) == 3
    assert "no person" in error_line(capsys)


def test_an_incomplete_call(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["reconstruct"], ["reconstruct", "photo.jpg"], ["paint"]):
        with pytest.raises(SystemExit) as leaving:
            cli.main(arguments)
        assert leaving.value.code == 2
        assert "--help" in error_line(capsys)


def test_exit_codes_are_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as leaving:
        cli.main(["reconstruct", "--help"])
    assert leaving.value.code == 0
    text = " ".join(capsys.readouterr().out.split())
    for code in ("2 usage", "3 the photograph", "4 the bundle", "5 the result", "130 interrupted"):
        assert code in text


def test_info_lists_bundle_engines_and_processor(
    bundle_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["info", "--bundle", str(bundle_dir)]) == 0
    text = capsys.readouterr().out
    assert f"jiff {jiffsdk.__version__}" in text and "openvino" in text and "bundle name: inflated" in text
    assert cli.main(["info", "--bundle", str(bundle_dir), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["version"] == jiffsdk.__version__
    assert facts["engines"] == jiffsdk.engines.available()
    assert facts["bundle"]["provenance"] == "written by a test"
    assert facts["bundle"]["face"] is False and facts["bundle"]["fine_color"] is False
    assert facts["cpu"]["level"] in facts["cpu"]["supported"]


def test_info_of_a_broken_bundle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["info", "--bundle", str(tmp_path)]) == 4
    assert "no bundle" in error_line(capsys)


def start(arguments: list[str], stderr: int) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": str(SDK_DIR)}
    command = [sys.executable, "-m", "jiffsdk", *arguments]
    return subprocess.Popen(
        command,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        preexec_fn=heed_interrupts,
    )


def read_terminal(side: int, until: str = "") -> str:
    text = ""
    while not until or until not in text:
        try:
            part = os.read(side, 4096).decode()
        except OSError:  # the other side is closed
            break
        if not part:
            break
        text += part
    return text


def test_a_terminal_sees_a_bar_that_goes_away(reconstruct: list[str]) -> None:
    terminal, program_side = pty.openpty()
    process = start(reconstruct, program_side)
    os.close(program_side)
    text = read_terminal(terminal)
    os.close(terminal)
    stdout, _ = process.communicate(timeout=60)
    assert process.returncode == 0 and "vertices" in stdout
    assert "\r[" in text and "extract" in text and "100 %" in text
    assert text.endswith("\r\033[K") and "\n" not in text


def test_ctrl_c_ends_with_130_and_no_file(reconstruct: list[str], tmp_path: Path) -> None:
    terminal, program_side = pty.openpty()
    reconstruct[-1] = "1024"
    process = start([*reconstruct, "--preview", str(tmp_path / "views.png")], program_side)
    os.close(program_side)
    text = read_terminal(terminal, until="extract")  # the bar shows that the work has begun
    process.send_signal(signal.SIGINT)
    text += read_terminal(terminal)
    os.close(terminal)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert "jiff: error: interrupted" in text
    assert [path.name for path in tmp_path.iterdir()] == ["photo.png"]
