"""A program that was compiled against this version of the interface keeps working."""

from __future__ import annotations

import ctypes
import json
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import c_api
from abi_record import DUMP_FILE, LAYOUT_FILE, dump, structure_layout
from built_library import InstalledLibrary

pytestmark = pytest.mark.skipif(sys.maxsize < 2**63 - 1, reason="the records are of 64-bit machines")


def test_structures_are_laid_out_as_recorded(installed_library: InstalledLibrary) -> None:
    assert structure_layout(installed_library.prefix) == json.loads(LAYOUT_FILE.read_text())


def test_structures_have_no_gaps_that_a_caller_could_leave_unset() -> None:
    for name, structure in c_api.STRUCTURES.items():
        end = 0
        for field, *_ in structure._fields_:
            place = getattr(structure, field)
            assert place.offset == end, f"{name}.{field}"
            end = place.offset + place.size
    # The record is the compiler's, this is ctypes': both must agree for the other tests to mean anything.
    for name, layout in json.loads(LAYOUT_FILE.read_text()).items():
        assert layout["size"] == ctypes.sizeof(c_api.STRUCTURES[name])


@pytest.mark.skipif(
    shutil.which("abidiff") is None, reason="abidiff (Debian: abigail-tools) is not installed"
)
@pytest.mark.skipif(platform.machine() != "x86_64", reason="the dump is of x86_64")
def test_abidiff_finds_no_change(installed_library: InstalledLibrary, tmp_path: Path) -> None:
    dump(installed_library, tmp_path / "now.abi")
    compared = subprocess.run(
        ["abidiff", DUMP_FILE, tmp_path / "now.abi"], capture_output=True, text=True, check=False
    )
    assert compared.returncode == 0, compared.stdout
