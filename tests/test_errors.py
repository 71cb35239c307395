"""Bad input meets a typed error that says what came, its value and the remedy.

One test for each case that the first release promises, through the public interface; the files beside
this one test the parts more closely.
"""

from __future__ import annotations

import inspect
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import jiffsdk
from figures import as_bytes, person, photograph
from jiffsdk import (
    BundleError,
    EngineError,
    ImageError,
    JiffError,
    MaskError,
    NoPersonError,
    OptionError,
    OutputError,
    Reconstructor,
    errors,
)
from signals import heed_interrupts

SDK_DIR = Path(jiffsdk.__file__).parent.parent


@pytest.fixture
def own_bundle(bundle_dir: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bundle_dir, tmp_path / "bundle"))


def test_not_an_image(reconstructor: Reconstructor, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not an image")
    with pytest.raises(ImageError, match=r"notes.txt' is not an image.*give a JPEG or PNG"):
        reconstructor(path)


def test_an_image_of_one_pixel(reconstructor: Reconstructor) -> None:
    with pytest.raises(ImageError, match=r"1 x 1 px; at least 64 px.*give a larger photograph"):
        reconstructor(np.zeros((1, 1, 3), np.uint8))


def test_an_empty_mask(reconstructor: Reconstructor) -> None:
    with pytest.raises(MaskError, match=r"mask of 200 x 240 px is empty.*mark the person with 255"):
        reconstructor(photograph(person()), np.zeros((240, 200), np.uint8))


def test_an_empty_alpha_channel(reconstructor: Reconstructor) -> None:
    transparent = np.dstack([photograph(person()), np.zeros((240, 200), np.uint8)])
    with pytest.raises(MaskError, match="200 x 240 px is empty"):
        reconstructor(transparent)


def test_a_mask_of_the_wrong_size(reconstructor: Reconstructor) -> None:
    with pytest.raises(MaskError, match=r"100 x 120 px, the photograph upright 200 x 240 px; give a mask"):
        reconstructor(photograph(person()), as_bytes(person(120, 100)))


def test_a_photograph_without_anybody(reconstructor: Reconstructor) -> None:
    with pytest.raises(NoPersonError, match=r"no person.*200 x 240 px.*0.00 %.*crop it closer.*mask"):
        reconstructor(photograph(np.zeros((240, 200), bool)))


def test_a_truncated_bundle_file(own_bundle: Path) -> None:
    path = own_bundle / "shape_encoder.onnx"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(BundleError, match=r"shape_encoder.onnx' has 100 bytes, the manifest says \d+; copy"):
        Reconstructor(own_bundle)


def test_a_bundle_of_a_newer_schema(own_bundle: Path) -> None:
    manifest = json.loads((own_bundle / "bundle.json").read_text())
    (own_bundle / "bundle.json").write_text(json.dumps(manifest | {"schema_version": 2}))
    with pytest.raises(BundleError, match=r"bundle.json' has schema version 2.*up to 1; upgrade jiffsdk"):
        Reconstructor(own_bundle)


def test_a_bundle_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"absent' is no bundle.*give the directory"):
        Reconstructor(tmp_path / "absent")


def test_an_unknown_engine(bundle_dir: Path) -> None:
    with pytest.raises(EngineError, match=r"unknown engine 'opnvino'; did you mean 'openvino'\?"):
        Reconstructor(bundle_dir, engine="opnvino")


def test_no_write_permission(reconstructor: Reconstructor) -> None:
    result = reconstructor(photograph(person()), resolution=32)
    with pytest.raises(OutputError, match=r"cannot write '/proc/person.glb'.*you may write"):
        result.save("/proc/person.glb")


@pytest.mark.parametrize("resolution", [100, 2048])
def test_a_resolution_that_is_not_allowed(reconstructor: Reconstructor, resolution: int) -> None:
    with pytest.raises(OptionError, match=rf"multiple of 32 from 32 to 1024.*got {resolution}; the nearest"):
        reconstructor(photograph(person()), resolution=resolution)


@pytest.mark.parametrize("wait_s", [0.0, 0.3, 0.6])
def test_an_interrupted_run_leaves_no_half_written_file(
    bundle_dir: Path, tmp_path: Path, wait_s: float
) -> None:
    photo = tmp_path / "photo.npy"
    np.save(photo, photograph(person()))
    output = tmp_path / "out"
    output.mkdir()
    script = (
        "import numpy, jiffsdk\n"
        f"rec = jiffsdk.Reconstructor({str(bundle_dir)!r})\n"
        f"photo = numpy.load({str(photo)!r})\n"
        "print('ready', flush=True)\n"
        "while True:\n"
        f"    rec(photo, resolution=128).save({str(output / 'person.obj')!r})\n"
    )
    environment = os.environ | {"PYTHONPATH": str(SDK_DIR)}
    process = subprocess.Popen(
        [sys.executable, "-c", script],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_interrupts,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(wait_s)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert "KeyboardInterrupt" in stderr
    written = [path.name for path in output.iterdir()]
    assert written in ([], ["person.obj"])
    if written:  # whole: the last line is a face of three corners
        assert len((output / "person.obj").read_text().splitlines()[-1].split()) == 4


def test_every_error_class_is_public_and_a_jiff_error() -> None:
    classes = [
        kind for _, kind in inspect.getmembers(errors, inspect.isclass) if kind.__module__ == errors.__name__
    ]
    assert len(classes) == 13
    for kind in classes:
        assert getattr(jiffsdk, kind.__name__) is kind
        assert issubclass(kind, (JiffError, UserWarning))
    assert issubclass(ImageError, ValueError) and issubclass(OptionError, ValueError)
    assert issubclass(OutputError, OSError)


def test_every_core_code_has_its_class() -> None:
    source = (Path(__file__).parent.parent / "csrc" / "core" / "status.cpp").read_text()
    names = set(re.findall(r'case ErrorCode::\w+:\s*return "(\w+)"', source))
    assert len(names) == 10
    for name in names:
        error = jiffsdk._core.Error("message")
        error.code = name
        with pytest.raises(JiffError, match="message") as caught, errors.core_errors():
            raise error
        assert type(caught.value) is not JiffError
