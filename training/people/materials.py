"""What a surface looks like: a texture, and how its colours are changed.

The change itself is done by one shader function (`shaders.py`), for pictures and for colour
samples alike. Here are its parameters and how they are drawn: hues turned, cloth dyed in plain
colours or patterns, natural hair colours, shades of skin.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

PATTERNS = ("plain", "stripes_across", "stripes_along", "checks", "dots", "blotches", "blocks")

# Hues (degrees) that only test garments may have.
TEST_HUES = ((155.0, 190.0), (262.0, 300.0))

Color = tuple[float, float, float]


@dataclass(frozen=True)
class Material:
    """Parameters of the albedo of a part.

    Attributes
    ----------
    texture : path of the image, or an image (H, W, 4) uint8 with its top row first.
    alpha_min : texels below this alpha are holes.
    hue_deg, saturation, gain : hue turn, saturation factor and brightness factor of the texture.
    dye : how much (0..1) the texture's own colours give way to `colors`, keeping its folds.
    mean_luminance : of the texture; there a dye shows its own colour.
    fold_strength : exponent of the texture's relative luminance under a dye; 0 is flat.
    pattern : one of `PATTERNS`, drawn with `colors`; `pattern_period_m` its size.
    """

    texture: Path | NDArray[np.uint8]
    alpha_min: float = 0.0
    hue_deg: float = 0.0
    saturation: float = 1.0
    gain: Color = (1.0, 1.0, 1.0)
    dye: float = 0.0
    mean_luminance: float = 0.5
    fold_strength: float = 0.8
    colors: tuple[Color, Color] = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    pattern: str = "plain"
    pattern_period_m: float = 0.05


def hue_of(color: Color) -> tuple[float, float]:
    """Hue in degrees and saturation of an sRGB colour in [0, 1]."""
    hue, _, saturation = colorsys.rgb_to_hls(*color)
    return hue * 360.0, saturation


def is_test_hue(hue_deg: float, margin: float = 0.0) -> bool:
    """Whether a hue lies in the ranges kept for test garments (grown by `margin` degrees)."""
    hue = hue_deg % 360.0
    return any(low - margin <= hue <= high + margin for low, high in TEST_HUES)


def sample_hue(rng: np.random.Generator, split: str) -> float:
    """A hue in degrees allowed for the split."""
    if split == "test":
        low, high = TEST_HUES[int(rng.integers(len(TEST_HUES)))]
        return float(rng.uniform(low + 3, high - 3))
    while True:
        hue = float(rng.uniform(0.0, 360.0))
        if not is_test_hue(hue, margin=6.0):
            return hue


def sample_cloth_color(rng: np.random.Generator, split: str) -> Color:
    """A colour of cloth: for training mostly neutral, navy, earth or muted, sometimes vivid.

    For testing it is neutral or of a hue kept for the test.
    """
    kind = rng.random()
    if split == "test" and kind < 0.7:
        hue, saturation, value = sample_hue(rng, split), rng.uniform(0.2, 0.75), rng.uniform(0.2, 0.85)
    elif kind < 0.36 or split == "test":
        hue, saturation, value = (
            sample_hue(rng, split),
            rng.uniform(0.0, 0.07),
            rng.beta(0.8, 0.8) * 0.88 + 0.06,
        )
    elif kind < 0.5:
        hue, saturation, value = rng.uniform(205, 235), rng.uniform(0.3, 0.75), rng.uniform(0.15, 0.5)
    elif kind < 0.62:
        hue, saturation, value = rng.uniform(18, 45), rng.uniform(0.2, 0.6), rng.uniform(0.25, 0.8)
    elif kind < 0.84:
        hue, saturation, value = sample_hue(rng, split), rng.uniform(0.15, 0.5), rng.uniform(0.3, 0.9)
    else:
        hue, saturation, value = sample_hue(rng, split), rng.uniform(0.6, 0.95), rng.uniform(0.4, 0.95)
    return colorsys.hsv_to_rgb(hue / 360.0, float(saturation), float(value))


@cache
def reduced_texture(path: Path, mode: str) -> NDArray[np.uint8]:
    """A texture at (256, 256, channels of the mode "RGB" or "RGBA"); read once, as decoding is slow."""
    with Image.open(path) as image:
        return np.asarray(image.convert(mode).resize((256, 256), Image.Resampling.BOX))


def texture_statistics(path: Path, uv: NDArray[np.float32]) -> tuple[float, Color]:
    """Mean luminance and mean colour (sRGB, 0..1) of a texture at texture coordinates (T, 2)."""
    pixels = reduced_texture(path, "RGB").astype(np.float64) / 255.0
    column = np.clip((uv[:, 0] % 1.0) * 256, 0, 255).astype(int)
    row = np.clip((1.0 - uv[:, 1] % 1.0) * 256, 0, 255).astype(int)
    color = pixels[row, column].mean(axis=0)
    return float(color @ (0.2126, 0.7152, 0.0722)), (float(color[0]), float(color[1]), float(color[2]))


def cloth_material(
    rng: np.random.Generator, split: str, texture: Path, uv: NDArray[np.float32], alpha_min: float = 0.3
) -> Material:
    """Cloth: the texture as it is, in another hue, dyed plain, or patterned.

    Test garments are always dyed: neutral, or in hues that no training garment has.
    """
    luminance, mean_color = texture_statistics(texture, uv)
    way = rng.random()
    colors = (sample_cloth_color(rng, split), sample_cloth_color(rng, split))
    brightness = float(rng.uniform(0.75, 1.2))
    if split == "train" and way < 0.3:
        hue, strength = hue_of(mean_color)
        turn = sample_hue(rng, split) - hue if way > 0.1 and strength > 0.12 else 0.0
        if is_test_hue(hue + turn, margin=6.0):
            turn = 0.0
        return Material(
            texture,
            alpha_min,
            hue_deg=float(turn),
            saturation=float(rng.uniform(0.5, 1.15)),
            gain=(brightness, brightness, brightness),
        )
    pattern = str(rng.choice(PATTERNS, p=[0.52, 0.1, 0.07, 0.11, 0.06, 0.07, 0.07]))
    return Material(
        texture,
        alpha_min,
        dye=float(rng.uniform(0.86, 1.0)) if split == "train" else 1.0,
        mean_luminance=luminance,
        fold_strength=float(rng.uniform(0.35, 0.9)),
        colors=colors,
        pattern=pattern,
        pattern_period_m=float(np.exp(rng.uniform(np.log(0.025), np.log(0.14)))),
    )


HAIR_COLORS: tuple[tuple[Color, float], ...] = (
    ((0.07, 0.06, 0.055), 3.0),
    ((0.13, 0.09, 0.07), 3.0),
    ((0.24, 0.15, 0.09), 3.0),
    ((0.38, 0.25, 0.15), 2.0),
    ((0.62, 0.47, 0.29), 1.6),
    ((0.78, 0.66, 0.45), 1.0),
    ((0.45, 0.19, 0.09), 0.8),
)


def sample_hair_color(rng: np.random.Generator, age: float, race: str) -> Color:
    """A natural hair colour; grey comes with age, and dark hair is commoner outside Europe."""
    weights = np.array([w for _, w in HAIR_COLORS])
    if race != "caucasian":
        weights = weights * np.array([3.0, 2.5, 0.7, 0.15, 0.04, 0.02, 0.03])
    color = np.array(HAIR_COLORS[int(rng.choice(len(weights), p=weights / weights.sum()))][0])
    greyness = float(np.clip((age - 0.8) / 0.15, 0.0, 1.0)) * rng.random()
    grey = np.full(3, rng.uniform(0.45, 0.85))
    color = color + greyness * (grey - color)
    color = np.clip(color * rng.uniform(0.8, 1.2) + rng.normal(0, 0.008, 3), 0.03, 0.95)
    return float(color[0]), float(color[1]), float(color[2])


def hair_material(color: Color, texture: Path, uv: NDArray[np.float32], dye: float = 0.92) -> Material:
    """Strands of the texture in a given colour."""
    luminance, _ = texture_statistics(texture, uv)
    return Material(
        texture, alpha_min=0.35, dye=dye, mean_luminance=max(luminance, 0.05), colors=(color, color)
    )


def brow_material(hair_color: Color, texture: Path) -> Material:
    """Brows: the hair's colour, less black where skin shows between the hairs."""
    light = tuple(
        0.8 * channel + 0.2 * skin for channel, skin in zip(hair_color, (0.5, 0.36, 0.28), strict=True)
    )
    color = (light[0], light[1], light[2])
    return Material(texture, alpha_min=0.2, dye=1.0, fold_strength=0.0, colors=(color, color))


