"""Fits of the face as the regressor and the alignment give them, made from true faces.

At run time a face is never the true one: its coefficients lean towards the mean face and are noisy, and its
place is a little off. A head trained on true faces would trust them too far.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from jiffexport.face_model import NUM_EXPRESSION, NUM_IDENTITY, FaceModel

from .face_model.fit import FaceFit, rigid_motion

Array = NDArray[np.float64]


@dataclass(frozen=True)
class FitErrors:
    """Errors at strength 1; a fit's strength is drawn from 0 to `most`.

    Attributes
    ----------
    lean : share by which coefficients are pulled to the mean face.
    identity, expression : standard deviation of the coefficients' noise.
    turn_deg, scale : about each axis, and of the logarithm of the size.
    across_m, along_m : shift across the line of sight and along it.
    """

    lean: float = 0.4
    identity: float = 0.35
    expression: float = 0.1
    turn_deg: float = 1.5
    scale: float = 0.01
    across_m: float = 0.002
    along_m: float = 0.004
    most: float = 1.3


def erroneous_face(
    rng: np.random.Generator, model: FaceModel, true: NDArray[np.floating], fit: FaceFit, errors: FitErrors
) -> Array:
    """A fit of a true face (N, 3) with errors of shape, as near to the true one as rigid motion brings it.

    `fit` is the model's own fit of the true face.
    """
    strength = rng.uniform(0, errors.most)
    lean = errors.lean * strength
    identity = -lean * fit.identity + rng.normal(0, errors.identity * strength, NUM_IDENTITY)
    expression = -lean * fit.expression + rng.normal(0, errors.expression * strength, NUM_EXPRESSION)
    change = np.tensordot(identity[: len(model.identity_basis)], model.identity_basis, 1)
    change = change + np.tensordot(expression[: len(model.expression_basis)], model.expression_basis, 1)
    moved = true + change @ fit.motion.rotation.T
    return rigid_motion(moved, true)(moved)


def misplaced(
    rng: np.random.Generator, view: NDArray[np.floating], size_m: float, errors: FitErrors
) -> Array:
    """A face (N, 3) in view coordinates, turned, scaled and shifted as an alignment leaves it."""
    strength = rng.uniform(0, errors.most)
    center = view.mean(axis=0)
    turn = Rotation.from_rotvec(rng.normal(0, np.deg2rad(errors.turn_deg) * strength, 3)).as_matrix()
    scale = np.exp(rng.normal(0, errors.scale * strength))
    sigma_m = np.array([errors.across_m, errors.across_m, errors.along_m]) * strength
    return (view - center) @ turn.T * scale + center + rng.normal(0, sigma_m) * 2 / size_m


@dataclass(frozen=True)
class Region:
    """A rectangle of the view, borders included: low and high corner (2,)."""

    low: Array
    high: Array

    @staticmethod
    def around(face: NDArray[np.floating], margin: float) -> Region:
        """The box of a face mesh (N, 3) in the view, widened by a share of its longer side."""
        low, high = face[:, :2].min(axis=0), face[:, :2].max(axis=0)
        reach = margin * (high - low).max()
        return Region(low - reach, high + reach)

    def contains(self, points: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Which view points (N, 2 or more) project into it."""
        return np.asarray(((points[:, :2] >= self.low) & (points[:, :2] <= self.high)).all(axis=1))
