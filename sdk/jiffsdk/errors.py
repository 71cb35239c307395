"""Every error that this package raises on purpose.

Each message says what came, its value and the remedy.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from . import _core


class JiffError(Exception):
    """Base of all errors of this package."""


class ImageError(JiffError, ValueError):
    """A photograph that cannot be used: not an image, truncated, too small, too large."""


class MaskError(JiffError, ValueError):
    """A mask that is empty, of the wrong size, or missing where one is needed."""


class NoPersonError(JiffError):
    """Nobody was found in the photograph."""


class BundleError(JiffError):
    """A bundle file is missing, altered, truncated or of a newer schema."""


class EngineError(JiffError):
    """An engine is unknown, not installed, or failed."""


class DeviceError(JiffError):
    """A GPU is missing, too old, out of memory or failed."""


class OptionError(JiffError, ValueError):
    """An option that is not allowed."""


class EmptySurfaceError(JiffError):
    """The implicit function has no surface inside the frame."""


class FieldError(JiffError):
    """A network returned a value that is not a number."""


class OutputError(JiffError, OSError):
    """A result could not be written."""


class Cancelled(JiffError):
    """The progress callback asked to stop."""


class JiffWarning(UserWarning):
    """The result stands, but may not be what was wanted."""


_BY_CODE: dict[str, type[JiffError]] = {
    "invalid_argument": OptionError,
    "invalid_image": ImageError,
    "invalid_mask": MaskError,
    "no_person": NoPersonError,
    "empty_surface": EmptySurfaceError,
    "invalid_field": FieldError,
    "bundle": BundleError,
    "engine": EngineError,
    "device": DeviceError,
    "cancelled": Cancelled,
}


@contextmanager
def core_errors() -> Iterator[None]:
    """Raises errors of the C++ core as the classes of this module."""
    try:
        yield
    except _core.Error as error:
        raise _BY_CODE.get(error.code, JiffError)(str(error)) from None