def skin_material(rng: np.random.Generator, texture: Path) -> Material:
    """A skin, a little lighter or darker, redder or yellower than its texture."""
    shade = rng.uniform(0.82, 1.08)
    warmth = rng.normal(0.0, 0.025)
    gain = (float(shade * (1 + warmth)), float(shade), float(shade * (1 - warmth)))
    return Material(texture, saturation=float(rng.uniform(0.85, 1.12)), gain=gain)


def eye_image(rng: np.random.Generator, size_px: int = 256) -> NDArray[np.uint8]:
    """An eyeball seen from the front, (size, size, 4): white, iris with spokes and rim, pupil."""
    axis = (np.arange(size_px) + 0.5) / size_px * 2 - 1
    x, y = np.meshgrid(axis, axis)
    radius, angle = np.hypot(x, y), np.arctan2(y, x)
    iris_colors = (
        (0.23, 0.13, 0.07),
        (0.35, 0.21, 0.1),
        (0.42, 0.33, 0.16),
        (0.32, 0.4, 0.25),
        (0.32, 0.46, 0.6),
        (0.45, 0.52, 0.56),
    )
    iris = np.array(iris_colors[int(rng.choice(6, p=[0.38, 0.24, 0.1, 0.08, 0.13, 0.07]))])
    iris = np.clip(iris * rng.uniform(0.8, 1.2), 0, 1)
    white = np.array([0.86, 0.84, 0.82]) * rng.uniform(0.92, 1.03)
    veins = np.clip((radius - 0.45) * 0.5, 0, 0.3)[..., None] * np.array([0.0, 0.35, 0.35])
    image = white - veins
    spokes = sum(np.cos(k * angle + rng.uniform(0, 6.28)) for k in (17, 23, 31, 41)) / 4
    iris_radius, pupil_radius = 0.31, rng.uniform(0.09, 0.15)
    inside = radius < iris_radius
    shade = 1.0 + 0.22 * spokes + 0.35 * (1 - radius / iris_radius)
    rim = np.clip((radius - 0.82 * iris_radius) / (0.18 * iris_radius), 0, 1)
    iris_image = iris * shade[..., None] * (1 - 0.65 * rim[..., None])
    image = np.where(inside[..., None], iris_image, image)
    image = np.where((radius < pupil_radius)[..., None], 0.015, image)
    rgba = np.ones((size_px, size_px, 4))
    rgba[..., :3] = np.clip(image, 0, 1)
    return (rgba * 255 + 0.5).astype(np.uint8)


def flat_image(color: Color) -> NDArray[np.uint8]:
    """A one-coloured texture (2, 2, 4)."""
    rgba = np.ones((2, 2, 4))
    rgba[..., :3] = color
    return (rgba * 255 + 0.5).astype(np.uint8)
