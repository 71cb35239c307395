"""Options, checked when they are made."""

from __future__ import annotations

import difflib
import operator
from dataclasses import dataclass

from .errors import OptionError

RESOLUTIONS = tuple(range(32, 1025, 32))
DEVICES = ("cpu", "cuda")
FACE_CHOICES = ("auto", "off")
FACE_BLENDS = ("region", "distance")
HIDDEN_COLORS = ("smooth", "network")
PRECISIONS = ("auto", "fp32", "bf16", "int8")


def _whole_number(name: str, value: object) -> int:
    try:
        return operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise OptionError(f"{name} must be a whole number, got {value!r}") from None


def one_of(name: str, value: object, allowed: tuple[str, ...]) -> None:
    """Raises OptionError unless `value` is allowed."""
    if value not in allowed:
        near = difflib.get_close_matches(str(value), allowed, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise OptionError(f"{name} must be one of {', '.join(map(repr, allowed))}, got {value!r}{hint}")


@dataclass(frozen=True)
class ReconstructionOptions:
    """How one photograph is reconstructed.

    Parameters
    ----------
    resolution : int
        Cells along a side of the frame: a multiple of 32 from 32 to 1024.
    keep_largest_component : bool
        Drop all but the connected part of the surface with the most faces.
    dense : bool
        Evaluate every lattice point instead of following the surface: slow, for checking.
    silhouette_dilation_px : int
        How far outside the silhouette the surface may lie, in pixels of the frame image.
    face : str
        ``"auto"``: the face shapes the mesh where the bundle has a face and the photograph shows one; what
        came of it is in `Reconstruction.face`. ``"off"``: the body head alone.
    face_blend : str
        How the face's head joins the body's in the rectangle around the face. ``"region"``: it answers
        alone, but for a narrow border (paper Sec. 4.5). ``"distance"``: by a share that falls with the
        distance from the fitted face.
    hidden_colors : str
        Colours of what the camera does not see. ``"smooth"``: the networks' own without details, which are
        those of the side that it sees: the face again on the back of the head, streaks along the line of
        sight. Takes 0.4 microseconds a vertex on two cores. ``"network"``: as the networks give them.
    keep_on_device : bool
        Also leave the mesh on the GPU that made it, in `Reconstruction.device_mesh`. Only with
        ``Reconstructor(device="cuda")``.

    Raises
    ------
    OptionError
        On a value that is not allowed.
    """

    resolution: int = 256
    keep_largest_component: bool = True
    dense: bool = False
    silhouette_dilation_px: int = 8
    face: str = "auto"
    face_blend: str = "region"
    hidden_colors: str = "smooth"
    keep_on_device: bool = False

    def __post_init__(self) -> None:
        resolution = _whole_number("resolution", self.resolution)
        if resolution not in RESOLUTIONS:
            nearest = min(RESOLUTIONS, key=lambda allowed: abs(allowed - resolution))
            raise OptionError(
                f"resolution must be a multiple of 32 from {RESOLUTIONS[0]} to {RESOLUTIONS[-1]}, "
                f"got {resolution}; the nearest is {nearest}"
            )
        dilation_px = _whole_number("silhouette_dilation_px", self.silhouette_dilation_px)
        if not 0 <= dilation_px <= 4096:
            raise OptionError(f"silhouette_dilation_px must be from 0 to 4096, got {dilation_px}")
        one_of("face", self.face, FACE_CHOICES)
        one_of("face_blend", self.face_blend, FACE_BLENDS)
        one_of("hidden_colors", self.hidden_colors, HIDDEN_COLORS)
        object.__setattr__(self, "resolution", resolution)
        object.__setattr__(self, "silhouette_dilation_px", dilation_px)


@dataclass(frozen=True)
class EngineOptions:
    """Which engine runs the networks, and how.

    Parameters
    ----------
    name : str
        A registered engine (`jiffsdk.engines.NAMES`), or ``"auto"``: the fastest that is installed.
    num_threads : int or None
        Threads of the engine; None leaves the choice to it. The core's own kernels take as many
        threads as the environment variable ``JIFF_NUM_THREADS`` says.
    device : str
        ``"cpu"`` or ``"cuda"``.
    precision : str
        What the networks compute in: ``"fp32"``, ``"fp16"``, ``"bf16"`` or ``"int8"``. Which of them an
        engine has on a device is in docs/export.md; one that it has not is an error. The heads run on the
        CPU beside the engine; `Reconstructor` says in what.
    keeps_memory : bool
        Whether a network keeps what it needs between input and output for its next run. OpenVINO gives it
        back otherwise and takes it anew, which costs up to 8 % of a reconstruction, in a virtual machine
        above all; kept, it is a few hundred megabytes more. The other engines keep it in any case.

    Raises
    ------
    OptionError
        On a number of threads that is not allowed.
    """

    name: str = "auto"
    num_threads: int | None = None
    device: str = "cpu"
    precision: str = "fp32"
    keeps_memory: bool = False

    def __post_init__(self) -> None:
        if self.num_threads is None:
            return
        num_threads = _whole_number("num_threads", self.num_threads)
        if not 1 <= num_threads <= 1024:
            raise OptionError(
                f"num_threads must be from 1 to 1024, got {num_threads}; None lets the engine choose"
            )
        object.__setattr__(self, "num_threads", num_threads)
