"""The C API of libjiff through ctypes, as thin as it gets: structures, signatures, one call each."""

from __future__ import annotations

import ctypes
from ctypes import POINTER, c_char_p, c_double, c_float, c_int32, c_int64, c_size_t, c_void_p
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

OK = 0
STATUS_NAMES = (
    "JIFF_OK",
    "JIFF_INVALID_ARGUMENT",
    "JIFF_INVALID_HANDLE",
    "JIFF_INVALID_IMAGE",
    "JIFF_INVALID_MASK",
    "JIFF_NO_PERSON",
    "JIFF_EMPTY_SURFACE",
    "JIFF_INVALID_FIELD",
    "JIFF_BUNDLE_ERROR",
    "JIFF_ENGINE_ERROR",
    "JIFF_OUTPUT_ERROR",
    "JIFF_CANCELLED",
    "JIFF_OUT_OF_MEMORY",
    "JIFF_INTERNAL_ERROR",
)
RGB8, BGR8, RGBA8, BGRA8, RGBX8, BGRX8, GRAY8 = range(1, 8)

LogCallback = ctypes.CFUNCTYPE(None, c_int32, c_char_p, c_void_p)
ProgressCallback = ctypes.CFUNCTYPE(c_int32, c_char_p, c_float, c_void_p)


class Sized(ctypes.Structure):
    """A structure whose struct_size is set, as by its INIT macro."""

    def __init__(self, **fields: Any) -> None:
        super().__init__(struct_size=ctypes.sizeof(type(self)), **fields)


class BundleInfo(Sized):
    _fields_: ClassVar = [
        ("struct_size", c_size_t),
        ("name", c_char_p),
        ("version", c_char_p),
        ("license", c_char_p),
        ("provenance", c_char_p),
        ("size_m", c_double),
        ("margin", c_double),
        ("image_size_px", c_int32),
        ("has_segmentation", c_int32),
        ("detects_faces", c_int32),
        ("has_face", c_int32),
    ]


class ReconstructorOptions(Sized):
    _fields_: ClassVar = [
        ("struct_size", c_size_t),
        ("engine", c_char_p),
        ("device", c_char_p),
        ("precision", c_char_p),
        ("num_threads", c_int32),
        ("keeps_memory", c_int32),
        ("heads", c_char_p),
        ("networks", c_char_p),
    ]


class Image(Sized):
    _fields_: ClassVar = [
        ("struct_size", c_size_t),
        ("data", c_void_p),
        ("num_bytes", c_size_t),
        ("stride_bytes", c_int64),
        ("width_px", c_int32),
        ("height_px", c_int32),
        ("format", c_int32),
        ("reserved", c_int32),
    ]


class ReconstructOptions(Sized):
    _fields_: ClassVar = [
        ("struct_size", c_size_t),
        ("resolution", c_int32),
        ("keep_all_components", c_int32),
        ("dense", c_int32),
        ("silhouette_dilation_px", c_int32),
        ("ignore_face", c_int32),
        ("face_blend", c_int32),
        ("progress", ProgressCallback),
        ("user_data", c_void_p),
        ("keep_hidden_colors", c_int32),
        ("reserved", c_int32),
    ]


class Mesh(Sized):
    _fields_: ClassVar = [
        ("struct_size", c_size_t),
        ("vertices", POINTER(c_float)),
        ("colors", POINTER(c_float)),
        ("faces", POINTER(c_int32)),
        ("num_vertices", c_int64),
        ("num_faces", c_int64),
    ]


class ReconstructionInfo(Sized):
    _fields_: ClassVar = [
        ("struct_size", c_size_t),
        ("image_from_world", c_double * 16),
        ("size_m", c_double),
        ("num_queries_asked", c_int64),
        ("num_queries_ideal", c_int64),
        ("num_stages", c_size_t),
        ("num_warnings", c_size_t),
    ]


STRUCTURES = {
    "jiff_bundle_info": BundleInfo,
    "jiff_reconstructor_options": ReconstructorOptions,
    "jiff_image": Image,
    "jiff_reconstruct_options": ReconstructOptions,
    "jiff_mesh": Mesh,
    "jiff_reconstruction_info": ReconstructionInfo,
}

