"""Who a person is: phenotype, local changes of face and body, expression."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Local changes that keep a person plausible and garments in place. Pairs of sides move together.
FACE_CHANGES = ("cheek", "chin", "ear", "eye", "eyebrows", "forehead", "head", "mouth", "nose", "neck-double")
EXCLUDED_CHANGES = (
    "head-trans",
    "eyebrows-trans-forward",
    "mouth-trans-forward",
    "eye-trans-out",
    "eye-push",
    "head-angle",
    "neck-trans",
    "mouth-trans-out",
    "nose-trans-out",
    "ear-wing",
)
BODY_CHANGES = (
    "torso-scale-horiz-incr",
    "torso-scale-depth-incr",
    "torso-vshape-incr",
    "hip-scale-horiz-incr",
    "hip-scale-depth-incr",
    "stomach-tone-incr",
    "buttocks-volume-incr",
    "measure-upperarm-length-incr",
    "measure-lowerarm-length-incr",
    "upperlegs-height-incr",
    "lowerlegs-height-incr",
    "measure-shoulder-dist-incr",
    "neck-scale-vert-incr",
    "neck-scale-horiz-incr",
)


@dataclass(frozen=True)
class Identity:
    """All that `Body.shape` needs, and what is told about the person."""

    phenotype: dict[str, float]
    changes: dict[str, float]
    actions: dict[str, float]

    @property
    def is_female(self) -> bool:
        return self.phenotype["gender"] > 0.5

    @property
    def race(self) -> str:
        return max(("african", "asian", "caucasian"), key=lambda name: self.phenotype[name])

    @property
    def age_group(self) -> str:
        age = self.phenotype["age"]
        return "young" if age < 0.76 else "middleage" if age < 0.87 else "old"


def _clipped_normal(rng: np.random.Generator, mean: float, sigma: float, low: float, high: float) -> float:
    return float(np.clip(rng.normal(mean, sigma), low, high))


def sample_phenotype(rng: np.random.Generator) -> dict[str, float]:
    """Phenotype of a random person: mostly adults, some teenagers and children."""
    female = rng.random() < 0.5
    gender = float(np.clip(abs(rng.normal(0.0, 0.08)), 0.0, 0.25))
    age = rng.uniform(0.42, 0.6) if rng.random() < 0.1 else rng.uniform(0.62, 0.95)
    main = rng.dirichlet((0.5, 0.5, 0.6))
    return {
        "gender": 1.0 - gender if female else gender,
        "age": float(age),
        "muscle": _clipped_normal(rng, 0.5 if female else 0.56, 0.14, 0.15, 0.9),
        "weight": _clipped_normal(rng, 0.5, 0.15, 0.2, 0.95),
        # A tenth of this phenotype is about 0.105 m: 1.76 m +- 0.07 for men, 1.63 m for women.
        "height": _clipped_normal(rng, 0.37 if female else 0.39, 0.06, 0.2, 0.56),
        "proportions": _clipped_normal(rng, 0.55, 0.18, 0.1, 0.95),
        "cupsize": _clipped_normal(rng, 0.45, 0.18, 0.05, 0.9),
        "firmness": _clipped_normal(rng, 0.5, 0.2, 0.1, 0.9),
        "african": float(main[0]) + 1e-3,
        "asian": float(main[1]) + 1e-3,
        "caucasian": float(main[2]) + 1e-3,
    }


def sample_changes(rng: np.random.Generator, names: list[str]) -> dict[str, float]:
    """Small local changes of face and body; left and right nearly alike, as in real people."""
    changes: dict[str, float] = {}
    for name in names:
        if any(part in name for part in EXCLUDED_CHANGES):
            continue
        unsided = name[2:] if name[:2] in ("l-", "r-") else name
        if name.startswith("r-"):
            continue
        if unsided.startswith(FACE_CHANGES):
            value = _clipped_normal(rng, 0.0, 0.22, -0.6, 0.6)
        elif unsided in BODY_CHANGES:
            value = _clipped_normal(rng, 0.0, 0.14, -0.35, 0.35)
        else:
            continue
        changes[name] = value
        if name.startswith("l-"):
            changes["r-" + unsided] = value + float(rng.normal(0.0, 0.03))
    return changes


def sample_actions(rng: np.random.Generator) -> dict[str, float]:
    """A facial expression: often neutral or a smile, sometimes speaking, surprised or stern."""
    kind = rng.choice(
        ["neutral", "smile", "laugh", "speak", "surprise", "stern"], p=[0.34, 0.3, 0.1, 0.12, 0.06, 0.08]
    )
    s = float(rng.uniform(0.35, 1.0))
    both: dict[str, float] = {}
    single: dict[str, float] = {}
    if kind == "smile":
        both = {"mouthSmile": 0.8 * s, "cheekSquint": 0.4 * s, "eyeSquint": 0.2 * s}
    elif kind == "laugh":
        both = {"mouthSmile": 0.9 * s, "cheekSquint": 0.6 * s, "mouthUpperUp": 0.35 * s, "eyeSquint": 0.4 * s}
        single = {"jawOpen": 0.35 * s}
    elif kind == "speak":
        both = {"mouthStretch": 0.3 * s * float(rng.random())}
        single = {"jawOpen": 0.3 * s, "mouthFunnel": 0.3 * float(rng.random())}
    elif kind == "surprise":
        both = {"eyeWide": 0.6 * s, "browOuterUp": 0.7 * s}
        single = {"browInnerUp": 0.7 * s, "jawOpen": 0.25 * s}
    elif kind == "stern":
        both = {"browDown": 0.6 * s, "mouthFrown": 0.4 * s, "mouthPress": 0.4 * s}
    blink = float(np.clip(rng.exponential(0.08), 0.0, 0.5))
    both["eyeBlink"] = blink
    actions = dict(single)
    for name, value in both.items():
        lean = float(np.clip(rng.normal(1.0, 0.07), 0.8, 1.2))
        actions[name + "Left"] = value * lean
        actions[name + "Right"] = value * (2.0 - lean)
    return {name: float(np.clip(value, 0.0, 1.0)) for name, value in actions.items() if value > 0.01}


def sample_identity(rng: np.random.Generator, change_names: list[str]) -> Identity:
    """Draw a person. The draws depend on nothing but the generator."""
    phenotype = sample_phenotype(rng)
    return Identity(phenotype, sample_changes(rng, change_names), sample_actions(rng))
