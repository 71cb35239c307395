"""Orthographic cameras and how photographs frame people.

World: metres, y up, right-handed. View: x right, y down, z toward the camera, the frame being
[-1, 1] in x and y: `view = view_from_world @ (world, 1)`. Pixel (column, row) of an S x S picture
has its centre at view ((2 column + 1) / S - 1, (2 row + 1) / S - 1).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

BODY_FRAMINGS = ("full", "knees", "waist", "bust")
FACE_FRAMINGS = ("full", "portrait", "waist", "full", "bust", "knees")
"""In the order in which views take them; the portrait shows too little of a body to learn one from."""
MAX_FACE_YAW_DEG = 65.0


@dataclass(frozen=True)
class Landmarks:
    """Heights of a posed person along the picture's up axis and where it stands.

    All in metres along the camera's axes (x right, y up), after rotation.
    """

    low: NDArray[np.float64]
    high: NDArray[np.float64]
    head_low: NDArray[np.float64]
    head_high: NDArray[np.float64]
    chest_y: float
    hip_y: float
    knee_y: float
    hip_x: float


@dataclass(frozen=True)
class View:
    """A camera.

    Attributes
    ----------
    view_from_world : (4, 4).
    size_m : side of the square frame in metres.
    yaw_deg : 0 is from the front; positive turns the person to its own left, the picture's right.
    pitch_deg : positive looks down on the person.
    """

    view_from_world: NDArray[np.float64]
    size_m: float
    framing: str
    yaw_deg: float
    pitch_deg: float
    roll_deg: float


def camera_rotation(yaw_deg: float, pitch_deg: float, roll_deg: float) -> NDArray[np.float64]:
    """Rotation (3, 3) from the world to the camera's axes x right, y up, z toward the camera."""
    return np.asarray(Rotation.from_euler("ZXY", [roll_deg, pitch_deg, yaw_deg], degrees=True).as_matrix())


def view_matrix(
    rotation: NDArray[np.floating], center: NDArray[np.floating], size_m: float
) -> NDArray[np.float64]:
    """`view_from_world` (4, 4) of a camera: isotropic scale 2 / size_m, y flipped, `center` at 0."""
    matrix = np.eye(4)
    matrix[:3, :3] = (2.0 / size_m) * np.diag([1.0, -1.0, 1.0]) @ rotation
    matrix[:3, 3] = -matrix[:3, :3] @ np.asarray(center, dtype=np.float64)
    return matrix


def to_view(view_from_world: NDArray[np.floating], points: NDArray[np.floating]) -> NDArray[np.float64]:
    """World points (N, 3) in view coordinates (N, 3)."""
    return np.asarray(points @ view_from_world[:3, :3].T + view_from_world[:3, 3])


def to_pixels(view: NDArray[np.floating], size_px: int) -> NDArray[np.float64]:
    """Column and row (N, 2), whole numbers at pixel centres, of view points (N, 3)."""
    return np.asarray(((view[:, :2] + 1.0) * size_px - 1.0) / 2.0)


def sample_angles(rng: np.random.Generator, num_views: int, split: str) -> list[tuple[float, str]]:
    """Yaw in degrees and framing of each view, stratified.

    Training: half within 50 degrees of the front, half anywhere; half show the whole figure.
    Test: two thirds whole figures anywhere, the first of them within 20 degrees of the front, and
    one third cut by the frame within 45 degrees of the front.
    """

    def strata(count: int, low: float, high: float) -> list[float]:
        edges = np.linspace(low, high, count + 1)
        return [float(rng.uniform(edges[i], edges[i + 1])) for i in range(count)]

    cuts = BODY_FRAMINGS[1:]
    if split == "test":
        num_cut = num_views // 3
        num_full = num_views - num_cut
        yaws = [float(rng.uniform(-20, 20))] + strata(num_full - 1, 20, 340)
        chosen = [(yaw, "full") for yaw in yaws]
        order = rng.permutation(len(cuts))
        chosen += [(yaw, cuts[int(order[i % 3])]) for i, yaw in enumerate(strata(num_cut, -45, 45))]
        return chosen
    num_front = (num_views + 1) // 2
    yaws = strata(num_front, -50, 50) + strata(num_views - num_front, -180, 180)
    # Full and cut framings alternate in each half, so that both see fronts and backs.
    first = int(rng.integers(0, 2))
    order = rng.permutation(len(cuts))
    chosen, num_cut = [], 0
    for index, yaw in enumerate(yaws):
        if (index + first) % 2 == 0:
            chosen.append((yaw, "full"))
        else:
            chosen.append((yaw, cuts[int(order[num_cut % 3])]))
            num_cut += 1
    return chosen


def sample_face_angles(rng: np.random.Generator, num_views: int) -> list[tuple[float, str]]:
    """Yaw of the head against the camera and framing of each view, for the face heads.

    Every third view shows the whole figure, the others are cut by the frame, half of these close; yaws are
    spread evenly over 65 degrees to both sides.
    """
    edges = np.linspace(-MAX_FACE_YAW_DEG, MAX_FACE_YAW_DEG, num_views + 1)
    yaws = [float(rng.uniform(low, high)) for low, high in zip(edges[:-1], edges[1:], strict=True)]
    return [
        (float(yaw), FACE_FRAMINGS[i % len(FACE_FRAMINGS)]) for i, yaw in enumerate(rng.permutation(yaws))
    ]


def frame_person(rng: np.random.Generator, framing: str, marks: Landmarks) -> tuple[float, float, float]:
    """Centre (x, y) along the camera's axes and side, in metres, of a square frame.

    "full" holds the whole figure with 5 to 15 % margin. The others hold the whole head and end at
    the knees, waist, chest or shoulders, as the frame cuts a photograph; arms may be cut at the sides.
    """
    low, high = marks.low, marks.high
    extent = high - low
    if framing == "full":
        margin = rng.uniform(0.05, 0.15)
        size = float(extent.max() / (1 - 2 * margin))
        slack = np.maximum((size - extent) / 2 - 0.03 * size, 0)
        shift = rng.uniform(-1, 1, 2) * np.minimum(slack, 0.1 * size)
        middle = (low + high) / 2
        return float(middle[0] + shift[0]), float(middle[1] + shift[1]), size

    head_height = float(marks.head_high[1] - marks.head_low[1])
    bottom = {
        "knees": marks.knee_y + rng.uniform(-0.1, 0.14),
        "waist": marks.hip_y + rng.uniform(-0.1, 0.12),
        "bust": marks.chest_y + rng.uniform(-0.18, 0.08),
        "portrait": float(marks.head_low[1]) - rng.uniform(0.25, 0.7) * head_height,
    }[framing]
    head_top = float(marks.head_high[1])
    bottom = min(bottom, float(marks.head_low[1]) - 0.25 * head_height)
    margin = rng.uniform(0.03, 0.14)
    least = 1.5 if framing == "portrait" else 1.9
    size = max((head_top - bottom) / (1 - margin), least * head_height)
    top = head_top + margin * size
    head_x = float(marks.head_low[0] + marks.head_high[0]) / 2
    x = 0.5 * (head_x + marks.hip_x) + rng.normal(0, 0.05) * size
    # The whole head stays inside.
    reach = 0.48 * size
    x = float(np.clip(x, marks.head_high[0] - reach, marks.head_low[0] + reach))
    return x, top - size / 2, float(size)
