"""Writes the first inputs of the fuzz targets, from which a fuzzer goes on.

PYTHONPATH=sdk:tests python tests/fuzz/write_corpus.py
"""

from __future__ import annotations

import json
import struct
import tempfile
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from synthetic_bundle import face_detection_entry, read_manifest, write_bundle
from synthetic_face import add_face
from synthetic_head import add_head_encoder

CORPUS = Path(__file__).parent / "corpus"
BOUNDARY = b"\n----\n"


def write(target: str, name: str, content: bytes) -> None:
    path = CORPUS / target / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def write_bundles(folder: Path) -> None:
    for name, options in {
        "blended": {},
        "plain": {"blends_image": False, "segmentation": False, "estimates_size": False},
        "half": {"head_dtype": np.float16, "num_channels": 3},
    }.items():
        directory = write_bundle(folder / name, **options)
        heads = (directory / "heads.safetensors").read_bytes()
        manifest = read_manifest(directory)
        write("bundle", name, json.dumps(manifest).encode() + BOUNDARY + heads)
        manifest["face_detection"] = face_detection_entry("shape_encoder.onnx")
        write("bundle", f"{name}_detecting", json.dumps(manifest).encode() + BOUNDARY + heads)
    # All files of the target have one content: the face's tensors beside those of the heads.
    for name in ("face", "face_head"):
        directory = add_face(write_bundle(folder / name))
        if name == "face_head":
            add_head_encoder(directory)
        tensors = load_file(directory / "heads.safetensors") | load_file(directory / "face_model.safetensors")
        save_file(tensors, directory / "heads.safetensors")
        manifest = json.dumps(read_manifest(directory)).encode()
        write("bundle", name, manifest + BOUNDARY + (directory / "heads.safetensors").read_bytes())
    write("bundle", "empty", b"{}" + BOUNDARY + struct.pack("<Q", 2) + b"{}")


def write_images() -> None:
    image = "<hhhhBB"  # width, height, stride, the value for odd cases, format, which odd case
    pixels = bytes(range(256)) * 64
    for name, fields in {
        "rgb": (64, 64, 0, 0, 1, 0),
        "bgra": (64, 64, 0, 0, 4, 0),
        "padded": (64, 64, 250, 0, 2, 0),
        "bottom_up": (64, 64, -256, 0, 3, 0),
        "endless": (64, 64, 0, 0, 1, 2),
        "newer": (64, 64, 0, 16, 1, 4),
        "reserved": (64, 64, 0, 1, 1, 5),
    }.items():
        mask = struct.pack(image, 64, 64, 0, 0, 7, 0)
        write("image_view", name, struct.pack(image, *fields) + mask + pixels)
        write("image_view", f"{name}_masked", struct.pack(image, *fields) + mask + pixels + b"\0")


def write_options() -> None:
    reconstruct = struct.pack("<QiiiiiiQQii", 56, 128, 1, 0, -1, 0, 1, 0, 0, 1, 0)
    engine = struct.pack("<QQQQiiQQ", 56, 2, 4, 5, 8, 1, 7, 4)
    for name, content in {
        "reconstruct": reconstruct,
        "engine": engine,
        "first_reconstruct": struct.pack("<Q", 48) + reconstruct[8:48],
        "gpu_engine": struct.pack("<QQQQiiQQ", 56, 2, 9, 5, 8, 1, 0, 9),
        "second_engine": struct.pack("<Q", 48) + engine[8:48],
        "first_engine": struct.pack("<Q", 40) + engine[8:40],
        "cut_engine": struct.pack("<Q", 44) + engine[8:44],
        "short": reconstruct[:20],
        "newer": struct.pack("<Q", 72) + reconstruct[8:] + bytes(16),
        "newer_set": struct.pack("<Q", 72) + reconstruct[8:] + bytes(15) + b"\1",
        "huge": struct.pack("<Q", 2**63) + reconstruct[8:],
        "none": b"",
    }.items():
        write("options", name, content)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        write_bundles(Path(temporary))
    write_images()
    write_options()
