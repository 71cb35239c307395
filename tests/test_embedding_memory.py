"""A program that runs for days keeps its size: nothing is left behind by what was freed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from built_library import ROOT, InstalledLibrary, engine_libraries

NUM_RUNS = 100
MOST_GROWTH_MIB = 4.0

# A process of its own, so that no other test's memory is measured. Prints the MiB that it grew by.
PROGRAM = f"""
import sys
from pathlib import Path
import c_api
from figures import as_bytes, person, photograph

def resident_mib():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024

library = c_api.Library(Path(sys.argv[1]))
bundle = library.open_bundle(Path(sys.argv[2]))
reconstructor = library.create(bundle, num_threads=1)
rgb, mask = photograph(person()), as_bytes(person())
image, mask = c_api.image_view(rgb), c_api.image_view(mask)

def reconstruct():
    handle = library.reconstruct(reconstructor, image, mask, resolution=32)
    library.check(library.jiff_reconstruction_free(handle))

def create():
    library.check(library.jiff_reconstructor_free(library.create(bundle, num_threads=1)))

def open_bundle():
    library.check(library.jiff_bundle_free(library.open_bundle(Path(sys.argv[2]))))

for run in (reconstruct, create, open_bundle):
    for index in range({NUM_RUNS}):
        run()
        if index == 4:
            before = resident_mib()
    print(run.__name__, resident_mib() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="this system tells no resident memory")
def test_memory_is_flat_after_the_fifth_run(installed_library: InstalledLibrary, bundle_dir: Path) -> None:
    finished = subprocess.run(
        [sys.executable, "-c", PROGRAM, installed_library.shared_library, bundle_dir],
        env={**os.environ, "PYTHONPATH": str(ROOT / "tests"), "LD_LIBRARY_PATH": engine_libraries()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    growth_mib = {name: float(grown) for name, grown in map(str.split, finished.stdout.splitlines())}
    assert growth_mib.keys() == {"reconstruct", "create", "open_bundle"}
    assert all(grown < MOST_GROWTH_MIB for grown in growth_mib.values()), growth_mib
