"""Training on a toy: balls instead of people, so that every frame, label and colour is known."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch", reason="the training tests need torch (pip install .[training])")

from training import augment  # noqa: E402
from training.dataset import (  # noqa: E402
    color_samples,
    cut_views,
    load_people,
    occupancy_samples,
    transform,
)
from training.depth import depth_maps, taught_depth, to_taught_depth  # noqa: E402
from training.train_color import color_loss  # noqa: E402
from training.train_color import encode as encode_color  # noqa: E402
from training.train_shape import encode, encode_once, score, shape_loss  # noqa: E402
from training.trainer import Budget, TrainOptions, train  # noqa: E402

import jiffexport.nets as nets  # noqa: E402

IMAGE_SIZE_PX = 128
RADIUS_M = 0.5
CENTER_M = np.array([0.1, 1.0, 0.0])
SIZE_M = 2.0
TINY_SHAPE = nets.ShapeConfig(
    image_size_px=IMAGE_SIZE_PX,
    in_channels=4,
    stem_channels=(8, 8, 8),
    feature_channels=16,
    num_stacks=1,
    hourglass_depth=2,
    norm="batch",
    hidden_widths=(32, 32),
    depth_scale=1.28,
    estimates_size=True,
)
TINY_COLOR = nets.ColorConfig(
    image_size_px=IMAGE_SIZE_PX,
    in_channels=4,
    base_channels=4,
    num_blocks=1,
    norm="batch",
    shape_feature_channels=16,
    hidden_widths=(16,),
    depth_scale=1.28,
    blends_image=True,
)


def write_ball(folder: Path, seed: int) -> None:
    """One subject: a red ball of RADIUS_M at CENTER_M in plain white light, seen from the front."""
    random = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    normals = random.standard_normal((4000, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    near = CENTER_M + normals * (RADIUS_M + random.normal(0, 0.2, (4000, 1)))
    uniform = CENTER_M + random.uniform(-0.7, 0.7, (2000, 3))
    np.savez(
        folder / "samples.npz",
        near_points=near.astype("f4"),
        near_occupancy=(np.linalg.norm(near - CENTER_M, axis=1) < RADIUS_M).astype("u1"),
        uniform_points=uniform.astype("f4"),
        uniform_occupancy=(np.linalg.norm(uniform - CENTER_M, axis=1) < RADIUS_M).astype("u1"),
        surface_points=(CENTER_M + RADIUS_M * normals).astype("f4"),
        surface_normals=normals.astype("f4"),
        surface_albedo=np.tile(np.array([200, 40, 40], "u1"), (4000, 1)),
    )
    k = 2 / SIZE_M
    x, y, z = CENTER_M - np.array([0.1, 0.0, 0.0])
    matrix = [[k, 0, 0, -k * x], [0, -k, 0, k * y], [0, 0, k, -k * z], [0, 0, 0, 1]]
    sh = np.zeros((9, 3))
    sh[0] = 1 / 0.282095
    u = (2 * np.arange(IMAGE_SIZE_PX) + 1) / IMAGE_SIZE_PX - 1
    disc = (u[None] - 0.1) ** 2 + u[:, None] ** 2 < RADIUS_M**2
    pixels = np.zeros((IMAGE_SIZE_PX, IMAGE_SIZE_PX, 4), "u1")
    pixels[disc] = (200, 40, 40, 255)
    Image.fromarray(pixels).save(folder / "view_00.webp", lossless=True)
    view = {"view_from_world": matrix, "size_m": SIZE_M, "framing": "full", "sh": sh.tolist()}
    (folder / "views.json").write_text(json.dumps({"views": [view]}))


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    folder = tmp_path_factory.mktemp("balls")
    for i in range(2):
        write_ball(folder / f"{i:05d}", i)
    return load_people(folder, torch.device("cpu"), image_size_px=IMAGE_SIZE_PX)


def test_empty_folder_says_how_to_make_people(tmp_path):
    with pytest.raises(FileNotFoundError, match="generate_people"):
        load_people(tmp_path, torch.device("cpu"))


@pytest.mark.parametrize("changed", [False, True])
def test_points_and_pixels_move_together(people, changed):
    torch.manual_seed(3)
    index = torch.tensor([0, 1])
    change = augment.FrameChange.identity(2, torch.device("cpu"))
    if changed:
        change = augment.FrameChange(
            torch.tensor([1.1, 0.95]), torch.tensor([[0.05, -0.03], [0.02, 0.04]]), torch.tensor([-1.0, 1.0])
        )
    views = cut_views(people, index, change)
    assert torch.allclose(views.size_m, SIZE_M / change.zoom)
    world = torch.tensor(CENTER_M, dtype=torch.float32).expand(2, 1, 3)
    center = transform(views.view_from_world, world)[:, 0]
    assert center[:, 2].abs().max() < 0.02, "depth zero is the mean depth of the surface"
    u = (2 * torch.arange(IMAGE_SIZE_PX) + 1) / IMAGE_SIZE_PX - 1
    for b in range(2):
        alpha = views.image[b, 3]
        found = torch.stack([(alpha.sum(0) * u).sum(), (alpha.sum(1) * u).sum()]) / alpha.sum()
        assert torch.allclose(found, center[b, :2], atol=4e-3)
        radius = (alpha.mean() * 4 / torch.pi).sqrt()
        assert abs(float(radius) - RADIUS_M * float(change.zoom[b])) < 4e-3


def test_occupancy_samples_are_labelled_right_and_outside_points_do_not_count(people):
    torch.manual_seed(0)
    index = torch.tensor([0, 1, 0])
    zoomed = augment.FrameChange(torch.full((3,), 1.7), torch.zeros(3, 2), torch.ones(3))
    for change in (augment.FrameChange.identity(3, torch.device("cpu")), zoomed):
        views = cut_views(people, index, change)
        points, labels, weights = occupancy_samples(people, views, 1600)
        world = transform(torch.linalg.inv(views.view_from_world), points)
        distance = (world - torch.tensor(CENTER_M, dtype=torch.float32)).norm(dim=-1)
        sure = (distance - RADIUS_M).abs() > 1e-4
        counted = (weights > 0) & sure
        assert ((distance < RADIUS_M) == (labels > 0.5))[counted].all()
        assert (points[weights > 0].abs() <= 1).all()
        assert weights.mean() > 0.5


def test_color_samples_carry_the_lit_colour(people):
    views = cut_views(people, torch.tensor([0]), augment.FrameChange.identity(1, torch.device("cpu")))
    _, colors, weights = color_samples(people, views, 100, 0.01)
    expected = torch.tensor([200, 40, 40]) / 255
    assert torch.allclose(colors[0].T, expected.expand(100, 3), atol=1e-3)
    assert (weights == 1).all()


def test_depth_maps_hold_the_front_and_the_back_of_the_ball(people):
    views = cut_views(people, torch.tensor([0, 1]), augment.FrameChange.identity(2, torch.device("cpu")))
    depth, known = depth_maps(people, views, 32)
    u = torch.linspace(-1, 1, 32).unflatten(0, (16, 2)).mean(1)
    reach = (RADIUS_M**2 - (u[None] - 0.1) ** 2 - u[:, None] ** 2).clamp(min=0).sqrt()
    inner = reach > 0.35  # where a block's own slope is small
    assert known[:, 0, inner].all() and not known[:, 0, reach == 0].all()
    assert (depth[:, 0, inner] - reach[inner]).abs().max() < 0.1
    assert (depth[:, 1, inner] + reach[inner]).abs().max() < 0.1


def test_points_move_as_front_and_back_of_their_column_do(people):
    views = cut_views(people, torch.tensor([0, 1]), augment.FrameChange.identity(2, torch.device("cpu")))
    depth, known = depth_maps(people, views, 32)
    x, y = 0.1 + 0.2 * torch.rand(2, 50), 0.2 * torch.rand(2, 50)
    reach = (RADIUS_M**2 - (x - 0.1) ** 2 - y**2).sqrt()

    def moved(share, taught):
        points = torch.stack([x, y, reach * share], 2)
        result = to_taught_depth(points, depth, known, taught)
        assert torch.equal(result[..., :2], points[..., :2])
        return result[..., 2] - points[..., 2]

    share = torch.rand(2, 50) * 4 - 2
    assert moved(share, depth).abs().max() < 1e-6
    assert (moved(share, depth + 0.3) - 0.3).abs().max() < 1e-5
    thicker = depth + torch.tensor([0.2, -0.1])[None, :, None, None]
    assert (moved(torch.full((2, 50), 1.5), thicker) - 0.2).abs().max() < 1e-5
    assert (moved(torch.full((2, 50), -1.5), thicker) + 0.1).abs().max() < 1e-5
    assert (moved(torch.zeros(2, 50), thicker) - 0.05).abs().max() < 0.02
    turned_over = depth.flip(1)  # front behind back: the order along z must still be kept
    order = torch.linspace(-2, 2, 50).expand(2, -1)
    column = torch.stack([torch.full((2, 50), 0.2), torch.zeros(2, 50), order * 0.5], 2)
    assert (to_taught_depth(column, depth, known, turned_over)[..., 2].diff(dim=1) > 0).all()


def test_taught_depth_is_read_from_the_first_two_channels():
    features = torch.randn(1, 5, 8, 8)
    expected = features[0, :2].reshape(2, 4, 2, 4, 2).mean((2, 4)) / 10
    assert torch.allclose(taught_depth(features, 10.0)[0], expected, atol=1e-6)


def test_cut_views_are_never_widened():
    torch.manual_seed(0)
    change = augment.FrameChange.random(torch.ones(200, dtype=torch.bool))
    assert (change.zoom >= 1).all()
    assert (change.shift.abs().amax(1) + 1 / change.zoom <= 1 + 1e-6).all()


def test_what_lies_beyond_the_sides_of_a_picture_is_transparent():
    sides = torch.tensor([[-0.5, 0.5], [-1.0, 1.0]])
    image = augment.cut_sides(torch.ones(2, 4, 8, 8), sides)
    assert image[0, 3].sum() == 4 * 8 and (image[0, 3, :, 2:6] == 1).all()
    assert (image[1] == 1).all() and (image[:, :3] == 1).all()
    assert augment.within_sides(torch.tensor([[0.6], [0.6]]), sides).tolist() == [[0], [1]]


def options(out: Path, steps: int) -> TrainOptions:
    return TrainOptions(out, Budget(None, steps), 1e-2, checkpoint_every_s=1e9)


def test_shape_learns_a_ball_resumes_and_color_follows(people, tmp_path):
    torch.manual_seed(0)
    net = nets.ShapeNet(TINY_SHAPE)
    before = score(net.eval(), people)["test_occupancy"]
    loss = lambda net: shape_loss(net, people, encode(net, people, 2), 1000)  # noqa: E731
    train("shape", net, loss, options(tmp_path, 15), lambda net: score(net, people))
    resumed = nets.ShapeNet(TINY_SHAPE)
    train("shape", resumed, loss, options(tmp_path, 60), lambda net: score(net, people))
    checkpoint = torch.load(tmp_path / "shape.pt", weights_only=True)
    assert checkpoint["step"] == 60
    assert nets.ShapeConfig.from_dict(checkpoint["config"]) == TINY_SHAPE
    after = score(resumed.eval(), people)["test_occupancy"]
    assert after < 0.7 * before
    assert (tmp_path / "log.png").exists() and "test_iou" in (tmp_path / "log.csv").read_text()

    color = nets.ColorNet(TINY_COLOR)
    shape = resumed.eval().requires_grad_(False)
    losses: list[float] = []

    def color_step(net):
        parts = color_loss(net, shape, people, encode_color(net, shape, people, 2), 500)
        losses.append(float(parts["color"].detach()))
        return parts

    train("color", color, color_step, options(tmp_path / "color", 40))
    assert np.mean(losses[-10:]) < 0.8 * np.mean(losses[:10])


def test_a_head_is_trained_alone_on_features_kept_from_its_encoder(people, tmp_path):
    torch.manual_seed(0)
    net = nets.ShapeNet(TINY_SHAPE)
    kept = encode_once(net, people, 2, 3)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    losses: list[float] = []

    def step(net):
        encoded = kept[len(losses) % 3]
        encoded = replace(encoded, stacks=[features.float() for features in encoded.stacks])
        parts = shape_loss(net, people, encoded, 500)
        assert not parts["depth"].requires_grad
        losses.append(float(parts["occupancy"].detach()))
        return parts

    train("shape", net, step, options(tmp_path, 40))
    after = net.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before if name.startswith("encoder."))
    assert np.mean(losses[-9:]) < 0.9 * np.mean(losses[:9])


def test_the_best_checkpoint_is_kept_beside_the_last_also_over_a_resume(tmp_path):
    def run(steps: int, errors: list[float]) -> None:
        scores = iter(errors)  # saved after every step, and at the end
        kept = replace(options(tmp_path, steps), checkpoint_every_s=-1, best_by="error")
        loss = lambda net: {"norm": sum(p.square().sum() for p in net.parameters())}  # noqa: E731
        train("shape", nets.ShapeNet(TINY_SHAPE), loss, kept, lambda net: {"error": next(scores)})
        assert not list(scores)

    run(2, [0.5, 0.2, 0.3])
    run(3, [0.3, 0.4])
    read = lambda name: torch.load(tmp_path / name, weights_only=True)["step"]  # noqa: E731
    assert (read("shape_best.pt"), read("shape.pt")) == (2, 3)


def test_a_step_that_bf16_spoils_is_as_if_it_had_not_been(tmp_path):
    net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.Linear(8, 1))
    net.config = TINY_SHAPE
    weights: list[list[torch.Tensor]] = []

    def loss(net):
        weights.append([value.clone() for value in net.state_dict().values()])
        value = net(torch.ones(3, 4).bernoulli()).square().mean()
        assert torch.is_autocast_enabled("cpu")
        return {"loss": value * (torch.nan if len(weights) in spoiled else 1)}

    spoiled = {3, 5}
    bf16 = replace(options(tmp_path, 6), bf16=True)
    train("tiny", net, loss, bf16)
    assert len(weights) == 8  # six steps and the two that did not count
    for call in range(1, 8):
        same = all(torch.equal(a, b) for a, b in zip(weights[call - 1], weights[call], strict=True))
        assert same == (call in spoiled)
    spoiled = set(range(100))
    with pytest.raises(FloatingPointError, match="train without bf16"):
        train("tiny", net, loss, replace(bf16, budget=Budget(None, 9)))


def test_a_budget_is_minutes_or_steps():
    with pytest.raises(ValueError, match="either"):
        Budget(None, None)
    with pytest.raises(ValueError, match="either"):
        Budget(1.0, 1)
    assert Budget(2.0, None).spent(60, 10**9) == 0.5
