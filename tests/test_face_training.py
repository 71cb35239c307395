"""Training of the face regressor: crops, truth, losses, and a few steps from files to a checkpoint."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch (pip install .[training])")
pytest.importorskip("scipy", reason="needs scipy (pip install .[training])")
pytest.importorskip("tqdm", reason="needs tqdm (pip install .[training])")

import training  # noqa: E402, F401  # makes jiffexport importable
from PIL import Image  # noqa: E402
from scipy.spatial.transform import Rotation  # noqa: E402
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402
from torch.utils._pytree import tree_leaves  # noqa: E402
from training import face_augment, jpeg, train_face  # noqa: E402
from training.face_crop import crop_squares  # noqa: E402
from training.face_data import FacePeople, load_faces, make_batch, mirror_of  # noqa: E402
from training.face_model.fit import FaceFitter, rigid_motion, true_face  # noqa: E402
from training.face_model.pictures import FacePictures, _as_webp  # noqa: E402
from training.people.dress import PosedBody  # noqa: E402

from face_surfaces import relief_mesh  # noqa: E402
from jiffexport.checkpoint import load_face_regressor  # noqa: E402
from jiffexport.face_model import FaceModel  # noqa: E402
from jiffexport.nets.face_regressor import FaceReading  # noqa: E402
from reference.face_crop import face_crop_box  # noqa: E402

SIDE_M = 0.22
EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


@pytest.fixture(scope="module")
def model() -> FaceModel:
    """A symmetric relief with three identity components and one expression."""
    vertices, faces = relief_mesh(17, 21, 0.06, 0.09)
    vertices[:, 2] = (vertices[:, 2] + vertices.reshape(21, 17, 3)[:, ::-1].reshape(-1, 3)[:, 2]) / 2
    rng = np.random.default_rng(0)
    grid = np.arange(17 * 21).reshape(21, 17)
    five = np.array([grid[15, 4], grid[15, 12], grid[10, 8], grid[5, 5], grid[5, 11]])
    landmarks = rng.integers(0, len(vertices), 68).astype(np.int32)
    landmarks[[36, 39, 42, 45, 30, 48, 54]] = five[[0, 0, 1, 1, 2, 3, 4]]
    pairs = landmarks[np.array([[36, 39], [42, 45], [30, 30], [48, 48], [54, 54]])]
    vertices -= vertices[pairs].mean(axis=(0, 1))
    x, y = vertices[:, 0], vertices[:, 1]
    waves = 0.003 * np.stack([np.cos(60 * x), np.cos(70 * y), np.cos(100 * x) * np.cos(80 * y)])
    bumps = np.stack([0 * waves, 0 * waves, waves], -1).astype(np.float32)
    return FaceModel(
        mean_shape=vertices,
        identity_basis=bumps,
        expression_basis=np.stack([np.stack([0 * y, np.where(y < -0.02, -0.01, 0), 0 * y], -1)]).astype(
            np.float32
        ),
        mean_texture=np.full((len(vertices), 3), 0.5, np.float32),
        texture_basis=np.full((1, len(vertices), 3), 0.1, np.float32),
        triangles=faces,
        uv=np.zeros((len(vertices), 2), np.float32),
        landmarks=landmarks,
        five_points=pairs,
        body_vertices=np.arange(len(vertices), dtype=np.int32)[::-1].copy(),
    )


DOTS = (48, 30)  # the landmark that pictures show in turns: a mouth corner and the nose


def dotted_pictures(model: FaceModel, person: int, num: int = 4) -> FacePictures:
    """Transparent pictures with nothing but a dot at a landmark."""
    rng = np.random.default_rng(person)
    head = rigid_motion(model.mean_shape, model.mean_shape + rng.normal(0, 0.05, 3))
    vertices = head(model.shape(rng.normal(size=80), rng.uniform(0, 1, 64))).astype(np.float32)
    pictures, matrices, yaws = [], [], []
    for number in range(num):
        yaw = rng.uniform(-40, 40)
        turn = Rotation.from_euler("ZXY", [rng.uniform(-10, 10), 5, yaw], degrees=True).as_matrix()
        linear = 2 / 0.30 * np.diag([1.0, -1.0, 1.0]) @ turn
        offset = -linear @ vertices.mean(axis=0).astype(np.float64)
        matrices.append(np.column_stack([linear, offset]))
        vertex = model.landmarks[DOTS[number % 2]]
        x, y = (((vertices @ linear.T + offset)[vertex, :2] + 1) * 256 - 1) / 2
        rows, columns = np.mgrid[:256, :256]
        picture = np.zeros((256, 256, 4), np.uint8)
        picture[(columns - x) ** 2 + (rows - y) ** 2 < 25] = 255
        pictures.append(_as_webp(picture))
        yaws.append(yaw)
    return FacePictures(
        pictures,
        vertices,
        rng.integers(0, 256, vertices.shape, np.uint8),
        np.array(matrices, np.float32),
        rng.normal(size=(num, 9, 3)).astype(np.float32),
        np.array(yaws, np.float32),
    )


@pytest.fixture(scope="module")
def faces(model: FaceModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("faces")
    for split, count in (("train", 3), ("test", 2)):
        for person in range(count):
            dotted_pictures(model, person + 10 * (split == "test")).save(root / split / f"{person:05d}.npz")
    return root


@pytest.fixture(scope="module")
def people(model: FaceModel, faces: Path) -> FacePeople:
    return load_faces(faces / "train", model)


def test_crops_are_cut_where_the_core_cuts_them(model: FaceModel) -> None:
    rng = np.random.default_rng(0)
    landmarks = rng.uniform(0, 400, (20, 5, 2))
    template = model.five_landmarks() + [0.1, 0.2, 0.3]
    expected = [face_crop_box(points, template, SIDE_M)[:3] for points in landmarks]
    np.testing.assert_allclose(crop_squares(landmarks, template, SIDE_M), expected, rtol=1e-9)


def test_mirror_images_of_a_symmetric_model_match(model: FaceModel) -> None:
    mirror = mirror_of(model)
    np.testing.assert_array_equal(mirror[mirror], np.arange(model.num_vertices))
    np.testing.assert_allclose(model.mean_shape[mirror] * [-1, 1, 1], model.mean_shape, atol=1e-6)


@pytest.mark.parametrize("is_mirrored", [False, True])
def test_crops_show_the_vertices_where_the_truth_says(
    model: FaceModel, people: FacePeople, is_mirrored: bool
) -> None:
    rows = np.arange(people.num_pictures)
    jitter = np.random.default_rng(0).normal(0, 0.02, (len(rows), 5, 2))
    flips = np.full(len(rows), is_mirrored)
    batch = make_batch(people, model, rows, flips, jitter, SIDE_M, 112)
    mirror = mirror_of(model)
    rows_px, columns_px = np.mgrid[:112, :112]
    for row, alpha in enumerate(batch.image[:, 3].numpy()):
        vertex = model.landmarks[DOTS[row % 2]]
        shown = mirror[vertex] if is_mirrored else vertex
        found = np.array([(alpha * columns_px).sum(), (alpha * rows_px).sum()]) / alpha.sum()
        expected = ((batch.vertices[row, shown, :2].numpy() + 1) * 112 - 1) / 2
        np.testing.assert_allclose(found, expected, atol=0.2)  # pixels; worst seen 0.1


@pytest.mark.parametrize("is_mirrored", [False, True])
def test_true_coefficients_have_no_geometric_loss(
    model: FaceModel, people: FacePeople, is_mirrored: bool
) -> None:
    rows = np.arange(people.num_pictures)
    batch = make_batch(
        people, model, rows, np.full(len(rows), is_mirrored), np.zeros((len(rows), 5, 2)), SIDE_M, 32
    )
    parts = train_face.TorchFaceModel(model)
    coefficients = torch.zeros(len(rows), 257)
    coefficients[:, :144] = batch.coefficients
    angles = Rotation.from_matrix(batch.rotation.numpy()).as_euler("xyz").astype(np.float32)
    coefficients[:, 251:254] = torch.from_numpy(angles)
    seen = train_face.project(parts.shape(coefficients), coefficients[:, 251:], SIDE_M)
    true = batch.vertices[:, parts.rows]
    spread = (true - true.mean(1, keepdim=True)).norm(dim=(1, 2)) / (seen - seen.mean(1, keepdim=True)).norm(
        dim=(1, 2)
    )
    coefficients[:, 256] = spread.log()
    seen = train_face.project(parts.shape(coefficients), coefficients[:, 251:], SIDE_M)
    coefficients[:, 254:256] = (true - seen).mean(1)[:, :2]
    coefficients[:, 224:251] = batch.sh.transpose(1, 2).reshape(-1, 27)
    places = batch.vertices[:, model.landmarks, :2]
    heatmaps = torch.zeros(len(rows), 68, 100)
    losses = train_face.face_losses(FaceReading(heatmaps, places, coefficients), batch, parts, SIDE_M)
    # The fit's own prior leaves a little: worst seen 0.02 of the distance of the eyes times the factors.
    for name, most in (("crop", 0.1), ("depth", 0.05), ("shape", 1e-4), ("turn", 1e-4), ("expression", 1e-5)):
        assert float(losses[name]) < most, name
    assert float(losses["light"]) < 1e-5 and float(losses["places"]) == 0
    coefficients[:, 252] += 0.2
    moved = places + 0.1 * batch.unit[:, None, None] * torch.tensor([0.6, 0.8])
    losses = train_face.face_losses(FaceReading(heatmaps, moved, coefficients), batch, parts, SIDE_M)
    assert float(losses["crop"]) > 0.3
    assert float(losses["places"]) == pytest.approx(8 * 0.1, rel=1e-4)
    assert float(losses["heatmaps"]) == pytest.approx(0.15 * np.log(100), rel=1e-5)  # flat ones


def test_the_best_heatmap_is_the_one_whose_mean_is_the_place() -> None:
    rng = np.random.default_rng(0)
    places = rng.uniform(-1.2, 1.2, (2, 5, 2))
    places[0, 0] = [-0.75, 0.25]  # a pixel's centre
    best, axis = np.zeros((2, 5, 8, 8)), (2 * np.arange(8) + 1) / 8 - 1
    for index in np.ndindex(2, 5):  # hat functions around the place
        x, y = np.clip(places[index], axis[0], axis[-1])
        hats = [np.clip(1 - np.abs(axis - value) / (axis[1] - axis[0]), 0, None) for value in (x, y)]
        best[index] = hats[1][:, None] * hats[0]
        np.testing.assert_allclose([best[index].sum(0) @ axis, best[index].sum(1) @ axis], [x, y], atol=1e-12)
    share = torch.from_numpy(best).flatten(2)
    entropy = -torch.special.xlogy(share, share).sum(2).mean()
    logits = (share + 1e-30).log()
    found = train_face.heatmap_loss(logits, torch.from_numpy(places))
    torch.testing.assert_close(found, entropy, atol=1e-6, rtol=1e-6)
    worse = train_face.heatmap_loss(
        logits + torch.from_numpy(rng.normal(0, 0.5, logits.shape)), torch.from_numpy(places)
    )
    assert worse > found + 0.01


def test_a_fit_finds_shape_and_pose(model: FaceModel) -> None:
    rng = np.random.default_rng(4)
    alpha, beta = np.zeros(80), np.zeros(64)
    alpha[:3], beta[0] = [1.0, -0.5, 0.8], 0.6
    rotation = Rotation.from_euler("xyz", [0.2, -0.7, 0.1]).as_matrix()
    target = (
        model.shape(alpha, beta) @ rotation.T
        + [0.3, 1.5, -0.2]
        + rng.normal(0, 1e-5, (model.num_vertices, 3))
    )
    fit = FaceFitter(model).fit(target)
    np.testing.assert_allclose(fit.identity[:3], alpha[:3], atol=0.05)
    assert fit.expression[0] == pytest.approx(0.6, abs=0.05)
    np.testing.assert_allclose(fit.motion.rotation, rotation, atol=2e-3)
    assert np.linalg.norm(fit.vertices - target, axis=1).max() < 2e-4
    assert not fit.identity[3:].any() and not fit.expression[1:].any()


def test_the_true_face_is_the_bodys_own(model: FaceModel) -> None:
    vertices = np.random.default_rng(0).normal(size=(model.num_vertices, 3)).astype(np.float32)
    posed = PosedBody(vertices, vertices + 1, vertices, vertices)
    np.testing.assert_array_equal(true_face(posed, model), posed.posed[::-1])
    with pytest.raises(ValueError, match="base mesh"):
        true_face(posed, replace(model, body_vertices=None))


def test_photographs_stay_pictures_and_depend_on_the_seed_alone(model: FaceModel, people: FacePeople) -> None:
    def draw() -> torch.Tensor:
        torch.manual_seed(3)
        config = train_face.nets.COMPACT_FACE_REGRESSOR
        batch = train_face.draw_batch(people, model, config, 12)
        return train_face.as_photographs(batch, torch.from_numpy(model.landmarks))

    first = draw()
    assert first.shape == (12, 3, 112, 112)
    assert first.min() >= -1 and first.max() <= 1 and torch.isfinite(first).all()
    torch.testing.assert_close(first, draw(), atol=0, rtol=0)


class OneDevice(TorchDispatchMode):
    """Fails where an operation other than a copy meets tensors of two devices."""

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):  # noqa: ANN001, ANN204
        tensors = [value for value in tree_leaves((args, kwargs)) if isinstance(value, torch.Tensor)]
        devices = {value.device for value in tensors if value.ndim}
        copies = (torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default)
        assert operation in copies or len(devices) <= 1, operation
        return operation(*args, **(kwargs or {}))


def test_a_step_stays_on_its_device_and_never_waits_for_it(model: FaceModel, faces: Path) -> None:
    # Tensors of the meta device have no values: what waits for one fails.
    torch.manual_seed(0)
    device = torch.device("meta")
    people = load_faces(faces / "train", model, device=device)
    parts = train_face.TorchFaceModel(model, device)
    net = train_face.nets.FaceRegressor(train_face.nets.COMPACT_FACE_REGRESSOR).to(device)
    with OneDevice():
        truth = train_face.draw_batch(people, model, net.config, 16)
        image = train_face.as_photographs(truth, parts.rows[:68])
        losses = train_face.FaceStep(net, parts)(image, *vars(truth).values())
        torch.stack(list(losses.values())).sum().backward()
    assert all(parameter.grad.device == device for parameter in net.parameters())


@pytest.mark.parametrize("quality", [10, 35, 60, 90])
def test_pictures_are_changed_as_files_change_them(quality: int) -> None:
    with Image.open(EXAMPLES / "astronaut.jpg") as image:
        picture = np.array(image.convert("RGB").resize((112, 112)))
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "jpeg", quality=quality)
    expected = np.asarray(Image.open(buffer).convert("RGB"), dtype=np.float64)
    pixels = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
    found = jpeg.compress(pixels, torch.tensor([float(quality)]))[0].permute(1, 2, 0).double().numpy() * 255
    lost = np.abs(expected - picture).mean()
    assert np.abs(found - expected).mean() < min(1.5, lost / 3)  # worst seen 1.2, of 4 to 14 levels lost


def test_every_change_of_a_picture_keeps_its_range() -> None:
    torch.manual_seed(0)
    image = torch.rand(24, 4, 64, 64)
    landmarks = torch.rand(24, 68, 2) - 0.5
    rgb = face_augment.over_scene(image)
    for change in (
        lambda x: face_augment.with_obstacles(x, landmarks),
        face_augment.photographed,
        face_augment.beyond_photo,
        lambda x: face_augment.compressed(x, 1.0),
    ):
        rgb = change(rgb)
        assert rgb.shape == (24, 3, 64, 64)
        assert rgb.min() >= 0 and rgb.max() <= 1


def test_detectors_err_more_on_faces_turned_away() -> None:
    rng = np.random.default_rng(0)
    straight = face_augment.detector_jitter(rng, np.zeros(2000))
    turned = face_augment.detector_jitter(rng, np.full(2000, 60.0))
    assert 0.01 < straight.std() < 0.05
    assert turned.std() > 1.5 * straight.std()


def test_a_few_steps_make_a_checkpoint_that_resumes_and_exports(
    model: FaceModel, faces: Path, tmp_path: Path
) -> None:
    (tmp_path / "face.safetensors").write_bytes(model.to_bytes("fp32"))
    arguments = [
        "--model",
        str(tmp_path / "face.safetensors"),
        "--data",
        str(faces),
        "--out",
        str(tmp_path / "run"),
    ]
    train_face.main([*arguments, "--steps", "2", "--batch", "4"])
    train_face.main([*arguments, "--steps", "3", "--batch", "4"])
    trained = load_face_regressor(tmp_path / "run" / "face_regressor.pt")
    assert trained.step == 3
    errors = train_face.measure(trained.network, load_faces(faces / "test", model), model)
    assert {key: len(values) for key, values in errors.items()} == dict.fromkeys(
        ("landmarks", "interocular", "pose", "shape", "yaw"), 8
    )
    assert all(np.isfinite(values).all() for values in errors.values())


def test_a_prepared_network_knows_the_models_landmarks(model: FaceModel) -> None:
    net = train_face.nets.FaceRegressor(train_face.nets.COMPACT_FACE_REGRESSOR)
    train_face.prepare(net, model)
    coefficients = torch.zeros(1, 257)
    coefficients[0, :3], coefficients[0, 80] = torch.tensor([0.5, -1.0, 2.0]), 0.7
    pose = torch.tensor([0.1, -0.4, 0.2, 0.05, -0.03, 0.1])
    coefficients[0, 251:] = pose
    shape = model.shape(coefficients[0, :80].numpy(), coefficients[0, 80:144].numpy())[model.landmarks]
    expected = train_face.project(torch.from_numpy(shape).float()[None], pose[None], SIDE_M)[..., :2]
    torch.testing.assert_close(net.predicted_places(coefficients), expected, atol=1e-5, rtol=0)


class ConstantRegressor(torch.nn.Module):
    """Says of every crop that it shows the mean face, moved by `shift` to the right."""

    config = train_face.nets.COMPACT_FACE_REGRESSOR

    def __init__(self, shift: float) -> None:
        super().__init__()
        self.shift = shift

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        coefficients = torch.zeros(len(image), 257)
        coefficients[:, 254] = self.shift
        return coefficients


@pytest.mark.parametrize("shift", [0.0, 0.1])
def test_a_second_pass_cuts_the_crop_around_the_first_fit(
    model: FaceModel, people: FacePeople, shift: float
) -> None:
    # The second crop is moved by the shift, so the face lies so much farther to the left in it.
    twice = train_face.measure(ConstantRegressor(shift), people, model, num_passes=2)
    moved = train_face.measure(ConstantRegressor(2 * shift), people, model)
    np.testing.assert_allclose(twice["landmarks"], moved["landmarks"], rtol=1e-4)
    np.testing.assert_allclose(twice["pose"], moved["pose"], atol=1e-3)
    assert twice["landmarks"].min() > 0
    # A single landmark on each eye: its outer corner is the eye's centre.
    np.testing.assert_allclose(twice["interocular"], twice["landmarks"], rtol=1e-5)


def test_a_folder_without_pictures_is_named(model: FaceModel, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="generate_faces"):
        load_faces(tmp_path, model)
