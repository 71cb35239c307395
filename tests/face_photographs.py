"""Pictures with and without faces: the examples, smaller, larger, cut by the border, and side by side."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

EXAMPLES = Path(__file__).parent.parent / "examples"
FRAME_PX = 512
FACE_WIDTH_PX = {"astronaut": 88, "grace_hopper": 181}
ASTRONAUT_FACE = (181, 61, 268, 172)
"""Left, top, right, bottom."""


def example(name: str) -> Image.Image:
    """`astronaut`, `grace_hopper` or `held_out_render`, without its mask."""
    path = next(path for path in EXAMPLES.iterdir() if path.stem == name)
    with Image.open(path) as image:
        return image.convert("RGB")


def scaled(name: str, face_width_px: float) -> Image.Image:
    """The whole picture, resized so that its face is so wide."""
    picture = example(name)
    factor = face_width_px / FACE_WIDTH_PX[name]
    size = (round(picture.width * factor), round(picture.height * factor))
    return picture.resize(size, Image.Resampling.BICUBIC)


def framed(name: str, face_width_px: float) -> Image.Image:
    """The picture with a small face, on a noisy wall of 512 x 512 pixels."""
    wall = np.random.default_rng(3).integers(70, 130, (FRAME_PX, FRAME_PX, 3), np.uint8)
    frame = Image.fromarray(wall)
    frame.paste(scaled(name, face_width_px), (143, 61))
    return frame


def close_up() -> Image.Image:
    """A face as wide as half the frame."""
    left, top, right, bottom = ASTRONAUT_FACE
    around = (left + right - 176) // 2, (top + bottom - 176) // 2
    box = (*around, around[0] + 176, around[1] + 176)
    return example("astronaut").resize((FRAME_PX, FRAME_PX), Image.Resampling.BICUBIC, box)


def two_people() -> Image.Image:
    """The larger face on the left (Grace Hopper), the smaller on the right."""
    picture = Image.new("RGB", (700, 400), (96, 104, 112))
    picture.paste(scaled("grace_hopper", 100), (10, 50))
    picture.paste(scaled("astronaut", 66), (310, 16))
    return picture


def back_of_head() -> Image.Image:
    """The astronaut with hair where the face was."""
    picture = example("astronaut")
    left, top, right, bottom = ASTRONAUT_FACE
    covered = (left - 20, top - 20, right + 20, bottom + 20)
    hair = picture.crop((190, 24, 262, 50)).resize((covered[2] - covered[0], covered[3] - covered[1]))
    texture = Image.new("RGB", picture.size)
    texture.paste(hair, covered)
    where = Image.new("L", picture.size, 0)
    ImageDraw.Draw(where).ellipse((left - 8, top - 5, right + 8, bottom + 8), fill=255)
    return Image.composite(texture, picture, where.filter(ImageFilter.GaussianBlur(3)))


def noise() -> Image.Image:
    return Image.fromarray(np.random.default_rng(4).integers(0, 256, (300, 401, 3), np.uint8))


def with_faces() -> dict[str, np.ndarray]:
    """Pictures with at least one face, (H, W, 3) uint8, by name."""
    left, top, right, bottom = ASTRONAUT_FACE
    astronaut, hopper = example("astronaut"), example("grace_hopper")
    pictures = {
        "astronaut": astronaut,
        "grace_hopper": hopper,
        "held_out_render": example("held_out_render"),
        "astronaut_large": scaled("astronaut", 264),
        "close_up": close_up(),
        "two_people": two_people(),
        # Cut by the border, so that a fifth to a third of the face is missing; even and odd sizes.
        "astronaut_cut_left": astronaut.crop((left + 20, 0, 512, 512)),
        "astronaut_cut_right": astronaut.crop((0, 0, right - 21, 512)),
        "astronaut_cut_top": astronaut.crop((0, top + 20, 512, 512)),
        "astronaut_cut_bottom": astronaut.crop((0, 0, 511, bottom - 21)),
        "grace_hopper_cut_right": hopper.crop((0, 0, 295, 600)),
        "grace_hopper_cut_bottom": hopper.crop((0, 0, 512, 311)),
    }
    for width_px in (30, 40, 50, 60):
        for name in FACE_WIDTH_PX:
            pictures[f"{name}_{width_px}_px"] = framed(name, width_px)
    return {name: np.array(picture) for name, picture in pictures.items()}


def without_faces() -> dict[str, np.ndarray]:
    """Pictures of anything else, (H, W, 3) uint8, by name."""
    return {
        "noise": np.array(noise()),
        "grey": np.full((512, 512, 3), 128, np.uint8),
        "back_of_head": np.array(back_of_head()),
        "smaller_than_a_face": np.array(example("astronaut").resize((19, 19))),
        "one_pixel": np.zeros((1, 1, 3), np.uint8),
        "strip": np.array(example("astronaut").resize((600, 11))),
    }
