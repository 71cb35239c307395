#!/usr/bin/env bash
# Everything that needs a GPU, in one command and without network:
#
#     bash benchmarks/gpu_check.sh [FOLDER]
#
# builds the kernels for the GPU at hand, runs the tests of the GPU against the CPU's references, again under
# compute-sanitizer where that is, and measures. FOLDER (build/gpu unless given) receives the build, the logs
# and gpu.json. Needs nvcc, cmake, ninja, a C++17 compiler, and a Python ($PYTHON, or python3) with torch, NumPy,
# pybind11, pytest, hypothesis, Pillow, onnx and onnxruntime. JIFF_GPU_ENGINE names the engine of the networks for
# the measurement, JIFF_GPU_BUNDLE a bundle that holds its files, JIFF_GPU_PAPER another one to measure, as
# benchmarks/paper_bundle.py makes it. Takes some minutes for one architecture.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=${PYTHON:-python3}
folder=$(realpath -m "${1:-build/gpu}")
mkdir -p "$folder"
step() { printf '\n== %s (%s s)\n' "$1" "$SECONDS"; }

step "the GPU"
nvidia-smi --query-gpu=name,compute_cap,driver_version,memory.total --format=csv
capability=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -n 1 | tr -d .)

step "build for compute capability $capability"
package=$folder/package/jiffsdk
mkdir -p "$package"
for path in sdk/jiffsdk/*; do
  case $path in */_core.*|*/__pycache__) ;; *) ln -sfn "$PWD/$path" "$package/$(basename "$path")" ;; esac
done
cmake -S . -B "$folder/build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DJIFF_CUDA=ON \
  -DJIFF_CUDA_ARCHITECTURES="$capability" -DPython_EXECUTABLE="$("$python" -c 'import sys; print(sys.executable)')" \
  -DJIFF_PYTHON_OUTPUT_DIR="$package" -DJIFF_BUILD_LIBRARY=ON -DJIFF_BUILD_STATIC=OFF \
  -DJIFF_TORCH_ROOT="$("$python" -c 'import pathlib, torch; print(pathlib.Path(torch.__file__).parent)')" \
  >"$folder/cmake.log"
cmake --build "$folder/build" 2>&1 | tee "$folder/build.log" | grep -E "error|warning|FAILED" || true
"$python" tests/cuda_resources.py "$folder/build.log"

export PYTHONPATH=$folder/package:export:tests:. JIFF_CUDA_LIBRARY=$folder/build/libjiff.so
tests=(tests/test_cuda_device.py tests/test_cuda_heads.py tests/test_cuda_ops.py tests/test_cuda_surface.py
  tests/test_cuda_pipeline.py tests/test_cuda_library.py tests/test_cuda_warpgroup_plan.py
  tests/test_ops_hidden_colors.py)
pytest=("$python" -m pytest -q -p no:cacheprovider -o "pythonpath=$folder/package export tests .")

step "tests against the CPU"
status=0
"${pytest[@]}" "${tests[@]}" 2>&1 | tee "$folder/tests.log" || status=1

step "measure"
"$python" benchmarks/gpu.py --engine "${JIFF_GPU_ENGINE:-onnxruntime}" ${JIFF_GPU_BUNDLE:+--bundle "$JIFF_GPU_BUNDLE"} \
  ${JIFF_GPU_PAPER:+--paper "$JIFF_GPU_PAPER"} \
  --json "$folder/gpu.json" 2>&1 | tee "$folder/gpu.log" || status=1

if command -v compute-sanitizer >/dev/null; then
  for tool in memcheck racecheck; do
    step "compute-sanitizer $tool"
    timeout 180 compute-sanitizer --tool "$tool" --error-exitcode 7 "${pytest[@]}" tests/test_cuda_heads.py \
      tests/test_cuda_surface.py tests/test_cuda_ops.py tests/test_ops_hidden_colors.py \
      -k "not noise and not fit and not cpu" \
      >"$folder/$tool.log" 2>&1 || { status=1; echo "$tool: see $folder/$tool.log"; }
    tail -n 3 "$folder/$tool.log"
  done
else
  echo "compute-sanitizer is not installed: memory accesses and races were not checked"
fi
step "done, status $status"
exit "$status"
