"""The joint implicit function: MLP(2-D) ⊕ MLP(3-D) → MLP (paper Sec. 4.3 and 4.4)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from .config import JointHeadConfig
from .head import Activation, SkipMlp, activated


class JointOutputs(NamedTuple):
    """What the head says from both kinds of features and from each alone, each (B, out, N) in [0, 1]."""

    joint: Tensor
    from_2d: Tensor
    from_3d: Tensor


class JointHead(nn.Module):
    """Both branches' last hidden activations are joined; the raw features are skipped to every layer.

    The branches' own outputs exist for training, where each is supervised.
    """

    def __init__(
        self,
        config: JointHeadConfig,
        channels_2d: int,
        channels_3d: int,
        out_channels: int,
        depth_scale: float,
        activation: Activation,
    ) -> None:
        super().__init__()
        self.depth_scale = depth_scale
        self.activation = activation
        raw_2d = channels_2d + 1
        self.branch_2d = SkipMlp(raw_2d, config.widths_2d, out_channels)
        self.branch_3d = SkipMlp(channels_3d, config.widths_3d, out_channels)
        self.joint = SkipMlp(
            raw_2d + channels_3d,
            config.widths_joint,
            out_channels,
            start_channels=config.widths_2d[-1] + config.widths_3d[-1],
        )

    def outputs(self, samples_2d: Tensor, samples_3d: Tensor, depth: Tensor) -> JointOutputs:
        """samples_2d (B, C2, N), samples_3d (B, C3, N), depth (B, N) = view z."""
        raw_2d = self._raw_2d(samples_2d, depth)
        raw = torch.cat([raw_2d, samples_3d], 1)
        hidden_2d = _last_hidden(self.branch_2d, raw_2d)
        hidden_3d = _last_hidden(self.branch_3d, samples_3d)
        hidden = _last_hidden(self.joint, raw, torch.cat([hidden_2d, hidden_3d], 1))
        return JointOutputs(
            activated(self.joint.output(hidden, raw), self.activation),
            activated(self.branch_2d.output(hidden_2d, raw_2d), self.activation),
            activated(self.branch_3d.output(hidden_3d, samples_3d), self.activation),
        )

    def from_2d(self, samples_2d: Tensor, depth: Tensor) -> Tensor:
        """What the 2-D branch says alone, (B, out, N), as `outputs` has it."""
        raw = self._raw_2d(samples_2d, depth)
        return activated(self.branch_2d.output(_last_hidden(self.branch_2d, raw), raw), self.activation)

    def _raw_2d(self, samples: Tensor, depth: Tensor) -> Tensor:
        return torch.cat([samples, (depth * self.depth_scale)[:, None].to(samples.dtype)], 1)

    def forward(self, samples_2d: Tensor, samples_3d: Tensor, depth: Tensor) -> Tensor:
        """Occupancy or colour in [0, 1] from both, (B, out, N)."""
        return self.outputs(samples_2d, samples_3d, depth).joint


def _last_hidden(mlp: SkipMlp, raw: Tensor, start: Tensor | None = None) -> Tensor:
    return mlp.activations(raw, len(mlp.layers) - 1, start)
