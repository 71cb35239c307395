"""Faces are placed and aligned as the slow reference does it, and only where that is right."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from face_surfaces import relief_mesh
from jiffsdk import _core
from reference import face_alignment as reference
from reference.face_alignment import Placement

FACE = relief_mesh(26, 32, 0.058, 0.085)
HEAD = relief_mesh(75, 95, 0.075, 0.105)


def core_placement(placement: Placement) -> _core.Similarity:
    return _core.Similarity(placement.rotation, placement.scale, placement.translation)


def placement_of(found: _core.Similarity) -> Placement:
    return Placement(found.rotation, found.scale, np.array(found.translation))


def options(**changes: object) -> _core.FaceAlignmentOptions:
    result = _core.FaceAlignmentOptions()
    for name, value in changes.items():
        setattr(result, name, value)
    return result


def turned(
    angles_deg: tuple[float, float, float], scale: float, shift: tuple[float, float, float]
) -> Placement:
    return Placement(Rotation.from_euler("xyz", angles_deg, degrees=True).as_matrix(), scale, np.array(shift))


def largest_error_m(found: Placement, expected: Placement) -> float:
    return float(np.linalg.norm(found(FACE[0]) - expected(FACE[0]), axis=1).max())


def align(start: Placement, surface: np.ndarray, faces: np.ndarray = HEAD[1], **changes: object):  # type: ignore[no-untyped-def]
    return _core.align_face(
        *FACE, core_placement(start), surface.astype(np.float32), faces, options(**changes)
    )


TRUE = turned((4, -12, 3), 1.05, (0.2, 0.4, -0.1))


@pytest.mark.parametrize(("image_weight", "pose_weight"), [(0.0, 0.0), (0.3, 0.0), (0.3, 2.0)])
def test_alignment_equals_the_reference(image_weight: float, pose_weight: float) -> None:
    rng = np.random.default_rng(3)
    face = relief_mesh(16, 20, 0.055, 0.08)
    head = relief_mesh(40, 50, 0.075, 0.105)
    surface = (TRUE(head[0]) + rng.normal(0, 5e-4, head[0].shape)).astype(np.float32)
    start = turned((7, -8, 5), 1.02, (0.203, 0.398, 0.3))
    weights = {"image_weight": image_weight, "pose_weight": pose_weight}
    found = _core.align_face(
        *face, core_placement(start), surface, head[1], options(**weights, num_iterations=8)
    )
    expected, before, after = reference.align_face(
        *face, start, surface, head[1], **weights, num_iterations=8
    )
    got = placement_of(found.placement)
    np.testing.assert_allclose(got(face[0]), expected(face[0]), atol=1e-7)  # metres; worst seen 1e-9
    assert found.residual_start_m == pytest.approx(before, rel=1e-6)
    assert found.residual_m == pytest.approx(after, rel=1e-6)


def test_counted_vertices_and_settling_equal_the_reference() -> None:
    rng = np.random.default_rng(5)
    face, head = relief_mesh(16, 20, 0.055, 0.08), relief_mesh(40, 50, 0.075, 0.105)
    surface = (TRUE(head[0]) + rng.normal(0, 5e-4, head[0].shape)).astype(np.float32)
    hair = head[0][:, 1] > 0.03
    surface[hair] += [0, 0, 0.02]
    counted = (face[0][:, 1] < 0.03).astype(np.uint8)
    start = turned((6, -9, 4), 1.03, (0.203, 0.398, 0.3))
    both = {"num_iterations": 8, "settles_in_depth": True}
    found = _core.align_face(
        *face, core_placement(start), surface, head[1], options(**both, counted=counted.tolist())
    )
    expected, before, after = reference.align_face(*face, start, surface, head[1], **both, counted=counted)
    got = placement_of(found.placement)
    np.testing.assert_allclose(got(face[0]), expected(face[0]), atol=1e-7)  # metres
    assert found.residual_start_m == pytest.approx(before, rel=1e-6)
    assert found.residual_m == pytest.approx(after, rel=1e-6)


def test_what_lies_under_hair_need_not_count() -> None:
    surface = TRUE(HEAD[0])
    surface[HEAD[0][:, 1] > 0.01] += [0, 0, 0.02]
    errors = {}
    for name, counted in (("all", []), ("face", (FACE[0][:, 1] < 0.0).astype(np.uint8).tolist())):
        found = align(TRUE, surface, counted=counted, max_residual_m=0.05, image_weight=2.0, pose_weight=2.0)
        assert found.status in ("used", "worse_than_start")
        errors[name] = largest_error_m(placement_of(found.placement), TRUE)
    assert errors["face"] < 1e-3 < errors["all"]


def test_flags_of_another_face_are_refused() -> None:
    with pytest.raises(_core.Error, match=f"counted must hold {len(FACE[0])} flags or none, got 3"):
        align(TRUE, TRUE(HEAD[0]), counted=[1, 1, 1])


@pytest.mark.parametrize(
    ("angles_deg", "scale", "shift"),
    [
        ((0, 0, 0), 1.05, (0, 0, 0.5)),
        ((6, 5, -4), 1.02, (0.004, -0.003, 0.0)),
        ((-8, 6, 2), 1.09, (-0.005, 0.004, -1.0)),
    ],
)
def test_a_known_displacement_is_undone(
    angles_deg: tuple[float, float, float], scale: float, shift: tuple[float, float, float]
) -> None:
    start = turned(angles_deg, scale, (0, 0, 0))
    start = Placement(start.rotation @ TRUE.rotation, start.scale, TRUE.translation + shift)
    found = align(start, TRUE(HEAD[0]), image_weight=0.0)
    assert found.status == "used"
    assert largest_error_m(placement_of(found.placement), TRUE) < 1e-4  # worst seen 2.3e-5
    assert found.residual_m <= found.residual_start_m
    assert found.residual_m < 1.5e-3  # half the spacing of the surface's vertices


def test_noise_moves_the_face_little() -> None:
    rng = np.random.default_rng(0)
    surface = TRUE(HEAD[0]) + rng.normal(0, 1e-3, HEAD[0].shape)
    start = Placement(turned((3, -4, 2), 1, (0, 0, 0)).rotation @ TRUE.rotation, 1.03, TRUE.translation)
    found = align(start, surface, image_weight=0.0)
    assert found.status == "used"
    assert largest_error_m(placement_of(found.placement), TRUE) < 2e-3  # worst seen 1e-3


@pytest.mark.parametrize("side", ["upper", "left"])
def test_half_a_surface_is_enough(side: str) -> None:
    keep = HEAD[0][:, 1] > -0.01 if side == "upper" else HEAD[0][:, 0] < 0.012
    faces = HEAD[1][keep[HEAD[1]].all(axis=1)]
    surface = TRUE(HEAD[0])
    surface[~keep] += [0, 0, -5]
    start = Placement(
        turned((2, 2, -1), 1, (0, 0, 0)).rotation @ TRUE.rotation, 1.04, TRUE.translation + [0, 0, 0.2]
    )
    found = align(start, surface, faces, image_weight=0.0)
    assert found.status == "used"
    assert found.num_pairs < 0.85 * len(FACE[0])
    assert largest_error_m(placement_of(found.placement), TRUE) < 2e-4  # worst seen 4e-5


def test_a_smooth_surface_does_not_drag_the_face_along() -> None:
    """On a plain sphere nothing but the photo says where the face is."""
    angle = np.linspace(-0.8, 0.8, 80)
    x, y = np.meshgrid(0.12 * np.sin(angle), 0.12 * np.sin(angle))
    ball = np.stack([x, y, np.sqrt(np.clip(0.12**2 - x**2 - y**2, 1e-4, None))], -1).reshape(-1, 3)
    index = np.arange(80 * 80).reshape(80, 80)
    a, b, c, d = index[:-1, :-1], index[:-1, 1:], index[1:, 1:], index[1:, :-1]
    faces = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)])
    start = turned((0, 0, 0), 1.0, (0.004, 0.002, 0.0))
    found = align(start, ball, faces.astype(np.int32), max_residual_m=1.0)
    assert found.status == "used"
    moved = placement_of(found.placement)(FACE[0]) - start(FACE[0])
    assert np.abs(moved[:, :2].mean(axis=0)).max() < 2e-3
    assert found.rotation_deg < 4


def test_a_weighty_pose_leaves_only_depth_to_the_surface() -> None:
    """A body's rough face must not turn a fit whose pose the photo tells better."""
    start = Placement(
        turned((8, -6, 3), 1, (0, 0, 0)).rotation @ TRUE.rotation, 1.0, np.array([0.2, 0.4, 0.7])
    )
    found = align(start, TRUE(HEAD[0]), image_weight=1e4, pose_weight=1e4, max_residual_m=1.0)
    moved = placement_of(found.placement)(FACE[0]) - start(FACE[0])
    assert np.ptp(moved, axis=0).max() < 1e-5
    assert np.abs(moved[:, :2]).max() < 1e-5
    assert moved[:, 2].mean() == pytest.approx(-0.8, abs=5e-3)


