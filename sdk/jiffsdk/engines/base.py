"""What an engine is: it loads graphs, and graphs map named arrays to named arrays."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from ..errors import EngineError
from .device_array import DeviceArray, on_host

Array = npt.NDArray[np.float32]
Tensor = Any
"""An array, or what has ``__cuda_array_interface__`` or speaks DLPack: of PyCUDA, CuPy, torch or JAX."""
Shape = tuple[int, ...]


class Graph(ABC):
    """One loaded network. `run` may be called from several threads.

    Parameters
    ----------
    name : str
        The graph's file, for messages.
    inputs, outputs : dict of str to tuple of int
        Shape of every tensor; -1 for a side that may be any.
    takes_device_arrays : bool
        Whether `run` takes arrays that lie on the GPU, without copying them.
    """

    is_on_gpu = False
    """Whether there is `run_on_gpu`."""

    def __init__(
        self,
        name: str,
        inputs: dict[str, Shape],
        outputs: dict[str, Shape],
        takes_device_arrays: bool = False,
    ) -> None:
        self.name = name
        self.inputs = inputs
        self.outputs = outputs
        self.takes_device_arrays = takes_device_arrays

    def run(self, arrays: Mapping[str, Tensor]) -> dict[str, Array]:
        """Runs the graph on float32 arrays, which are not copied if they are contiguous.

        What it returns is the caller's: later runs leave it as it is.

        Raises
        ------
        EngineError
            Naming the graph and the tensor when the arrays do not fit, or what the engine reports.
        """
        return self._checked(arrays, self._run)

    def run_on_gpu(self, arrays: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """As `run`, for arrays that stay on the GPU; outputs are complete.

        Raises
        ------
        EngineError
            As `run`, and where the engine does not run on the GPU.
        """
        if not self.is_on_gpu:
            raise EngineError(f"graph '{self.name}' does not run on the GPU; ask for device='cuda'")
        return self._checked(arrays, self._run_on_gpu)

    def _checked(
        self, arrays: Mapping[str, Tensor], run: Callable[[Mapping[str, Tensor]], dict[str, Any]]
    ) -> dict[str, Any]:
        arrays = {name: on_host(array) for name, array in arrays.items()}
        for name, shape in self.inputs.items():
            if name not in arrays:
                raise EngineError(
                    f"graph '{self.name}' needs input '{name}' of shape {shape}, got {sorted(arrays)}"
                )
            given = DeviceArray.of(arrays[name]) or arrays[name]
            if isinstance(given, DeviceArray) and not self.takes_device_arrays:
                raise EngineError(
                    f"input '{name}' of graph '{self.name}' lies on a GPU, where this engine does not run; "
                    "copy it to the host or ask for device='cuda'"
                )
            fits = len(given.shape) == len(shape) and all(
                told in (-1, side) for side, told in zip(given.shape, shape, strict=True)
            )
            if not fits or given.dtype != np.float32:
                raise EngineError(
                    f"input '{name}' of graph '{self.name}' must be float32 of shape {shape}, "
                    f"got {given.dtype} of shape {given.shape}"
                )
        try:
            return run(arrays)
        except (RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise EngineError(f"graph '{self.name}' failed: {reason}; try another engine") from error

    @abstractmethod
    def _run(self, arrays: Mapping[str, Tensor]) -> dict[str, Array]:
        """Runs the graph on arrays that fit, and leaves them as they are: they are the caller's own."""

    def _run_on_gpu(self, arrays: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The same, where `is_on_gpu`."""
        raise NotImplementedError


class Engine(ABC):
    """Loads graph files.

    Parameters
    ----------
    num_threads : int or None
        Threads for one run; None leaves the choice to the engine.
    device : str
        One of `devices`.
    precision : str
        One of `precisions`: what the networks compute in.

    Raises
    ------
    EngineError
        When the engine does not run on that device or in that precision.
    """

    name: ClassVar[str]
    devices: ClassVar[tuple[str, ...]] = ("cpu",)
    precisions: ClassVar[tuple[str, ...]] = ("fp32",)
    keeps_memory = False
    """Whether graphs that are loaded from here on keep what they need between input and output."""

    def __init__(self, num_threads: int | None = None, device: str = "cpu", precision: str = "fp32") -> None:
        for what, value, known in (
            ("device", device, self.devices),
            ("precision", precision, self.precisions),
        ):
            if value not in known:
                raise EngineError(
                    f"engine '{self.name}' has no {what} {value!r}; choose one of: {', '.join(known)}"
                )
        self.num_threads = num_threads
        self.device = device
        self.precision = precision

    def load(self, path: str) -> Graph:
        """Loads the graph whose ONNX file is at `path`.

        An engine that runs another form of it finds that in the bundle that the file lies in.

        Raises
        ------
        EngineError
            Naming the file when the engine cannot load it.
        """
        try:
            return self._load(path)
        except EngineError:
            raise
        except Exception as error:  # vendors raise types of their own, unknown until they are imported
            reason = " ".join(str(error).split())
            raise EngineError(f"{self.name} cannot load '{path}': {reason}; try another engine") from error

    @abstractmethod
    def _load(self, path: str) -> Graph:
        """Loads the file or raises what the vendor raises."""
