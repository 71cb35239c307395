"""The face in a reconstruction: real pictures, the shipped detector, a face whose answers are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from face_photographs import back_of_head, example, framed, noise, two_people
from figures import as_bytes, disc
from jiffsdk import Cancelled, Face, Reconstruction, ReconstructionOptions, Reconstructor
from jiffsdk.reconstructor import DEFAULT_BUNDLE
from synthetic_bundle import read_manifest, write_bundle, write_manifest
from synthetic_face import (
    BENT,
    FACE_COLOR,
    FINE_COLOR,
    LOG_SCALE,
    REGION_MARGIN,
    SHIFT_X,
    THICKER,
    YAW,
    add_face,
)
from synthetic_head import add_head_encoder

pytestmark = pytest.mark.skipif(not DEFAULT_BUNDLE.is_dir(), reason="this checkout ships no face detector")

FACE_STAGES = ["detect_face", "fit_face", "align_face", "encode_face_shape"]
RESOLUTION = 96
SIZE_M = 0.45
ASTRONAUT_CENTER = (116, 225)  # row, column
FACE_WIDTH_PX = 88
MASK_RADIUS_PX = 100


def figure_bundle(folder: Path, size_m: float = SIZE_M) -> Path:
    """The synthetic bundle without a face; its frame is `size_m` wide."""
    write_bundle(folder, estimates_size=False)
    manifest = read_manifest(folder)
    manifest["frame"]["size_m"] = size_m
    write_manifest(folder, manifest)
    return folder


def face_reconstructor(
    folder: Path, coefficients: dict[int, float] | None = None, *, sees_head: bool = False
) -> Reconstructor:
    bundle = add_face(figure_bundle(folder), coefficients)
    return Reconstructor(add_head_encoder(bundle) if sees_head else bundle)


@pytest.fixture(scope="module")
def body(tmp_path_factory: pytest.TempPathFactory) -> Reconstructor:
    return Reconstructor(figure_bundle(tmp_path_factory.mktemp("body")))


@pytest.fixture(scope="module", params=[False, True], ids=["body's map", "head's own map"])
def with_face(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Reconstructor:
    return face_reconstructor(tmp_path_factory.mktemp("face"), sees_head=request.param)


def astronaut() -> tuple[np.ndarray, np.ndarray]:
    """The picture, and a mask around the face."""
    picture = np.array(example("astronaut"))
    return picture, as_bytes(disc(512, 512, *ASTRONAUT_CENTER, MASK_RADIUS_PX))


def reconstruct(reconstructor: Reconstructor, **options: object) -> Reconstruction:
    picture, mask = astronaut()
    chosen: dict[str, object] = {"resolution": RESOLUTION, "face_blend": "region"}
    chosen |= {"hidden_colors": "network"} | options
    made = ReconstructionOptions(**chosen)  # type: ignore[arg-type]
    return reconstructor(picture, mask, options=made)


@pytest.fixture(scope="module")
def used(with_face: Reconstructor) -> Reconstruction:
    return reconstruct(with_face)


def in_region(result: Reconstruction, border: float = 0.0) -> np.ndarray:
    """Which vertices project into the face region, but for a border that is a share of its shorter side."""
    assert result.face.vertices is not None
    low, high = result.face.vertices[:, :2].min(0), result.face.vertices[:, :2].max(0)
    reach = REGION_MARGIN * (high - low).max()
    low, high = low - reach, high + reach
    inwards = border * (high - low).min()
    across = result.vertices[:, :2]
    return np.asarray(((across >= low + inwards) & (across <= high - inwards)).all(1))


def test_used_face_tells_where_it_is(used: Reconstruction) -> None:
    face = used.face
    assert (face.status, face.is_used) == ("used", True)
    assert face.box is not None and face.landmarks is not None and face.score is not None
    left, top, width, height = face.box
    assert left + width / 2 == pytest.approx(ASTRONAUT_CENTER[1], abs=8)
    assert top + height / 2 == pytest.approx(ASTRONAUT_CENTER[0], abs=12)
    assert width == pytest.approx(FACE_WIDTH_PX, rel=0.15) and face.score > 0.9
    assert face.landmarks.shape == (5, 2)
    assert (face.landmarks[[0, 3], 0] < face.landmarks[[1, 4], 0]).all()
    assert face.coefficients is not None and face.coefficients.shape == (257,)
    assert (face.yaw_deg, face.pitch_deg, face.roll_deg) == (0.0, 0.0, 0.0)


def test_fitted_face_lies_on_the_bodys_front_where_it_is_seen(used: Reconstruction) -> None:
    face = used.face
    assert face.vertices is not None and face.triangles is not None and face.colors is not None
    assert face.alignment is not None
    assert face.vertices.shape == face.colors.shape == (270, 3) and face.triangles.max() == 269
    front_m = 0.38 * SIZE_M / 2  # of an inflated figure
    np.testing.assert_allclose(np.median(face.vertices[:, 2]), front_m, atol=0.002)
    assert 0 <= face.alignment.residual_m < 0.004
    assert abs(face.alignment.scale_change) < 0.03 and face.alignment.rotation_deg < 2
    # The patch is 11.2 cm wide, of a crop that is 22 cm wide.
    homogeneous = np.concatenate([face.vertices, np.ones((270, 1))], 1) @ used.image_from_world.T
    assert face.landmarks is not None
    middle = face.landmarks.mean(0)
    np.testing.assert_allclose(homogeneous[:, :2].mean(0), middle, atol=6)


def check_rise(result: Reconstruction) -> None:
    """In the region it rises from the body's front, 11 mm over three cells; a hard switch leaves one step."""
    rising = result.vertices[in_region(result) & (result.vertices[:, 2] > 0), 2]
    steps = np.diff(np.sort(rising[rising < (0.38 + THICKER) * SIZE_M / 2 - 1e-3]))
    assert len(steps) > 50 and steps.max() < 0.006


