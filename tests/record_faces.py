"""Writes `source_faces.json`: what the package that the face networks come from finds in the test pictures.

    pip download --no-deps facenet-pytorch==2.6.0
    python tests/record_faces.py facenet_pytorch-2.6.0-py3-none-any.whl

The package asks for old versions of torch and torchvision but runs with any: of torchvision it uses one
function, non-maximum suppression, which is written out below.
"""

from __future__ import annotations

import json
import sys
import tempfile
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

from face_photographs import with_faces, without_faces

OUT = Path(__file__).with_name("source_faces.json")
LEAST_SIDE_PX = 20
"""The package fails on pictures that hold no level of its pyramid."""


def batched_nms(
    boxes: torch.Tensor, scores: torch.Tensor, classes: torch.Tensor, threshold: float
) -> torch.Tensor:
    """As torchvision's, for one class."""
    order = torch.sort(scores, descending=True, stable=True)[1]
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    kept: list[torch.Tensor] = []
    while len(order):
        best, order = order[0], order[1:]
        kept.append(best)
        low = torch.maximum(boxes[best, :2], boxes[order, :2])
        high = torch.minimum(boxes[best, 2:4], boxes[order, 2:4])
        shared = (high - low).clamp(min=0).prod(1)
        order = order[shared / (area[best] + area[order] - shared) <= threshold]
    return torch.stack(kept) if kept else torch.empty(0, dtype=torch.int64)


def import_source(wheel: Path, folder: Path) -> Any:
    """The module `facenet_pytorch`, unpacked from `wheel` into `folder`."""
    names = ("", ".transforms", ".transforms.functional", ".ops", ".ops.boxes", ".datasets")
    modules = {name: ModuleType(f"torchvision{name}") for name in names}
    for name, module in modules.items():
        sys.modules[module.__name__] = module
        parent, _, attribute = name.rpartition(".")
        if attribute:
            setattr(modules[parent], attribute, module)
    modules[".ops.boxes"].batched_nms = batched_nms  # type: ignore[attr-defined]
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    sys.path.insert(0, str(folder))
    import facenet_pytorch

    return facenet_pytorch


def min_face_px(picture: np.ndarray) -> float:
    """The SDK's default."""
    return 20.0 * max(1.0, min(picture.shape[:2]) / 512)


def main() -> None:
    pictures = {
        name: picture
        for name, picture in (with_faces() | without_faces()).items()
        if min(picture.shape[:2]) >= LEAST_SIDE_PX
    }
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        detector = import_source(Path(sys.argv[1]), Path(folder)).MTCNN(select_largest=False)
        for name, picture in pictures.items():
            detector.min_face_size = min_face_px(picture)
            boxes, scores, landmarks = detector.detect(picture, landmarks=True)
            faces = [] if boxes is None else zip(boxes, scores, landmarks, strict=True)
            found[name] = [
                {
                    "box": np.round(np.asarray(box, float), 3).tolist(),
                    "score": round(float(score), 6),
                    "landmarks": np.round(np.asarray(points, float), 3).tolist(),
                }
                for box, score, points in faces
            ]
    OUT.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
