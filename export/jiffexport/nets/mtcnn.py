"""The three networks of MTCNN (Zhang et al., IEEE Signal Processing Letters 2016; paper ref. [68]).

Layers carry the names that the public weights have. All three take RGB as `(value - 127.5) / 128` and
give the probability that a window shows a face, and how far the face's box is from the window's: left, top,
right and bottom as shares of the window's side.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

# The first layer's activations lie between -27 and 21 for any picture, so that much less never wins; and it
# is small enough for what the further layers make of it to stay within half precision.
_NEVER_WINS = 64.0


class ProposalNet(nn.Module):
    """P-Net: every 12 x 12 window of a picture, two pixels apart, without padding."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 10, 3), nn.PReLU(10)
        self.conv2, self.prelu2 = nn.Conv2d(10, 16, 3), nn.PReLU(16)
        self.conv3, self.prelu3 = nn.Conv2d(16, 32, 3), nn.PReLU(32)
        self.conv4_1 = nn.Conv2d(32, 2, 1)
        self.conv4_2 = nn.Conv2d(32, 4, 1)

    def inference(self, image: Tensor) -> dict[str, Tensor]:
        """(N, 4, S, S) -> `score` (N, 1, C, C) and `offsets` (N, 4, C, C), C = S / 2 - 5, for even S.

        The fourth channel is 1 beyond the picture's border and 0 within. The weights expect that pooling
        at a border takes what there is (`ceil_mode`), so a window may reach one pixel beyond it: what the
        first layer saw there never wins.
        """
        beyond = functional.max_pool2d(image[:, 3:], 3, 1)
        x = functional.max_pool2d(self.prelu1(self.conv1(image[:, :3])) - _NEVER_WINS * beyond, 2)
        x = self.prelu3(self.conv3(self.prelu2(self.conv2(x))))
        return {"score": torch.softmax(self.conv4_1(x), 1)[:, 1:], "offsets": self.conv4_2(x)}


class RefinementNet(nn.Module):
    """R-Net: windows of 24 x 24 pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 28, 3), nn.PReLU(28)
        self.conv2, self.prelu2 = nn.Conv2d(28, 48, 3), nn.PReLU(48)
        self.conv3, self.prelu3 = nn.Conv2d(48, 64, 2), nn.PReLU(64)
        self.dense4, self.prelu4 = nn.Linear(576, 128), nn.PReLU(128)
        self.dense5_1 = nn.Linear(128, 2)
        self.dense5_2 = nn.Linear(128, 4)

    def inference(self, image: Tensor) -> dict[str, Tensor]:
        """(N, 3, 24, 24) -> `score` (N, 1) and `offsets` (N, 4)."""
        x = functional.max_pool2d(self.prelu1(self.conv1(image)), 3, 2, ceil_mode=True)
        x = functional.max_pool2d(self.prelu2(self.conv2(x)), 3, 2, ceil_mode=True)
        x = _flatten_by_column(self.prelu3(self.conv3(x)))
        x = self.prelu4(self.dense4(x))
        return {"score": torch.softmax(self.dense5_1(x), 1)[:, 1:], "offsets": self.dense5_2(x)}


class LandmarkNet(nn.Module):
    """O-Net: windows of 48 x 48 pixels; finds the eyes, the nose and the corners of the mouth too."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.prelu1 = nn.Conv2d(3, 32, 3), nn.PReLU(32)
        self.conv2, self.prelu2 = nn.Conv2d(32, 64, 3), nn.PReLU(64)
        self.conv3, self.prelu3 = nn.Conv2d(64, 64, 3), nn.PReLU(64)
        self.conv4, self.prelu4 = nn.Conv2d(64, 128, 2), nn.PReLU(128)
        self.dense5, self.prelu5 = nn.Linear(1152, 256), nn.PReLU(256)
        self.dense6_1 = nn.Linear(256, 2)
        self.dense6_2 = nn.Linear(256, 4)
        self.dense6_3 = nn.Linear(256, 10)

    def inference(self, image: Tensor) -> dict[str, Tensor]:
        """(N, 3, 48, 48) -> `score` (N, 1), `offsets` (N, 4), `landmarks` (N, 10): five x, then five y.

        Landmarks are shares of the window's sides: left eye, right eye (in the picture), nose, left and
        right corner of the mouth.
        """
        x = functional.max_pool2d(self.prelu1(self.conv1(image)), 3, 2, ceil_mode=True)
        x = functional.max_pool2d(self.prelu2(self.conv2(x)), 3, 2, ceil_mode=True)
        x = functional.max_pool2d(self.prelu3(self.conv3(x)), 2, 2, ceil_mode=True)
        x = _flatten_by_column(self.prelu4(self.conv4(x)))
        x = self.prelu5(self.dense5(x))
        return {
            "score": torch.softmax(self.dense6_1(x), 1)[:, 1:],
            "offsets": self.dense6_2(x),
            "landmarks": self.dense6_3(x),
        }


def _flatten_by_column(x: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, W · H · C): the order that the weights were trained in."""
    return x.permute(0, 3, 2, 1).flatten(1)
