"""Coloured meshes as GLB, PLY and OBJ files."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from . import _core
from .errors import OptionError
from .geometry import vertex_normals

Floats = npt.NDArray[np.float32]
Faces = npt.NDArray[np.int32]
Encoder = Callable[[Floats, Faces, Floats], bytes]

_GENERATOR = f"jiffsdk {_core.__version__}"


def linear_from_srgb(colors: Floats) -> Floats:
    """Linear light of sRGB-encoded values in [0, 1] (IEC 61966-2-1)."""
    encoded = np.clip(colors, 0.0, 1.0)
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    return linear.astype(np.float32)


def encode_glb(vertices: Floats, faces: Faces, colors: Floats) -> bytes:
    """Binary glTF 2.0.

    Vertex colours are linear 16-bit values, as glTF defines them, under an unlit material: they hold
    the photograph's own light already.
    """
    linear = np.ones((len(colors), 4), np.float32)
    linear[:, :3] = linear_from_srgb(colors)
    blocks = [
        np.ascontiguousarray(vertices, "<f4"),
        np.ascontiguousarray(vertex_normals(vertices, faces), "<f4"),
        np.rint(linear * 65535.0).astype("<u2"),
        np.ascontiguousarray(faces, "<u4"),
    ]
    offsets = np.cumsum([0] + [block.nbytes for block in blocks]).tolist()
    array_buffer, element_buffer = 34962, 34963
    float32, uint16, uint32 = 5126, 5123, 5125
    document = {
        "asset": {"version": "2.0", "generator": _GENERATOR},
        "extensionsUsed": ["KHR_materials_unlit"],
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"name": "person", "mesh": 0}],
        "meshes": [
            {
                "name": "person",
                "primitives": [
                    {"attributes": {"POSITION": 0, "NORMAL": 1, "COLOR_0": 2}, "indices": 3, "material": 0}
                ],
            }
        ],
        "materials": [
            {
                "name": "photograph",
                "pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 1.0},
                "extensions": {"KHR_materials_unlit": {}},
            }
        ],
        "accessors": [
            {
                "bufferView": 0,
                "componentType": float32,
                "count": len(vertices),
                "type": "VEC3",
                "min": vertices.min(axis=0).tolist(),
                "max": vertices.max(axis=0).tolist(),
            },
            {"bufferView": 1, "componentType": float32, "count": len(vertices), "type": "VEC3"},
            {
                "bufferView": 2,
                "componentType": uint16,
                "normalized": True,
                "count": len(vertices),
                "type": "VEC4",
            },
            {"bufferView": 3, "componentType": uint32, "count": int(faces.size), "type": "SCALAR"},
        ],
        "bufferViews": [
            {
                "buffer": 0,
                "byteOffset": offset,
                "byteLength": block.nbytes,
                "target": element_buffer if block is blocks[-1] else array_buffer,
            }
            for offset, block in zip(offsets, blocks, strict=False)
        ],
        "buffers": [{"byteLength": offsets[-1]}],
    }
    text = json.dumps(document, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 4)
    binary = b"".join(block.tobytes() for block in blocks)  # each a multiple of four bytes long
    length = 12 + 8 + len(text) + 8 + len(binary)
    return b"".join(
        [
            struct.pack("<4sII", b"glTF", 2, length),
            struct.pack("<I4s", len(text), b"JSON"),
            text,
            struct.pack("<I4s", len(binary), b"BIN\0"),
            binary,
        ]
    )


def encode_ply(vertices: Floats, faces: Faces, colors: Floats) -> bytes:
    """Binary little-endian PLY with sRGB vertex colours of 8 bits."""
    vertex_rows = np.empty(len(vertices), [("position", "<f4", 3), ("color", "u1", 3)])
    vertex_rows["position"] = vertices
    vertex_rows["color"] = np.rint(np.clip(colors, 0.0, 1.0) * 255.0)
    face_rows = np.empty(len(faces), [("count", "u1"), ("corners", "<i4", 3)])
    face_rows["count"] = 3
    face_rows["corners"] = faces
    header = [
        "ply",
        "format binary_little_endian 1.0",
        f"comment {_GENERATOR}; metres, y up, facing +z",
        f"element vertex {len(vertices)}",
        *(f"property float {axis}" for axis in "xyz"),
        *(f"property uchar {channel}" for channel in ("red", "green", "blue")),
        f"element face {len(faces)}",
        "property list uchar int vertex_indices",
        "end_header\n",
    ]
    return "\n".join(header).encode() + vertex_rows.tobytes() + face_rows.tobytes()


def encode_obj(vertices: Floats, faces: Faces, colors: Floats) -> bytes:
    """Wavefront OBJ with the vertex's sRGB colour after its position, as most readers understand."""
    rows = np.concatenate([vertices, np.clip(colors, 0.0, 1.0)], axis=1).tolist()
    lines = [f"# {_GENERATOR}; metres, y up, facing +z"]
    lines += [f"v {x:.6f} {y:.6f} {z:.6f} {r:.4f} {g:.4f} {b:.4f}" for x, y, z, r, g, b in rows]
    lines += [f"f {a} {b} {c}" for a, b, c in (faces + 1).tolist()]
    return ("\n".join(lines) + "\n").encode()


_ENCODERS: dict[str, Encoder] = {".glb": encode_glb, ".ply": encode_ply, ".obj": encode_obj}


def encoder_for(path: str | os.PathLike[str]) -> Encoder:
    """The encoder that the suffix of `path` asks for.

    Raises
    ------
    OptionError
        When the suffix is another than .glb, .ply or .obj.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in _ENCODERS:
        raise OptionError(
            f"cannot tell the mesh format of '{os.fspath(path)}' by its suffix '{suffix}'; "
            f"use {', '.join(_ENCODERS)}"
        )
    return _ENCODERS[suffix]