_SIGNATURES: dict[str, tuple[Any, list[Any]]] = {
    "jiff_status_name": (c_char_p, [c_int32]),
    "jiff_last_error": (c_char_p, []),
    "jiff_version": (c_char_p, []),
    "jiff_build_info": (c_char_p, []),
    "jiff_engines": (POINTER(c_char_p), []),
    "jiff_set_log_callback": (c_int32, [LogCallback, c_void_p]),
    "jiff_bundle_open": (c_int32, [c_char_p, POINTER(c_void_p)]),
    "jiff_bundle_get_info": (c_int32, [c_void_p, POINTER(BundleInfo)]),
    "jiff_bundle_free": (c_int32, [c_void_p]),
    "jiff_reconstructor_create": (c_int32, [c_void_p, POINTER(ReconstructorOptions), POINTER(c_void_p)]),
    "jiff_reconstructor_engine": (c_char_p, [c_void_p]),
    "jiff_reconstructor_networks": (c_char_p, [c_void_p]),
    "jiff_reconstructor_free": (c_int32, [c_void_p]),
    "jiff_reconstruct": (
        c_int32,
        [c_void_p, POINTER(Image), POINTER(Image), POINTER(ReconstructOptions), POINTER(c_void_p)],
    ),
    "jiff_reconstruction_free": (c_int32, [c_void_p]),
    "jiff_reconstruction_mesh": (c_int32, [c_void_p, POINTER(Mesh)]),
    "jiff_reconstruction_face_status": (c_int32, [c_void_p, POINTER(c_char_p)]),
    "jiff_reconstruction_face_mesh": (c_int32, [c_void_p, POINTER(Mesh)]),
    "jiff_reconstruction_mask": (c_int32, [c_void_p, POINTER(Image)]),
    "jiff_reconstruction_get_info": (c_int32, [c_void_p, POINTER(ReconstructionInfo)]),
    "jiff_reconstruction_stage": (c_int32, [c_void_p, c_size_t, POINTER(c_char_p), POINTER(c_double)]),
    "jiff_reconstruction_warning": (c_int32, [c_void_p, c_size_t, POINTER(c_char_p)]),
    "jiff_mesh_write": (c_int32, [POINTER(Mesh), c_char_p]),
}
FUNCTIONS = tuple(_SIGNATURES)


class StatusError(Exception):
    """A status other than JIFF_OK and the library's message."""

    def __init__(self, status: str, message: str) -> None:
        super().__init__(f"{status}: {message}")
        self.status = status
        self.message = message


class Library:
    """libjiff.so: every function as an attribute that returns what C returns; the lower-case ones check."""

    def __init__(self, path: Path) -> None:
        self._dll = ctypes.CDLL(str(path))
        for name, (result, arguments) in _SIGNATURES.items():
            function = getattr(self._dll, name)
            function.restype, function.argtypes = result, arguments
            setattr(self, name, function)

    def __getattr__(self, name: str) -> Any:  # for type checkers: set in __init__
        raise AttributeError(name)

    def check(self, status: int) -> None:
        if status != OK:
            raise StatusError(STATUS_NAMES[status], self.jiff_last_error().decode())

    def open_bundle(self, directory: Path) -> c_void_p:
        handle = c_void_p()
        self.check(self.jiff_bundle_open(str(directory).encode(), ctypes.byref(handle)))
        return handle

    def create(self, bundle: c_void_p, **options: Any) -> c_void_p:
        handle = c_void_p()
        settings = ReconstructorOptions(**options)
        self.check(self.jiff_reconstructor_create(bundle, ctypes.byref(settings), ctypes.byref(handle)))
        return handle

    def reconstruct(
        self, reconstructor: c_void_p, image: Image, mask: Image | None = None, **options: Any
    ) -> c_void_p:
        handle = c_void_p()
        settings = ReconstructOptions(**options)
        mask_pointer = ctypes.byref(mask) if mask is not None else None
        self.check(
            self.jiff_reconstruct(
                reconstructor, ctypes.byref(image), mask_pointer, ctypes.byref(settings), ctypes.byref(handle)
            )
        )
        return handle

    def mesh(self, reconstruction: c_void_p) -> Mesh:
        mesh = Mesh()
        self.check(self.jiff_reconstruction_mesh(reconstruction, ctypes.byref(mesh)))
        return mesh

    def engines(self) -> list[str]:
        names, found = self.jiff_engines(), []
        while names[len(found)] is not None:
            found.append(names[len(found)].decode())
        return found


def image_view(pixels: np.ndarray, pixel_format: int | None = None) -> Image:
    """A view of an array (H, W) or (H, W, C), whatever its row stride."""
    height_px, width_px = pixels.shape[:2]
    if pixel_format is None:
        pixel_format = {2: GRAY8, 3: RGB8}[pixels.ndim]
        if pixels.ndim == 3 and pixels.shape[2] == 4:
            pixel_format = RGBA8
    view = Image(
        data=pixels.ctypes.data,
        stride_bytes=pixels.strides[0],
        width_px=width_px,
        height_px=height_px,
        format=pixel_format,
    )
    view.pixels = pixels  # live as long as the view
    return view


def mesh_view(vertices: np.ndarray, faces: np.ndarray, colors: np.ndarray) -> Mesh:
    """A view of float32, int32 and float32 arrays, which the caller keeps."""
    return Mesh(
        vertices=vertices.ctypes.data_as(POINTER(c_float)),
        colors=colors.ctypes.data_as(POINTER(c_float)),
        faces=faces.ctypes.data_as(POINTER(c_int32)),
        num_vertices=len(vertices),
        num_faces=len(faces),
    )


def arrays_of(mesh: Mesh) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertices, faces and colours, without copies."""
    vertices = np.ctypeslib.as_array(mesh.vertices, (mesh.num_vertices, 3))
    faces = np.ctypeslib.as_array(mesh.faces, (mesh.num_faces, 3))
    colors = np.ctypeslib.as_array(mesh.colors, (mesh.num_vertices, 3))
    return vertices, faces, colors
