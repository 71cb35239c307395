# Everything one does in a checkout. `make` alone lists the targets.
#
# The first run of a target makes a virtual environment in .venv and compiles the core into it; a stamp
# file remembers that, so later runs start at once until the build description or a C++ source changes.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

BUILD_INPUTS := pyproject.toml setup.py VERSION CMakeLists.txt \
  $(shell find cmake csrc bindings third_party -type f 2>/dev/null)
CXX_FILES = $(shell find csrc bindings tests \( -name '*.h' -o -name '*.hpp' -o -name '*.c' -o -name '*.cpp' -o -name '*.inl' -o -name '*.cu' -o -name '*.cuh' \))
EXAMPLES := $(wildcard examples/*.jpg examples/*.png)

.PHONY: help demo test lint sanitize bench clean
.DELETE_ON_ERROR:

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /make \1\t/p' Makefile | expand -t 16

demo: $(VENV)/.installed-demo  ## reconstruct the pictures in examples/; writes out/*.glb and out/*.png
	@mkdir -p out
	@set -e; for photo in $(EXAMPLES); do \
	  name=$$(basename "$${photo%.*}"); \
	  $(BIN)/jiff reconstruct "$$photo" -o "out/$$name.glb" --preview "out/$$name.png"; \
	done
	@echo "Meshes (.glb) and previews (.png) are in $(CURDIR)/out:"
	@ls -1 out

test: $(VENV)/.installed-test  ## run all tests
	$(BIN)/python -m pytest

lint: $(VENV)/.installed-lint  ## check style and types, change nothing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run -Werror $(CXX_FILES)

sanitize: $(VENV)/.installed-test  ## run the compiled code under AddressSanitizer, then ThreadSanitizer
	$(BIN)/python tests/run_sanitized.py asan
	$(BIN)/python tests/run_sanitized.py tsan

bench: $(VENV)/.installed-test  ## time the operators and the pipeline on this machine, in under ten minutes
	$(BIN)/python benchmarks/implicit_query.py --num-points 10000 --repeats 2
	$(BIN)/python benchmarks/surface.py --resolutions 128 256 --repeats 1
	$(BIN)/python benchmarks/face_operators.py
	$(BIN)/python benchmarks/pipeline.py --repeats 1 --batches 1

clean:  ## remove the environment and all that was built; keeps out/
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	rm -f sdk/jiffsdk/_core*.so
	rm -rf sdk/*.egg-info
	find sdk export training tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# What a target needs beside the package itself.
EXTRAS_demo :=
EXTRAS_test := [test,export,training]
EXTRAS_lint := [dev]

$(VENV)/.installed-%: $(BUILD_INPUTS)
	@echo "Installing jiffsdk$(EXTRAS_$*) into $(VENV); this compiles the core and takes a few minutes."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --no-input --disable-pip-version-check --editable '.$(EXTRAS_$*)'
	@touch $@
