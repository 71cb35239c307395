"""Training of the face's heads on a finished body: faulty fits, what is kept of pictures, a few steps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the training tests need torch (pip install .[training])")
pytest.importorskip("tqdm", reason="needs tqdm (pip install .[training])")

import training  # noqa: E402, F401  # makes jiffexport importable
from training import (  # noqa: E402
    augment,
    face_fits,
    head_cache,
    head_crops,
    train_face_shape,
    train_fine_color,
)
from training.body_front import seen_areas  # noqa: E402
from training.color_samples import feature_places, pixel_places, read_color_views  # noqa: E402
from training.face_model.fit import FaceFitter, rigid_motion  # noqa: E402
from training.frozen_body import FrozenBody  # noqa: E402
from training.fusion import (  # noqa: E402
    FUSIONS,
    answers,
    build_net,
    checkpoint_kind,
    encode_faces,
    has_head,
    load_net,
)
from training.head_samples import Example, read_views  # noqa: E402
from training.people.heads import HeadPlace  # noqa: E402
from training.people.lights import ambient_light, shade  # noqa: E402

import jiffexport.nets as nets  # noqa: E402
from head_people import CENTER_M, RADIUS_M, believing_head, relief_model, write_head  # noqa: E402
from jiffexport.checkpoint import load_face_shape, load_fine_color  # noqa: E402
from jiffexport.face_model import FaceModel  # noqa: E402
from jiffexport.nets.head import ImplicitHead, sample_features  # noqa: E402

CHANNELS = 6


@pytest.fixture(scope="module")
def model() -> FaceModel:
    return relief_model()


def mean_colors(image: torch.Tensor) -> torch.Tensor:
    """An encoder that sees colours and the mask and believes the body's front at depth 0.1."""
    small = torch.nn.functional.avg_pool2d(image, 4)
    believed = torch.full_like(small[:, :2], 0.1 * 10)
    return torch.cat([believed, small], 1)


@pytest.fixture(scope="module")
def body() -> FrozenBody:
    torch.manual_seed(0)
    shape = believing_head(CHANNELS, 10.0)
    color = ImplicitHead(2 * CHANNELS, (8, 5, 4), 4, 1.28, activation="tanh")
    return FrozenBody(512, mean_colors, mean_colors, shape, color)


