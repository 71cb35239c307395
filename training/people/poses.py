"""Poses: how people stand, walk, sit and hold their arms in photographs.

A pose is a set of directions and bends that is turned into bone rotations for one skeleton, so
that "arms down" means the same for everybody. Rotations are against the parent bone in
world-aligned axes (y up, the person faces +z, +x is the person's left).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from training.people.body import Array, Body

Vector = NDArray[np.float64]

FAMILIES: dict[str, float] = {
    "arms_down": 0.30,
    "arms_bent": 0.15,
    "on_hips": 0.08,
    "hands_front": 0.06,
    "walking": 0.11,
    "raised": 0.08,
    "bvh": 0.22,
}
# The handstand and the flights of the package are left out: no photograph of daily life shows them.
BVH_WEIGHTS: dict[str, float] = {
    "standing01": 3.0,
    "standing02": 3.0,
    "standing03": 3.0,
    "standing04": 3.0,
    "standing05": 3.0,
    "standing06": 1.0,
    "run01": 1.0,
    "sit01": 1.0,
    "fight01": 0.5,
    "fight03": 0.5,
    "fight04": 0.2,
}

# Share of forearm and hand that may touch the body: hands rest on hips.
ALLOWED_OVERLAP: dict[str, float] = {"on_hips": 0.05, "bvh": 0.03}
DEFAULT_OVERLAP = 0.006


@dataclass(frozen=True)
class Arm:
    """One arm, described for the left one; angles in degrees.

    abduction : away from the body, 0 hangs down, 90 is sideways.
    flexion : forward (negative: backward), turned after the abduction.
    twist : of the upper arm; positive brings a bent forearm to the middle.
    elbow : bend of the elbow.
    forearm_twist, wrist : turn of the forearm and bend of the hand.
    curl : bend of each finger joint.
    """

    abduction: float = 12.0
    flexion: float = 0.0
    twist: float = 10.0
    elbow: float = 12.0
    forearm_twist: float = 0.0
    wrist: float = 0.0
    curl: float = 15.0


@dataclass(frozen=True)
class Leg:
    """One leg, described for the left one; angles in degrees."""

    flexion: float = 0.0
    abduction: float = 3.0
    knee: float = 4.0
    turn: float = 6.0


@dataclass(frozen=True)
class Pose:
    """A whole pose; `extra` holds rotation vectors of bones that come from a BVH file."""

    name: str
    arms: tuple[Arm, Arm] = (Arm(), Arm())
    legs: tuple[Leg, Leg] = (Leg(), Leg())
    torso: tuple[float, float, float] = (0.0, 0.0, 0.0)
    head: tuple[float, float, float] = (0.0, 0.0, 0.0)
    gaze: tuple[float, float] = (0.0, 0.0)
    extra: dict[str, Vector] = field(default_factory=dict)


def spread(pose: Pose, degrees: float) -> Pose:
    """The same pose with both arms further from the body."""
    arms = tuple(replace(arm, abduction=arm.abduction + degrees) for arm in pose.arms)
    extra = dict(pose.extra)
    for side, sign in (("L", 1.0), ("R", -1.0)):
        bone = f"upperarm01.{side}"
        if bone in extra:
            outward = Rotation.from_euler("z", sign * degrees, degrees=True)
            extra[bone] = (outward * Rotation.from_rotvec(extra[bone])).as_rotvec()
    return replace(pose, arms=(arms[0], arms[1]), extra=extra)


def _turn(axis: Vector, degrees: float) -> Rotation:
    return Rotation.from_rotvec(np.deg2rad(degrees) * axis / np.linalg.norm(axis))


def _carry(source: Vector, target: Vector) -> Rotation:
    """Smallest rotation that brings the direction `source` onto `target`."""
    source, target = source / np.linalg.norm(source), target / np.linalg.norm(target)
    axis = np.cross(source, target)
    length = np.linalg.norm(axis)
    if length < 1e-9:
        return Rotation.identity()
    return Rotation.from_rotvec(axis / length * np.arctan2(length, source @ target))


class _Rig:
    """Writes bone rotations for one skeleton, with the right side as the mirror of the left."""

    def __init__(self, body: Body, joints: Array) -> None:
        self.body = body
        self.joints = joints.astype(np.float64)
        self.rotations = [Rotation.identity() for _ in body.bone_names]

    def direction(self, start: str, end: str) -> Vector:
        index = self.body.bone_index
        return self.joints[index[end]] - self.joints[index[start]]

    def rotate(self, bone: str, rotation: Rotation) -> None:
        index = self.body.bone_index[bone]
        self.rotations[index] = rotation * self.rotations[index]

    def matrices(self) -> Array:
        return np.stack([r.as_matrix() for r in self.rotations]).astype(np.float32)


def pose_rotations(pose: Pose, body: Body, joints: Array) -> Array:
    """Bone rotations (J, 3, 3) of a pose for the skeleton `joints` (J, 3)."""
    rig = _Rig(body, joints)
    if pose.extra:
        for bone, vector in pose.extra.items():
            if bone in body.bone_index:
                rig.rotate(bone, Rotation.from_rotvec(vector))
    else:
        for side, arm, leg in zip("LR", pose.arms, pose.legs, strict=True):
            _pose_arm(rig, side, arm)
            _pose_leg(rig, side, leg)
    _pose_trunk(rig, pose)
    return rig.matrices()


def _pose_arm(rig: _Rig, side: str, arm: Arm) -> None:
    sign = 1.0 if side == "L" else -1.0
    rest = rig.direction(f"upperarm01.{side}", f"lowerarm01.{side}")
    hanging = np.array([0.0, -1.0, 0.0])
    abducted = _turn(np.array([0.0, 0.0, sign]), arm.abduction).apply(hanging)
    target = _turn(np.array([1.0, 0.0, 0.0]), -arm.flexion).apply(abducted)
    # A raised arm takes the collar bone along.
    lift = max(0.0, np.rad2deg(np.arccos(-target[1] / np.linalg.norm(target))) - 60.0)
    rig.rotate(f"clavicle.{side}", _turn(np.array([0.0, 0.0, sign]), 0.22 * lift))
    target = _turn(np.array([0.0, 0.0, sign]), -0.22 * lift).apply(target)
    rig.rotate(f"upperarm01.{side}", _carry(rest, target))
    along = rest / np.linalg.norm(rest)
    for bone in ("upperarm01", "upperarm02"):
        # Applied before the swing, hence about the arm's rest direction.
        index = rig.body.bone_index[f"{bone}.{side}"]
        rig.rotations[index] = rig.rotations[index] * _turn(along, sign * 0.5 * arm.twist)
    bend_axis = np.cross(rest, np.array([0.0, 0.0, 1.0]))
    forearm = rig.direction(f"lowerarm01.{side}", f"wrist.{side}")
    # The rest arm is bent already; `elbow` counts from a straight one.
    bend_axis /= np.linalg.norm(bend_axis)
    flat = forearm - bend_axis * (forearm @ bend_axis)
    rest_bend = np.rad2deg(np.arctan2(np.cross(along, flat) @ bend_axis, along @ flat))
    rig.rotate(f"lowerarm01.{side}", _turn(bend_axis, arm.elbow - rest_bend))
    rig.rotate(f"lowerarm02.{side}", _turn(forearm, sign * arm.forearm_twist))
    across = rig.direction(f"finger5-1.{side}", f"finger2-1.{side}") * sign
    rig.rotate(f"wrist.{side}", _turn(across, arm.wrist))
    for finger in range(2, 6):
        for joint in range(1, 4):
            rig.rotate(f"finger{finger}-{joint}.{side}", _turn(across, arm.curl * (0.8 + 0.1 * finger)))
    rig.rotate(f"finger1-2.{side}", _turn(across, 0.5 * arm.curl))


def _pose_leg(rig: _Rig, side: str, leg: Leg) -> None:
    sign = 1.0 if side == "L" else -1.0
    x, y, z = np.eye(3)
    rest = rig.direction(f"upperleg01.{side}", f"lowerleg01.{side}")
    straight = _carry(rest, np.array([0.0, -1.0, 0.03]))
    swing = _turn(x, -leg.flexion) * _turn(z, sign * leg.abduction) * straight
    rig.rotate(f"upperleg01.{side}", swing * _turn(y, sign * leg.turn))
    rig.rotate(f"lowerleg01.{side}", _turn(x, leg.knee))
    rig.rotate(f"foot.{side}", _turn(x, 0.8 * (leg.flexion - leg.knee)))


def _pose_trunk(rig: _Rig, pose: Pose) -> None:
    for share, bone in ((0.3, "spine04"), (0.3, "spine03"), (0.4, "spine01")):
        rig.rotate(bone, Rotation.from_euler("xyz", share * np.array(pose.torso), degrees=True))
    for share, bone in ((0.25, "neck01"), (0.25, "neck02"), (0.2, "neck03"), (0.3, "head")):
        rig.rotate(bone, Rotation.from_euler("xyz", share * np.array(pose.head), degrees=True))
    for side in "LR":
        rig.rotate(f"eye.{side}", Rotation.from_euler("xy", pose.gaze, degrees=True))


def sample_family(rng: np.random.Generator) -> str:
    """Draw a kind of pose; most people stand naturally, arms down or bent."""
    names = list(FAMILIES)
    probabilities = np.array([FAMILIES[name] for name in names])
    return str(rng.choice(names, p=probabilities / probabilities.sum()))


def sample_pose(rng: np.random.Generator, family: str, bvh: dict[str, dict[str, Vector]]) -> Pose:
    """Draw a pose of a family."""
    torso, head, gaze = _sample_trunk(rng)
    if family == "bvh":
        name, extra = _sample_bvh(rng, bvh)
        return Pose(name, torso=torso, head=head, gaze=gaze, extra=extra)
    legs = _sample_walk(rng) if family == "walking" else _sample_stance(rng)
    arms = _ARM_SAMPLERS[family](rng)
    return Pose(family, arms, legs, torso, head, gaze)


def _normal(rng: np.random.Generator, mean: float, sigma: float, low: float, high: float) -> float:
    return float(np.clip(rng.normal(mean, sigma), low, high))


def _sample_trunk(
    rng: np.random.Generator,
) -> tuple[tuple[float, float, float], tuple[float, float, float], tuple[float, float]]:
    torso = (_normal(rng, 1, 4, -8, 14), _normal(rng, 0, 7, -22, 22), _normal(rng, 0, 3, -9, 9))
    turned = rng.random() < 0.35
    yaw = _normal(rng, 0, 24 if turned else 8, -55, 55)
    head = (_normal(rng, 0, 7, -18, 22), yaw, _normal(rng, 0, 4, -12, 12))
    gaze = (_normal(rng, 0, 3, -8, 8), _normal(rng, 0, 6, -16, 16))
    return torso, head, gaze


def _hanging_arm(rng: np.random.Generator) -> Arm:
    return Arm(
        abduction=_normal(rng, 13, 5, 5, 32),
        flexion=_normal(rng, 0, 7, -15, 20),
        twist=_normal(rng, 15, 15, -15, 50),
        elbow=_normal(rng, 18, 9, 4, 45),
        forearm_twist=_normal(rng, 10, 20, -30, 50),
        wrist=_normal(rng, 0, 8, -20, 20),
        curl=_normal(rng, 18, 9, 2, 45),
    )


def _bent_arm(rng: np.random.Generator) -> Arm:
    return Arm(
        abduction=_normal(rng, 20, 8, 8, 40),
        flexion=_normal(rng, 10, 14, -12, 45),
        twist=_normal(rng, 15, 22, -30, 55),
        elbow=_normal(rng, 80, 24, 35, 130),
        forearm_twist=_normal(rng, 0, 35, -70, 70),
        wrist=_normal(rng, 0, 12, -30, 30),
        curl=_normal(rng, 25, 15, 0, 70),
    )


def _arms_down(rng: np.random.Generator) -> tuple[Arm, Arm]:
    left = _hanging_arm(rng)
    right = _hanging_arm(rng)
    return left, right


def _arms_bent(rng: np.random.Generator) -> tuple[Arm, Arm]:
    arms = [_bent_arm(rng), _bent_arm(rng) if rng.random() < 0.5 else _hanging_arm(rng)]
    return (arms[0], arms[1]) if rng.random() < 0.5 else (arms[1], arms[0])


def _hip_arm(rng: np.random.Generator) -> Arm:
    return Arm(
        abduction=_normal(rng, 46, 5, 36, 58),
        flexion=_normal(rng, -14, 6, -26, 0),
        twist=_normal(rng, 78, 6, 66, 92),
        elbow=_normal(rng, 98, 7, 84, 112),
        forearm_twist=_normal(rng, 10, 15, -20, 40),
        wrist=_normal(rng, 10, 12, -15, 35),
        curl=_normal(rng, 25, 10, 5, 50),
    )


def _on_hips(rng: np.random.Generator) -> tuple[Arm, Arm]:
    arms = [_hip_arm(rng), _hip_arm(rng) if rng.random() < 0.6 else _hanging_arm(rng)]
    return (arms[0], arms[1]) if rng.random() < 0.5 else (arms[1], arms[0])


def _hands_front(rng: np.random.Generator) -> tuple[Arm, Arm]:
    flexion, elbow, twist = (
        _normal(rng, 22, 8, 8, 40),
        _normal(rng, 62, 14, 35, 95),
        _normal(rng, 42, 6, 28, 52),
    )

    def one() -> Arm:
        return Arm(
            abduction=_normal(rng, 16, 4, 8, 26),
            flexion=flexion + rng.normal(0, 3),
            twist=twist + rng.normal(0, 3),
            elbow=elbow + rng.normal(0, 4),
            forearm_twist=_normal(rng, 20, 15, -20, 50),
            wrist=_normal(rng, 0, 10, -20, 20),
            curl=_normal(rng, 25, 10, 5, 50),
        )

    return one(), one()


def _walking_arms(rng: np.random.Generator) -> tuple[Arm, Arm]:
    swing = _normal(rng, 20, 8, 6, 38) * float(rng.choice([-1.0, 1.0]))
    return tuple(  # type: ignore[return-value]
        replace(_hanging_arm(rng), flexion=s + rng.normal(0, 3), elbow=_normal(rng, 24, 10, 8, 60))
        for s in (swing, -swing)
    )


def _raised_arm(rng: np.random.Generator) -> Arm:
    return Arm(
        abduction=float(rng.uniform(60, 155)),
        flexion=_normal(rng, 15, 18, -8, 60),
        twist=_normal(rng, -25, 25, -80, 20),
        elbow=float(rng.uniform(3, 80)),
        forearm_twist=_normal(rng, 0, 30, -60, 60),
        wrist=_normal(rng, 0, 15, -30, 30),
        curl=_normal(rng, 12, 12, 0, 60),
    )


def _raised(rng: np.random.Generator) -> tuple[Arm, Arm]:
    other = rng.random()
    second = _raised_arm(rng) if other < 0.45 else _hanging_arm(rng) if other < 0.8 else _bent_arm(rng)
    arms = [_raised_arm(rng), second]
    return (arms[0], arms[1]) if rng.random() < 0.5 else (arms[1], arms[0])


_ARM_SAMPLERS = {
    "arms_down": _arms_down,
    "arms_bent": _arms_bent,
    "on_hips": _on_hips,
    "hands_front": _hands_front,
    "walking": _walking_arms,
    "raised": _raised,
}


def _sample_stance(rng: np.random.Generator) -> tuple[Leg, Leg]:
    width = _normal(rng, 3.5, 3, 0.5, 13)
    relaxed = int(rng.integers(0, 2))
    legs = []
    for side in range(2):
        bend = abs(rng.normal(0, 9)) if side == relaxed else abs(rng.normal(0, 2))
        bend = min(bend, 28.0)
        legs.append(
            Leg(
                flexion=0.6 * bend + rng.normal(0, 2),
                abduction=width + abs(rng.normal(0, 1.5)),
                knee=3 + bend,
                turn=_normal(rng, 9, 7, -5, 28),
            )
        )
    return legs[0], legs[1]


def _sample_walk(rng: np.random.Generator) -> tuple[Leg, Leg]:
    stride = _normal(rng, 20, 6, 8, 34)
    front = Leg(
        flexion=stride, abduction=1.5, knee=_normal(rng, 10, 6, 2, 30), turn=_normal(rng, 5, 4, -3, 14)
    )
    back = Leg(
        flexion=-0.6 * stride, abduction=1.5, knee=_normal(rng, 16, 8, 3, 40), turn=_normal(rng, 5, 4, -3, 14)
    )
    return (front, back) if rng.random() < 0.5 else (back, front)


def _sample_bvh(rng: np.random.Generator, bvh: dict[str, dict[str, Vector]]) -> tuple[str, dict[str, Vector]]:
    names = [name for name in BVH_WEIGHTS if name in bvh]
    weights = np.array([BVH_WEIGHTS[name] for name in names])
    name = str(rng.choice(names, p=weights / weights.sum()))
    # A strong pose is scaled towards rest more often than a calm one; its mirror is as good.
    scale = float(rng.uniform(0.85, 1.05) if name.startswith(("standing", "sit")) else rng.uniform(0.5, 1.0))
    mirrored = bool(rng.random() < 0.5)
    extra: dict[str, Vector] = {}
    for bone, vector in bvh[name].items():
        if bone.startswith(("eye", "jaw", "tongue", "oris", "levator", "special", "risorius", "orbicularis")):
            continue
        target = bone
        if mirrored:
            if bone.endswith((".L", ".R")):
                target = bone[:-1] + ("R" if bone[-1] == "L" else "L")
            vector = vector * np.array([1.0, -1.0, -1.0])
        jitter = rng.normal(0, 0.03, 3) if bone.startswith(("upper", "lower")) else np.zeros(3)
        extra[target] = scale * vector + jitter
    return name + ("_mirrored" if mirrored else ""), extra
