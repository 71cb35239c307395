"""Photographs and masks from whatever holds them."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Protocol, Union

import numpy as np
import numpy.typing as npt

from . import _core
from .engines.device_array import DeviceArray, on_host
from .errors import ImageError, JiffError, MaskError, core_errors

if TYPE_CHECKING:
    from PIL import Image

    class ArrayOfOthers(Protocol):
        """An array of CuPy, PyCUDA, torch or JAX."""

        @property
        def shape(self) -> Any: ...


Bytes = npt.NDArray[np.uint8]
ImageSource = Union[
    str, "os.PathLike[str]", bytes, IO[bytes], "Image.Image", npt.NDArray[Any], DeviceArray, "ArrayOfOthers"
]

LEAST_SIDE_PX = 64
MOST_PIXELS = 80_000_000


@dataclass(frozen=True, eq=False)
class Photo:
    """A decoded photograph, upright.

    Parameters
    ----------
    rgb : ndarray of uint8, shape (H, W, 3)
        sRGB.
    alpha : ndarray of uint8, shape (H, W), or None
        None where the image has no alpha channel or one that is opaque everywhere.
    """

    rgb: Bytes
    alpha: Bytes | None


def load_photo(source: ImageSource) -> Photo:
    """Decodes a photograph.

    Parameters
    ----------
    source : path, bytes, binary file, PIL image or array
        Files of any kind that Pillow reads; EXIF orientation is applied. Arrays have shape (H, W),
        (H, W, 3) or (H, W, 4) and hold uint8, or floats in [0, 1]. Those of CuPy, PyCUDA, torch or JAX may
        lie on the GPU, where this build has CUDA; they are copied to the host once.

    Returns
    -------
    Photo

    Raises
    ------
    ImageError
        When the source is no image, is damaged, or is smaller than 64 px or larger than 80 megapixels.
    """
    array = _array_of(source, "image", ImageError)
    if array is not None:
        values = _to_bytes(array, "image", ImageError)
        if values.ndim == 2:
            values = np.repeat(values[..., None], 3, axis=2)
        if values.ndim != 3 or values.shape[2] not in (3, 4):
            raise ImageError(
                f"an image array must have shape (H, W), (H, W, 3) or (H, W, 4), got {array.shape}"
            )
        _check_size(values.shape[1], values.shape[0], "the image array")
    else:
        image = _open(source, "image", ImageError)
        _check_size(image.width, image.height, _describe(source))
        image = _decode(image, source, ImageError)
        values = np.asarray(image.convert("RGBA" if _has_alpha(image) else "RGB"))
    rgb = np.ascontiguousarray(values[..., :3])
    alpha = np.ascontiguousarray(values[..., 3]) if values.shape[2] == 4 else None
    if alpha is not None and alpha.min() == 255:
        alpha = None
    return Photo(rgb, alpha)


def load_mask(source: ImageSource, width_px: int, height_px: int) -> Bytes:
    """Decodes a mask of a photograph: 255 marks the person.

    Parameters
    ----------
    source : path, bytes, binary file, PIL image or array
        Of an image file with transparency the alpha channel counts, of any other its brightness.
        Arrays have shape (H, W) and hold bool, uint8 (0 … 255, or only 0 and 1), or floats in [0, 1]; they
        may be those of other packages as in `load_photo`.
    width_px, height_px : int
        Size of the upright photograph.

    Returns
    -------
    ndarray of uint8, shape (height_px, width_px)

    Raises
    ------
    MaskError
        When the mask cannot be read or has another size than the photograph.
    """
    array = _array_of(source, "mask", MaskError)
    if array is not None:
        values = _to_bytes(array, "mask", MaskError)
        if values.ndim == 3 and values.shape[2] == 1:
            values = values[..., 0]
        if values.ndim != 2:
            raise MaskError(f"a mask array must have shape (H, W), got {array.shape}")
        if array.dtype == np.uint8 and values.size and values.max() == 1:
            values = values * np.uint8(255)
    else:
        image = _decode(_open(source, "mask", MaskError), source, MaskError)
        grey = image.convert("RGBA").getchannel("A") if _has_alpha(image) else image.convert("L")
        values = np.asarray(grey)
    if values.shape != (height_px, width_px):
        raise MaskError(
            f"the mask is {values.shape[1]} x {values.shape[0]} px, the photograph upright "
            f"{width_px} x {height_px} px; give a mask of the photograph's size"
        )
    return np.ascontiguousarray(values)


def _array_of(source: Any, role: str, error: type[JiffError]) -> npt.NDArray[Any] | None:
    """An array of any package as one of NumPy; None for what is no array."""
    try:
        given = DeviceArray.of(source)
    except ValueError as reason:
        raise error(f"{_article(role)} array cannot be read: {reason}; make it contiguous") from None
    if given is None:
        host = on_host(source)
        return host if isinstance(host, np.ndarray) else None
    if not hasattr(_core, "copy_from_gpu"):
        raise error(
            f"{_article(role)} array lies on a GPU and this build of jiffsdk has no CUDA; copy it to the host"
        )
    array = np.empty(given.shape, given.dtype)
    with core_errors():
        _core.copy_from_gpu(given.pointer, array)
    return array


def _to_bytes(array: npt.NDArray[Any], role: str, error: type[JiffError]) -> npt.NDArray[Any]:
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype.kind == "f" and array.size:
        low, high = array.min(), array.max()
        if low >= 0.0 and high <= 1.0:  # false for NaN as well
            return np.rint(array * 255.0).astype(np.uint8)
        raise error(
            f"floats of {_article(role)} array must lie in [0, 1], got {low:g} to {high:g}; "
            f"divide by their range"
        )
    raise error(
        f"{_article(role)} array must hold uint8 or floats in [0, 1], got {array.dtype} "
        f"of shape {array.shape}; convert it"
    )


def _article(role: str) -> str:
    return f"{'an' if role == 'image' else 'a'} {role}"


def _describe(source: object) -> str:
    if isinstance(source, (str, os.PathLike)):
        return f"'{os.fspath(source)}'"
    if isinstance(source, (bytes, bytearray, memoryview)):
        return f"the image of {len(source)} bytes"
    return f"the given {type(source).__name__}"


def _check_size(width_px: int, height_px: int, what: str) -> None:
    if min(width_px, height_px) < LEAST_SIDE_PX:
        raise ImageError(
            f"{what} is {width_px} x {height_px} px; at least {LEAST_SIDE_PX} px on each side are needed: "
            f"give a larger photograph"
        )
    if width_px * height_px > MOST_PIXELS:
        raise ImageError(
            f"{what} is {width_px} x {height_px} px, more than {MOST_PIXELS // 1_000_000} megapixels; "
            f"scale it down"
        )


def _open(source: Any, role: str, error: type[JiffError]) -> Image.Image:
    from PIL import Image

    if isinstance(source, Image.Image):
        return source
    if isinstance(source, (bytes, bytearray, memoryview)):
        stream: Any = io.BytesIO(source)
    elif isinstance(source, (str, os.PathLike)) or hasattr(source, "read"):
        stream = source
    else:
        raise error(
            f"{_article(role)} must be a path, bytes, a binary file, a PIL image or an array, "
            f"got {type(source).__name__}"
        )
    what = _describe(source)
    try:
        return Image.open(stream)
    except FileNotFoundError:
        raise error(f"there is no file {what}; check the path") from None
    except Image.UnidentifiedImageError:
        raise error(f"{what} is not an image that Pillow knows; give a JPEG or PNG file") from None
    except Image.DecompressionBombError as bomb:
        raise error(f"{what} is refused as too large ({bomb}); scale it down") from None
    except (OSError, ValueError, TypeError, SyntaxError) as reason:
        raise error(f"{what} cannot be opened as an image: {reason}; give a JPEG or PNG file") from reason


def _decode(image: Image.Image, source: Any, error: type[JiffError]) -> Image.Image:
    """Reads the pixels, turns them upright, and brings 16-bit greys to 8 bits."""
    from PIL import Image, ImageOps

    what = _describe(source)
    if image.width * image.height > MOST_PIXELS:  # before any pixel is decoded
        raise error(f"{what} is {image.width} x {image.height} px, too large; scale it down")
    try:
        image = ImageOps.exif_transpose(image)
        image.load()
    except (OSError, SyntaxError, ValueError, IndexError, EOFError, Image.DecompressionBombError) as reason:
        raise error(f"{what} is damaged or incomplete: {reason}; save or download it again") from reason
    if image.mode.startswith("I"):
        greys = np.asarray(image).astype(np.float64)
        full = 65535.0 if greys.size and greys.max() > 255 else 255.0
        return Image.fromarray(np.rint(np.clip(greys / full, 0.0, 1.0) * 255.0).astype(np.uint8))
    if image.mode == "F":
        raise error(f"{what} holds floating-point pixels; save it with 8 or 16 bits")
    return image


def _has_alpha(image: Image.Image) -> bool:
    return image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info
