"""OpenGL without a window: the context, the programs and the frame buffers that all people share."""

from __future__ import annotations

import importlib
import logging
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy import ndarray

from ..errors import MissingExtra
from .glsl import frame, paint, parts, skin

logger = logging.getLogger(__name__)

Attributes = tuple[Any, str, tuple[str, ...]]
"""A buffer, the formats of its columns ("3f 2f") and their names."""

_PROGRAMS: dict[str, tuple[str, str]] = {
    "paint": (paint.VERTEX, paint.FRAGMENT),
    "dilate": (paint.DILATE_VERTEX, paint.DILATE_FRAGMENT),
    "skin": (skin.VERTEX, skin.FRAGMENT),
    "fur": (skin.FUR_VERTEX, skin.FUR_FRAGMENT),
    "eye": (parts.EYE_VERTEX, parts.EYE_FRAGMENT),
    "mouth": (parts.MOUTH_VERTEX, parts.MOUTH_FRAGMENT),
    "lash": (parts.LASH_VERTEX, parts.LASH_FRAGMENT),
    "cards": (parts.CARD_VERTEX, parts.CARD_FRAGMENT),
    "cloth": (parts.CLOTH_VERTEX, parts.CLOTH_FRAGMENT),
    "solid": (parts.SOLID_VERTEX, parts.SOLID_FRAGMENT),
    "lens": (parts.SOLID_VERTEX, parts.LENS_FRAGMENT),
    "depth": (frame.DEPTH_VERTEX, frame.DEPTH_FRAGMENT),
    "card_depth": (frame.CARD_DEPTH_VERTEX, frame.CARD_DEPTH_FRAGMENT),
    "surface_map": (frame.SURFACE_MAP_VERTEX, frame.SURFACE_MAP_FRAGMENT),
    "fur_map": (frame.FUR_MAP_VERTEX, frame.FUR_MAP_FRAGMENT),
    "card_map": (frame.CARD_MAP_VERTEX, frame.CARD_MAP_FRAGMENT),
    "post": (frame.POST_VERTEX, frame.POST_FRAGMENT),
}


_opened = threading.local()


def open_context() -> Any:
    """Return this thread's OpenGL context on EGL (the driver of a GPU, or Mesa's on a CPU), opened when first needed.

    All that a thread draws shares it, for a context that is closed leaves its thread without a current one.

    Raises:
        MissingExtra: moderngl, or EGL below it, is missing.
    """
    if not hasattr(_opened, "context"):
        _opened.context = _new_context()
    return _opened.context


def _new_context() -> Any:
    try:
        import moderngl  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise MissingExtra("Drawing people needs moderngl. Run: pip install moderngl.") from error
    _load_triton()
    try:
        context: Any = moderngl.create_context(standalone=True, require=400, backend="egl")  # type: ignore[call-arg]
    except Exception as error:  # moderngl raises bare Exception where libEGL is absent
        needed = "Run: apt-get install libegl1 libgl1-mesa-dri."
        raise MissingExtra(
            f"Drawing people needs OpenGL 4.0 on EGL, but it cannot be opened ({error}). {needed}"
        ) from error
    context.enable(moderngl.DEPTH_TEST)
    context.gc_mode = "auto"  # buffers go with the objects that hold them
    return context


def _load_triton() -> None:
    """Load Triton, where it is, before Mesa: both bring an LLVM, and Triton after Mesa's ends the process."""
    try:
        importlib.import_module("triton")
    except ImportError:
        logger.debug("There is no Triton that Mesa could be in the way of.")


class Graphics:
    """A context with its programs, compiled when first used, and the targets of one picture size.

    Args:
        size: Width and height of the pictures in pixels.
        samples: Samples of a pixel.
        shadow: Width and height of the shadow map.
    """

    def __init__(self, size: int, samples: int = 4, shadow: int = 320) -> None:
        self.gl: Any = open_context()
        self.size = size
        self.samples = min(samples, self.gl.max_samples)
        self._programs: dict[str, Any] = {}
        c, n = self.gl, (size, size)
        self.many = c.framebuffer(
            [c.renderbuffer(n, 4, samples=self.samples, dtype="f2")], c.depth_renderbuffer(n, samples=self.samples)
        )
        self.resolved_texture = c.texture(n, 4, dtype="f2")
        self.resolved = c.framebuffer([self.resolved_texture])
        self.final = c.framebuffer([c.renderbuffer(n, 3)])
        self.shadow_map = c.depth_texture((shadow, shadow))
        self.shadow_map.compare_func = ""
        self.shadow_target = c.framebuffer(depth_attachment=self.shadow_map)
        self._maps: dict[str, Any] = {}
        self.square = c.buffer(np.array([-1, -1, 1, -1, -1, 1, 1, 1], np.float32).tobytes())

    def map_target(self, name: str) -> tuple[Any, Any, Any]:
        """Return a frame buffer of two floating point planes, and its two textures, made when first asked for."""
        if name not in self._maps:
            c, n = self.gl, (self.size, self.size)
            home, depth = c.texture(n, 4, dtype="f4"), c.texture(n, 1, dtype="f4")
            for texture in (home, depth):
                texture.filter = (9728, 9728)  # GL_NEAREST
                texture.repeat_x = texture.repeat_y = False
            self._maps[name] = c.framebuffer([home, depth], c.depth_renderbuffer(n)), home, depth
        return self._maps[name]

    def program(self, name: str) -> Any:
        """Return a program, compiled when first asked for."""
        if name not in self._programs:
            vertex, fragment = _PROGRAMS[name]
            self._programs[name] = self.gl.program(vertex_shader=vertex, fragment_shader=fragment)
        return self._programs[name]

    def buffer(self, array: ndarray, dynamic: bool = False) -> Any:
        """Return a buffer with the numbers of an array, as 4-byte numbers."""
        kind = np.int32 if array.dtype.kind in "iu" else np.float32
        return self.gl.buffer(np.ascontiguousarray(array, kind).tobytes(), dynamic=dynamic)

    def mesh(self, name: str, columns: Sequence[Attributes], index: Any | None = None) -> Any:
        """Return a vertex array for a program; columns that the program does not read are skipped."""
        program = self.program(name)
        content = []
        for buffer, formats, names in columns:
            shown = [
                text if attribute in program else f"{4 * int(text[0])}x"
                for text, attribute in zip(formats.split(), names, strict=True)
            ]
            present = [attribute for attribute in names if attribute in program]
            if present:
                content.append((buffer, " ".join(shown), *present))
        return self.gl.vertex_array(program, content, index)

    def set(self, name: str, **values: Any) -> None:
        """Set uniforms of a program; those that it does not have are skipped. Matrices act on columns."""
        program = self.program(name)
        for key, value in values.items():
            if key not in program:
                continue
            uniform = program[key]
            if isinstance(value, int | float):
                uniform.value = value
                continue
            array = np.asarray(value, np.float32)
            if array.ndim >= 2 and array.shape[-2:] == (4, 4):
                array = np.swapaxes(array, -1, -2)
            uniform.write(np.ascontiguousarray(array).tobytes())

    def bind(self, **textures: tuple[int, Any]) -> dict[str, int]:
        """Bind textures to units and return the uniforms that say so."""
        for unit, texture in textures.values():
            texture.use(unit)
        return {name: unit for name, (unit, _) in textures.items()}
