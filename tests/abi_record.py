"""What a compiled program relies on: the declarations of jiff.h and the layout of its structures.

    PYTHONPATH=sdk:tests python tests/abi_record.py DIRECTORY

builds the library in DIRECTORY and records them in tests/abi, with what abidw says of the library; the tests
compare later builds with that. Record again only with a new version of the interface (docs/embedding.md,
Compatibility).
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import tempfile
from pathlib import Path

import c_api
from built_library import ROOT, InstalledLibrary, build_and_install, run

DECLARATIONS_FILE = ROOT / "tests" / "abi" / "declarations.txt"
LAYOUT_FILE = ROOT / "tests" / "abi" / "layout_64bit.json"
DUMP_FILE = ROOT / "tests" / "abi" / "libjiff_x86_64.abi"

Layout = dict[str, dict[str, list[int]]]


def declarations(include_dir: Path) -> str:
    """Every declaration and macro of jiff.h as a C compiler sees it, one a line: types, names, values."""
    header = include_dir / "jiff" / "jiff.h"
    lines: list[str] = []
    is_own = False
    for line in run("cc", "-std=c99", "-DJIFF_STATIC", "-E", "-dD", f"-I{include_dir}", header).splitlines():
        place = re.match(r'# \d+ "(.*?)"', line)
        if place:
            is_own = place[1] == str(header)
        elif is_own and line.startswith("#"):
            lines.append(f"{line};")
        elif is_own:
            lines.append(line)
    text = re.sub(r"\s+", " ", " ".join(lines))
    ends = re.split(r";(?![^{]*\})", text)  # not those inside of a structure
    return "".join(f"{end.strip()}\n" for end in ends if end.strip())


def structure_layout(include_dir: Path) -> Layout:
    """Where every field of a structure begins and ends, in bytes, and the whole, as a C compiler sees it."""
    lines = []
    for name, structure in c_api.STRUCTURES.items():
        lines.append(f'printf("{name} whole 0 %zu\\n", sizeof({name}));')
        for field, *_ in structure._fields_:
            begin, size = f"offsetof({name}, {field})", f"sizeof((({name}*)0)->{field})"
            lines.append(f'printf("{name} {field} %zu %zu\\n", {begin}, {begin} + {size});')
    source = "#include <stddef.h>\n#include <stdio.h>\n#include <jiff/jiff.h>\nint main(void) {\n"
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "layout.c").write_text(source + "\n".join(lines) + "\nreturn 0;\n}\n")
        program = Path(folder) / "layout"
        run("cc", "-std=c99", f"-I{include_dir}", Path(folder) / "layout.c", "-o", program)
        printed = run(program)
    layout: Layout = {}
    for line in printed.splitlines():
        name, field, begin, end = line.split()
        layout.setdefault(name, {})[field] = [int(begin), int(end)]
    return layout


def dump(installed: InstalledLibrary, target: Path) -> None:
    """libabigail's description of the library, which its debug information tells."""
    public = ("--headers-dir", installed.prefix / "include", "--exported-interfaces-only")
    alone = ("--no-elf-needed", "--drop-undefined-syms")  # whatever OpenVINO it was built with
    anywhere = ("--no-show-locs", "--no-corpus-path", "--no-comp-dir-path")
    library = installed.shared_library
    run("abidw", *public, *alone, *anywhere, "--drop-private-types", "--out-file", target, library)


def main() -> None:
    installed = build_and_install(Path(sys.argv[1]).resolve())
    include_dir = installed.prefix / "include"
    DECLARATIONS_FILE.write_text(declarations(include_dir))
    rows = [f' "{name}": {json.dumps(fields)}' for name, fields in structure_layout(include_dir).items()]
    LAYOUT_FILE.write_text("{\n" + ",\n".join(rows) + "\n}\n")
    if shutil.which("abidw") is None:
        sys.exit("declarations and layout are recorded; for the dump install abidw (Debian: abigail-tools)")
    dump(installed, DUMP_FILE)


if __name__ == "__main__":
    main()
