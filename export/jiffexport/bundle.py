"""Writes a bundle: all of it or nothing.

The directory is assembled beside its destination and renamed into place, so that no reader ever sees
half of one and an interrupted export leaves the previous bundle as it was.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from .errors import BundleError

SCHEMA_VERSION = 1
MANIFEST = "bundle.json"


def write_bundle(
    directory: Path,
    manifest: Mapping[str, Any],
    files: Mapping[str, bytes],
    check: Callable[[Path], None] | None = None,
) -> None:
    """Writes `files` and `bundle.json` to `directory`, atomically.

    Parameters
    ----------
    directory
        Is made; an older bundle there is replaced.
    manifest
        All of `docs/bundle.md` but `schema_version` and `files`, which are filled in here.
    files
        Contents by plain file name. Every file that the manifest refers to must be among them.
    check
        Is given the assembled bundle, and may raise to keep it from its place.

    Raises
    ------
    BundleError
        If a file name is not plain, a file that the manifest names is not given, `directory` exists and is
        something other than a bundle, or the disk refuses. Nothing is left behind.
    """
    _check_files(manifest, files)
    _check_destination(directory)
    described = {
        "schema_version": SCHEMA_VERSION,
        **manifest,
        "files": {
            name: {"sha256": hashlib.sha256(content).hexdigest(), "num_bytes": len(content)}
            for name, content in sorted(files.items())
        },
    }
    text = json.dumps(described, indent=2, allow_nan=False) + "\n"
    directory.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
    try:
        assembled = scratch / "new"
        _write_all(assembled, {**files, MANIFEST: text.encode()})
        if check is not None:
            check(assembled)
        _swap(assembled, directory, scratch / "old")
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def read_bundle(directory: Path) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The manifest and the files of a bundle, as `write_bundle` takes them.

    Raises
    ------
    BundleError
        If there is no bundle of this schema, or a file of it is missing or altered; the message names it.
    """
    path = directory / MANIFEST
    try:
        manifest = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise BundleError(f"{path}: not a readable manifest ({error})") from error
    if not isinstance(manifest, dict) or manifest.pop("schema_version", None) != SCHEMA_VERSION:
        raise BundleError(f"{path}: not a manifest of schema version {SCHEMA_VERSION}")
    files = {}
    for name, record in manifest.pop("files", {}).items():
        try:
            files[name] = (directory / name).read_bytes()
        except OSError as error:
            raise BundleError(f"{directory / name}: cannot be read ({error})") from error
        if hashlib.sha256(files[name]).hexdigest() != record["sha256"]:
            raise BundleError(f"{directory / name}: was altered, its sha256 is not the manifest's")
    return manifest, files


def _check_files(manifest: Mapping[str, Any], files: Mapping[str, bytes]) -> None:
    for name in files:
        if name in ("", ".", "..", MANIFEST) or Path(name).name != name:
            raise BundleError(f"{name!r} is not a plain file name that a bundle may hold")
    for part, file in files_named(manifest):
        if file not in files:
            raise BundleError(f"{part} refers to {file!r}, which is not given")


def files_named(value: Any, part: str = "") -> Iterator[tuple[str, str]]:
    """Every part of a manifest that has a `file`, as `section.part`, and its file."""
    if isinstance(value, list):
        value = dict(enumerate(value))
    if not isinstance(value, Mapping):
        return
    if "file" in value:
        yield part, value["file"]
    for key, inner in value.items():
        yield from files_named(inner, f"{part}.{key}" if part else str(key))


def _check_destination(directory: Path) -> None:
    if not directory.exists():
        return
    if not directory.is_dir():
        raise BundleError(f"{directory}: is a file; give a directory")
    if any(directory.iterdir()) and not (directory / MANIFEST).is_file():
        raise BundleError(f"{directory}: holds something other than a bundle; give a new or empty directory")


def _write_all(directory: Path, files: Mapping[str, bytes]) -> None:
    try:
        directory.mkdir()
        for name, content in files.items():
            _write(directory / name, content)
    except OSError as error:
        size_mb = sum(map(len, files.values())) / 1e6
        raise BundleError(
            f"{directory.parent.parent}: a bundle of {size_mb:.1f} MB cannot be written there ({error})"
        ) from error


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def _swap(new: Path, directory: Path, old: Path) -> None:
    """Puts `new` in the place of `directory`, which is restored if that fails."""
    existed = directory.exists()
    if existed:
        directory.rename(old)
    try:
        new.rename(directory)
    except OSError:
        if existed:
            old.rename(directory)
        raise
