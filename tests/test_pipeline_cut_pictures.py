"""Encoders that see what is not ground alone: the person is the one that whole pictures give."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("openvino")

from jiffsdk import BundleError, EngineOptions, Reconstructor, engines
from jiffsdk.images import load_photo
from jiffsdk.reconstructor import DEFAULT_BUNDLE
from jiffsdk.verification import RecordingEngine

ROOT = Path(__file__).parents[1]
PHOTOGRAPH = ROOT / "examples" / "held_out_render.png"


@pytest.fixture(scope="module")
def whole_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The default bundle without a word of cut pictures."""
    folder = tmp_path_factory.mktemp("whole") / "bundle"
    shutil.copytree(DEFAULT_BUNDLE, folder)
    manifest = json.loads((folder / "bundle.json").read_text())
    for entry in (manifest["graphs"]["color_encoder"], manifest["fine_color"]["encoder"]):
        assert entry.pop("cut")["stride_px"] == 4
    (folder / "bundle.json").write_text(json.dumps(manifest))
    return folder


def pictures() -> dict[str, np.ndarray]:
    """A person in the middle, and one that is cut by a border of the picture on either side."""
    photo = load_photo(PHOTOGRAPH)
    assert photo.alpha is not None
    rgba = np.dstack([photo.rgb, photo.alpha])
    columns = np.nonzero(photo.alpha.any(0))[0]
    middle = (columns[0] + columns[-1]) // 2
    return {"whole": rgba, "left half": rgba[:, :middle], "right half": rgba[:, middle:]}


@pytest.mark.parametrize("name", ["whole", "left half", "right half"])
def test_the_person_is_the_same(whole_bundle: Path, name: str) -> None:
    picture = np.ascontiguousarray(pictures()[name])
    cut = Reconstructor(precision="fp32", engine="openvino")(picture, resolution=64)
    whole = Reconstructor(whole_bundle, precision="fp32", engine="openvino")(picture, resolution=64)
    assert np.array_equal(cut.faces, whole.faces)
    assert np.array_equal(cut.vertices, whole.vertices)
    assert np.abs(cut.colors - whole.colors).max() < 1e-5


def test_the_engine_sees_less_of_a_standing_person() -> None:
    recording = RecordingEngine(engines.create("openvino"))
    Reconstructor(engine=recording, precision="fp32")(PHOTOGRAPH, resolution=64)
    taken = recording.take()
    for name, side in (("color_encoder.onnx", 512), ("fine_color_encoder.onnx", 1024)):
        _, _, height, width = taken[name][0][0]["image"].shape
        assert width < 0.75 * side and height <= side and width % 4 == height % 4 == 0


def test_engines_that_take_one_size_get_whole_pictures() -> None:
    pytest.importorskip("onnxruntime")
    recording = RecordingEngine(engines.create("onnxruntime"))
    person = Reconstructor(engine=recording, precision="fp32")(PHOTOGRAPH, resolution=64)
    assert recording.take()["fine_color_encoder.onnx"][0][0]["image"].shape[2:] == (1024, 1024)
    other = Reconstructor(engine="openvino", precision="fp32")(PHOTOGRAPH, resolution=64)
    assert np.abs(person.vertices.mean(0) - other.vertices.mean(0)).max() < 1e-3


@pytest.mark.parametrize(
    ("key", "value"), [("stride_px", 8), ("stride_px", 0), ("figure", -1), ("border", "near")]
)
def test_a_wrong_cut_is_named(whole_bundle: Path, tmp_path: Path, key: str, value: object) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(DEFAULT_BUNDLE, folder)
    manifest = json.loads((folder / "bundle.json").read_text())
    manifest["fine_color"]["encoder"]["cut"][key] = value
    (folder / "bundle.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="cut"):
        Reconstructor(folder)


def test_an_engine_that_keeps_its_memory_gives_the_same() -> None:
    kept = Reconstructor(engine=EngineOptions("openvino", keeps_memory=True), precision="fp32")
    given_back = Reconstructor(engine="openvino", precision="fp32")
    persons = [each(PHOTOGRAPH, resolution=64) for each in (kept, given_back, kept)]
    for person in persons[1:]:
        assert np.array_equal(person.vertices, persons[0].vertices)
        assert np.array_equal(person.colors, persons[0].colors)
