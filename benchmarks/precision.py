"""What bf16 and int8 do to a reconstruction: the measure by which the default precision was chosen.

    python benchmarks/precision.py [--resolution 256] [--bundle DIR] [--json precision.json] [PHOTOGRAPH ...]

Each photograph is reconstructed with networks and heads in float32, then with the heads in bf16 and in int8,
with the networks in bf16, with both, and once more with the mask that float32 found. Columns: mean and
greatest distance of the surfaces in lattice cells, over the vertices of both; mean difference of the colours,
0 to 1, at nearest vertices.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from jiffsdk import Reconstruction, Reconstructor, _core, engines

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.[jp]*g"))
WAYS = {
    "heads bf16": ("fp32", "bf16"),
    "heads int8": ("fp32", "int8"),
    "networks bf16": ("bf16", "fp32"),
    "both bf16": ("bf16", "bf16"),
    "bf16 and int8": ("bf16", "int8"),
}


@dataclass(frozen=True)
class Row:
    photograph: str
    rounded: str
    mask: str
    mean_voxels: float
    max_voxels: float
    mean_color: float


def difference(exact: Reconstruction, found: Reconstruction, resolution: int) -> tuple[float, float, float]:
    """Mean and greatest distance of the surfaces in lattice cells, mean difference of the colours."""
    voxel_m = exact.size_m / resolution
    pairs = [(exact, found), (found, exact)]
    distances = [_core.MeshDistance(a.vertices, a.faces).query(b.vertices) / voxel_m for a, b in pairs]
    both = np.concatenate(distances)
    nearest, _ = _core.nearest_points(found.vertices, exact.vertices, 2 * voxel_m)
    matched = nearest >= 0
    colors = np.abs(exact.colors[matched].astype(float) - found.colors[nearest[matched]])
    return float(both.mean()), float(both.max()), float(colors.mean())


def measure(photographs: list[Path], bundle: str | None, resolution: int) -> Iterator[Row]:
    def reconstructor(networks: str, heads: str) -> Reconstructor:
        engine = engines.create("openvino", precision=networks)
        return Reconstructor(bundle, engine, precision=heads)

    reference = reconstructor("fp32", "fp32")
    ways = {name: reconstructor(*precisions) for name, precisions in WAYS.items()}
    for photograph in photographs:
        exact = reference(photograph, resolution=resolution)
        for mask in ("own", "given"):
            for name, way in ways.items():
                found = way(photograph, exact.mask if mask == "given" else None, resolution)
                yield Row(photograph.name, name, mask, *difference(exact, found, resolution))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photographs", nargs="*", type=Path, default=EXAMPLES)
    parser.add_argument("--resolution", type=int, default=256)
    parser.add_argument("--bundle", help="bundle directory; default: the one that ships")
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    arguments = parser.parse_args()
    if "avx512_bf16" not in _core.supported_simd_levels():
        print("this processor does not compute in bf16: nothing to measure")
        return
    print(f"{'photograph':24} {'rounded':14} {'mask':6} {'mean':>7} {'greatest':>9} {'colour':>8}")
    rows = []
    for row in measure(arguments.photographs, arguments.bundle, arguments.resolution):
        rows.append(row)
        print(
            f"{row.photograph:24} {row.rounded:14} {row.mask:6} {row.mean_voxels:7.4f} {row.max_voxels:9.2f} "
            f"{row.mean_color:8.5f}",
            flush=True,
        )
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(row) for row in rows], indent=2))


if __name__ == "__main__":
    main()
