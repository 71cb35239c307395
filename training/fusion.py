"""Ways to join pixel-aligned and volume features: the one that ships and those it is compared with.

`mlp` is JIFF (paper Eq. 3): MLP(2-D) ⊕ MLP(3-D) → MLP. The others are the rows of the paper's Table 2.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn

import jiffexport.nets as nets
from jiffexport.nets.face_volume import ShapeVolumeEncoder
from jiffexport.nets.head import SkipMlp, activated
from jiffexport.nets.volume_frame import VolumeFrame, sample_volume, volume_frame

Fusion = Literal["2d", "3d", "concat", "mlp"]
FUSIONS: tuple[Fusion, ...] = get_args(Fusion)
PLAIN_WIDTHS = (256, 256, 128, 64)
"""Of the heads that are one MLP: those of the compact body head."""


class PlainFusionNet(nn.Module):
    """One MLP on the image's features, on the volume's, or on both side by side."""

    def __init__(self, config: nets.FaceShapeConfig, fusion: Fusion) -> None:
        super().__init__()
        self.config = config
        self.fusion = fusion
        channels = 0
        if fusion != "3d":
            channels += config.body.feature_channels + 1
        self.volume = ShapeVolumeEncoder(config.volume) if fusion != "2d" else None
        if self.volume is not None:
            channels += config.volume.feature_channels
        self.head = SkipMlp(channels, PLAIN_WIDTHS, 1)


def build_net(config: nets.FaceShapeConfig, fusion: Fusion) -> nn.Module:
    """The face's parts of the shape network."""
    return nets.FaceShapeNet(config, has_body=False) if fusion == "mlp" else PlainFusionNet(config, fusion)


def checkpoint_kind(fusion: Fusion) -> str:
    """Only what ships is a "face_shape"."""
    return "face_shape" if fusion == "mlp" else f"face_shape_{fusion}"


def load_net(path) -> nn.Module:  # noqa: ANN001  (any path)
    """A network of a checkpoint of any of these kinds, in evaluation mode. Raises `ValueError`."""
    checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    fusions = {checkpoint_kind(fusion): fusion for fusion in FUSIONS}
    if checkpoint.get("kind") not in fusions:
        raise ValueError(f"{path}: expected one of {sorted(fusions)}, got kind {checkpoint.get('kind')!r}")
    net = build_net(nets.FaceShapeConfig.from_dict(checkpoint["config"]), fusions[checkpoint["kind"]])
    net.load_state_dict(checkpoint["model"])
    return net.eval()


Encoded = tuple[Tensor | None, VolumeFrame]


def encode_faces(net: nn.Module, faces: Tensor, only_2d: bool = False) -> Encoded | None:
    """Volume and frame of face meshes (B, N, 3) in the view; None for a network without a volume.

    With `only_2d` the frame alone, in which the head's encoder works.
    """
    if net.volume is None:
        return None
    return (None, volume_frame(net.config.volume, faces)) if only_2d else net.volume(faces)


def has_head(net: nn.Module) -> bool:
    """Whether the 2-D features are those of the network's own encoder of the head's picture."""
    return isinstance(net, nets.FaceShapeNet) and net.head is not None


def answers(net: nn.Module, samples_2d: Tensor, encoded: Encoded | None, points: Tensor) -> dict[str, Tensor]:
    """Occupancies (B, N), by name; "answer" is the network's, the others are its branches'.

    Where `encoded` has no volume the 2-D branch answers alone.

    Parameters
    ----------
    samples_2d : (B, C, N) features at the points; of the head's encoder (`has_head`), or the body's.
    encoded : of `encode_faces`.
    points : (B, N, 3) view coordinates.
    """
    samples_3d = None
    if encoded is not None and encoded[0] is not None:
        samples_3d = sample_volume(encoded[0], encoded[1].coordinates(points))
    if isinstance(net, nets.FaceShapeNet):
        _, depth = net.pixel_aligned(encoded[1], points)  # type: ignore[index]
        if samples_3d is None:
            return {"from_2d": net.face_head.from_2d(samples_2d, depth)[:, 0]}
        outputs = net.face_head.outputs(samples_2d, samples_3d, depth)
        named = zip(("answer", "from_2d", "from_3d"), outputs, strict=True)
        return {name: output[:, 0] for name, output in named}
    depth = (points[..., 2] * net.config.body.depth_scale)[:, None].to(samples_2d.dtype)
    parts = [] if net.fusion == "3d" else [samples_2d, depth]
    if samples_3d is not None:
        parts.append(samples_3d)
    raw = torch.cat(parts, 1)
    logits = net.head.output(net.head.activations(raw, len(net.head.layers) - 1), raw)
    return {"answer": activated(logits, "sigmoid")[:, 0]}