def test_garbage_is_rejected_and_the_start_kept() -> None:
    rng = np.random.default_rng(1)
    start = turned((0, 0, 0), 1.0, (0, 0, 0))
    noise = rng.uniform(-0.15, 0.15, (6000, 3))
    faces = rng.integers(0, 6000, (12000, 3)).astype(np.int32)
    found = align(start, noise, faces)
    assert found.status != "used"
    kept = placement_of(found.placement)
    np.testing.assert_allclose(kept.rotation, start.rotation)
    np.testing.assert_allclose(kept.translation[:2], start.translation[:2])
    assert kept.scale == start.scale


@pytest.mark.parametrize(
    ("surface", "faces", "status"),
    [
        (np.zeros((0, 3)), np.zeros((0, 3), np.int32), "no_surface"),
        (HEAD[0] + [2.0, 0, 0], HEAD[1], "no_surface"),
        (HEAD[0], HEAD[1][:, ::-1].copy(), "no_surface"),  # seen from inside
    ],
)
def test_no_surface_is_said(surface: np.ndarray, faces: np.ndarray, status: str) -> None:
    start = turned((0, 0, 0), 1.0, (0, 0, 0))
    found = align(start, surface, faces)
    assert found.status == status
    np.testing.assert_allclose(found.placement.translation, start.translation)


