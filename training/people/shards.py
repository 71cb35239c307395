"""The files of a subject on disk.

One folder a subject, `OUT/{train,test}/00042/`:

- `samples.npz`: near_points (N, 3) f4 with near_occupancy (N,) u1, uniform_points with
  uniform_occupancy, surface_points (K, 3) f4, surface_normals (K, 3) f4, surface_albedo (K, 3) u1 sRGB;
- `view_00.webp` ... RGBA 512 x 512, straight alpha, and `view_00_1024.webp` where asked for;
- `views.json`: the cameras, lights and facts (see `Subject.record`);
- `head.npz` of subjects made for the face heads: see `heads.py`;
- `mesh.npz` of test subjects: vertices (V, 3) f4, faces (F, 3) i4, albedo (V, 3) u1; with a head also its
  closed surface, `head_vertices` and `head_faces` (see `heads.py`).

All in the world frame, metres, y up, facing +z. A folder appears whole or not at all.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

DEFAULT_SIZE_PX = 512
SPLITS = ("train", "test")


class ShardError(ValueError):
    """A subject folder is incomplete or damaged."""


def subject_folder(out: Path, split: str, index: int) -> Path:
    """Folder of a subject."""
    if split not in SPLITS:
        raise ShardError(f"split must be one of {SPLITS}, got {split!r}")
    return out / split / f"{index:05d}"


def picture_name(view: int, size_px: int) -> str:
    """File name of a view's picture."""
    return f"view_{view:02d}.webp" if size_px == DEFAULT_SIZE_PX else f"view_{view:02d}_{size_px}.webp"


def is_complete(folder: Path) -> bool:
    """Whether a subject is on disk; folders are renamed into place when they are whole."""
    return (folder / "views.json").is_file()


def write_subject(
    folder: Path,
    samples: Mapping[str, NDArray[np.generic]],
    record: Mapping[str, Any],
    pictures: Mapping[tuple[int, int], NDArray[np.uint8]],
    mesh: Mapping[str, NDArray[np.generic]] | None = None,
    head: Mapping[str, NDArray[np.generic]] | None = None,
) -> None:
    """Write a subject under a temporary name and rename it into place.

    `pictures` maps (view, size in pixels) to RGBA arrays.
    """
    partial = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    np.savez(partial / "samples.npz", **samples)  # type: ignore[arg-type]
    for name, arrays in (("mesh", mesh), ("head", head)):
        if arrays is not None:
            np.savez(partial / f"{name}.npz", **arrays)  # type: ignore[arg-type]
    for (view, size_px), pixels in pictures.items():
        Image.fromarray(pixels, "RGBA").save(
            partial / picture_name(view, size_px), quality=93, alpha_quality=100, method=2
        )
    (partial / "views.json").write_text(json.dumps(record, indent=1))
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(partial, folder)


def read_record(folder: Path) -> dict[str, Any]:
    """`views.json` of a subject."""
    try:
        record = json.loads((folder / "views.json").read_text())
    except (OSError, ValueError) as error:
        raise ShardError(f"cannot read {folder / 'views.json'}: {error}") from error
    if not isinstance(record, dict):
        raise ShardError(f"{folder / 'views.json'} holds no object")
    return record


def read_samples(folder: Path) -> dict[str, NDArray[Any]]:
    """Arrays of `samples.npz`."""
    with np.load(folder / "samples.npz") as data:
        return {name: data[name] for name in data.files}


def list_subjects(out: Path, split: str) -> list[Path]:
    """Folders of all complete subjects of a split, in order."""
    root = out / split
    folders = sorted(root.glob("[0-9]" * 5)) if root.is_dir() else []
    return [folder for folder in folders if is_complete(folder)]
