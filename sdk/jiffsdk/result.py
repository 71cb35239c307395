"""What a reconstruction gives back."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .engines.device_array import DeviceArray
from .face import Face
from .mesh_files import encoder_for
from .output import write_png, write_whole
from .preview import render_preview

if TYPE_CHECKING:
    import trimesh
    from PIL import Image

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Queries:
    """Evaluations of the implicit function.

    Parameters
    ----------
    asked : int
        Lattice points whose occupancy was evaluated.
    ideal : int
        Lattice points of the cells that the surface crosses: fewer cannot decide the mesh.
    """

    asked: int
    ideal: int


@dataclass(frozen=True, eq=False)
class DeviceMesh:
    """The mesh where it was made, in the GPU's memory, which lives as long as one of the arrays.

    All that was enqueued for it is done. CuPy, torch, Numba, JAX and PyCUDA take the arrays without a copy:
    ``torch.as_tensor(person.device_mesh.vertices, device="cuda")``.

    Parameters
    ----------
    vertices : DeviceArray of float32, shape (V, 3)
    faces : DeviceArray of int32, shape (F, 3)
    colors : DeviceArray of float32, shape (V, 3)
        As in `Reconstruction`, to the bit.
    """

    vertices: DeviceArray
    faces: DeviceArray
    colors: DeviceArray


def device_mesh_from_core(found: Any) -> DeviceMesh | None:
    """From a `_core.MeshOnDevice`, or None."""
    if found is None:
        return None

    def array(rows: tuple[int, tuple[int, int]], dtype: npt.DTypeLike) -> DeviceArray:
        pointer, shape = rows
        return DeviceArray(pointer, tuple(shape), dtype, owner=found)

    return DeviceMesh(
        array(found.vertices, np.float32), array(found.faces, np.int32), array(found.colors, np.float32)
    )


@dataclass(frozen=True, eq=False, repr=False)
class Reconstruction:
    """A closed, coloured mesh of a person and how it came about.

    Parameters
    ----------
    vertices : ndarray of float32, shape (V, 3)
        World coordinates in metres: x right, y up, z toward the camera; the origin is the frame's centre.
    faces : ndarray of int32, shape (F, 3)
        Counter-clockwise seen from outside.
    colors : ndarray of float32, shape (V, 3)
        sRGB in [0, 1].
    mask : ndarray of uint8, shape (H, W)
        The person that was taken, at the upright photograph's size.
    image_from_world : ndarray of float64, shape (4, 4)
        Maps a homogeneous world point to (column_px, row_px, view z, 1) in the upright photograph.
    size_m : float
        Metric side of the frame.
    timings : dict of str to float
        Milliseconds by stage, and ``"total"``.
    queries : Queries
    warnings : tuple of str
        What was also issued as `JiffWarning`.
    face : Face
        What was found of the face, and whether it shaped the mesh.
    device_mesh : DeviceMesh or None
        The mesh on the GPU as well, where `ReconstructionOptions.keep_on_device` asks for it.
    """

    vertices: Floats
    faces: npt.NDArray[np.int32]
    colors: Floats
    mask: npt.NDArray[np.uint8]
    image_from_world: npt.NDArray[np.float64]
    size_m: float
    timings: dict[str, float]
    queries: Queries
    warnings: tuple[str, ...]
    face: Face = Face("off")
    device_mesh: DeviceMesh | None = None

    def __repr__(self) -> str:
        return (
            f"Reconstruction({len(self.vertices)} vertices, {len(self.faces)} faces, "
            f"{self.timings['total'] / 1000.0:.2f} s)"
        )

    @cached_property
    def mesh(self) -> trimesh.Trimesh:
        """The mesh with vertex colours, as a `trimesh.Trimesh`."""
        import trimesh

        colors = np.rint(self.colors * 255.0).astype(np.uint8)
        # Copies: a mesh may be edited, this result may not.
        return trimesh.Trimesh(self.vertices.copy(), self.faces.copy(), vertex_colors=colors, process=False)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the mesh; the suffix ``.glb``, ``.ply`` or ``.obj`` decides how. Whole or not at all.

        Raises
        ------
        OptionError
            When the suffix is another.
        OutputError
            When the file cannot be written.
        """
        encode = encoder_for(path)
        write_whole(path, encode(self.vertices, self.faces, self.colors))

    def preview(self, path: str | os.PathLike[str] | None = None, height_px: int = 512) -> Image.Image:
        """Renders front, three-quarter, side and back views, with colours and as grey geometry.

        Where a face shaped the mesh, the same views of the head follow below.

        Parameters
        ----------
        path : path, optional
            Also writes the picture there, as PNG.
        height_px : int
            Height of one view; the picture has two rows of four, or four of them.

        Raises
        ------
        OptionError
            When `height_px` is not from 16 to 4096.
        OutputError
            When the file cannot be written.
        """
        from PIL import Image

        face = self.face.vertices if self.face.is_used else None
        image = Image.fromarray(render_preview(self.vertices, self.faces, self.colors, height_px, face))
        if path is not None:
            write_png(path, image)
        return image
