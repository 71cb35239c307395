"""Registers, shared memory and spills of the kernels, from what ptxas prints (-Xptxas -v).

python tests/cuda_resources.py BUILD_LOG
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Resources:
    """What one kernel takes on one architecture."""

    kernel: str
    architecture: str
    registers: int
    spilled_bytes: int
    stack_bytes: int
    shared_bytes: int


_ENTRY = re.compile(r"Compiling entry function '(\w+)' for '(sm_\w+)'")
_SPILLS = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
_USED = re.compile(r"Used (\d+) registers(?:.*?(\d+) bytes smem)?")


def parse(log: str) -> list[Resources]:
    """Every kernel in a log of nvcc or of a build."""
    found, entry, stack = [], None, (0, 0, 0)
    for line in log.splitlines():
        if match := _ENTRY.search(line):
            entry = match.groups()
        elif match := _SPILLS.search(line):
            stack = tuple(int(number) for number in match.groups())
        elif (match := _USED.search(line)) and entry:
            name, architecture = entry
            shared = int(match.group(2) or 0)
            spilled = stack[1] + stack[2]
            found.append(Resources(name, architecture, int(match.group(1)), spilled, stack[0], shared))
            entry, stack = None, (0, 0, 0)
    return found


def readable(kernel: str) -> str:
    """A mangled name without its parameters."""
    tool = shutil.which("c++filt")
    if tool is None:
        return kernel
    name = subprocess.run([tool, kernel], capture_output=True, text=True, check=True).stdout.strip()
    return re.sub(r"\(anonymous namespace\)::|jiff::cuda::|void |\(.*", "", name)


def main() -> None:
    rows = sorted(parse(Path(sys.argv[1]).read_text()), key=lambda row: (row.kernel, row.architecture))
    print(f"{'kernel':44} {'arch':7} registers  stack  spilled  static shared")
    for row in rows:
        print(
            f"{readable(row.kernel)[:44]:44} {row.architecture:7} {row.registers:9} {row.stack_bytes:6} "
            f"{row.spilled_bytes:8} {row.shared_bytes:14}"
        )


if __name__ == "__main__":
    main()