def test_joint_head_answers_in_the_region_alone(used: Reconstruction, body: Reconstructor) -> None:
    plain = reconstruct(body)
    inside = in_region(used)
    assert 200 < inside.sum() < 0.6 * len(inside)
    half_m = SIZE_M / 2
    front = used.vertices[:, 2] > 0
    flat = np.abs(used.vertices[:, 2] - (0.38 + THICKER) * half_m) < 1e-3
    assert flat[in_region(used, 0.101) & front].mean() > 0.95
    assert not flat[~inside].any()
    check_rise(used)
    # Elsewhere nothing has moved.
    theirs = {tuple(vertex) for vertex in plain.vertices.round(6)}
    margin = np.abs(used.vertices[:, 2]) < 0.3 * half_m
    mine = [tuple(vertex) for vertex in used.vertices[~inside & margin].round(6)]
    assert len(mine) > 200 and np.mean([vertex in theirs for vertex in mine]) > 0.97
    assert used.mesh.is_watertight


def test_blend_by_distance_lies_between_both_heads(with_face: Reconstructor) -> None:
    blended = reconstruct(with_face, face_blend="distance")
    inside = in_region(blended)
    highest = blended.vertices[inside, 2].max() / (SIZE_M / 2)
    # The mesh lies on the body's front, 1.1 cm below the face head's: the share is 0.99 there.
    assert highest == pytest.approx(0.38 + THICKER, abs=0.004)
    # At its back, some 17 cm from the mesh, it has 0.06: exp(-0.03 · 17² / 3).
    lowest = blended.vertices[inside, 2].min() / (SIZE_M / 2)
    assert lowest == pytest.approx(-0.38, abs=0.01)
    check_rise(blended)


def test_colours_come_from_the_head_that_answers(used: Reconstruction) -> None:
    inside, deep = in_region(used), in_region(used, 0.101)
    np.testing.assert_allclose(used.colors[deep], np.tile(FACE_COLOR, (deep.sum(), 1)), atol=1e-5)
    # On the border they are the mean.
    between = in_region(used, 0.04) & ~in_region(used, 0.06)
    middle = (np.array(FACE_COLOR) + FINE_COLOR) / 2
    assert deep.sum() > 200 and between.sum() > 20
    np.testing.assert_allclose(used.colors[between], np.tile(middle, (between.sum(), 1)), atol=0.09)
    np.testing.assert_allclose(used.colors[~inside], np.tile(FINE_COLOR, ((~inside).sum(), 1)), atol=1e-5)


def test_without_colours_of_its_own_the_face_is_coloured_as_the_body(tmp_path: Path) -> None:
    plain = figure_bundle(tmp_path / "plain")
    faced = add_face(figure_bundle(tmp_path / "faced"), colored=False)
    bare, result = (reconstruct(Reconstructor(folder)) for folder in (plain, faced))
    assert result.face.is_used and bare.face.status == "no_face_model"
    assert "encode_fine_color" not in result.timings
    outside = ~in_region(result)
    known = {tuple(v): c for v, c in zip(bare.vertices.round(6), bare.colors, strict=True)}
    pairs = [
        (known[tuple(v)], c)
        for v, c in zip(result.vertices[outside].round(6), result.colors[outside], strict=True)
        if tuple(v) in known
    ]
    assert len(pairs) > 200
    np.testing.assert_allclose(*np.array(pairs).transpose(1, 0, 2), atol=1e-4)


