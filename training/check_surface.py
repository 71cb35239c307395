"""Compare the surface that is followed with the one of the whole lattice, on pictures of held-out people.

    python -m training.check_surface --data data/test --at 128:20 --at 256:3

Prints a row for every picture, with the faces of each component that was missed and how thick it is, in
steps of the coarse grid (a 32nd of the side). Ends with status 1 where a component is missed that is thicker
than one step, the rest is not the dense surface triangle for triangle, a surface is not closed and oriented,
or more than `--limit` times the ideal number of queries are asked.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import trimesh
from tqdm import tqdm

COARSE_STEPS = 32
"""Of the frame's side."""


def triangles(mesh: trimesh.Trimesh) -> np.ndarray:
    """(F, 9), each starting at its least corner and sorted: equal for equal surfaces in any order."""
    corners = np.asarray(mesh.vertices)[np.asarray(mesh.faces)]
    first = np.lexsort(corners.transpose(2, 0, 1)[::-1], axis=-1)[:, 0]
    turned = corners[np.arange(len(corners))[:, None], (first[:, None] + np.arange(3)) % 3].reshape(-1, 9)
    return turned[np.lexsort(turned.T[::-1])]


def missed_components(
    followed: trimesh.Trimesh, dense: trimesh.Trimesh
) -> tuple[list[trimesh.Trimesh], bool]:
    """The components that are missed, that of most faces first, and whether the rest is equal."""
    known = {row.tobytes() for row in np.asarray(followed.vertices)}
    missed, found = [], []
    for component in dense.split(only_watertight=False):
        is_found = np.asarray(component.vertices)[0].tobytes() in known
        (found if is_found else missed).append(component)
    rest = np.concatenate([triangles(component) for component in found]) if found else np.zeros((0, 9))
    ours = triangles(followed)
    rest = rest[np.lexsort(rest.T[::-1])]
    equal = ours.shape == rest.shape and bool((ours == rest).all())
    return sorted(missed, key=lambda component: -len(component.faces)), equal


def main() -> int:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--bundle", type=Path, help="default: the bundle of the installed package")
    parser.add_argument("--data", type=Path, default=Path("data/test"))
    parser.add_argument("--at", action="append", metavar="RESOLUTION:PICTURES", help="may be repeated")
    parser.add_argument("--limit", type=float, default=1.3, help="of queries asked to the ideal number")
    arguments = parser.parse_args()

    from jiffsdk import ReconstructionOptions, Reconstructor

    rec = Reconstructor(arguments.bundle)
    # A view a subject, another one for each, so that all directions and framings come up.
    subjects = sorted(arguments.data.glob("*/views.json"))
    tasks = []
    for entry in arguments.at or ["128:20", "256:3"]:
        resolution, count = map(int, entry.split(":"))
        for i, subject in enumerate(subjects[:count]):
            pictures = sorted(subject.parent.glob("view_*.webp"))
            tasks.append((resolution, pictures[i % len(pictures)]))
    print(
        "| picture | resolution | triangles | missed, faces (thickness) | rest equal | closed, oriented "
        "| asked / ideal |"
    )
    print("|---|---|---|---|---|---|---|")
    num_bad = 0
    for resolution, picture in tqdm(tasks):
        sparse, dense = (
            rec(picture, options=ReconstructionOptions(resolution, keep_largest_component=False, dense=d))
            for d in (False, True)
        )
        missed, equal = missed_components(sparse.mesh, dense.mesh)
        closed = sparse.mesh.is_watertight and sparse.mesh.is_winding_consistent and sparse.mesh.volume > 0
        ratio = sparse.queries.asked / sparse.queries.ideal
        step_m = sparse.size_m / COARSE_STEPS
        thicknesses = [float(np.ptp(component.vertices, axis=0).min()) / step_m for component in missed]
        seen = max(thicknesses, default=0.0) <= 1.0
        num_bad += not (seen and equal and closed and ratio <= arguments.limit)
        named = f"{picture.parent.name}/{picture.stem}"
        pieces = ", ".join(
            f"{len(component.faces)} ({thickness:.1f})"
            for component, thickness in zip(missed, thicknesses, strict=True)
        )
        total = len(sparse.mesh.faces)
        tqdm.write(
            f"| {named} | {resolution} | {total} | {pieces or 'none'} | {equal} | {closed} | {ratio:.2f} |"
        )
    print(f"{len(tasks) - num_bad} of {len(tasks)} as they should be")
    return 1 if num_bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
