"""A bundle is written whole or not at all, and says of itself what is true."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from jiffexport.bundle import write_bundle
from jiffexport.errors import BundleError

MANIFEST = {"name": "test", "graphs": {"shape_encoder": {"file": "a.onnx"}}, "heads": {}}
FILES = {"a.onnx": b"first", "LICENSE-b.txt": b"second"}


def test_bundle_lists_every_file_with_its_size_and_hash(tmp_path: Path) -> None:
    write_bundle(tmp_path / "bundle", MANIFEST, FILES)
    manifest = json.loads((tmp_path / "bundle" / "bundle.json").read_text())
    assert manifest["schema_version"] == 1
    assert manifest["name"] == "test"
    on_disk = {path.name: path.read_bytes() for path in (tmp_path / "bundle").iterdir()}
    del on_disk["bundle.json"]
    assert on_disk == FILES
    assert manifest["files"] == {
        name: {"sha256": hashlib.sha256(content).hexdigest(), "num_bytes": len(content)}
        for name, content in FILES.items()
    }


def test_bundle_replaces_an_older_one_whole(tmp_path: Path) -> None:
    write_bundle(tmp_path / "bundle", MANIFEST, FILES | {"old.txt": b"gone"})
    write_bundle(tmp_path / "bundle", MANIFEST, FILES)
    assert {path.name for path in (tmp_path / "bundle").iterdir()} == {"bundle.json", *FILES}
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_bundle_that_fails_on_the_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_on_second_fsync(monkeypatch)
    with pytest.raises(BundleError, match="cannot be written there .disk full"):
        write_bundle(tmp_path / "bundle", MANIFEST, FILES)
    assert list(tmp_path.iterdir()) == []


def test_bundle_that_fails_on_the_way_leaves_the_older_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_bundle(tmp_path / "bundle", MANIFEST, FILES)
    before = {path.name: path.read_bytes() for path in (tmp_path / "bundle").iterdir()}
    fail_on_second_fsync(monkeypatch)
    with pytest.raises(BundleError, match="cannot be written there .disk full"):
        write_bundle(tmp_path / "bundle", MANIFEST | {"name": "newer"}, FILES)
    assert {path.name: path.read_bytes() for path in (tmp_path / "bundle").iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_bundle_that_cannot_be_moved_into_place_restores_the_older_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_bundle(tmp_path / "bundle", MANIFEST, FILES)
    rename = Path.rename

    def refuse_new(self: Path, target: Path) -> Path:
        if self.name == "new":
            raise OSError("no permission")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse_new)
    with pytest.raises(OSError, match="no permission"):
        write_bundle(tmp_path / "bundle", MANIFEST | {"name": "newer"}, FILES)
    assert json.loads((tmp_path / "bundle" / "bundle.json").read_text())["name"] == "test"
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def fail_on_second_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def fsync(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 2:
            raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fsync)


@pytest.mark.parametrize("name", ["../a.onnx", "sub/a.onnx", "bundle.json", "", ".."])
def test_bundle_refuses_file_names_that_are_not_plain(tmp_path: Path, name: str) -> None:
    with pytest.raises(BundleError, match="not a plain file name"):
        write_bundle(tmp_path / "bundle", MANIFEST, FILES | {name: b""})
    assert list(tmp_path.iterdir()) == []


def test_bundle_refuses_a_manifest_that_names_a_file_not_given(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="graphs.shape_encoder refers to 'a.onnx'"):
        write_bundle(tmp_path / "bundle", MANIFEST, {})


def test_bundle_never_replaces_something_else(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "mine.jpg").write_bytes(b"precious")
    with pytest.raises(BundleError, match="something other than a bundle"):
        write_bundle(tmp_path / "photos", MANIFEST, FILES)
    with pytest.raises(BundleError, match="is a file"):
        write_bundle(tmp_path / "photos" / "mine.jpg", MANIFEST, FILES)
    assert (tmp_path / "photos" / "mine.jpg").read_bytes() == b"precious"


def test_bundle_with_a_number_that_json_cannot_hold_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_bundle(tmp_path / "bundle", MANIFEST | {"max_abs_error": float("nan")}, FILES)
    assert list(tmp_path.iterdir()) == []
