"""A subject for the face's heads whose shape and colour are known: a ball with a relief for a face."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from training.people.lights import ambient_light
from training.people.shards import picture_name

from face_surfaces import relief_mesh
from jiffexport.face_model import FaceModel
from jiffexport.nets.head import ImplicitHead

SIZE_M = 0.6
CENTER_M = np.array([0.05, 1.5, 0.1])
RADIUS_M = 0.11


def relief_model() -> FaceModel:
    """A relief of the size of a face with two identities, one expression and two textures."""
    vertices, faces = relief_mesh(13, 15, 0.07, 0.09)
    rng = np.random.default_rng(0)
    num = len(vertices)
    landmarks = rng.integers(0, num, 68).astype(np.int32)
    waves = 0.004 * np.stack([np.cos(40 * vertices[:, 0]), np.cos(50 * vertices[:, 1])])
    return FaceModel(
        mean_shape=vertices,
        identity_basis=np.stack([0 * waves, 0 * waves, waves], -1).astype(np.float32),
        expression_basis=rng.normal(0, 1e-3, (1, num, 3)).astype(np.float32),
        mean_texture=np.full((num, 3), 0.5, np.float32),
        texture_basis=rng.normal(0, 0.05, (2, num, 3)).astype(np.float32),
        triangles=faces,
        uv=np.zeros((num, 2), np.float32),
        landmarks=landmarks,
        five_points=landmarks[np.array([[36, 39], [42, 45], [30, 30], [48, 48], [54, 54]])],
    )


def believing_head(num_channels: int, depth_scale: float) -> ImplicitHead:
    """A body's head that is inside wherever z lies behind the front that the first channel tells."""
    head = ImplicitHead(num_channels, (8,), 1, depth_scale, activation="sigmoid")
    with torch.no_grad():
        last = head.layers[-1]
        last.weight.zero_()
        last.bias.zero_()
        last.weight[0, 8], last.weight[0, -1] = 5.0, -5.0
    return head.requires_grad_(False)


def write_head(folder: Path, model: FaceModel, seed: int) -> None:
    """A ball of one colour in white light for a head, with the model's mean face before it."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    normals = rng.normal(size=(3000, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    surface = CENTER_M + RADIUS_M * normals
    near = surface + normals * rng.normal(0, 0.02, (3000, 1))
    uniform = CENTER_M + rng.uniform(-0.2, 0.2, (1500, 3))

    def inside(points: np.ndarray) -> np.ndarray:
        return (np.linalg.norm(points - CENTER_M, axis=1) < RADIUS_M).astype("u1")

    arrays = {
        "near_points": near.astype("f4"), "near_occupancy": inside(near),
        "uniform_points": uniform.astype("f4"), "uniform_occupancy": inside(uniform),
        "surface_points": surface.astype("f4"), "surface_normals": normals.astype("f4"),
        "surface_albedo": np.tile(np.array([180, 120, 90], "u1"), (3000, 1)),
    }  # fmt: skip
    np.savez(folder / "samples.npz", **arrays)
    face = (model.mean_shape - model.mean_shape.mean(axis=0) + CENTER_M + [0, 0, 0.08]).astype("f4")
    box = np.array([[-RADIUS_M] * 3, [RADIUS_M] * 3])
    np.savez(
        folder / "head.npz", rotation=np.eye(3), translation=CENTER_M, box=box, face_vertices=face,
        face_albedo=np.full((len(face), 3), 128, "u1"), **arrays,
    )  # fmt: skip
    k = 2 / SIZE_M
    x, y, z = CENTER_M
    matrix = [[k, 0, 0, -k * x], [0, -k, 0, k * y], [0, 0, k, -k * z], [0, 0, 0, 1]]
    u = (2 * np.arange(1024) + 1) / 1024 - 1
    pixels = np.zeros((1024, 1024, 4), "u1")
    pixels[u[None] ** 2 + u[:, None] ** 2 < (k * RADIUS_M) ** 2] = (180, 120, 90, 255)
    Image.fromarray(pixels).save(folder / picture_name(0, 1024), lossless=True)
    view = {"view_from_world": matrix, "size_m": SIZE_M, "framing": "portrait"}
    view["sh"] = ambient_light(np.ones(3)).tolist()
    (folder / "views.json").write_text(json.dumps({"views": [view]}))
