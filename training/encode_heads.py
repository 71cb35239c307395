"""Let a finished body encode the pictures that the face heads train on, once.

    python -m training.encode_heads --body sdk/jiffsdk/bundles/compact --model face_model.safetensors \\
        --data people --out encoded

An interrupted run resumes; a run after more people were generated adds theirs.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from tqdm import tqdm

from jiffexport.face_model import load_face_model

from .frozen_body import load_body
from .head_cache import encode_subject, save_views

REGION_MARGIN = 0.4
"""Of the face region: hair, ears, chin and the top of the neck lie inside for 999 of 1000 surface points."""


def main() -> None:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--body", type=Path, required=True, help="a bundle, or shape.pt and --color")
    parser.add_argument("--color", type=Path, help="color.pt")
    parser.add_argument("--model", type=Path, required=True, help="face model")
    parser.add_argument("--data", type=Path, required=True, help="people generated with --heads")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--split", choices=("train", "test"), default="train")
    parser.add_argument("--subjects", type=int, help="only the first so many")
    parser.add_argument("--coarse-layers", type=int, default=3, help="of the coarse head (FineColorConfig)")
    parser.add_argument("--precision", choices=("f32", "bf16"), default="f32", help="of a bundle's encoders")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    body = load_body(arguments.body, arguments.color, arguments.threads, arguments.precision)
    triangles = load_face_model(arguments.model).triangles
    folders = sorted(path.parent for path in (arguments.data / arguments.split).glob("*/views.json"))
    if not folders:
        raise SystemExit(f"no subjects in {arguments.data / arguments.split}: run generate_people --heads")
    for folder in tqdm(folders[: arguments.subjects], unit="person"):
        shape_path, color_path = (
            arguments.out / arguments.split / f"{folder.name}.{kind}.pt" for kind in ("shape", "color")
        )
        if shape_path.is_file() and color_path.is_file():
            continue
        torch.manual_seed(1000 * arguments.seed + int(folder.name))
        changed = arguments.split == "train"
        with torch.no_grad():
            shapes, colors = encode_subject(
                folder, body, triangles, REGION_MARGIN, changed, arguments.coarse_layers
            )
        save_views(color_path, colors)
        save_views(shape_path, shapes)


if __name__ == "__main__":
    main()
