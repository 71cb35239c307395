"""The networks of the face: how they treat points, volumes and batches, and that training reaches all."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="the export tests need torch (pip install .[export])")

from jiffexport.face_region import FaceRegion, blend_face, blend_weight  # noqa: E402
from jiffexport.nets import (  # noqa: E402
    COMPACT_FACE_SHAPE,
    COMPACT_FINE_COLOR,
    PAPER_FACE_SHAPE,
    PAPER_FINE_COLOR,
    FaceShapeConfig,
    FaceShapeNet,
    FineColorConfig,
    FineColorNet,
    HeadFrame,
    point_ops,
    sample_features,
    sample_volume,
    volume_frame,
)
from jiffexport.nets.local_pointnet import LocalPointNet  # noqa: E402
from jiffsdk import _core  # noqa: E402
from untrained_checkpoints import FACE_SHAPE_CONFIG, FINE_COLOR_CONFIG, network_of  # noqa: E402


def face_mesh(num_batches: int = 1, num_vertices: int = 300, seed: int = 0) -> torch.Tensor:
    """Vertices (B, N, 3) of half ellipsoids near the top of the view."""
    directions = torch.randn(num_batches, num_vertices, 3, generator=torch.Generator().manual_seed(seed))
    directions = directions / directions.norm(dim=2, keepdim=True)
    directions[..., 2] = directions[..., 2].abs()
    return directions * torch.tensor([0.08, 0.11, 0.09]) + torch.tensor([0.01, -0.7, 0.02])


def random_like_face(num_batches: int = 1, num_points: int = 50, seed: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    points = torch.rand(num_batches, num_points, 3, generator=generator)
    return (points - 0.5) * 0.3 + torch.tensor([0.0, -0.7, 0.0])


@given(
    num_points=st.integers(5, 60),
    channels=st.integers(1, 4),
    resolution=st.integers(1, 6),
    seed=st.integers(0, 2**31),
)
def test_torch_operators_on_points_equal_the_deployed_ones(
    num_points: int, channels: int, resolution: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    points = rng.uniform(0, 0.99, (2, num_points, 3)).astype(np.float32)
    codes = rng.normal(size=(2, num_points, channels)).astype(np.float32)
    torch_points, torch_codes = torch.from_numpy(points), torch.from_numpy(codes)

    chosen = point_ops.farthest_points(torch_points, 4)
    centers = point_ops.gather_points(torch_points, chosen)
    groups = point_ops.ball_query(torch_points, centers, 0.3, 7)
    carried = point_ops.interpolate_nearest(torch_codes[:, :4], centers, torch_points)
    voxels = point_ops.voxel_indices(torch_points, resolution)
    largest = point_ops.voxel_max(torch_codes, voxels)
    mean = point_ops.voxel_mean(torch_codes, voxels, resolution)
    samples = sample_volume(mean, torch_points)
    for b in range(2):
        theirs = _core.farthest_point_sampling(points[b], 4)
        assert np.array_equal(chosen[b].numpy(), theirs)
        assert np.array_equal(groups[b].numpy(), _core.ball_query(points[b], points[b][theirs], 0.3, 7))
        interpolated = _core.interpolate_nearest(codes[b, :4], points[b][theirs], points[b])
        assert np.allclose(carried[b].numpy(), interpolated, atol=1e-5)
        indices = _core.voxel_indices(points[b], resolution)
        assert np.array_equal(voxels[b].numpy(), indices)
        assert np.array_equal(largest[b].numpy(), _core.voxel_max(codes[b], indices))
        volume = _core.voxel_mean(codes[b], indices, resolution)
        assert np.allclose(mean[b].numpy(), volume, atol=1e-6)
        sampled = _core.VolumeSampler(volume[None]).sample(points[b])
        assert np.allclose(samples[b].numpy().T, sampled, atol=1e-5)


@pytest.mark.parametrize("config", [PAPER_FACE_SHAPE.volume, COMPACT_FACE_SHAPE.volume])
def test_cube_coordinates_equal_the_deployed_ones(config: object) -> None:
    vertices = face_mesh()
    frame = volume_frame(config, vertices)
    points = torch.cat([vertices, random_like_face(), torch.full((1, 1, 3), 50.0)], 1)
    deployed = _core.cube_coordinates(*(part[0].numpy().copy() for part in frame), points[0].numpy())
    assert np.allclose(frame.coordinates(points)[0].numpy(), deployed, atol=1e-6)


def test_more_farthest_points_than_there_are_is_an_error() -> None:
    with pytest.raises(ValueError, match="from 1 to the 5 points, got 6"):
        point_ops.farthest_points(torch.zeros(1, 5, 3), 6)


def test_a_group_larger_than_the_cloud_repeats_its_first_point() -> None:
    points = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [9, 0, 0]]])
    assert point_ops.ball_query(points, points[:, 1:2], 2.0, 5).tolist() == [[[0, 1, 0, 0, 0]]]


def test_face_frame_is_a_cube_around_the_mesh_with_its_margin() -> None:
    vertices = face_mesh()
    cube = volume_frame(COMPACT_FACE_SHAPE.volume, vertices).coordinates(vertices)
    low, high = cube.amin(1), cube.amax(1)
    margin = COMPACT_FACE_SHAPE.volume.frame_margin
    assert torch.isclose((high - low).max(), torch.tensor(1 / (1 + 2 * margin)))
    assert torch.allclose((low + high) / 2, torch.full((1, 3), 0.5), atol=1e-5)


def test_volume_moves_and_grows_with_the_face() -> None:
    # Not more than rounding: a move of the whole mesh keeps every coordinate in the cube.
    network = network_of("face_shape").eval()
    vertices = (face_mesh() * 64).round() / 64
    moved = vertices * 2 + torch.tensor([0.25, -0.5, 0.125])
    with torch.inference_mode():
        volume, frame = network.volume(vertices)
        moved_volume, moved_frame = network.volume(moved)
    assert torch.allclose(frame.coordinates(vertices), moved_frame.coordinates(moved), atol=1e-5)
    assert torch.allclose(volume, moved_volume, atol=1e-3)


def test_a_mesh_of_one_repeated_point_still_has_a_volume() -> None:
    network = network_of("face_shape").eval()
    with torch.inference_mode():
        volume, _ = network.volume(torch.full((1, 20, 3), 0.1))
    assert torch.isfinite(volume).all()


def test_a_batch_is_its_samples_one_by_one() -> None:
    shape, color = network_of("face_shape").eval(), network_of("fine_color").eval()
    vertices, points = face_mesh(3), random_like_face(3)
    colors = torch.rand(3, 300, 3, generator=torch.Generator().manual_seed(2))
    features = torch.rand(3, 10, 8, 8)
    with torch.inference_mode():
        volume, frame = shape.volume(vertices)
        together = shape.face_occupancy(features, volume, frame, points).joint
        color_volume, _ = color.volume(vertices, colors)
        for b in range(3):
            one = slice(b, b + 1)
            own_volume, own_frame = shape.volume(vertices[one])
            alone = shape.face_occupancy(features[one], own_volume, own_frame, points[one]).joint
            assert torch.allclose(alone, together[one], atol=1e-5)
            own_color_volume, _ = color.volume(vertices[one], colors[one])
            assert torch.allclose(own_color_volume, color_volume[one], atol=1e-4)


def test_the_order_of_vertices_does_not_matter_to_shape() -> None:
    network = network_of("face_shape").eval()
    vertices = face_mesh()
    with torch.inference_mode():
        volume, _ = network.volume(vertices)
        shuffled, _ = network.volume(vertices[:, torch.randperm(300)])
    assert torch.allclose(volume, shuffled, atol=1e-5)


def test_training_reaches_every_weight_of_the_face_shape_network() -> None:
    network = network_of("face_shape").train()
    image = torch.rand(2, 4, 32, 32)
    vertices, points = face_mesh(2), random_like_face(2)
    outputs, log_size = network.body.encoder(image)
    volume, frame = network.volume(vertices)
    features = network.head(torch.rand(2, 4, 16, 16), torch.rand(2, 16, 8, 8), torch.rand(2, 2, 8, 8))
    face = network.face_occupancy(features, volume, frame, points)
    body = network.body.occupancy(outputs[-1], points)
    (sum(o.mean() for o in face) + body.mean() + log_size.mean()).backward()
    without = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert not without


def test_training_reaches_every_weight_of_the_fine_color_network() -> None:
    network = network_of("fine_color").train()
    coarse = network_of("color").eval()
    image, small = torch.rand(2, 4, 128, 128), torch.rand(2, 4, 64, 64)
    vertices, points = face_mesh(2), random_like_face(2)
    shape_features = torch.rand(2, 16, 8, 8)
    with torch.no_grad():
        layers = FINE_COLOR_CONFIG.coarse_layers
        activations = coarse.activations(coarse.encoder(small), shape_features, points, layers)
    assert activations.shape == (2, FINE_COLOR_CONFIG.coarse_channels, 50)
    features = network.encoder(image)
    volume, frame = network.volume(vertices, torch.rand(2, 300, 3))
    face = network.face_color(features, activations, image, volume, frame, points)
    body = network.color(features, activations, image, points)
    assert body.shape == face.joint.shape == (2, 3, 50)
    assert all(o.min() >= 0 and o.max() <= 1 for o in (body, *face))
    (sum(o.mean() for o in face) + body.mean()).backward()
    without = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    # A convolution's bias before a batch norm cannot matter.
    assert all(".mlp_convs." in name and name.endswith("bias") for name in without)


def head_frame_of(vertices: torch.Tensor) -> HeadFrame:
    return HeadFrame(volume_frame(COMPACT_FACE_SHAPE.volume, vertices), reach=1.3)


def test_a_head_has_one_frame_wherever_its_face_is_and_however_large() -> None:
    vertices, points = face_mesh(), random_like_face(1)
    moved, shift = vertices * 2 + torch.tensor([0.25, -0.5, 0.125]), torch.tensor([0.25, -0.5, 0.125])
    frame, other = head_frame_of(vertices), head_frame_of(moved)
    assert torch.allclose(frame.coordinates(points), other.coordinates(points * 2 + shift), atol=1e-4)
    assert torch.allclose(frame.on_map(points)[..., 2], frame.coordinates(points)[..., 2])
    low, high = (frame.coordinates(part) for part in (vertices.amin(1)[None], vertices.amax(1)[None]))
    assert torch.allclose(low, -high, atol=1e-4)  # the cube's middle is the face's


def test_texels_of_a_head_lie_where_its_map_is_sampled() -> None:
    frame = head_frame_of(face_mesh())
    texels = frame.texels(5)
    points = torch.cat([texels.reshape(1, 25, 2), torch.zeros(1, 25, 1)], 2)
    values = torch.arange(25.0).reshape(1, 1, 5, 5)
    assert torch.allclose(sample_features(values, frame.on_map(points))[0, 0], torch.arange(25.0), atol=1e-3)


def test_believed_depths_are_those_of_the_view_in_the_heads_frame() -> None:
    frame = head_frame_of(face_mesh())
    z = torch.linspace(-0.1, 0.1, 36).reshape(1, 6, 6)
    found = frame.believed(torch.stack([z, z + 9], 1), depth_scale=3.0)
    points = torch.cat([frame.texels(6), z[..., None]], -1).reshape(1, 36, 3)
    assert torch.allclose(found[:, 0], 3 * frame.on_map(points)[..., 2].reshape(1, 6, 6), atol=1e-4)
    assert torch.equal(found[:, 1], torch.full((1, 6, 6), 6.0))  # far beyond the limit


def test_outputs_of_one_branch_do_not_see_the_other() -> None:
    network = network_of("face_shape").eval()
    samples_2d, samples_3d = torch.rand(1, 10, 30), torch.rand(1, 6, 30)
    depth = torch.rand(1, 30)
    with torch.inference_mode():
        base = network.face_head.outputs(samples_2d, samples_3d, depth)
        other_3d = network.face_head.outputs(samples_2d, samples_3d + 1, depth)
        other_2d = network.face_head.outputs(samples_2d + 1, samples_3d, depth)
    assert torch.equal(base.from_2d, other_3d.from_2d)
    assert torch.equal(base.from_3d, other_2d.from_3d)
    assert not torch.allclose(base.joint, other_3d.joint)
    assert not torch.allclose(base.joint, other_2d.joint)


def test_what_the_compact_face_adds_is_small() -> None:
    with torch.device("meta"):
        shape, color = FaceShapeNet(COMPACT_FACE_SHAPE), FineColorNet(COMPACT_FINE_COLOR)
    added = [shape.volume, shape.head, shape.face_head, color]
    assert sum(p.numel() for part in added for p in part.parameters()) < 3_000_000


@pytest.mark.parametrize(
    "config", [PAPER_FACE_SHAPE, COMPACT_FACE_SHAPE, PAPER_FINE_COLOR, COMPACT_FINE_COLOR, FACE_SHAPE_CONFIG]
)
def test_configurations_survive_json(config: FaceShapeConfig | FineColorConfig) -> None:
    assert type(config).from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_region_of_a_box_holds_what_projects_into_it() -> None:
    region = FaceRegion.from_box(128, 64, 256, 192, image_size_px=512)
    points = torch.tensor([[-0.5, -0.75, 9.0], [0.0, -0.25, -9.0], [0.01, -0.5, 0.0], [-0.2, -0.8, 0.0]])
    assert region.contains(points).tolist() == [True, True, False, False]


def test_published_region_is_its_formula() -> None:
    region = FaceRegion.published(top_px=51, bottom_px=119, left_px=241, right_px=277)
    assert np.allclose([region.left, region.right], [(241 / 2 - 128) / 102.9, (277 / 2 - 128) / 102.9])
    world_y = [-region.bottom * 102.9 + 90, -region.top * 102.9 + 90]
    assert np.allclose(world_y, [(1 - 119 / 256) * 90 + 100, (1 - 51 / 256) * 90 + 100])


def test_torch_blend_equals_the_deployed_one() -> None:
    rng = np.random.default_rng(3)
    points = rng.uniform(-1, 1, (200, 3)).astype(np.float32)
    body, face = rng.uniform(size=(2, 200, 3)).astype(np.float32)
    distances = rng.exponential(8, 200).astype(np.float32)
    region = FaceRegion(left=-0.5, right=0.6, top=-0.7, bottom=0.1)
    inside = region.contains(torch.from_numpy(points))
    for distance in (None, distances):
        weight = None if distance is None else blend_weight(torch.from_numpy(distance))
        ours = blend_face(torch.from_numpy(body.T.copy()), torch.from_numpy(face.T.copy()), inside, weight)
        borders = (region.left, region.right, region.top, region.bottom)
        deployed = _core.blend_face(borders, points, body, face, distance)
        assert np.allclose(ours.numpy().T, deployed, atol=1e-6)


def test_a_vertex_is_told_its_place_in_its_voxel_where_the_configuration_says_so() -> None:
    told, untold = (LocalPointNet(4, 2, resolution) for resolution in (8, None))
    with torch.no_grad():
        told.fc_pos.weight[:, :3] = 0  # deaf to where in the cube
        here = torch.tensor([[[0.26, 0.51, 0.9], [0.3, 0.51, 0.9]]])
        codes, elsewhere = told.stage(0, here), told.stage(0, here - torch.tensor([0.25, 0.125, 0.5]))
    torch.testing.assert_close(codes, elsewhere, atol=1e-5, rtol=0)
    assert not torch.allclose(codes[:, 0], codes[:, 1])
    assert told.fc_pos.in_features == 6 and untold.fc_pos.in_features == 3
    assert COMPACT_FACE_SHAPE.volume.sees_offsets and not PAPER_FACE_SHAPE.volume.sees_offsets
