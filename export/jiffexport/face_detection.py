"""Face detection: MTCNN's three networks with the public weights of facenet-pytorch (MIT).

Graphs have static shapes. The two later networks see windows of one size, in batches; the first slides
over pictures of any size, so it gets batches of square tiles, which the SDK cuts
(csrc/pipeline/face_detector.cpp). Batches and tiles are the fastest of those tried: the tiles of a 512 x 512
photograph take 28 ms of one core with OpenVINO (39 ms with ONNX Runtime) at 64 px in batches of 8, 37 (42) at
96 px, 64 (79) at 192 px, and 99 (141) at 320 px, which holds the largest level whole.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from PIL import Image

from .errors import CheckpointError
from .nets.mtcnn import LandmarkNet, ProposalNet, RefinementNet
from .onnx_graph import Store
from .to_onnx import encoder_to_onnx, reference_features
from .verify import Example

FaceNetwork = ProposalNet | RefinementNet | LandmarkNet


STORE: Store = "fp32"
"""Half precision would save 1 MB of 2, but candidates compete: a score that moves by 1e-4 can make another
window win, and of 74 pictures one face moved by 2.5 pixels."""


@dataclass(frozen=True)
class FaceStage:
    """One of the three networks.

    Attributes
    ----------
    name
        In the manifest's `face_detection`.
    weights
        File in the source package.
    input_shape
        Of its graph.
    least_score
        From which on a candidate goes on, as published.
    """

    name: str
    network: type[FaceNetwork]
    weights: str
    input_shape: tuple[int, int, int, int]
    least_score: float


STAGES = (
    FaceStage("proposal", ProposalNet, "pnet.pt", (8, 4, 64, 64), 0.6),
    FaceStage("refinement", RefinementNet, "rnet.pt", (32, 3, 24, 24), 0.7),
    FaceStage("landmarks", LandmarkNet, "onet.pt", (8, 3, 48, 48), 0.7),
)


@dataclass(frozen=True)
class FaceWeights:
    """The networks by stage, the licence that travels with them, and the sha256 of each weights file."""

    networks: dict[str, FaceNetwork]
    license: bytes
    sha256: dict[str, str]


def load_face_weights(source: Path) -> FaceWeights:
    """The weights in `source`: the wheel of facenet-pytorch, or the folder that it was installed into.

    Raises
    ------
    CheckpointError
        If a weights file or the licence is missing, unreadable, or does not fit its network.
    """
    files = _read_package(source)
    networks: dict[str, FaceNetwork] = {}
    sha256: dict[str, str] = {}
    for stage in STAGES:
        content = files.get(stage.weights)
        if content is None:
            raise CheckpointError(f"{source}: has no facenet_pytorch/data/{stage.weights}")
        network = stage.network()
        try:
            network.load_state_dict(torch.load(io.BytesIO(content), map_location="cpu", weights_only=True))
        except (RuntimeError, pickle.UnpicklingError, EOFError, TypeError, AttributeError) as error:
            raise CheckpointError(f"{source}: {stage.weights} does not fit its network ({error})") from error
        networks[stage.name] = network.eval()
        sha256[stage.name] = hashlib.sha256(content).hexdigest()
    if "LICENSE" not in files:
        raise CheckpointError(
            f"{source}: its licence must travel with it; LICENSE of facenet-pytorch is missing"
        )
    return FaceWeights(networks, files["LICENSE"], sha256)


def face_provenance(stage: FaceStage, weights: FaceWeights) -> str:
    """Where a stage's weights come from."""
    return (
        f"MTCNN (Zhang et al., IEEE Signal Processing Letters 2016), {stage.weights} of the PyPI package "
        f"facenet-pytorch (sha256 {weights.sha256[stage.name]})"
    )


def face_graph(stage: FaceStage, network: FaceNetwork) -> onnx.ModelProto:
    """The graph of one stage: `image` -> `score`, `offsets` and, of the last one, `landmarks`."""
    return encoder_to_onnx(network, stage.input_shape, f"face_{stage.name}", STORE)


def reference_scores(stage: FaceStage, network: FaceNetwork, pictures: Sequence[np.ndarray]) -> list[Example]:
    """What torch makes of `pictures`, each (S, S, 3) uint8: a batch of windows of each."""
    return reference_features(network, [_windows(picture, stage.input_shape) for picture in pictures])


def _windows(picture: np.ndarray, shape: tuple[int, int, int, int]) -> np.ndarray:
    """Windows of two sizes across a picture, evenly taken, as a batch in the networks' range."""
    num_windows, num_channels, size_px, _ = shape
    image = Image.fromarray(picture)
    boxes = []
    for divisor in (2, 4):
        side = image.width // divisor
        starts = range(0, image.width - side + 1, max(1, side // 2))
        boxes += [(left, top, left + side, top + side) for top in starts for left in starts]
    chosen = [boxes[i * len(boxes) // num_windows] for i in range(num_windows)]
    resized = [image.resize((size_px, size_px), Image.Resampling.BOX, box) for box in chosen]
    batch = np.stack([np.asarray(window, np.float32).transpose(2, 0, 1) for window in resized])
    return np.pad((batch - 127.5) / 128, ((0, 0), (0, num_channels - 3), (0, 0), (0, 0)))


def _read_package(source: Path) -> dict[str, bytes]:
    """The weights files and `LICENSE`, by plain name."""
    try:
        if source.is_dir():
            folders = ("facenet_pytorch/data/*.pt", "facenet_pytorch-*.dist-info/LICENSE*")
            found = {
                p.relative_to(source).as_posix(): p.read_bytes() for f in folders for p in source.glob(f)
            }
        else:
            with zipfile.ZipFile(source) as wheel:
                found = {
                    name: wheel.read(name)
                    for name in wheel.namelist()
                    if name.startswith("facenet_pytorch/data/") or ".dist-info/LICENSE" in name
                }
    except (OSError, zipfile.BadZipFile) as error:
        raise CheckpointError(f"{source}: not a wheel or folder of facenet-pytorch ({error})") from error
    plain = {name.rsplit("/", 1)[1]: content for name, content in found.items()}
    return {"LICENSE" if name.startswith("LICENSE") else name: content for name, content in plain.items()}
