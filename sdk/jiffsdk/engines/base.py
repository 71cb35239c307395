"""What an engine is: it loads graphs, and graphs map named arrays to named arrays."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from ..errors import EngineError

Array = npt.NDArray[np.float32]
Shape = tuple[int, ...]


class Graph(ABC):
    """One loaded network. `run` may be called from several threads.

    Parameters
    ----------
    name : str
        The graph's file, for messages.
    inputs, outputs : dict of str to tuple of int
        Shape of every tensor; -1 where it is not static.
    """

    def __init__(self, name: str, inputs: dict[str, Shape], outputs: dict[str, Shape]) -> None:
        self.name = name
        self.inputs = inputs
        self.outputs = outputs

    def run(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """Runs the graph on float32 arrays.

        Raises
        ------
        EngineError
            Naming the graph and the tensor when the arrays do not fit, or what the engine reports.
        """
        for name, shape in self.inputs.items():
            if name not in arrays:
                raise EngineError(
                    f"graph '{self.name}' needs input '{name}' of shape {shape}, got {sorted(arrays)}"
                )
            if arrays[name].shape != shape or arrays[name].dtype != np.float32:
                raise EngineError(
                    f"input '{name}' of graph '{self.name}' must be float32 of shape {shape}, "
                    f"got {arrays[name].dtype} of shape {arrays[name].shape}"
                )
        try:
            return self._run(arrays)
        except (RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise EngineError(f"graph '{self.name}' failed: {reason}; try another engine") from error

    @abstractmethod
    def _run(self, arrays: Mapping[str, Array]) -> dict[str, Array]:
        """Runs the graph on arrays that fit."""


class Engine(ABC):
    """Loads graph files.

    Parameters
    ----------
    num_threads : int or None
        Threads for one run; None leaves the choice to the engine.
    """

    name: str

    def __init__(self, num_threads: int | None = None) -> None:
        self.num_threads = num_threads

    def load(self, path: str) -> Graph:
        """Loads the ONNX file at `path`.

        Raises
        ------
        EngineError
            Naming the file when the engine cannot load it.
        """
        try:
            return self._load(path)
        except Exception as error:  # vendors raise types of their own, unknown until they are imported
            reason = " ".join(str(error).split())
            raise EngineError(f"{self.name} cannot load '{path}': {reason}; try another engine") from error

    @abstractmethod
    def _load(self, path: str) -> Graph:
        """Loads the file or raises what the vendor raises."""
