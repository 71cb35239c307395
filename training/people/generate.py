"""Makes many subjects, in one process or in several."""

from __future__ import annotations

import multiprocessing
import os
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from training.people.assets import AssetStore
from training.people.body import load_body
from training.people.shards import is_complete, subject_folder, write_subject
from training.people.subject import Studio, SubjectOptions


@dataclass(frozen=True)
class Task:
    """One subject to make."""

    split: str
    index: int


@dataclass(frozen=True)
class _Setup:
    out: Path
    seed: int
    assets: Path
    textures: Path | None
    options: SubjectOptions


_setup: _Setup | None = None
_studio: Studio | None = None


def _start_worker(setup: _Setup) -> None:
    global _setup, _studio
    # One thread a process: the processes fill the machine.
    os.environ["IGL_NUM_THREADS"] = "1"
    _setup = setup
    _studio = Studio(setup.assets, setup.textures, setup.options)


def _make(task: Task) -> None:
    assert _setup is not None and _studio is not None
    subject = _studio.make(_setup.seed, task.split, task.index)
    folder = subject_folder(_setup.out, task.split, task.index)
    write_subject(folder, subject.samples, subject.record, subject.pictures, subject.mesh, subject.head)


def generate(
    out: Path,
    tasks: list[Task],
    seed: int,
    assets: Path,
    textures: Path | None = None,
    options: SubjectOptions | None = None,
    num_workers: int = 1,
) -> int:
    """Make the subjects that are not on disk yet; returns how many were made.

    Raises
    ------
    AssetError, BodyDataError, RenderError
        What is needed is missing; raised before any worker starts, where that can be known.
    """
    todo = [task for task in tasks if not is_complete(subject_folder(out, task.split, task.index))]
    if not todo:
        return 0
    setup = _Setup(out, seed, assets, textures, options or SubjectOptions())
    # Thread counts must be set before the libraries load in a worker.
    for name in (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "IGL_NUM_THREADS",
        "LP_NUM_THREADS",
    ):
        if num_workers > 1:
            os.environ.setdefault(name, "1")
    if num_workers == 1:
        _start_worker(setup)
        for task in tqdm(todo, unit="person"):
            _make(task)
        return len(todo)
    # The parent checks the assets and builds a missing body file once, before the workers read it.
    AssetStore(assets, textures)
    load_body(assets)
    context = multiprocessing.get_context("spawn")
    with context.Pool(num_workers, initializer=_start_worker, initargs=(setup,)) as pool:
        for _ in tqdm(pool.imap_unordered(_make, todo), total=len(todo), unit="person"):
            pass
    return len(todo)
