"""Offscreen renderer (moderngl over EGL: an NVIDIA driver, or Mesa's llvmpipe on a CPU)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from training.people import shaders
from training.people.cameras import View
from training.people.dress import Part
from training.people.materials import PATTERNS, Material

GRID_WIDTH = 1024


class RenderError(RuntimeError):
    """No OpenGL context could be made here."""


def hue_matrix(hue_deg: float, saturation: float) -> NDArray[np.float32]:
    """Colour matrix (3, 3): a turn about the grey axis, then a saturation factor."""
    cosine, sine = np.cos(np.deg2rad(hue_deg)), np.sin(np.deg2rad(hue_deg))
    third = np.full((3, 3), 1 / 3)
    cross = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / np.sqrt(3)
    turn = cosine * np.eye(3) + (1 - cosine) * third + sine * cross
    grey = np.tile([0.2126, 0.7152, 0.0722], (3, 1))
    return ((grey + saturation * (np.eye(3) - grey)) @ turn).astype(np.float32)


@dataclass
class _DrawnPart:
    part: Part
    picture: Any
    buffer: Any
    texture: Any


class Renderer:
    """One OpenGL context. Textures of files stay on the device between people.

    Parameters
    ----------
    samples : of the multisampling.
    max_texture_px : larger textures are reduced to this side.
    anisotropy : of texture lookups; 1 halves the time of a close picture on a CPU.
    """

    def __init__(self, samples: int = 4, max_texture_px: int = 1024, anisotropy: float = 8.0) -> None:
        try:
            import moderngl
        except ImportError as error:
            raise RenderError("rendering needs `pip install moderngl`") from error
        self._gl: Any = moderngl
        try:
            self.context: Any = self._gl.create_context(standalone=True, backend="egl", require=400)
        except Exception as error:  # moderngl raises plain Exception for each missing piece
            raise RenderError(
                f"no OpenGL 4.0 context over EGL ({error}); install libegl1 and a driver: the NVIDIA one, "
                "or libgl1-mesa-dri for the CPU"
            ) from error
        self._samples = samples
        self._max_texture_px = max_texture_px
        self._anisotropy = anisotropy
        self._picture = self.context.program(shaders.PICTURE_VERTEX, shaders.PICTURE_FRAGMENT)
        self._points = self.context.program(shaders.POINTS_VERTEX, shaders.POINTS_FRAGMENT)
        self._textures: dict[Path, Any] = {}
        self._frames: dict[int, tuple[Any, Any]] = {}

    @property
    def device(self) -> str:
        """Name of the OpenGL device."""
        return str(self.context.info["GL_RENDERER"])

    def _upload(self, pixels: NDArray[np.uint8]) -> Any:
        # Texture row 0 is v = 0, the bottom of the image.
        flipped = np.ascontiguousarray(pixels[::-1])
        texture = self.context.texture((pixels.shape[1], pixels.shape[0]), 4, flipped.tobytes(), alignment=1)
        texture.build_mipmaps()
        texture.anisotropy = self._anisotropy
        return texture

    def _texture(self, source: Path | NDArray[np.uint8]) -> Any:
        if isinstance(source, np.ndarray):
            return self._upload(source)
        if source not in self._textures:
            with Image.open(source) as opened:
                image = opened.convert("RGBA")
            side = max(image.size)
            if side > self._max_texture_px:
                scale = self._max_texture_px / side
                image = image.resize(
                    (round(image.width * scale), round(image.height * scale)), Image.Resampling.BOX
                )
            self._textures[source] = self._upload(np.asarray(image))
        return self._textures[source]

    @contextmanager
    def scene(self, parts: list[Part]) -> Iterator[Scene]:
        """A person on the device, for any number of pictures and colour queries."""
        scene = Scene(self, parts)
        try:
            yield scene
        finally:
            scene.release()

    def frame(self, size_px: int) -> tuple[Any, Any]:
        if size_px not in self._frames:
            context, size = self.context, (size_px, size_px)
            drawn = context.framebuffer(
                [context.renderbuffer(size, 4, samples=self._samples)],
                context.depth_renderbuffer(size, samples=self._samples),
            )
            self._frames[size_px] = drawn, context.framebuffer([context.renderbuffer(size, 4)])
        return self._frames[size_px]

    def set_material(self, program: Any, material: Material) -> None:
        program["hue_turn"].write(hue_matrix(material.hue_deg, material.saturation).T.tobytes())
        program["gain"].value = material.gain
        program["dye"].value = material.dye
        program["mean_luminance"].value = material.mean_luminance
        program["fold_strength"].value = material.fold_strength
        program["color_a"].value, program["color_b"].value = material.colors
        program["pattern"].value = PATTERNS.index(material.pattern)
        program["period"].value = material.pattern_period_m


class Scene:
    """The parts of one person as vertex buffers."""

    def __init__(self, renderer: Renderer, parts: list[Part]) -> None:
        self._renderer = renderer
        self._drawn: list[_DrawnPart] = []
        context = renderer.context
        for part in parts:
            corner, uv_corner = part.faces.reshape(-1), part.uv_faces.reshape(-1)
            data = np.concatenate(
                [
                    part.vertices[corner],
                    part.normals[corner],
                    part.uv[uv_corner],
                    part.pattern_points[corner],
                ],
                axis=1,
            ).astype(np.float32)
            buffer = context.buffer(data.tobytes())
            layout = [(buffer, "3f 3f 2f 3f", "position", "normal", "uv", "pattern_point")]
            array = context.vertex_array(renderer._picture, layout)
            self._drawn.append(_DrawnPart(part, array, buffer, renderer._texture(part.material.texture)))

    def release(self) -> None:
        for drawn in self._drawn:
            drawn.picture.release()
            drawn.buffer.release()
            if isinstance(drawn.part.material.texture, np.ndarray):
                drawn.texture.release()

    def picture(
        self, view: View, rotation: NDArray[np.floating], sh: NDArray[np.floating], size_px: int
    ) -> NDArray[np.uint8]:
        """The person as straight-alpha RGBA (size, size, 4) on a transparent ground.

        Parameters
        ----------
        rotation : (3, 3) from the world to the camera's axes, y up, in which `sh` (9, 3) is given.
        """
        renderer = self._renderer
        program: Any = renderer._picture
        drawn_to, resolved = renderer.frame(size_px)
        drawn_to.use()
        renderer.context.clear(0.0, 0.0, 0.0, 0.0, depth=1.0)
        renderer.context.enable(renderer._gl.DEPTH_TEST)
        # Row 0 of OpenGL's picture is ndc y = -1, which is view y = -1: the top. Depth is squeezed
        # so that a whole figure fits between the planes even when the frame holds only its head.
        squeeze = np.diag([1.0, 1.0, -0.08, 1.0])
        clip_from_world = squeeze @ view.view_from_world
        program["clip_from_world"].write(clip_from_world.T.astype(np.float32).tobytes())
        program["camera_from_world"].write(np.asarray(rotation).T.astype(np.float32).tobytes())
        program["sh"].write(np.asarray(sh, dtype=np.float32).tobytes())
        for drawn in self._drawn:
            drawn.texture.use(0)
            renderer.set_material(program, drawn.part.material)
            program["alpha_min"].value = drawn.part.material.alpha_min
            drawn.picture.render()
        renderer.context.copy_framebuffer(resolved, drawn_to)
        raw = np.frombuffer(resolved.read(components=4, alignment=1), dtype=np.uint8).reshape(
            size_px, size_px, 4
        )
        picture = raw.copy()
        # The mean over samples is premultiplied by coverage.
        edge = (raw[..., 3] > 0) & (raw[..., 3] < 255)
        color, alpha = raw[edge][:, :3].astype(np.float32), raw[edge][:, 3:].astype(np.float32)
        picture[edge, :3] = np.clip(color * 255.0 / alpha + 0.5, 0, 255).astype(np.uint8)
        return picture

    def albedo(
        self, part_index: NDArray[np.integer], uv: NDArray[np.floating], pattern_points: NDArray[np.floating]
    ) -> NDArray[np.uint8]:
        """Unlit sRGB colour and alpha (N, 4) of points on the parts, at full texture detail."""
        renderer, context = self._renderer, self._renderer.context
        program: Any = renderer._points
        num = len(part_index)
        height = max(1, -(-num // GRID_WIDTH))
        target = context.framebuffer([context.renderbuffer((GRID_WIDTH, height), 4)])
        target.use()
        context.clear(0.0, 0.0, 0.0, 0.0)
        context.disable(renderer._gl.DEPTH_TEST)
        context.enable(renderer._gl.PROGRAM_POINT_SIZE)
        program["grid_size"].value = (float(GRID_WIDTH), float(height))
        for index, drawn in enumerate(self._drawn):
            rows = np.flatnonzero(part_index == index)
            if len(rows) == 0:
                continue
            data = np.concatenate([rows[:, None], uv[rows], pattern_points[rows]], axis=1).astype(np.float32)
            buffer = context.buffer(data.tobytes())
            array = context.vertex_array(program, [(buffer, "1f 2f 3f", "place", "uv", "pattern_point")])
            drawn.texture.use(0)
            renderer.set_material(program, drawn.part.material)
            array.render(renderer._gl.POINTS, vertices=len(rows))
            array.release()
            buffer.release()
        raw = np.frombuffer(target.read(components=4, alignment=1), dtype=np.uint8).reshape(-1, 4)
        target.release()
        return raw[:num].copy()