@pytest.fixture(scope="module")
def people(model: FaceModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("heads")
    for split, num in (("train", 2), ("test", 1)):
        for i in range(num):
            write_head(folder / split / f"{i:05d}", model, i)
    return folder


@pytest.fixture(scope="module")
def encoded(model: FaceModel, body: FrozenBody, people: Path) -> Path:
    folder = people.with_name("encoded")
    torch.manual_seed(0)
    for split in ("train", "test"):
        for subject in sorted((people / split).iterdir()):
            with torch.no_grad():
                shapes, colors = head_cache.encode_subject(subject, body, model.triangles, 0.4, True, 3)
            head_cache.save_views(folder / split / f"{subject.name}.shape.pt", shapes)
            head_cache.save_views(folder / split / f"{subject.name}.color.pt", colors)
    return folder


def test_fits_err_in_shape_and_place_as_much_as_asked(model: FaceModel) -> None:
    rng = np.random.default_rng(0)
    true = rigid_motion(model.mean_shape, model.mean_shape + 1.0)(model.shape(np.r_[1.0, -1.0, np.zeros(78)]))
    fit = FaceFitter(model).fit(true)
    none = face_fits.FitErrors(0, 0, 0, 0, 0, 0, 0)
    np.testing.assert_allclose(face_fits.erroneous_face(rng, model, true, fit, none), true, atol=1e-9)
    np.testing.assert_allclose(face_fits.misplaced(rng, true, 1.0, none), true, atol=1e-12)
    leaning = face_fits.erroneous_face(rng, model, true, fit, face_fits.FitErrors(1, 0, 0, most=1e-9))
    np.testing.assert_allclose(leaning, true, atol=1e-6)
    faulty = [face_fits.erroneous_face(rng, model, true, fit, face_fits.FitErrors()) for _ in range(50)]
    errors = np.linalg.norm(np.stack(faulty) - true, axis=2).mean(axis=1)
    assert 2e-4 < errors.mean() < 5e-3  # metres
    faults = face_fits.FitErrors(turn_deg=0, scale=0)
    shifts = np.stack(
        [face_fits.misplaced(rng, true, 2.0, faults).mean(axis=0) for _ in range(400)]
    ) - true.mean(axis=0)
    # Half a frame is a metre; a strength drawn from 0 to 1.3 has a root mean square of 0.75.
    sigma_m = np.array([faults.across_m, faults.across_m, faults.along_m])
    np.testing.assert_allclose(shifts.std(axis=0), 0.75 * sigma_m, rtol=0.2)


def test_a_region_is_the_box_of_the_face_widened_by_its_longer_side() -> None:
    region = face_fits.Region.around(np.array([[0, 0, 5], [0.2, 0.1, -5.0]]), 0.5)
    np.testing.assert_allclose([region.low, region.high], [[-0.1, -0.1], [0.3, 0.2]])
    inside = region.contains(np.array([[-0.1, 0.2, 9], [0.31, 0, 0], [0, -0.11, 0]]))
    assert inside.tolist() == [True, False, False]


def test_texture_coefficients_are_found_and_err_as_asked(model: FaceModel) -> None:
    wanted = np.array([0.7, -1.2])
    albedo = model.mean_texture + np.tensordot(wanted, model.texture_basis, 1)
    found = face_fits.AlbedoFitter(model).fit(albedo)
    np.testing.assert_allclose(found, wanted, atol=0.02)
    sh = ambient_light(np.array([0.5, 0.6, 0.7]))
    rng = np.random.default_rng(0)
    exact, light = face_fits.erroneous_look(rng, model, found, sh, face_fits.LookErrors(0, 0, 0))
    np.testing.assert_allclose(exact, model.texture(np.r_[found, np.zeros(78)]), atol=1e-6)
    np.testing.assert_array_equal(light, sh)
    looks = [face_fits.erroneous_look(rng, model, found, sh, face_fits.LookErrors()) for _ in range(50)]
    assert 0.005 < np.std(np.stack([albedo for albedo, _ in looks]) - exact) < 0.05
    assert 0.01 < np.std(np.stack([light for _, light in looks]) - sh) / sh[0].mean() < 0.06


def test_a_mirrored_picture_shows_the_same_colours(model: FaceModel) -> None:
    rng = np.random.default_rng(1)
    albedo, sh = rng.random((model.num_vertices, 3)), rng.normal(0, 0.2, (9, 3)) + ambient_light(np.ones(3))
    view = model.mean_shape * [1, -1, 1]
    lit = face_fits.lit_face(view, model.triangles, albedo, sh, is_mirrored=False)
    flipped = face_fits.lit_face(view * [-1, 1, 1], model.triangles, albedo, sh, is_mirrored=True)
    np.testing.assert_allclose(flipped, lit, atol=1e-5)
    flat = np.array([[0.0, 0, 0], [1, 0, 0], [1, -1, 0], [0, -1, 0]])  # y down: this faces the camera
    facing = face_fits.lit_face(flat, np.array([[0, 1, 2], [0, 2, 3]]), albedo[:4], sh, False)
    np.testing.assert_allclose(facing, shade(albedo[:4], np.tile([0, 0, 1.0], (4, 1)), sh), atol=1e-6)


def test_a_crop_is_sampled_as_the_whole_map_is() -> None:
    torch.manual_seed(0)
    features = torch.randn(3, 32, 32).half().float()
    crop = head_crops.cropped(features, np.array([-0.4, -0.2]), np.array([0.5, 0.7]))
    points = torch.rand(50, 3) * torch.tensor([0.9, 0.9, 1.0]) + torch.tensor([-0.4, -0.2, 0.0])
    assert crop.features.shape[1] < 20
    torch.testing.assert_close(crop.samples(points), sample_features(features[None], points[None])[0])


def test_windows_are_sampled_as_the_whole_picture_is() -> None:
    torch.manual_seed(0)
    first = torch.tensor([[128, 400]])
    points = torch.rand(1, 40, 3) * 0.3 + torch.tensor([-0.6, -0.1, 0.0])
    picture, features = torch.randn(1, 2, 1024, 1024), torch.randn(1, 3, 256, 256)
    window = features[:, :, 100 : 100 + 96, 32 : 32 + 96]
    torch.testing.assert_close(
        sample_features(window, feature_places(first, points, 384)), sample_features(features, points),
        atol=1e-3, rtol=1e-3,
    )  # fmt: skip
    whole, part = (
        torch.nn.functional.grid_sample(image, places[:, None, :, :2], align_corners=False)
        for image, places in (
            (picture, points),
            (picture[:, :, 400 : 400 + 384, 128 : 128 + 384], pixel_places(first, points, 384)),
        )
    )
    torch.testing.assert_close(part, whole, atol=2e-3, rtol=1e-3)


def test_a_point_moves_with_the_head_in_its_box_and_not_far_from_it() -> None:
    place = HeadPlace(np.eye(3), np.zeros(3), np.array([[-0.1] * 3, [0.1] * 3]))
    at = np.array([[0, 0, 0.1], [0, 0, 0.1 + head_cache.SPREAD_M / 2], [0, 0.3, 0]])
    np.testing.assert_allclose(head_cache.head_share(place, at), [1, 0.5, 0], atol=1e-6)


def test_the_head_moves_onto_the_front_of_the_body(model: FaceModel, body: FrozenBody, people: Path) -> None:
    head = head_cache.HeadSubject.read(people / "test" / "00000")
    [seen] = head_cache.seen_views(head, body, model.triangles, False)
    face = seen.face.numpy()
    visible = head_cache.visible_vertices(seen.belief.depth, seen.face, seen.place.size_m)
    # The relief stands before the middle of the ball, and behind its front.
    assert 0 < visible.sum() < len(visible)
    areas = seen_areas(face, model.triangles) * visible
    gaps, move = 0.1 - face[:, 2], seen.belief.head_move
    assert areas[gaps < move - 1e-4].sum() <= areas.sum() / 2 <= areas[gaps < move + 1e-4].sum()
    assert not list(head_cache.seen_views(head, body, model.triangles, False, limit=0))
    with pytest.raises(FileNotFoundError, match="--heads"):
        head_cache.HeadSubject.read(people)


def test_a_picture_whose_body_has_no_surface_at_the_face_is_left_out(
    model: FaceModel, body: FrozenBody, people: Path
) -> None:
    hollow = ImplicitHead(CHANNELS, (8,), 1, 10.0, activation="sigmoid")
    with torch.no_grad():
        hollow.layers[-1].bias.fill_(-100.0)
    head = head_cache.HeadSubject.read(people / "test" / "00000")
    without = replace(body, shape_head=hollow)
    assert not list(head_cache.seen_views(head, without, model.triangles, False))


def test_examples_ask_points_of_the_ball_where_the_encoder_has_it(
    model: FaceModel, people: Path, encoded: Path
) -> None:
    [view] = read_views(encoded / "test", people / "test", model)
    example = view.example(np.random.default_rng(0), model, face_fits.FitErrors(), 2000, small_config())
    center = view.view.view_from_world[:3, :3] @ torch.tensor(CENTER_M, dtype=torch.float32)
    center = center + view.view.view_from_world[:3, 3]
    center[2] += view.view.belief.head_move
    distance = (example.points - center).norm(dim=1) * view.view.size_m / 2
    near = (distance - RADIUS_M).abs()
    in_box = (example.points - center).abs().amax(1) * view.view.size_m / 2 < RADIUS_M
    counted = (example.weights > 0) & in_box & (near > 1e-3)
    assert counted.sum() > 500
    agree = (distance < RADIUS_M) == (example.labels > 0.5)
    # Points from beside the head move as the body does, and some come to lie in its box.
    assert agree[counted].float().mean() > 0.95


def test_coloured_points_show_the_picture_where_it_was_not_changed(
    model: FaceModel, people: Path, body: FrozenBody
) -> None:
    torch.manual_seed(0)
    with torch.no_grad():
        _, [view] = head_cache.encode_subject(people / "test" / "00000", body, model.triangles, 0.4, False, 3)
    window = view.windows[0]
    torch.testing.assert_close(
        window.colors.float(), (torch.tensor([180, 120, 90]) / 255).expand(3000, 3), atol=5e-3, rtol=0
    )
    assert window.coarse.shape == (3000, 4)
    points = pixel_places(torch.tensor([window.first]), window.points[None], head_cache.WINDOW_PX)[0]
    assert points[:, :2].abs().max() <= 1


def small_config() -> nets.FaceShapeConfig:
    return replace(nets.COMPACT_FACE_SHAPE, body=replace(nets.COMPACT_SHAPE, feature_channels=CHANNELS))


@pytest.mark.parametrize("half", [0.05, 0.3, 0.8])
def test_a_kept_picture_of_a_head_shows_the_view_where_the_head_is(half: float) -> None:
    # Colours say where a pixel is; bilinear sampling keeps them, and so does what was kept in bytes.
    steps = (2 * torch.arange(1024) + 1) / 1024 - 1
    x, y = torch.meshgrid(steps, steps, indexing="xy")
    picture = torch.stack([(x + 1) / 2, (y + 1) / 2, 0 * x, 0 * x + 1])
    center = np.array([0.1, -0.15])
    kept = head_crops.HeadPicture.cut(picture, face_fits.Region(center - half, center + half))
    vertices = torch.rand(1, 200, 3, generator=torch.Generator().manual_seed(0)) - 0.5
    vertices = vertices * half * 0.9 + torch.tensor([0.1 + 0.1 * half, -0.15 - 0.1 * half, 0.3])
    frame = nets.HeadFrame(nets.volume_frame(nets.COMPACT_FACE_SHAPE.volume, vertices), reach=1.2)
    seen = kept.encoder_input(frame, 64)[0]
    middle = (vertices[0].amin(0) + vertices[0].amax(0)) / 2
    own = ((2 * torch.arange(64) + 1) / 64 - 1) * frame.reach / 2 / frame.frame.scale[0, 0]
    assert torch.allclose(seen[0, 5], middle[0] + own, atol=0.01)
    assert torch.allclose(seen[1, :, 9], middle[1] + own, atol=0.01)
    assert torch.allclose(seen[3], torch.ones(64, 64))


def test_features_of_the_body_come_to_the_texels_of_the_head() -> None:
    steps = torch.linspace(-1, 1, 32)
    x, y = torch.meshgrid(steps, steps, indexing="xy")
    features = torch.stack([x, y])
    vertices = torch.rand(1, 200, 3, generator=torch.Generator().manual_seed(0)) * 0.4 - 0.3
    frame = nets.HeadFrame(nets.volume_frame(nets.COMPACT_FACE_SHAPE.volume, vertices), reach=1.3)
    crop = head_crops.cropped(features, np.array([-0.9, -0.9]), np.array([0.9, 0.9]))
    found = crop.at_texels(frame, 7)
    assert torch.allclose(found, frame.texels(7)[0].permute(2, 0, 1), atol=2e-3)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_every_fusion_answers_and_only_the_one_without_a_volume_needs_no_face(fusion: str) -> None:
    torch.manual_seed(0)
    config = small_config()
    net = build_net(config, fusion).eval()
    assert has_head(net) == (fusion == "mlp")
    faces, points = torch.randn(1, 40, 3) * 0.1, torch.rand(1, 30, 3) - 0.5
    samples = torch.randn(1, config.features_2d if fusion == "mlp" else CHANNELS, 30)
    with torch.no_grad():
        here = encode_faces(net, faces)
        found = answers(net, samples, here, points)
        elsewhere = answers(net, samples + 1, here, points)["answer"]
        other_face = answers(net, samples, encode_faces(net, faces * torch.tensor([1, 2, 1])), points)
    assert found["answer"].shape == (1, 30) and ("from_3d" in found) == (fusion == "mlp")
    assert (here is None) == (fusion == "2d")
    assert torch.equal(elsewhere, found["answer"]) == (fusion == "3d")
    assert torch.equal(other_face["answer"], found["answer"]) == (fusion == "2d")


def options(people: Path, encoded: Path, face_model: Path, out: Path, steps: int) -> list[str]:
    return [
        "--encoded", str(encoded), "--data", str(people), "--model", str(face_model), "--out", str(out),
        "--steps", str(steps), "--points", "300", "--save-every-s", "1000", "--test-subjects", "1",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def face_model(model: FaceModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "face.safetensors"
    path.write_bytes(model.to_bytes("fp32"))
    return path


def small_volume(config: nets.FaceShapeConfig | nets.FineColorConfig):  # noqa: ANN201
    volume = replace(config.volume, resolution=8)
    if isinstance(config, nets.FineColorConfig):
        volume = replace(volume, num_centers=(16, 8), group_sizes=(4, 4))
    return replace(config, volume=volume)


def test_the_joint_shape_head_learns_resumes_and_exports(
    people: Path, encoded: Path, face_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nets, "COMPACT_FACE_SHAPE", small_volume(nets.COMPACT_FACE_SHAPE))
    for fusion, *more in (("mlp", "--on-body-map"), ("2d",), ("mlp",)):
        out = tmp_path / "_".join([fusion, *more])
        arguments = ["--fusion", fusion, *more]
        train_face_shape.main([*options(people, encoded, face_model, out, 4), *arguments])
        train_face_shape.main([*options(people, encoded, face_model, out, 25), *arguments])
        path = out / f"{checkpoint_kind(fusion)}.pt"
        assert torch.load(path, weights_only=True)["step"] == 25
        assert load_net(path).config.body.feature_channels == CHANNELS
        rows = [row.split(",") for row in (out / "log.csv").read_text().splitlines()]
        assert sum(name == "test_answer" for _, _, name, _ in rows) == 2
        losses = [float(value) for _, _, name, value in rows if name == "answer"]
        assert losses[-1] < 0.8 * losses[0]
    assert load_face_shape(tmp_path / "mlp" / "face_shape.pt").network.body is None
    with pytest.raises(ValueError, match="fine_color"):
        torch.save({"kind": "fine_color"}, tmp_path / "other.pt")
        load_net(tmp_path / "other.pt")


def test_a_varied_picture_has_other_colours_and_the_same_outline() -> None:
    torch.manual_seed(0)
    rgb, mask = torch.rand(3, 3, 8, 8), torch.rand(3, 1, 8, 8).round()
    empty = torch.empty(3, 0)
    inputs = {"picture": augment.encoder_input(rgb, mask), "body": torch.ones(3, 400, 4, 4)}
    batch = Example(**{name: inputs.get(name, empty) for name in Example.__dataclass_fields__})
    varied = train_face_shape.varied(batch)
    assert torch.equal(varied.picture[:, 3:], mask)
    assert (varied.picture[:, :3] * (1 - mask) == 0).all()
    assert varied.picture.abs().max() <= 1
    differences = (varied.picture - batch.picture).abs().mean((1, 2, 3))
    assert (differences > 0.01).all() and differences.unique().numel() == 3
    dropped = varied.body == 0
    assert torch.equal(dropped.all((2, 3)), dropped.any((2, 3)))  # whole channels
    assert varied.body.mean().item() == pytest.approx(1, abs=0.05)


def test_the_2d_branch_learns_alone_and_leaves_the_rest(
    people: Path, encoded: Path, face_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nets, "COMPACT_FACE_SHAPE", small_volume(nets.COMPACT_FACE_SHAPE))
    whole, alone = tmp_path / "whole", tmp_path / "alone"
    train_face_shape.main(options(people, encoded, face_model, whole, 2))
    init = ["--init", str(whole / "face_shape.pt"), "--only-2d", "--bf16"]
    train_face_shape.main([*options(people, encoded, face_model, alone, 25), *init])
    before, after = (load_net(folder / "face_shape.pt").state_dict() for folder in (whole, alone))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert {name.split(".")[0] for name in changed} == {"head", "face_head"}
    assert not any(part in name for name in changed for part in ("branch_3d", "joint"))
    rows = [row.split(",") for row in (alone / "log.csv").read_text().splitlines()]
    assert {name for _, _, name, _ in rows if not name.startswith("test")} == {"name", "depth", "from_2d"}
    with pytest.raises(SystemExit):
        train_face_shape.main([*options(people, encoded, face_model, alone, 9), *init, "--on-body-map"])


@pytest.mark.parametrize("has_coarse", [True, False])
def test_fine_colour_learns_resumes_and_exports(
    has_coarse: bool, people: Path, encoded: Path, face_model: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    small = replace(small_volume(nets.COMPACT_FINE_COLOR), base_channels=4, num_blocks=1)
    monkeypatch.setattr(nets, "COMPACT_FINE_COLOR", small)
    arguments = [] if has_coarse else ["--without-coarse"]
    train_fine_color.main([*options(people, encoded, face_model, tmp_path, 2), *arguments])
    train_fine_color.main([*options(people, encoded, face_model, tmp_path, 12), *arguments])
    path = tmp_path / f"{train_fine_color.KINDS[has_coarse]}.pt"
    assert torch.load(path, weights_only=True)["step"] == 12
    if has_coarse:
        assert load_fine_color(path).network.config.coarse_channels == 4
    rows = [row.split(",") for row in (tmp_path / "log.csv").read_text().splitlines()]
    for name in ("test_color", "test_joint"):
        values = [float(value) for _, _, key, value in rows if key == name]
        assert values[-1] < 0.9 * values[0], name


@pytest.mark.parametrize("config", [nets.PAPER_FINE_COLOR, nets.COMPACT_FINE_COLOR])
def test_every_part_of_the_fine_network_gets_a_gradient(
    config: nets.FineColorConfig, model: FaceModel, people: Path, encoded: Path
) -> None:
    small = replace(config, volume=replace(config.volume, resolution=8), num_blocks=1, coarse_channels=4)
    small = replace(small, volume=replace(small.volume, num_centers=(16, 8), group_sizes=(4, 4)))
    net = nets.FineColorNet(small)
    views = read_color_views(encoded / "train", people / "train", model)
    rng = np.random.default_rng(0)
    batch = train_face_shape.stacked([view.example(rng, model, True, 200) for view in views])
    sum(train_fine_color.fine_color_loss(net, batch).values()).backward()
    silent = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    # A convolution's bias before a batch norm has no effect.
    assert not [name for name in silent if not name.endswith(".bias")]


def test_nothing_encoded_is_named(tmp_path: Path, model: FaceModel) -> None:
    for read in (read_views, read_color_views):
        with pytest.raises(FileNotFoundError, match="encode_heads"):
            read(tmp_path, tmp_path, model)
