"""Reads one-frame BVH poses of the MakeHuman rig."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

POSE_DIR = Path(__file__).parent / "poses"


class BvhError(ValueError):
    """The text is not a BVH file that this reader understands."""


def parse_bvh(text: str) -> dict[str, NDArray[np.float64]]:
    """Rotation vector of every joint in the first frame.

    Returns
    -------
    dict from joint name to a rotation vector (3,) in radians against the parent joint, in
    world-aligned axes with y up, facing +z. Joint positions are ignored: bones keep their length.

    Raises
    ------
    BvhError
        No hierarchy, no frame, a channel of an unknown name, or fewer numbers than channels.
    """
    header, separator, motion = text.partition("MOTION")
    if not separator or "HIERARCHY" not in header:
        raise BvhError("not a BVH file: it needs a HIERARCHY and a MOTION section")

    joints: list[tuple[str, list[str]]] = []
    offsets: dict[str, list[float]] = {}
    in_end_site = False
    for line in header.splitlines():
        words = line.split()
        if not words:
            continue
        if words[0] in ("ROOT", "JOINT"):
            joints.append((words[1], []))
            in_end_site = False
        elif words[0] == "End":
            in_end_site = True
        elif words[0] == "OFFSET" and joints and not in_end_site:
            offsets[joints[-1][0]] = [float(w) for w in words[1:4]]
        elif words[0] == "CHANNELS":
            joints[-1][1].extend(words[2 : 2 + int(words[1])])

    lines = [line for line in motion.splitlines() if line.strip()]
    values = " ".join(line for line in lines if ":" not in line).split()
    num_channels = sum(len(channels) for _, channels in joints)
    if len(values) < num_channels or num_channels == 0:
        raise BvhError(f"the first frame has {len(values)} numbers, the joints need {num_channels}")

    # MakeHuman's files come with z or y up; the legs tell which.
    foot = offsets.get("foot.L", [0.0, -1.0, 0.0])
    is_z_up = abs(foot[2]) > abs(foot[1])

    rotations: dict[str, NDArray[np.float64]] = {}
    cursor = 0
    for name, channels in joints:
        numbers = [float(v) for v in values[cursor : cursor + len(channels)]]
        cursor += len(channels)
        rotation = Rotation.identity()
        for channel, number in zip(channels, numbers, strict=True):
            axis, kind = channel[0].lower(), channel[1:]
            if kind not in ("rotation", "position") or axis not in "xyz":
                raise BvhError(f"joint {name} has the unknown channel {channel!r}")
            if kind == "rotation":
                rotation = rotation * Rotation.from_euler(axis, number, degrees=True)
        vector = rotation.as_rotvec()
        rotations[name] = np.array([vector[0], vector[2], -vector[1]]) if is_z_up else vector
    return rotations


def load_poses() -> dict[str, dict[str, NDArray[np.float64]]]:
    """All poses of this package by name."""
    return {path.stem: parse_bvh(path.read_text()) for path in sorted(POSE_DIR.glob("*.bvh"))}
