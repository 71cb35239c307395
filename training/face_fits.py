"""Fits of the face as the regressor and the alignment give them, made from true faces.

At run time a face is never the true one: its coefficients lean towards the mean face and are noisy, and its
place is a little off. A head trained on true faces would take every step between face and hair for certain.
In depth a face stands where the alignment puts it: on the front of the body's surface, hair before it too.

The errors are three quarters of those of run time. A picture hardly tells by how many millimetres a fit is
off, so a head that meets large errors can only answer with a blur, in which lips and lids drown; one that
meets small ones follows the fit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from jiffexport.face_model import NUM_EXPRESSION, NUM_IDENTITY, FaceModel

from .body_front import BodyFront, face_proper
from .face_model.fit import FaceFit, rigid_motion
from .people.dress import vertex_normals
from .people.lights import shade

Array = NDArray[np.float64]


@dataclass(frozen=True)
class FitErrors:
    """Errors at strength 1; a fit's strength is drawn from 0 to `most`.

    Attributes
    ----------
    lean : share by which coefficients are pulled to the mean face.
    identity, expression : standard deviation of the coefficients' noise.
    turn_deg, scale : about each axis, and of the logarithm of the size.
    across_m, along_m : shift across the line of sight, and along it from where the alignment puts the face.
    """

    lean: float = 0.5
    identity: float = 0.38
    expression: float = 0.12
    turn_deg: float = 1.4
    scale: float = 0.006
    across_m: float = 0.001
    along_m: float = 0.0015
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


def face_in_view(
    rng: np.random.Generator,
    model: FaceModel,
    true: NDArray[np.floating],
    fit: FaceFit,
    place: ViewPlace,
    errors: FitErrors | None,
) -> Array:
    """A fit of a true face (N, 3), world coordinates, in a view; None: the true face itself."""
    world = true.astype(np.float64)
    if errors is not None:
        world = erroneous_face(rng, model, world, fit, errors)
    seen = world @ place.view_from_world[:3, :3].T + place.view_from_world[:3, 3]
    seen[:, 2] += place.head_move
    if errors is None:
        return seen
    gap = place.front.gap(seen, model.triangles, face_proper(model))
    seen[:, 2] += 0.0 if np.isnan(gap) else gap
    return misplaced(rng, seen, place.size_m, errors)


@dataclass(frozen=True)
class ViewPlace:
    """Where a view has the head: the camera (4, 4), the frame's side, what the body moves the head by."""

    view_from_world: Array
    size_m: float
    head_move: float
    front: BodyFront

    @property
    def is_mirrored(self) -> bool:
        """Whether the picture was flipped; the view itself is left-handed."""
        return bool(np.linalg.det(self.view_from_world[:3, :3]) > 0)


@dataclass(frozen=True)
class LookErrors:
    """Errors at strength 1 of a face's colours; a fit's strength is drawn from 0 to `most`.

    Attributes
    ----------
    lean : share by which the texture coefficients are pulled to the mean face.
    texture : standard deviation of their noise.
    light : standard deviation of the light's coefficients, of its constant one.
    """

    lean: float = 0.4
    texture: float = 0.3
    light: float = 0.05
    most: float = 1.3


class AlbedoFitter:
    """What a model's texture can say of an albedo, in least squares.

    Parameters
    ----------
    noise : expected distance of an albedo from the model, which weighs the data against the prior.
    """

    def __init__(self, model: FaceModel, noise: float = 0.03) -> None:
        self._model = model
        basis = model.texture_basis.reshape(len(model.texture_basis), -1).astype(np.float64)
        normal = basis @ basis.T / noise**2 + np.eye(len(basis))
        self._solve = np.linalg.solve(normal, basis / noise**2)

    def fit(self, albedo: NDArray[np.floating]) -> Array:
        """Texture coefficients of an albedo (N, 3) in [0, 1]."""
        return np.asarray(self._solve @ (albedo - self._model.mean_texture).ravel())


def erroneous_look(
    rng: np.random.Generator, model: FaceModel, texture: Array, sh: Array, errors: LookErrors
) -> tuple[Array, Array]:
    """Albedo (N, 3) and light (9, 3) of a fit, of the face's own texture coefficients and light."""
    strength = rng.uniform(0, errors.most)
    noise = rng.normal(0, errors.texture * strength, len(texture))
    albedo = model.texture(texture * (1 - errors.lean * strength) + noise)
    wrong = rng.normal(0, errors.light * strength, sh.shape) * np.abs(sh[0]).mean()
    return albedo.astype(np.float64), sh + wrong


def lit_face(
    view: NDArray[np.floating], triangles: NDArray[np.integer], albedo: Array, sh: Array, is_mirrored: bool
) -> Array:
    """Colours (N, 3) of a face mesh (N, 3) in the view under the light (9, 3) that the unflipped view has."""
    camera = view * [1.0, -1.0, 1.0]  # the light's axes: y up
    normals = vertex_normals(camera.astype(np.float32), triangles)
    if is_mirrored:  # the triangles turn over with the picture
        normals = normals * np.array([1, -1, -1], np.float32)
    return shade(albedo, normals, sh)


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

    @property
    def square(self) -> Region:
        """The smallest square around it."""
        middle, half = (self.low + self.high) / 2, (self.high - self.low).max() / 2
        return Region(middle - half, middle + half)

    def contains(self, points: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Which view points (N, 2 or more) project into it."""
        return np.asarray(((points[:, :2] >= self.low) & (points[:, :2] <= self.high)).all(axis=1))
