"""Light as order-2 spherical harmonics.

Axes are those of the picture with y up: x right, y up, z toward the camera. A surface of albedo
`a` (sRGB) and unit normal `n` shows `(a^2.2 * max(sh . Y(n), 0))^(1/2.2)`, clipped to [0, 1].
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

AxisT = TypeVar("AxisT", bound=Any)

# Clamped-cosine convolution of each band, divided by pi (Ramamoorthi and Hanrahan 2001).
BAND_GAIN = np.array([1.0, 2 / 3, 2 / 3, 2 / 3, 0.25, 0.25, 0.25, 0.25, 0.25])


def harmonics(x: AxisT, y: AxisT, z: AxisT) -> list[AxisT]:
    """The nine real harmonics at unit vectors: 1, y, z, x, xy, yz, 3z^2-1, xz, x^2-y^2.

    The coordinates are NumPy arrays or torch tensors.
    """
    return [
        0.282095 + 0 * x,
        0.488603 * y,
        0.488603 * z,
        0.488603 * x,
        1.092548 * x * y,
        1.092548 * y * z,
        0.315392 * (3 * z * z - 1),
        1.092548 * x * z,
        0.546274 * (x * x - y * y),
    ]


def sh_basis(normals: NDArray[np.floating]) -> NDArray[np.float64]:
    """`harmonics` at unit vectors (N, 3) -> (N, 9)."""
    return np.stack(harmonics(*np.asarray(normals, dtype=np.float64).T), axis=1)


def directional_light(direction: NDArray[np.floating], color: NDArray[np.floating]) -> NDArray[np.float64]:
    """Coefficients (9, 3) of a distant light that gives a facing surface about `color`."""
    unit = np.asarray(direction, dtype=np.float64)
    unit = unit / np.linalg.norm(unit)
    basis = sh_basis(unit[None])[0] * BAND_GAIN * np.pi
    return basis[:, None] * np.asarray(color, dtype=np.float64)[None, :]


def ambient_light(color: NDArray[np.floating]) -> NDArray[np.float64]:
    """Coefficients (9, 3) of the same light from everywhere."""
    coefficients = np.zeros((9, 3))
    coefficients[0] = np.asarray(color, dtype=np.float64) / 0.282095
    return coefficients


def _tint(rng: np.random.Generator, strength: float) -> NDArray[np.float64]:
    """A white between candle and blue sky, green and magenta casts being rarer."""
    warm = rng.normal(0.0, strength)
    cast = rng.normal(0.0, 0.25 * strength)
    return np.array([1 + warm, 1 + cast, 1 - warm])


def front_directions(num: int, depth: float) -> NDArray[np.float64]:
    """Unit vectors (num, 3), evenly spread from the camera's direction, z = 1, down to z = 1 - `depth`."""
    index = np.arange(num) + 0.5
    z = 1 - depth * index / num
    around = index * np.pi * (3 - np.sqrt(5))
    r = np.sqrt(np.maximum(1 - z * z, 0))
    return np.stack([r * np.cos(around), r * np.sin(around), z], axis=1)


_FRONT_BASIS = sh_basis(front_directions(400, 1.1))


def sample_light(rng: np.random.Generator) -> NDArray[np.float64]:
    """A random light (9, 3): a sky gradient and one to three lobes, exposed so that few pixels clip."""
    sky, ground = rng.uniform(0.5, 1.0), rng.uniform(0.15, 0.8)
    light = ambient_light(0.5 * (sky + ground) * _tint(rng, 0.06))
    light[1] += 0.5 * (sky - ground) * _tint(rng, 0.06)
    for _ in range(int(rng.integers(1, 4))):
        azimuth = rng.normal(0.0, 1.1)
        height = np.clip(rng.normal(0.5, 0.4), -0.4, 1.3)
        direction = np.array(
            [np.sin(azimuth) * np.cos(height), np.sin(height), np.cos(azimuth) * np.cos(height)]
        )
        power = rng.gamma(2.0, 0.35)
        light += directional_light(direction, power * _tint(rng, 0.1))
    seen = np.maximum(_FRONT_BASIS @ light, 0.0).mean(axis=1)
    # The exposure puts the brightest surfaces near white and keeps the mean away from black.
    exposure = rng.uniform(0.85, 1.3) / np.quantile(seen, 0.95)
    exposure = max(exposure, 0.5 / max(float(seen.mean()), 1e-6))
    return np.asarray(light * min(exposure, 1.35 / float(np.quantile(seen, 0.9))))


def shade(
    albedo: NDArray[np.floating], normals: NDArray[np.floating], sh: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Lit sRGB colours (N, 3) in [0, 1] of albedos (N, 3) in [0, 1] under a light (9, 3)."""
    radiance = np.maximum(sh_basis(normals) @ sh, 0.0)
    linear = np.asarray(albedo, dtype=np.float64) ** 2.2 * radiance
    return np.asarray(np.clip(linear ** (1 / 2.2), 0.0, 1.0))