@pytest.mark.parametrize(
    ("start", "changes", "status"),
    [
        (turned((9, 8, 0), 1.0, (0, 0, 0)), {"max_rotation_deg": 3.0}, "turned_too_far"),
        (turned((0, 0, 0), 0.9, (0, 0, 0)), {"max_scale_change": 0.03}, "scaled_too_far"),
        (turned((0, 0, 0), 1.0, (0.01, 0.008, 0)), {"max_shift_m": 0.003}, "moved_too_far"),
        (turned((0, 0, 0), 1.0, (0, 0, 0)), {"max_residual_m": 1e-5}, "too_far_from_surface"),
        (turned((0, 0, 0), 1.0, (0, 0, 0)), {"min_pair_share": 1.01}, "too_few_pairs"),
    ],
)
def test_every_limit_rejects_by_its_name(start: Placement, changes: dict[str, float], status: str) -> None:
    found = align(start, HEAD[0], image_weight=0.0, **changes)
    assert found.status == status
    kept = placement_of(found.placement)
    np.testing.assert_allclose(kept.rotation, start.rotation)
    assert kept.scale == start.scale


def test_what_cannot_be_read_is_an_error() -> None:
    start = core_placement(turned((0, 0, 0), 1.0, (0, 0, 0)))
    with pytest.raises(_core.Error, match="names vertex"):
        _core.align_face(FACE[0], FACE[1] + 5000, start, *HEAD)
    with pytest.raises(_core.Error, match="surface is not finite"):
        _core.align_face(*FACE, start, HEAD[0] * np.float32(np.nan), HEAD[1])


@pytest.mark.parametrize("seed", range(4))
def test_placing_equals_the_reference_and_projects_back(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pose = np.append(rng.uniform(-0.8, 0.8, 3), rng.uniform(-0.1, 0.1, 3))
    crop, frame, size_m, side_m = (310.5, 82.25, 96.0, 96.0), (100.0, -20.0, 640.0, 640.0), 1.9, 0.22
    found = placement_of(_core.place_face(pose, side_m, crop, frame, size_m))
    expected = reference.place_face(pose, side_m, crop, frame, size_m)
    world = found(FACE[0])
    np.testing.assert_allclose(world, expected(FACE[0]), atol=1e-12)
    # Through the frame into the photo, and there into the crop: the regressor's own projection.
    photo = np.array(frame[:2]) + frame[2] / 2 + world[:, :2] * [1, -1] * frame[2] / size_m
    in_crop = (photo - np.array(crop[:2])) / crop[2] * 2 - 1
    rotation = Rotation.from_euler("xyz", pose[:3]).as_matrix()
    seen = FACE[0] @ rotation.T * np.exp(pose[5]) * 2 / side_m
    np.testing.assert_allclose(in_crop, seen[:, :2] * [1, -1] + pose[3:5], atol=1e-12)