def test_a_face_can_be_left_out(with_face: Reconstructor, body: Reconstructor) -> None:
    off = reconstruct(with_face, face="off")
    assert off.face.status == "off" and off.face.box is None and off.face.vertices is None
    assert not set(FACE_STAGES) & set(off.timings)
    np.testing.assert_array_equal(off.vertices, reconstruct(body).vertices)
    np.testing.assert_allclose(off.colors, np.tile(FINE_COLOR, (len(off.colors), 1)), atol=1e-5)


def assert_body_alone(result: Reconstruction, body: Reconstruction) -> None:
    assert not result.face.is_used
    np.testing.assert_array_equal(result.vertices, body.vertices)


@pytest.mark.parametrize("picture", [back_of_head(), noise()], ids=["back_of_head", "noise"])
def test_without_a_face_the_body_stands(
    with_face: Reconstructor, body: Reconstructor, picture: Image.Image
) -> None:
    rgb = np.array(picture)
    mask = as_bytes(disc(*rgb.shape[:2], 130, 200, MASK_RADIUS_PX))
    results = [made(rgb, mask, resolution=64) for made in (with_face, body)]
    assert results[0].face.status == "no_face"
    assert results[0].face.box is None and results[0].face.coefficients is None
    assert_body_alone(*results)


def test_a_face_off_the_mask_is_not_the_persons(with_face: Reconstructor) -> None:
    picture, _ = astronaut()
    mask = as_bytes(disc(512, 512, 380, 240, 120))
    assert with_face(picture, mask, resolution=64).face.status == "no_face"


def test_of_two_people_the_main_ones_face_is_used(with_face: Reconstructor) -> None:
    picture = np.array(two_people())
    for column, half in ((190, slice(0, 310)), (480, slice(310, 700))):
        mask = as_bytes(disc(400, 700, 130, column, 120))
        mask[:, : half.start] = 0
        mask[:, half.stop :] = 0
        face = with_face(picture, mask, resolution=64).face
        assert face.box is not None
        assert half.start <= face.box[0] and face.box[0] + face.box[2] <= half.stop


@pytest.mark.parametrize("width_px", [30, 45])
def test_small_faces_are_used(with_face: Reconstructor, width_px: int) -> None:
    picture = np.array(framed("astronaut", width_px))
    scale = width_px / FACE_WIDTH_PX
    row, column = (start + scale * at for start, at in zip((61, 143), ASTRONAUT_CENTER, strict=True))
    mask = as_bytes(disc(512, 512, row, column, scale * MASK_RADIUS_PX))
    result = with_face(picture, mask, resolution=64)
    assert result.face.status == "used"
    assert result.face.box is not None and result.face.box[2] == pytest.approx(width_px, rel=0.25)


@pytest.mark.parametrize("degrees", [-75.0, 65.0])
def test_a_face_turned_away_is_not_used(tmp_path: Path, body: Reconstructor, degrees: float) -> None:
    result = reconstruct(face_reconstructor(tmp_path, {YAW: np.deg2rad(degrees)}))
    assert result.face.status == "turned_away"
    assert result.face.yaw_deg == pytest.approx(degrees, abs=1e-3)
    assert result.face.alignment is None and result.face.vertices is None
    assert_body_alone(result, reconstruct(body))


@pytest.mark.parametrize(
    "coefficients",
    [{SHIFT_X: 0.8}, {LOG_SCALE: 3.0}, {LOG_SCALE: 400.0}, {BENT: np.nan}, {YAW: np.inf}],
    ids=["elsewhere", "too_large", "out_of_range", "nan", "infinite"],
)
def test_a_fit_that_is_none_is_not_used(
    tmp_path: Path, body: Reconstructor, coefficients: dict[int, float]
) -> None:
    result = reconstruct(face_reconstructor(tmp_path, coefficients))
    assert result.face.status == "no_fit"
    assert result.face.box is not None and result.face.coefficients is None
    assert_body_alone(result, reconstruct(body))


