"""Runs what is compiled under a sanitizer: the C API program, and the operators through their Python tests.

    python tests/run_sanitized.py asan|tsan [TEST…]

builds the preset of that name (docs/embedding.md) in build/asan or build/tsan, with the Python module beside
the programs. `c_api_stress` then runs by itself, with LeakSanitizer where the preset has it, and the tests
run in an interpreter that has the sanitizer's runtime loaded first. Without TEST these are the operators'
tests. What OpenVINO, which is not compiled so, leads the sanitizers to say is left out by
tests/sanitizers/*.supp, where the reasons stand.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from built_library import PATH, ROOT, openvino_cmake_dir, openvino_libraries
from synthetic_bundle import write_bundle

PACKAGE = ROOT / "sdk" / "jiffsdk"
SUPPRESSIONS = ROOT / "tests" / "sanitizers"
RUNTIMES = {"asan": ("libasan.so", "libubsan.so"), "tsan": ("libtsan.so",)}
OPERATOR_TESTS = sorted(str(path) for path in (ROOT / "tests").glob("test_ops_*.py"))


def settings(preset: str, *, leaks: bool) -> dict[str, str]:
    """Variables that the sanitizers' runtimes read; threads enough for them to meet."""
    return {
        # No detect_stack_use_after_return: GCC before 13.3 then puts vectors of 64 bytes where they must not
        # be (its bug 110027), and kernels of AVX-512 crash.
        "ASAN_OPTIONS": f"detect_leaks={int(leaks)}:halt_on_error=1",
        "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
        "TSAN_OPTIONS": f"suppressions={SUPPRESSIONS / 'threads.supp'}:halt_on_error=1",
        # OpenVINO's threading library else loads a part of itself in a way that sanitizers refuse.
        "TBB_ENABLE_SANITIZERS": "1",
        "JIFF_NUM_THREADS": "4",
        # NumPy's and torch's own threads, which are not compiled so, look like races.
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "PATH": PATH,
        "LD_LIBRARY_PATH": openvino_libraries(),
    }


def run(*command: str | Path, **variables: str) -> None:
    print("+", *command, flush=True)
    # A fixed layout of the address space: ThreadSanitizer of GCC 12 and clang 14 knows no other.
    fixed = ["setarch", "-R"] if shutil.which("setarch") else []
    subprocess.run([*fixed, *map(str, command)], cwd=ROOT, env={**os.environ, **variables}, check=True)


def build(preset: str) -> Path:
    """Configures and builds; the package with the module that was built, as links to its other parts."""
    package = ROOT / "build" / preset / "sdk" / "jiffsdk"
    package.mkdir(parents=True, exist_ok=True)
    for part in PACKAGE.iterdir():
        link = package / part.name
        if not part.name.startswith(("_core", "__pycache__")) and not link.exists():
            link.symlink_to(part)
    launcher = shutil.which("ccache")
    cached = [f"-DCMAKE_{language}_COMPILER_LAUNCHER={launcher}" for language in ("C", "CXX") if launcher]
    options = (
        f"-DOpenVINO_DIR={openvino_cmake_dir()}",
        "-DJIFF_BUILD_PYTHON=ON",
        f"-DJIFF_PYTHON_OUTPUT_DIR={package}",
        f"-DPython_EXECUTABLE={sys.executable}",
    )
    run("cmake", "--preset", preset, "-G", "Ninja", *options, *cached, PATH=PATH)
    run("cmake", "--build", ROOT / "build" / preset, PATH=PATH)
    return package.parent


def runtimes(preset: str) -> str:
    """For LD_PRELOAD. The C++ library comes with them: what throws is intercepted when they start."""
    names = (*RUNTIMES[preset], "libstdc++.so")
    asked = [
        subprocess.run(["gcc", f"-print-file-name={name}"], capture_output=True, text=True, check=True)
        for name in names
    ]
    return ":".join(str(Path(answer.stdout.strip()).resolve()) for answer in asked)


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1] not in RUNTIMES:
        sys.exit(__doc__)
    preset, tests = sys.argv[1], sys.argv[2:] or OPERATOR_TESTS
    packages = build(preset)
    with tempfile.TemporaryDirectory() as folder:
        bundle = write_bundle(Path(folder) / "bundle")
        program = ROOT / "build" / preset / "tests" / "cpp" / "c_api_stress"
        run(program, bundle, **settings(preset, leaks=True))
    # Python and NumPy keep what they allocate until the process ends. pytest must not capture what a
    # sanitizer says: it ends the process.
    interpreter = (sys.executable, "-m", "pytest", "-q", "-x", "--capture=no", "-p", "no:cacheprovider")
    run(
        *interpreter,
        *("-o", f"pythonpath={packages} export tests ."),
        *tests,
        **settings(preset, leaks=False),
        LD_PRELOAD=runtimes(preset),
        PYTHONMALLOC="malloc",
    )


if __name__ == "__main__":
    main()
