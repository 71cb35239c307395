"""How long each stage of a reconstruction takes, without the face and with it, by turns in one process.

    python benchmarks/reconstruction.py [PHOTO ...] [--bundle DIR] [--resolution 256] [--repeats 5]

Medians in milliseconds. Without photographs those in `examples/` are taken.
"""

import argparse
from pathlib import Path

import numpy as np

from jiffsdk import Reconstruction, ReconstructionOptions, Reconstructor

EXAMPLES = Path(__file__).parent.parent / "examples"
SUFFIXES = (".jpg", ".png")


def print_stages(photo: Path, runs: dict[str, list[Reconstruction]]) -> None:
    """One line a stage, one column a choice of `face`."""
    timings = {choice: [result.timings for result in results] for choice, results in runs.items()}
    stages = dict.fromkeys(stage for times in timings.values() for time in times for stage in time)
    columns = {
        choice: {stage: float(np.median([time.get(stage, 0.0) for time in times])) for stage in stages}
        for choice, times in timings.items()
    }
    status = runs["auto"][0].face.status
    print(f"{photo.name}, face {status}: ms")
    print(f"{'stage':20}" + "".join(f"{'face ' + choice:>12}" for choice in columns))
    for stage in [*(stage for stage in stages if stage != "total"), "total"]:
        print(f"{stage:20}" + "".join(f"{column[stage]:12.1f}" for column in columns.values()))
    print()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", nargs="*", type=Path, metavar="PHOTO")
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--resolution", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    found = sorted(path for path in EXAMPLES.iterdir() if path.suffix in SUFFIXES)
    reconstruct = Reconstructor(arguments.bundle)
    for photo in arguments.photos or found:
        runs: dict[str, list[Reconstruction]] = {"off": [], "auto": []}
        for repeat in range(arguments.repeats + 1):
            for choice, results in runs.items():
                options = ReconstructionOptions(arguments.resolution, face=choice)
                result = reconstruct(photo, options=options)
                if repeat > 0:  # the first one warms up
                    results.append(result)
        print_stages(photo, runs)


if __name__ == "__main__":
    main()
