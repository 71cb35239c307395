"""The head takes over the last convolution of the volume's network."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the export tests need torch (pip install .[export])")

from jiffexport.nets import JointHead  # noqa: E402
from jiffexport.nets.config import JointHeadConfig, ShapeVolumeConfig  # noqa: E402
from jiffexport.nets.unet3d import UNet3d  # noqa: E402
from jiffexport.nets.volume_frame import sample_volume  # noqa: E402
from jiffexport.volume_network import fold_final_conv  # noqa: E402
from jiffsdk import _core  # noqa: E402


def parts(feature_channels: int) -> tuple[UNet3d, JointHead]:
    torch.manual_seed(0)
    config = ShapeVolumeConfig(
        frame="face",
        frame_margin=0.2,
        resolution=8,
        point_channels=8,
        unet_channels=(8, 16),
        norm="group",
        feature_channels=feature_channels,
        num_blocks=2,
        sees_offsets=False,
    )
    head = JointHead(JointHeadConfig((16, 8), (16, 12), (16, 8)), 5, feature_channels, 2, 1.5, "tanh")
    return UNet3d(config).eval(), head.eval()


@torch.no_grad()
def test_the_folded_head_answers_as_the_whole_one() -> None:
    unet, head = parts(feature_channels=24)
    network, folded = fold_final_conv(unet, head)
    assert network.ends_before_final_conv
    assert folded.branch_3d.widths[0] == 9 and head.branch_3d.widths[0] == 24
    volume = torch.randn(1, 8, 8, 8, 8)
    # Of the cube's whole sides, half a voxel beyond the outermost centres: there samples fade to zero.
    points = torch.cat([torch.rand(200, 3), torch.tensor([[0.0, 0.5, 0.999], [0.0, 0.0, 0.0]])])
    samples_2d, depth = torch.randn(1, 5, len(points)), torch.randn(1, len(points))
    expected = head(samples_2d, sample_volume(unet(volume), points[None]), depth)
    sampler = _core.VolumeSampler(network(volume).numpy(), appends_ones=True)
    samples = torch.from_numpy(sampler.sample(points.numpy())).T[None]
    assert samples.shape[1] == 9
    assert (samples[0, -1] < 1 + 1e-6).all() and samples[0, -1, -1] == pytest.approx(0.125)
    found = folded(samples_2d, samples, depth)
    assert (found - expected).abs().max() < 1e-5


def test_a_network_that_gives_few_channels_keeps_its_convolution() -> None:
    unet, head = parts(feature_channels=9)
    network, same = fold_final_conv(unet, head)
    assert not network.ends_before_final_conv and same is head
    volume = torch.randn(1, 8, 8, 8, 8)
    with torch.no_grad():
        assert np.array_equal(network(volume).numpy(), unet(volume).numpy())
