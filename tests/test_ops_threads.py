"""The thread pool: every chunk once, exceptions home, any number of callers."""

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from jiffsdk import _core


@pytest.mark.parametrize("num_chunks", [0, 1, 2, 7, 500])
def test_every_chunk_runs_once(num_chunks: int) -> None:
    seen: list[int] = []
    _core.parallel_for(num_chunks, seen.append)
    assert sorted(seen) == list(range(num_chunks))


def test_no_more_threads_work_than_the_pool_has() -> None:
    threads: set[int] = set()
    _core.parallel_for(200, lambda chunk: threads.add(threading.get_ident()))
    assert 1 <= len(threads) <= _core.num_threads()


def test_an_exception_stops_the_work_and_arrives() -> None:
    seen = []

    def run(chunk: int) -> None:
        seen.append(chunk)
        if chunk == 3:
            raise KeyError("chunk three")

    with pytest.raises(KeyError, match="chunk three"):
        _core.parallel_for(100_000, run)
    assert len(seen) < 100_000
    again: list[int] = []
    _core.parallel_for(10, again.append)
    assert len(again) == 10


def test_nested_and_concurrent_calls_end() -> None:
    def count(_: int) -> int:
        inner: list[int] = []
        _core.parallel_for(5, lambda chunk: _core.parallel_for(4, inner.append))
        return len(inner)

    with ThreadPoolExecutor(6) as executor:
        assert list(executor.map(count, range(30))) == [20] * 30


@pytest.mark.parametrize("value", ["0", "-1", "many", "2x", "5000"])
def test_an_unusable_thread_count_is_refused(value: str) -> None:
    code = "from jiffsdk import _core\ntry: _core.num_threads()\nexcept _core.Error as e: print(e.code, e)"
    environment = {**os.environ, "JIFF_NUM_THREADS": value, "PYTHONPATH": os.pathsep.join(sys.path)}
    output = subprocess.run(
        [sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True
    ).stdout
    assert output.startswith("invalid_argument JIFF_NUM_THREADS must be a whole number")
    assert f"'{value}'" in output
