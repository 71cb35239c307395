"""A bundle evaluated as docs/bundle.md describes it, from its manifest and files alone."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load as load_safetensors

from jiffexport.nets.point_ops import (
    ball_query,
    farthest_points,
    gather_points,
    interpolate_nearest,
    voxel_indices,
    voxel_max,
    voxel_mean,
)
from jiffsdk import engines


class BundleReader:
    """A bundle's graphs and heads, evaluated from the manifest alone."""

    def __init__(self, bundle: Path, engine: str = "onnxruntime", precision: str = "fp32") -> None:
        self.bundle = bundle
        self.manifest: Mapping[str, Any] = json.loads((bundle / "bundle.json").read_text())
        self.engine = engines.create(engine, precision=precision)
        self.tensors = load_safetensors((bundle / "heads.safetensors").read_bytes())

    def run(self, graph: Mapping[str, Any], **inputs: torch.Tensor) -> torch.Tensor:
        assert {name: list(value.shape) for name, value in inputs.items()} == graph["inputs"]
        feeds = {name: np.ascontiguousarray(value.numpy()) for name, value in inputs.items()}
        outputs = self.engine.load(os.fspath(self.bundle / graph["file"])).run(feeds)
        ((name, values),) = outputs.items()
        assert {name: list(values.shape)} == graph["outputs"]
        return torch.from_numpy(values)

    def mlp(
        self, prefix: str, widths: list[int], raw: np.ndarray, start: np.ndarray | None = None
    ) -> np.ndarray:
        """Layers of `[hidden, raw]` (C, N), all hidden; widths as the manifest gives them."""
        hidden = start
        for i, width in enumerate(widths[1:]):
            x = raw if hidden is None else np.concatenate([hidden, raw])
            weight = self.tensors[f"{prefix}.layers.{i}.weight"]
            hidden = weight @ x + self.tensors[f"{prefix}.layers.{i}.bias"][:, None]
            assert hidden.shape[0] == width
            hidden = np.where(hidden > 0, hidden, 0.01 * hidden)
        assert hidden is not None
        return hidden

    def plain(self, head: Mapping[str, Any], raw: np.ndarray) -> np.ndarray:
        """A head that is one MLP, activated."""
        widths = head["widths"]
        hidden = self.mlp(head["prefix"], widths[:-1], raw)
        return self._last(f"{head['prefix']}.layers.{len(widths) - 2}", hidden, raw, head["activation"])

    def joint(self, head: Mapping[str, Any], raw_2d: np.ndarray, raw_3d: np.ndarray) -> np.ndarray:
        prefix = head["prefix"]
        branches = [
            self.mlp(f"{prefix}.branch_2d", head["widths_2d"], raw_2d),
            self.mlp(f"{prefix}.branch_3d", head["widths_3d"], raw_3d),
        ]
        start, raw = np.concatenate(branches), np.concatenate([raw_2d, raw_3d])
        assert start.shape[0] == head["widths_joint"][0]
        hidden = self.mlp(f"{prefix}.joint", head["widths_joint"][:-1], raw, start)
        last = f"{prefix}.joint.layers.{len(head['widths_joint']) - 2}"
        return self._last(last, hidden, raw, head["activation"])

    def _last(self, layer: str, hidden: np.ndarray, raw: np.ndarray, activation: str) -> np.ndarray:
        x = np.concatenate([hidden, raw])
        logits = self.tensors[f"{layer}.weight"] @ x + self.tensors[f"{layer}.bias"][:, None]
        return 1 / (1 + np.exp(-logits)) if activation == "sigmoid" else (np.tanh(logits) + 1) / 2

    def shape_volume(self, entry: Mapping[str, Any], coordinates: torch.Tensor) -> torch.Tensor:
        """The features of a shape volume from its vertices (1, N, 3) in the cube."""
        voxels = voxel_indices(coordinates, entry["resolution"])
        codes = self.run(entry["points"][0], coordinates=coordinates)
        for stage in entry["points"][1:]:
            codes = self.run(stage, own=codes, pooled=voxel_max(codes, voxels))
        return self._features(entry, voxel_mean(codes, voxels, entry["resolution"]))

    def color_volume(
        self, entry: Mapping[str, Any], coordinates: torch.Tensor, colors: torch.Tensor
    ) -> torch.Tensor:
        """The features of a colour volume from its vertices and their colours (1, N, 3)."""
        stages = entry["points"]
        centers1, groups = self._grouped(entry, 0, coordinates, torch.cat([coordinates, colors], 2))
        codes1 = self.run(stages["sa1"], groups=groups)
        centers2, groups = self._grouped(entry, 1, centers1, codes1)
        codes2 = self.run(stages["sa2"], groups=groups)
        whole = self.run(stages["sa3"], groups=torch.cat([centers2, codes2], 2)[:, None])
        codes2 = self.run(stages["fp3"], own=codes2, carried=whole.expand(-1, len(centers2[0]), -1))
        carried = interpolate_nearest(codes2, centers2, centers1)
        codes1 = self.run(stages["fp2"], own=codes1, carried=carried)
        codes = self.run(stages["fp1"], carried=interpolate_nearest(codes1, centers1, coordinates))
        grid = voxel_mean(codes, voxel_indices(coordinates, entry["resolution"]), entry["resolution"])
        return self._features(entry, grid)

    def _features(self, entry: Mapping[str, Any], volume: torch.Tensor) -> torch.Tensor:
        features = self.run(entry["unet"], volume=volume)
        if not entry.get("appends_ones", False):
            return features
        return torch.cat([features, torch.ones_like(features[:, :1])], 1)

    @staticmethod
    def _grouped(
        entry: Mapping[str, Any], level: int, points: torch.Tensor, codes: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        centers = gather_points(points, farthest_points(points, entry["num_centers"][level]))
        near = ball_query(points, centers, entry["radii"][level], entry["group_sizes"][level])
        offsets = gather_points(points, near) - centers[:, :, None]
        return centers, torch.cat([offsets, gather_points(codes, near)], 3)
