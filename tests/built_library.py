"""Builds and installs libjiff with the engines of this environment, for tests and benchmarks."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
# The environment's own cmake and ninja, also where it was not activated.
PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])


def openvino_libraries() -> str:
    """Where a program finds the engine at run time: the wheel is on no system path."""
    return str(Path(openvino_cmake_dir()).parent / "libs")


def engine_libraries() -> str:
    """The same for all engines of this environment, for LD_LIBRARY_PATH."""
    torch = package_dir("torch")
    openvino = [openvino_libraries()] if package_dir("openvino") is not None else []
    return os.pathsep.join([*openvino, *([str(torch / "lib")] if torch is not None else [])])


def openvino_cmake_dir() -> Path:
    """Where the installed OpenVINO keeps its CMake package."""
    import openvino

    return Path(openvino.__file__).parent / "cmake"


def package_dir(package: str) -> Path | None:
    """Where an installed package lies, which is not imported; nothing without it."""
    found = importlib.util.find_spec(package)
    return Path(found.origin).parent if found is not None and found.origin is not None else None


def onnxruntime_library() -> Path | None:
    """The library in ONNX Runtime's wheel; nothing without it."""
    package = package_dir("onnxruntime")
    found = sorted((package / "capi").glob("libonnxruntime.so.*")) if package is not None else []
    return found[0] if found else None


def engine_options() -> list[str]:
    """For CMake: where the engines lie that this environment has beside OpenVINO."""
    options = [f"-DOpenVINO_DIR={openvino_cmake_dir()}", "-DJIFF_ENGINE_OPENVINO=ON"]
    if (onnxruntime := onnxruntime_library()) is not None:
        options.append(f"-DJIFF_ONNXRUNTIME_LIBRARY={onnxruntime}")
    if (torch := package_dir("torch")) is not None:
        options += [f"-DJIFF_TORCH_ROOT={torch}", "-DJIFF_ENGINE_TORCHSCRIPT=ON"]
    return options


def run(*command: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    """Runs a program; what it printed. Its whole output is in the error when it fails."""
    program = shutil.which(str(command[0]), path=PATH) or str(command[0])
    finished = subprocess.run(
        [program, *(str(part) for part in command[1:])],
        cwd=cwd,
        env={**os.environ, "PATH": PATH, "LD_LIBRARY_PATH": engine_libraries(), **(env or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if finished.returncode != 0:
        raise RuntimeError(f"{command} failed with {finished.returncode}:\n{finished.stdout}")
    return finished.stdout


@dataclass(frozen=True)
class InstalledLibrary:
    """An installed tree and where it was built.

    Parameters
    ----------
    prefix : path
        What ``CMAKE_PREFIX_PATH`` names.
    build_dir : path
        Test programs and examples are in it.
    """

    prefix: Path
    build_dir: Path

    @property
    def shared_library(self) -> Path:
        return self.prefix / "lib" / "libjiff.so"


def configure(source_dir: Path, build_dir: Path, *options: str, generator: str = "Ninja") -> None:
    """Configures with a compiler cache where there is one."""
    launcher = shutil.which("ccache")
    cached = [f"-DCMAKE_{language}_COMPILER_LAUNCHER={launcher}" for language in ("C", "CXX") if launcher]
    run("cmake", "-S", source_dir, "-B", build_dir, "-G", generator, *cached, *options)


def build_and_install(directory: Path) -> InstalledLibrary:
    """Builds libjiff, its examples and its test programs in `directory`; reuses what is there."""
    build_dir, prefix = directory / "build", directory / "prefix"
    configure(
        ROOT,
        build_dir,
        "-DCMAKE_BUILD_TYPE=Release",
        "-DJIFF_BUILD_PYTHON=OFF",
        "-DJIFF_BUILD_LIBRARY=ON",
        "-DJIFF_BUILD_EXAMPLES=ON",
        "-DJIFF_BUILD_TESTS=ON",
        *engine_options(),
        f"-DCMAKE_INSTALL_PREFIX={prefix}",
        "-DCMAKE_INSTALL_LIBDIR=lib",
    )
    run("cmake", "--build", build_dir)
    run("cmake", "--install", build_dir)
    return InstalledLibrary(prefix, build_dir)
