"""What a face model says of a known face: rigid alignment, coefficients, and a body's true face."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from jiffexport.face_model import NUM_EXPRESSION, NUM_IDENTITY, FaceModel
from training.people.dress import PosedBody

EXPRESSION_SIGMA = 0.4
"""How far expressions are expected from neutral; identities have sigma 1 by their scaling."""


@dataclass(frozen=True)
class RigidMotion:
    """`moved = points @ rotation.T + translation`; rotation (3, 3), translation (3,)."""

    rotation: NDArray[np.float64]
    translation: NDArray[np.float64]

    def __call__(self, points: NDArray[np.floating]) -> NDArray[np.float64]:
        return np.asarray(points @ self.rotation.T + self.translation)


@dataclass(frozen=True)
class FaceFit:
    """A face in terms of a model.

    Attributes
    ----------
    identity, expression : (80,) and (64,); zero where the model has no component.
    motion : from the model's axes to those of the given vertices.
    vertices : (N, 3), the fitted face in the axes of the given one.
    """

    identity: NDArray[np.float64]
    expression: NDArray[np.float64]
    motion: RigidMotion
    vertices: NDArray[np.float64]


def rigid_motion(source: NDArray[np.floating], target: NDArray[np.floating]) -> RigidMotion:
    """The rotation and translation that carry source (N, 3) nearest to target (N, 3) in least squares."""
    source_center, target_center = source.mean(axis=0), target.mean(axis=0)
    u, _, vt = np.linalg.svd((target - target_center).T @ (source - source_center))
    rotation = u @ np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))]) @ vt
    return RigidMotion(rotation, target_center - rotation @ source_center)


def true_face(posed: PosedBody, model: FaceModel) -> NDArray[np.float32]:
    """The vertices (N, 3) of the face model on a generated person, in world coordinates, metres.

    They are the body's own vertices, not a fit: the model's vertices are a part of the base mesh.
    `Studio.posed_body(seed, split, index)` gives the body of a subject on disk.

    Raises
    ------
    ValueError
        The model was not made from the base mesh.
    """
    if model.body_vertices is None:
        raise ValueError(
            f"face model {model.name!r} has no body_vertices: it was not made from the base mesh"
        )
    return posed.posed[model.body_vertices]


class FaceFitter:
    """Least-squares fits of one model; the normal equations are solved once.

    Parameters
    ----------
    noise_m : expected distance between a face and the model, which weighs the data against the prior.
    """

    def __init__(self, model: FaceModel, noise_m: float = 3e-4, num_rounds: int = 6) -> None:
        self._model = model
        self._num_rounds = num_rounds
        self._num_identity = len(model.identity_basis)
        bases = np.concatenate([model.identity_basis, model.expression_basis]).astype(np.float64)
        self._basis = bases.reshape(len(bases), -1)
        sigma = np.ones(len(bases))
        sigma[self._num_identity :] = EXPRESSION_SIGMA
        normal = self._basis @ self._basis.T / noise_m**2 + np.diag(sigma**-2)
        self._solve = np.linalg.solve(normal, self._basis / noise_m**2)

    def fit(self, vertices: NDArray[np.floating]) -> FaceFit:
        """The model's face and rigid motion nearest to vertices (N, 3) of the same topology."""
        vertices = vertices.astype(np.float64)
        mean = self._model.mean_shape.astype(np.float64)
        shape, values = mean, np.zeros(len(self._basis))
        for _ in range(self._num_rounds):
            back = rigid_motion(vertices, shape)
            values = self._solve @ (back(vertices) - mean).ravel()
            shape = mean + (values @ self._basis).reshape(-1, 3)
        motion = rigid_motion(shape, vertices)
        identity, expression = np.zeros(NUM_IDENTITY), np.zeros(NUM_EXPRESSION)
        identity[: self._num_identity] = values[: self._num_identity]
        expression[: len(values) - self._num_identity] = values[self._num_identity :]
        return FaceFit(identity, expression, motion, motion(shape))
