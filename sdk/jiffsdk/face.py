"""What a reconstruction found of the person's face."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from . import _core

USED = "used"
"""The status of a face that shaped the mesh."""


@dataclass(frozen=True)
class FaceAlignment:
    """How the fitted face was placed on the body's surface.

    Parameters
    ----------
    residual_start_m, residual_m : float
        Root mean square distance to the surface, before and after it was refined.
    rotation_deg, scale_change, shift_m : float
        What the refinement asked for, also where it was refused: the turn, the growth as a share, and the
        way across the line of sight.
    """

    residual_start_m: float
    residual_m: float
    rotation_deg: float
    scale_change: float
    shift_m: float


@dataclass(frozen=True, eq=False, repr=False)
class Face:
    """The face of the person. What could not be found is None.

    Parameters
    ----------
    status : str
        ``"used"``: the face head shaped the face. Else the body head alone did, because

        - ``"off"``: the options said so,
        - ``"no_face_model"``: the bundle has no face,
        - ``"no_face"``: no face was found on the person's mask,
        - ``"no_fit"``: the face model does not fit what was found there,
        - ``"turned_away"``: it looks more than about 60 degrees away from the camera,
        - ``"covered"``: its nose, cheeks and mouth have another colour than skin,
        - ``"no_surface"``, ``"too_few_pairs"``: too little of the body's surface lies where it is seen,
        - ``"turned_too_far"``, ``"scaled_too_far"``, ``"moved_too_far"``: it fits that surface only elsewhere
          than it is seen,
        - ``"worse_than_start"``, ``"too_far_from_surface"``: it does not fit that surface.
    box : tuple of float or None
        Left, top, width, height in the upright photograph, pixels.
    score : float or None
        How sure the detector is, in [0, 1].
    landmarks : ndarray of float32, shape (5, 2), or None
        Eyes, nose tip and corners of the mouth as detected, the picture's left first; pixels.
    coefficients : ndarray of float32, shape (257,), or None
        Of the face model: 80 identity, 64 expression, 80 texture, 27 light, 6 pose (docs/conventions.md).
    yaw_deg, pitch_deg, roll_deg : float or None
        Where the face looks. A positive yaw turns it to the picture's right, a positive pitch down, a
        positive roll tilts it to the picture's left.
    vertices : ndarray of float32, shape (N, 3), or None
        The fitted face in the world, metres.
    triangles : ndarray of int32, shape (F, 3), or None
        Counter-clockwise seen from outside.
    colors : ndarray of float32, shape (N, 3), or None
        sRGB in [0, 1]: the fitted texture in the fitted light.
    alignment : FaceAlignment or None
    num_queries : int
        Points that the body head was asked for, for the surface that the face was placed on.
    """

    status: str
    box: tuple[float, float, float, float] | None = None
    score: float | None = None
    landmarks: npt.NDArray[np.float32] | None = None
    coefficients: npt.NDArray[np.float32] | None = None
    yaw_deg: float | None = None
    pitch_deg: float | None = None
    roll_deg: float | None = None
    vertices: npt.NDArray[np.float32] | None = None
    triangles: npt.NDArray[np.int32] | None = None
    colors: npt.NDArray[np.float32] | None = None
    alignment: FaceAlignment | None = None
    num_queries: int = 0

    @property
    def is_used(self) -> bool:
        """Whether the face shaped the mesh."""
        return self.status == USED

    def __repr__(self) -> str:
        return f"Face({self.status!r})"


def face_from_core(found: _core.FaceResult) -> Face:
    """The core's result as the package's."""
    face: dict[str, object] = {"status": found.status, "num_queries": found.num_queries}
    if found.detected is not None:
        box = tuple(float(side) for side in found.detected.box)
        face |= {"box": box, "score": found.detected.score, "landmarks": found.detected.landmarks}
    if found.fit is not None:
        pitch, yaw, roll = (float(angle) for angle in np.rad2deg(found.fit.angles))
        face |= {"coefficients": found.fit.coefficients}
        face |= {"yaw_deg": yaw, "pitch_deg": pitch, "roll_deg": roll}
    if found.alignment is not None:
        names = FaceAlignment.__dataclass_fields__
        face |= {"alignment": FaceAlignment(**{name: getattr(found.alignment, name) for name in names})}
        face |= {"vertices": found.vertices, "triangles": found.triangles, "colors": found.colors}
    return Face(**face)  # type: ignore[arg-type]
