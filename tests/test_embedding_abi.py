"""A program that was compiled against this version of the interface keeps working."""

from __future__ import annotations

import ctypes
import json
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import c_api
from abi_record import DECLARATIONS_FILE, DUMP_FILE, LAYOUT_FILE, declarations, dump, structure_layout
from built_library import InstalledLibrary

pytestmark = pytest.mark.skipif(sys.maxsize < 2**63 - 1, reason="the records are of 64-bit machines")
has_abidiff = pytest.mark.skipif(
    shutil.which("abidiff") is None or platform.machine() != "x86_64",
    reason="abidiff (Debian: abigail-tools) is not installed, or this is no x86_64",
)


@pytest.fixture
def include_dir(installed_library: InstalledLibrary) -> Path:
    return installed_library.prefix / "include"


def changed_headers(include_dir: Path, tmp_path: Path, old: str, new: str) -> Path:
    """A copy of the headers in which `old`, a pattern, became `new`."""
    copy = tmp_path / "include"
    shutil.copytree(include_dir, copy)
    header = copy / "jiff" / "jiff.h"
    text, count = re.subn(old, new, header.read_text(), count=1)
    assert count == 1, f"jiff.h has no {old!r}: this test changes nothing"
    header.write_text(text)
    return copy


def test_declarations_are_those_recorded(include_dir: Path) -> None:
    assert declarations(include_dir) == DECLARATIONS_FILE.read_text()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (r"const char\*\* name, double\* duration_ms", "const char** name, float* duration_ms"),
        (r"jiff_status jiff_bundle_free\(", "void jiff_bundle_free("),
        (r"JIFF_API jiff_status jiff_mesh_write\([^;]*;", ""),
        (r"JIFF_API const char\* jiff_version\(void\);", r"\g<0> JIFF_API int jiff_more(void);"),
        (r"JIFF_CANCELLED = 11", "JIFF_CANCELLED = 12"),
        (r"JIFF_BGR8 = 2,\s+JIFF_RGBA8 = 3", "JIFF_RGBA8 = 2, JIFF_BGR8 = 3"),
        (r"\{ sizeof\(jiff_image\), NULL, 0,", "{ sizeof(jiff_image), NULL, 1,"),
        (r"int32_t width_px;\s+int32_t height_px;", "int32_t height_px; int32_t width_px;"),
        (r"float fraction, void\* user_data\);", "double fraction, void* user_data);"),
    ],
)
def test_a_changed_declaration_is_noticed(include_dir: Path, tmp_path: Path, old: str, new: str) -> None:
    changed = changed_headers(include_dir, tmp_path, old, new)
    assert declarations(changed) != DECLARATIONS_FILE.read_text()


def test_comments_and_line_breaks_are_no_change(include_dir: Path, tmp_path: Path) -> None:
    changed = changed_headers(
        include_dir, tmp_path, r"int32_t width_px;", "int32_t\n\n  /* more of it */ width_px;"
    )
    assert declarations(changed) == DECLARATIONS_FILE.read_text()


def test_structures_are_laid_out_as_recorded(include_dir: Path) -> None:
    assert structure_layout(include_dir) == json.loads(LAYOUT_FILE.read_text())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (r"int32_t width_px;\s+int32_t height_px;", "int32_t height_px; int32_t width_px;"),
        (r"double size_m; ", "float size_m; "),
        (r"size_t num_warnings;", "size_t num_warnings; size_t one_more;"),
        (r"int64_t num_vertices;", "int32_t num_vertices;"),
    ],
)
def test_a_changed_layout_is_noticed(include_dir: Path, tmp_path: Path, old: str, new: str) -> None:
    changed = changed_headers(include_dir, tmp_path, old, new)
    assert structure_layout(changed) != json.loads(LAYOUT_FILE.read_text())


def test_structures_have_no_gaps_that_a_caller_could_leave_unset() -> None:
    for name, structure in c_api.STRUCTURES.items():
        end = 0
        for field, *_ in structure._fields_:
            place = getattr(structure, field)
            assert place.offset == end, f"{name}.{field}"
            end = place.offset + place.size
    # The record is the compiler's, this is ctypes': both must agree for the other tests to mean anything.
    for name, layout in json.loads(LAYOUT_FILE.read_text()).items():
        assert layout["whole"] == [0, ctypes.sizeof(c_api.STRUCTURES[name])]


def differences(before: Path, after: Path) -> str:
    """What abidiff tells of two dumps; empty where they agree."""
    compared = subprocess.run(["abidiff", before, after], capture_output=True, text=True, check=False)
    assert compared.returncode & 0b11 == 0, f"abidiff failed: {compared.stderr}"
    return compared.stdout if compared.returncode else ""


@has_abidiff
def test_abidiff_finds_no_change(installed_library: InstalledLibrary, tmp_path: Path) -> None:
    dump(installed_library, tmp_path / "now.abi")
    assert differences(DUMP_FILE, tmp_path / "now.abi") == ""


@has_abidiff
@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (r"<elf-symbol name='jiff_mesh_write'[^>]*/>", "", "1 Removed"),
        (r"(<var-decl name='width_px' type-id=)'[^']*'", r"\1'type-id-1'", "width_px"),
        (
            r"(<function-decl name='jiff_status_name'.*?<parameter type-id=)'[^']*'",
            r"\1'type-id-1'",
            "parameter 1",
        ),
    ],
)
def test_abidiff_notices_a_break(tmp_path: Path, old: str, new: str, told: str) -> None:
    text, count = re.subn(old, new, DUMP_FILE.read_text(), count=1, flags=re.DOTALL)
    assert count == 1
    (tmp_path / "broken.abi").write_text(text)
    assert told in differences(DUMP_FILE, tmp_path / "broken.abi")
