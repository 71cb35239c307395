"""Builds jiffsdk._core with CMake; everything else about the package stands in pyproject.toml.

The environment variable CMAKE_ARGS adds arguments to CMake's, such as -DJIFF_CUDA=ON.
"""

import os
import shlex
import subprocess
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

SOURCE_DIR = Path(__file__).resolve().parent


class CMakeBuild(build_ext):
    """Compiles the extension by CMake into the place where setuptools expects it."""

    def build_extension(self, ext: Extension) -> None:
        output_dir = Path(self.get_ext_fullpath(ext.name)).resolve().parent
        build_dir = Path(self.build_temp).resolve() / "cmake"
        build_dir.mkdir(parents=True, exist_ok=True)
        num_jobs = self.parallel or os.environ.get("CMAKE_BUILD_PARALLEL_LEVEL") or os.cpu_count() or 1
        subprocess.run(
            [
                "cmake",
                "-S", str(SOURCE_DIR),
                "-B", str(build_dir),
                "-G", "Ninja",
                "-DCMAKE_BUILD_TYPE=Release",
                f"-DPython_EXECUTABLE={sys.executable}",
                f"-DJIFF_PYTHON_OUTPUT_DIR={output_dir}",
                *shlex.split(os.environ.get("CMAKE_ARGS", "")),
            ],
            check=True,
        )  # fmt: skip
        subprocess.run(["cmake", "--build", str(build_dir), "-j", str(num_jobs)], check=True)


setup(ext_modules=[Extension("jiffsdk._core", sources=[])], cmdclass={"build_ext": CMakeBuild})
