"""Face models: the file format, Eq. 2, and the conversion of a Basel model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("safetensors", reason="needs safetensors (pip install .[export])")
scipy_io = pytest.importorskip("scipy.io", reason="needs scipy (pip install .[export])")

import convert_basel_model  # noqa: E402
from jiffexport.basel import load_basel_face_model  # noqa: E402
from jiffexport.errors import FaceModelError  # noqa: E402
from jiffexport.face_model import NUM_COEFFICIENTS, Coefficients, FaceModel, load_face_model  # noqa: E402
from small_face_model import NUM, small_model  # noqa: E402


def write(tmp_path: Path, model: FaceModel, store: str = "fp16") -> Path:
    path = tmp_path / "face.safetensors"
    path.write_bytes(model.to_bytes(store))  # type: ignore[arg-type]
    return path


def test_a_model_survives_its_file(tmp_path: Path) -> None:
    model = small_model()
    exact = load_face_model(write(tmp_path, model, "fp32"))
    for name in (
        "mean_shape",
        "identity_basis",
        "triangles",
        "landmarks",
        "five_points",
        "body_vertices",
        "uv",
    ):
        np.testing.assert_array_equal(getattr(exact, name), getattr(model, name))
        assert getattr(exact, name).dtype == getattr(model, name).dtype
    assert exact.expression_names == model.expression_names
    assert (exact.license, exact.provenance, exact.name) == ("CC0-1.0", "a test", "face")
    half = load_face_model(write(tmp_path, model))
    alpha, beta = np.full(80, 1.5), np.full(64, 0.5)
    error = np.abs(half.shape(alpha, beta) - model.shape(alpha, beta)).max()
    assert error < 2e-5  # metres; worst seen 1e-5
    np.testing.assert_array_equal(half.mean_shape, model.mean_shape)


def test_equation_two_and_what_a_model_lacks() -> None:
    model = small_model()
    alpha, beta, delta = np.zeros(80), np.zeros(64), np.zeros(80)
    alpha[3], beta[50], delta[18] = 2.0, 0.5, -1.0
    expected = model.mean_shape + 2 * model.identity_basis[3] + 0.5 * model.expression_basis[50]
    np.testing.assert_allclose(model.shape(alpha, beta), expected, atol=1e-6)
    np.testing.assert_allclose(model.texture(delta), model.mean_texture - model.texture_basis[18], atol=1e-6)
    beta[51:], delta[19:] = 9.0, 9.0  # components that this model does not have
    np.testing.assert_allclose(model.shape(alpha, beta), expected, atol=1e-6)
    np.testing.assert_allclose(model.texture(delta), model.mean_texture - model.texture_basis[18], atol=1e-6)
    assert model.texture(np.full(80, 1e3)).max() <= 1


def test_coefficients_are_split_in_the_papers_order() -> None:
    parts = Coefficients.split(np.arange(2 * NUM_COEFFICIENTS, dtype=float).reshape(2, -1))
    widths = [part.shape[1] for part in vars(parts).values()]
    assert widths == [80, 64, 80, 27, 6] and sum(widths) == 257
    assert parts.pose[0, -1] == 256 and parts.identity[1, 0] == 257
    with pytest.raises(FaceModelError, match="257"):
        Coefficients.split(np.zeros((1, 256)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mean_texture": np.zeros((NUM - 1, 3), np.float32)}, "mean_texture must have shape"),
        ({"identity_basis": np.zeros((81, NUM, 3), np.float32)}, "identity_basis has 81 components"),
        ({"triangles": np.full((2, 3), NUM, np.int32)}, "triangles names vertices"),
        ({"landmarks": np.zeros(5, np.int32)}, "landmarks must have shape"),
        ({"mean_shape": np.full((NUM, 3), np.nan, np.float32)}, "mean_shape holds NaN"),
    ],
)
def test_parts_that_do_not_fit_are_named(change: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(FaceModelError, match=message):
        replace(small_model(), **change)  # type: ignore[arg-type]


def test_files_that_are_no_face_models_are_refused(tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    with pytest.raises(FaceModelError, match="no such"):
        load_face_model(tmp_path / "none.safetensors")
    broken = tmp_path / "broken.safetensors"
    broken.write_bytes(b"hello, this is text")
    with pytest.raises(FaceModelError, match="readable"):
        load_face_model(broken)
    save_file({"mean_shape": np.zeros((3, 3), np.float32)}, tmp_path / "part.safetensors")
    with pytest.raises(FaceModelError, match="'identity_basis' is missing"):
        load_face_model(tmp_path / "part.safetensors")


def test_the_core_reads_a_face_models_file(tmp_path: Path) -> None:
    """Its safetensors reader knows float16 and float32 only."""
    import json

    raw = write(tmp_path, small_model()).read_bytes()
    header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    assert {entry["dtype"] for key, entry in header.items() if key != "__metadata__"} == {"F16", "F32"}


def basel_arrays() -> dict[str, np.ndarray]:
    """A file of the published layout: decimetres, colours to 255, indices from 1, rows (1, n)."""
    rng = np.random.default_rng(1)
    x, y = np.meshgrid(np.linspace(-0.7, 0.7, 10), np.linspace(-0.9, 0.9, 9))
    mean = np.stack([x, y, 0.5 - x**2], -1).reshape(-1, 3) + [0, 0, 3]
    index = np.arange(90).reshape(9, 10) + 1
    triangles = np.concatenate(
        [
            np.stack([index[:-1, :-1], index[:-1, 1:], index[1:, 1:]], -1).reshape(-1, 3),
            np.stack([index[:-1, :-1], index[1:, 1:], index[1:, :-1]], -1).reshape(-1, 3),
        ]
    )
    return {
        "meanshape": mean.reshape(1, -1),
        "idBase": rng.normal(0, 0.02, (270, 80)),
        "exBase": rng.normal(0, 0.03, (270, 64)),
        "meantex": rng.uniform(80, 200, (1, 270)),
        "texBase": rng.normal(0, 5, (270, 80)),
        "tri": triangles.astype(np.uint16),
        "keypoints": rng.integers(1, 91, (1, 68)).astype(np.uint8),
    }


def test_a_basel_file_becomes_a_model_in_metres(tmp_path: Path) -> None:
    arrays = basel_arrays()
    scipy_io.savemat(tmp_path / "BFM_model_front.mat", arrays)
    model = load_basel_face_model(tmp_path / "BFM_model_front.mat")
    rng = np.random.default_rng(2)
    alpha, beta, delta = rng.normal(size=80), rng.normal(size=64), rng.normal(size=80)
    published = (arrays["meanshape"][0] + arrays["idBase"] @ alpha + arrays["exBase"] @ beta).reshape(-1, 3)
    published -= arrays["meanshape"].reshape(-1, 3).mean(axis=0)
    np.testing.assert_allclose(model.shape(alpha, beta), published / 10, atol=1e-6)
    colors = (arrays["meantex"][0] + arrays["texBase"] @ delta).reshape(-1, 3) / 255
    np.testing.assert_allclose(model.texture(delta), colors.clip(0, 1), atol=1e-5)
    np.testing.assert_array_equal(model.triangles, arrays["tri"].astype(int) - 1)
    np.testing.assert_array_equal(model.landmarks, arrays["keypoints"][0].astype(int) - 1)
    np.testing.assert_array_equal(model.five_points[0], model.landmarks[[36, 39]])
    assert model.body_vertices is None and not model.uv.any()


def test_basel_triangles_are_turned_outwards(tmp_path: Path) -> None:
    arrays = basel_arrays()
    arrays["tri"] = arrays["tri"][:, ::-1]
    scipy_io.savemat(tmp_path / "b.mat", arrays)
    model = load_basel_face_model(tmp_path / "b.mat")
    a, b, c = (model.mean_shape[model.triangles[:, k]] for k in range(3))
    assert np.cross(b - a, c - a)[:, 2].mean() > 0


def test_the_converter_writes_our_format(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scipy_io.savemat(tmp_path / "b.mat", basel_arrays())
    out = tmp_path / "face.safetensors"
    assert convert_basel_model.main([str(tmp_path / "b.mat"), str(out)]) == 0
    assert load_face_model(out).name == "basel"
    assert convert_basel_model.main([str(tmp_path / "none.mat"), str(out)]) == 1
    assert "none.mat" in capsys.readouterr().err


@pytest.mark.parametrize("key", ["meanshape", "idBase", "exBase", "meantex", "texBase", "tri", "keypoints"])
def test_a_missing_basel_array_is_named(tmp_path: Path, key: str) -> None:
    arrays = basel_arrays()
    del arrays[key]
    scipy_io.savemat(tmp_path / "b.mat", arrays)
    with pytest.raises(FaceModelError, match=f"'{key}' is missing"):
        load_basel_face_model(tmp_path / "b.mat")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("meanshape", np.zeros((1, 271)), "'meanshape' must have 3 N"),
        ("meantex", np.zeros((1, 9)), "'meantex' must have 3 N"),
        ("idBase", np.zeros((80, 270)), "'idBase' must have shape"),
        ("exBase", np.full((270, 64), np.nan), "'exBase' holds NaN"),
        ("texBase", "text", "'texBase' must hold numbers"),
        ("tri", np.zeros((4, 4)), "'tri' must have shape"),
        ("tri", np.zeros((4, 3)), "'tri' counts vertices from 1"),
        ("keypoints", np.ones((1, 67)), "'keypoints' must have 68"),
        ("keypoints", np.full((1, 68), 91), "'keypoints' counts vertices"),
        ("idBase", np.zeros((270, 81)), "identity_basis has 81"),
    ],
)
def test_a_wrong_basel_array_is_named(tmp_path: Path, key: str, value: object, message: str) -> None:
    scipy_io.savemat(tmp_path / "b.mat", basel_arrays() | {key: value})
    with pytest.raises(FaceModelError, match=message):
        load_basel_face_model(tmp_path / "b.mat")


def test_what_is_no_matlab_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "b.mat").write_bytes(b"not a matlab file at all" * 20)
    with pytest.raises(FaceModelError, match="MATLAB"):
        load_basel_face_model(tmp_path / "b.mat")
