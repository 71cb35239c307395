"""jiffsdk: a photograph of a person in, a textured 3-D mesh out."""

from . import engines
from ._core import __version__
from .errors import (
    BundleError,
    Cancelled,
    DeviceError,
    EmptySurfaceError,
    EngineError,
    FieldError,
    ImageError,
    JiffError,
    JiffWarning,
    MaskError,
    NoPersonError,
    OptionError,
    OutputError,
)
from .face import Face, FaceAlignment
from .options import EngineOptions, ReconstructionOptions
from .reconstructor import Reconstructor
from .result import DeviceMesh, Queries, Reconstruction

__all__ = [
    "BundleError",
    "Cancelled",
    "DeviceError",
    "DeviceMesh",
    "EmptySurfaceError",
    "EngineError",
    "EngineOptions",
    "Face",
    "FaceAlignment",
    "FieldError",
    "ImageError",
    "JiffError",
    "JiffWarning",
    "MaskError",
    "NoPersonError",
    "OptionError",
    "OutputError",
    "Queries",
    "Reconstruction",
    "ReconstructionOptions",
    "Reconstructor",
    "__version__",
    "engines",
]
