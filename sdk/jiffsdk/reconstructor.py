"""The way in: a bundle and an engine, loaded once, reconstruct any number of photographs."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from . import _core, engines
from .errors import JiffWarning, core_errors
from .face import face_from_core
from .images import ImageSource, load_mask, load_photo
from .options import DEVICES, PRECISIONS, EngineOptions, ReconstructionOptions, one_of
from .result import Queries, Reconstruction, device_mesh_from_core

Progress = Callable[[str, float], "bool | None"]

DEFAULT_BUNDLE = Path(__file__).parent / "bundles" / "compact"


class Reconstructor:
    """Turns photographs of a person into textured meshes. May be called from several threads.

    Parameters
    ----------
    bundle : path or None
        A bundle directory (docs/bundle.md); None takes the one that ships with this package.
    engine : str, EngineOptions or Engine
        ``"auto"`` takes the fastest engine that is installed; see `jiffsdk.engines.available`. An engine
        of your own is taken as it is.
    num_threads : int or None
        Threads of the engine, as in `EngineOptions`.
    precision : str
        ``"fp32"`` or ``"bf16"``: what the heads, and an engine that is made here, compute in; it goes before
        the one in `EngineOptions`. ``"auto"``: heads in bf16 where the CPU has AVX-512 BF16, which halves
        their time and moves the surface by less than a hundredth of a lattice cell in the mean; the engine
        as `EngineOptions` says. Networks in bf16 move it by up to a tenth. ``"int8"``: heads in eight bits,
        which take two thirds of bf16's time and a third of float32's, and move the surface by up to a
        twentieth of a cell; the engine as `EngineOptions` says, fastest with ``precision="bf16"`` there
        (docs/performance.md).
    device : str
        ``"cpu"``, or ``"cuda"``: from the feature maps to the coloured mesh everything runs on the current
        GPU; ``engine="auto"`` then takes one for the GPU, an engine that is named runs where it is told.
    gpu_precision : str
        What the heads compute in on the GPU: ``"fp16"`` with float32 sums, on tensor cores, or ``"fp32"``,
        which agrees with the CPU to rounding and is many times slower.

    Raises
    ------
    BundleError
        When a bundle file is missing, altered or of a newer schema.
    EngineError
        When the engine is unknown, is not installed, or cannot load a graph, or this CPU does not compute
        in bf16 (AVX-512 BF16) or int8 (AVX-512 VNNI).
    DeviceError
        When no GPU serves, or this build has no CUDA.
    OptionError
        On a number of threads, a device or a precision that is not allowed.

    Examples
    --------
    >>> rec = Reconstructor()
    >>> person = rec("photo.jpg")
    >>> person.save("person.glb")
    """

    def __init__(
        self,
        bundle: str | os.PathLike[str] | None = None,
        engine: str | EngineOptions | engines.Engine = "auto",
        num_threads: int | None = None,
        precision: str = "auto",
        device: str = "cpu",
        gpu_precision: str = "fp16",
    ) -> None:
        one_of("precision", precision, PRECISIONS)
        one_of("device", device, DEVICES)
        if device == "cuda":
            with core_errors():
                _core.require_gpu()
        if isinstance(engine, engines.Engine):
            self._engine = engine
        else:
            options = engine if isinstance(engine, EngineOptions) else EngineOptions(engine)
            if device == "cuda" and options.name == engines.AUTO:
                options = replace(options, device=device)
            if num_threads is not None:
                options = replace(options, num_threads=num_threads)
            if precision in ("fp32", "bf16"):
                options = replace(options, precision=precision)
            self._engine = engines.create(
                options.name, options.num_threads, options.device, options.precision, options.keeps_memory
            )
        with core_errors():
            self._bundle = _core.load_bundle(os.fspath(DEFAULT_BUNDLE if bundle is None else bundle))
            self._core = _core.Reconstructor(self._bundle, self._engine, precision)
            self._precision = _core.precision_of(precision)
            if device == "cuda":
                self._core.use_gpu(gpu_precision)
                self._precision = gpu_precision
        self._device = device

    @property
    def bundle(self) -> _core.Bundle:
        """Name, version, licence and frame of the bundle."""
        return self._bundle

    @property
    def engine(self) -> str:
        """Name of the engine that runs the networks."""
        return self._engine.name

    @property
    def precision(self) -> str:
        """What the heads compute in: ``"fp32"``, ``"bf16"``, ``"int8"``; on a GPU ``"fp16"``, ``"fp32"``."""
        return self._precision

    @property
    def device(self) -> str:
        """Where the heads run: ``"cpu"`` or ``"cuda"``."""
        return self._device

    def __repr__(self) -> str:
        return f"Reconstructor(bundle={self._bundle.directory!r}, engine={self.engine!r})"

    def __call__(
        self,
        image: ImageSource,
        mask: ImageSource | None = None,
        resolution: int | None = None,
        progress: Progress | None = None,
        *,
        options: ReconstructionOptions | None = None,
    ) -> Reconstruction:
        """Reconstructs the person in a photograph.

        A face that cannot be used is no error: `Reconstruction.face` says why.

        Parameters
        ----------
        image : path, bytes, binary file, PIL image or array
            The photograph, see `jiffsdk.images.load_photo`. An alpha channel is taken as the mask.
        mask : path, bytes, binary file, PIL image or array, optional
            Where the person is; goes before an alpha channel. Without either the bundle's network segments.
        resolution : int, optional
            Cells along a side of the frame: a multiple of 32 from 32 to 1024. 256 if not given.
        progress : callable, optional
            Called with a stage name and the finished fraction, 0 to 1, which never decreases.
            Returning False cancels.
        options : ReconstructionOptions, optional
            All options; `resolution` goes before the one in it.

        Returns
        -------
        Reconstruction

        Raises
        ------
        ImageError, MaskError, NoPersonError, OptionError
            When the input cannot be used.
        EmptySurfaceError, FieldError, EngineError
            When the networks give no body.
        Cancelled
            When `progress` returned False.

        Warns
        -----
        JiffWarning
            When the photograph seems to show several people.
        """
        options = options or ReconstructionOptions()
        if resolution is not None:
            options = replace(options, resolution=resolution)
        settings = _core.ReconstructOptions()
        settings.resolution = options.resolution
        settings.keep_largest_component = options.keep_largest_component
        settings.dense = options.dense
        settings.silhouette_dilation_px = options.silhouette_dilation_px
        settings.use_face = options.face != "off"
        settings.face_by_distance = options.face_blend == "distance"
        settings.smooth_hidden_colors = options.hidden_colors == "smooth"
        settings.keep_on_device = options.keep_on_device

        photo = load_photo(image)
        height_px, width_px = photo.rgb.shape[:2]
        mask_values = photo.alpha if mask is None else load_mask(mask, width_px, height_px)
        with core_errors():
            found = self._core.reconstruct(photo.rgb, mask_values, settings, progress)
        for warning in found.warnings:
            warnings.warn(warning, JiffWarning, stacklevel=2)
        return Reconstruction(
            vertices=found.vertices,
            faces=found.faces,
            colors=found.colors,
            mask=found.mask.reshape(height_px, width_px),
            image_from_world=np.array(found.image_from_world),
            size_m=found.size_m,
            timings=found.timings_ms,
            queries=Queries(found.num_queries_asked, found.num_queries_ideal),
            warnings=tuple(found.warnings),
            face=face_from_core(found.face),
            device_mesh=device_mesh_from_core(found.mesh_on_device),
        )