def test_a_face_of_another_shape_than_the_body_is_not_used(tmp_path: Path, body: Reconstructor) -> None:
    result = reconstruct(face_reconstructor(tmp_path, {BENT: 5.0}))
    assert result.face.status == "scaled_too_far"  # a smaller bowl would touch the flat front
    assert result.face.alignment is not None and result.face.vertices is not None
    assert_body_alone(result, reconstruct(body))


def test_a_face_without_body_behind_it_is_not_used(tmp_path: Path) -> None:
    # The body is a thin ring around the face.
    picture, mask = astronaut()
    mask[disc(512, 512, *ASTRONAUT_CENTER, 62)] = 0
    mask[disc(512, 512, *ASTRONAUT_CENTER, 34)] = 255  # so that the face counts as the person's
    mask[:, 224:226] = 255
    result = face_reconstructor(tmp_path)(picture, mask, resolution=64)
    assert result.face.status in ("no_surface", "too_few_pairs", "no_face")


def covered(color: tuple[int, int, int]) -> np.ndarray:
    """The picture with cloth from the nose down."""
    picture = example("astronaut")
    outline = [(187, 118), (224, 108), (262, 118), (260, 150), (240, 172), (208, 172), (190, 150)]
    ImageDraw.Draw(picture).polygon(outline, fill=color)
    return np.array(picture)


def test_a_covered_face_is_not_used(with_face: Reconstructor, body: Reconstructor) -> None:
    _, mask = astronaut()
    results = [made(covered((120, 170, 210)), mask, resolution=64) for made in (with_face, body)]
    assert results[0].face.status == "covered" and results[0].face.coefficients is not None
    assert_body_alone(*results)


def test_a_face_in_a_photograph_without_colours_is_used(with_face: Reconstructor) -> None:
    picture, mask = astronaut()
    grey = np.repeat(picture.mean(2, keepdims=True).astype(np.uint8), 3, axis=2)
    assert with_face(grey, mask, resolution=64).face.is_used


def test_stages_of_the_face_are_timed(used: Reconstruction) -> None:
    stages = [*FACE_STAGES, "encode_fine_color", "encode_face_color"]
    assert set(used.timings) == {
        *("segment", "frame", "encode_shape", "encode_color", "extract", "colorize", "total"),
        *stages,
    }
    parts = sum(ms for stage, ms in used.timings.items() if stage != "total")
    assert parts == pytest.approx(used.timings["total"], rel=0.05, abs=1.0)


def test_progress_passes_the_stages_of_the_face(with_face: Reconstructor) -> None:
    picture, mask = astronaut()
    calls: list[tuple[str, float]] = []
    with_face(picture, mask, resolution=64, progress=lambda *call: calls.append(call))
    stages = list(dict.fromkeys(stage for stage, _ in calls))
    assert stages == [
        *("segment", "frame", "encode_shape", "encode_color", *FACE_STAGES),
        *("extract", "encode_fine_color", "encode_face_color", "colorize"),
        *("smooth_hidden_colors", "done"),
    ]
    fractions = [fraction for _, fraction in calls]
    assert fractions == sorted(fractions) and fractions[-1] == 1.0
    assert sum(stage == "align_face" for stage, _ in calls) > 2


@pytest.mark.parametrize("stage", [*FACE_STAGES, "encode_fine_color", "encode_face_color"])
def test_progress_can_cancel_the_face(with_face: Reconstructor, stage: str) -> None:
    picture, mask = astronaut()
    with pytest.raises(Cancelled, match=f"'{stage}'"):
        with_face(picture, mask, resolution=64, progress=lambda now, _: now != stage)


def test_results_keep_the_faces_arrays(with_face: Reconstructor) -> None:
    face = reconstruct(with_face).face
    copies = [np.array(face.vertices), np.array(face.coefficients), np.array(face.triangles)]
    for _ in range(2):
        reconstruct(with_face)
    for array, copy in zip((face.vertices, face.coefficients, face.triangles), copies, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_preview_shows_the_head_below(used: Reconstruction) -> None:
    plain = used.preview(height_px=64)
    assert plain.size[1] == 4 * 64
    closer = np.asarray(plain)[3 * 64 :, : plain.size[0] // 4]
    further = np.asarray(plain)[64 : 2 * 64, : plain.size[0] // 4]
    background = further[0, 0]
    assert (closer != background).any(2).mean() > (further != background).any(2).mean()


def test_a_result_without_a_face_says_so() -> None:
    assert repr(Face("no_face")) == "Face('no_face')"
    assert not Face("no_face").is_used
