"""Which garments, shoes, hair and brows a person wears, and the pieces a garment is dyed in."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from training.people.assets import Proxy, asset_names
from training.people.body import Body
from training.people.dress import face_components
from training.people.identity import Identity

FEMALE_SUITS = ("female_casualsuit01", "female_casualsuit02", "female_elegantsuit01", "female_sportsuit01")
MALE_SUITS = (
    "male_casualsuit01",
    "male_casualsuit02",
    "male_casualsuit03",
    "male_casualsuit04",
    "male_casualsuit05",
    "male_casualsuit06",
    "male_elegantsuit01",
    "male_worksuit01",
)
UNISEX_SUITS = ("male_casualsuit02", "male_casualsuit04", "male_casualsuit06", "male_worksuit01")
SHOES = ("shoes01", "shoes02", "shoes03", "shoes04", "shoes05", "shoes06")
HATS = ("fedora", "fedora_cocked")
FEMALE_HAIR = {
    "long01": 2.0,
    "bob01": 1.6,
    "bob02": 1.6,
    "ponytail01": 2.0,
    "Braid01": 1.2,
    "short01": 0.5,
    "short03": 0.7,
    "afro01": 0.3,
}
MALE_HAIR = {
    "short01": 1.6,
    "short02": 2.2,
    "short03": 1.4,
    "short04": 2.0,
    "afro01": 0.3,
    "ponytail01": 0.25,
}
MIN_PIECE_SHARE = 0.03
MAX_PIECES = 4
SLACK_M = (0.002, 0.009)
MAX_SLACK_M = 0.02


@dataclass(frozen=True)
class Outfit:
    """Names of all that a person wears, the suit first; `hair` is None for a bald head.

    `slack_m` is how much further from the body the suit lies than it was designed.
    """

    garments: tuple[str, ...]
    slack_m: float
    hair: str | None
    eyebrows: str
    eyelashes: str
    teeth: str


def sample_outfit(rng: np.random.Generator, identity: Identity) -> Outfit:
    """Draw an outfit that suits the person."""
    female = identity.is_female
    suits = FEMALE_SUITS * 2 + UNISEX_SUITS if female else MALE_SUITS
    garments = [suits[int(rng.integers(len(suits)))]]
    if rng.random() < 0.96:
        garments.append(SHOES[int(rng.integers(len(SHOES)))])
    hair: str | None = None
    bald = 0.01 if female else 0.08 + 0.15 * float(identity.phenotype["age"] > 0.85)
    if rng.random() >= bald:
        table = dict(FEMALE_HAIR if female else MALE_HAIR)
        if identity.race == "african":
            table["afro01"] = 2.0
        weights = np.array(list(table.values()))
        hair = str(rng.choice(list(table), p=weights / weights.sum()))
    if rng.random() < 0.06:
        garments.append(HATS[int(rng.integers(2))])
        # Only flat hair fits under a hat.
        hair = "short04" if hair is not None else None
    brows = asset_names("eyebrows")
    lashes = asset_names("eyelashes")
    teeth = asset_names("teeth")
    return Outfit(
        tuple(garments),
        float(np.clip(rng.normal(*SLACK_M), 0.0, MAX_SLACK_M)),
        hair,
        brows[int(rng.integers(len(brows)))],
        lashes[int(rng.integers(len(lashes)))],
        teeth[int(rng.integers(len(teeth)))],
    )


def garment_labels(proxy: Proxy, body: Body) -> NDArray[np.int32]:
    """The piece (F,) that each face of a garment belongs to: coat, shirt, trousers, trim.

    Pieces are connected components; one that covers both chest and legs is cut at the waist along
    its texture islands. Small bits share the last label.
    """
    return _cached_labels(_Key(proxy, body))


class _Key:
    """Hashes a proxy and body by name, for the cache."""

    def __init__(self, proxy: Proxy, body: Body) -> None:
        self.proxy, self.body = proxy, body

    def __hash__(self) -> int:
        return hash((self.proxy.kind, self.proxy.name))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and (self.proxy.kind, self.proxy.name) == (
            other.proxy.kind,
            other.proxy.name,
        )


@lru_cache(maxsize=64)
def _cached_labels(key: _Key) -> NDArray[np.int32]:
    proxy, body = key.proxy, key.body
    label = face_components(proxy.faces)
    if proxy.name.startswith("shoes"):
        # Left and right alike: the two shoes are one piece, what is left (socks) another.
        label = np.where(label < 2, 0, 1).astype(np.int32)
    height = body.mean_vertices[proxy.references[:, 0], 1][proxy.faces[:, 0]]
    waist = float(body.mean_joints[body.bone_index["spine05"], 1])
    for piece in np.unique(label):
        inside = label == piece
        spans = height[inside].min() < waist - 0.5 and height[inside].max() > waist + 0.35
        if spans and not proxy.name.startswith("shoes"):
            islands = face_components(proxy.uv_faces[inside])
            middle = np.array([height[inside][islands == i].mean() for i in range(islands.max() + 1)])
            new = label.max() + 1
            label[np.flatnonzero(inside)[middle[islands] < waist]] = new
    counts = np.bincount(label)
    order = np.argsort(-counts, kind="stable")
    big = [int(i) for i in order if counts[i] >= MIN_PIECE_SHARE * len(label)][:MAX_PIECES]
    result = np.full(len(label), len(big), dtype=np.int32)
    for rank, piece in enumerate(big):
        result[label == piece] = rank
    return result


def used_assets() -> list[tuple[str, str]]:
    """(kind, name) of every asset that an outfit can hold."""
    used = {("clothes", name) for name in FEMALE_SUITS + MALE_SUITS + SHOES + HATS}
    used |= {("hair", name) for name in (*FEMALE_HAIR, *MALE_HAIR)}
    for kind in ("eyebrows", "eyelashes", "teeth"):
        used |= {(kind, name) for name in asset_names(kind)}
    return sorted(used)
