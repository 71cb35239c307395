"""Files that are written whole or not at all."""

from __future__ import annotations

import io
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import OutputError

if TYPE_CHECKING:
    from PIL import Image


def write_whole(path: str | os.PathLike[str], content: bytes) -> None:
    """Writes a file under another name beside `path`, then renames it: nothing half-written stays.

    Raises
    ------
    OutputError
        When the file cannot be written; what was at `path` before is untouched.
    """
    target = Path(path)
    partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        try:
            with open(partial, "xb") as file:
                file.write(content)
            os.replace(partial, target)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(
            f"cannot write '{target}': {error.strerror or error}; check that its folder exists, "
            f"that you may write there and that the disk has room"
        ) from error


def write_png(path: str | os.PathLike[str], image: Image.Image) -> None:
    """Writes a picture as PNG, whatever the suffix of `path`, in the same way.

    Raises
    ------
    OutputError
        When the file cannot be written.
    """
    encoded = io.BytesIO()
    image.save(encoded, "PNG")
    write_whole(path, encoded.getvalue())
