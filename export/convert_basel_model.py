#!/usr/bin/env python3
"""Converts a user's own Basel Face Model, as Deep3DFaceReconstruction prepares it, to a face model of ours.

python export/convert_basel_model.py BFM_model_front.mat face_model.safetensors
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from jiffexport.basel import load_basel_face_model
from jiffexport.errors import FaceModelError


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, help="BFM_model_front.mat")
    parser.add_argument("out", type=Path, help="face model to write (.safetensors)")
    parser.add_argument("--store", choices=("fp16", "fp32"), default="fp16", help="bases on disk")
    arguments = parser.parse_args(argv)
    try:
        model = load_basel_face_model(arguments.source)
    except FaceModelError as error:
        print(f"convert_basel_model: {error}", file=sys.stderr)
        return 1
    arguments.out.write_bytes(model.to_bytes(arguments.store))
    print(f"{arguments.out}: {model.num_vertices} vertices, {len(model.triangles)} triangles")
    return 0


if __name__ == "__main__":
    sys.exit(main())
