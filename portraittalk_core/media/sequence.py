"""Write numbered pictures into a folder, all of them or none; choose a writer by a target's name."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from jaxtyping import Float, UInt8
from torch import Tensor

from ..errors import BadInput
from ..types import Frames, Sound
from .image import from_bytes, to_pil
from .provenance import SYNTHETIC, Provenance
from .soundtrack import check_sound
from .target import Partial, check_target
from .video import VideoWriter
from .write_errors import write_failure

if TYPE_CHECKING:
    from typing_extensions import Self

logger = logging.getLogger(__name__)

SEQUENCE_FORMATS = ("png", "webp")
"""Kinds of pictures that a sequence can be made of, both without loss."""


class SequenceWriter:
    """A writer of frames as 00000.png, 00001.png ... into a new folder; the same use and promises as `VideoWriter`.

    Args:
        folder: New or empty.
        format: One of `SEQUENCE_FORMATS`.
        provenance: What each picture says of where it comes from; None says nothing.

    Raises:
        BadInput: When the format is another.
        BadMedia: When the folder cannot be written.
    """

    def __init__(self, folder: str | Path, format: str = "png", provenance: Provenance | None = SYNTHETIC) -> None:
        if format not in SEQUENCE_FORMATS:
            raise BadInput(f"`format` must be one of {', '.join(SEQUENCE_FORMATS)}, but got {format}. Try png.")
        self.frames_written = 0
        self._format = format
        self._said: dict[str, Any] = {}
        if provenance is not None:
            self._said = {"pnginfo": provenance.to_png(), "xmp": provenance.to_xmp().encode()}
        self._target = check_target(f"{folder}/", suffixes=())

    def __enter__(self) -> Self:
        self._partial = Partial(self._target, folder=True)
        return self

    def append(self, pixels: Float[Tensor, "*n 3 h w"] | UInt8[Tensor, "*n 3 h w"]) -> None:
        """Append one frame or several.

        Args:
            pixels: RGB, float in [-1, 1] or bytes.

        Raises:
            BadMedia: When they cannot be written.
        """
        floats = pixels if pixels.is_floating_point() else from_bytes(pixels)
        try:
            for frame in floats.reshape(-1, *floats.shape[-3:]):
                name = self._partial.path / f"{self.frames_written:05d}.{self._format}"
                to_pil(frame).save(name, lossless=True, **self._said)
                self.frames_written += 1
        except OSError as error:
            raise write_failure(self._target, error) from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._partial.__exit__(kind, error, trace)


def open_writer(
    path: str | Path,
    fps: float | Fraction,
    size: tuple[int, int],
    sound: Sound | None = None,
    provenance: Provenance | None = SYNTHETIC,
) -> VideoWriter | SequenceWriter:
    """Return the writer for a target, to be used as a context manager.

    Args:
        path: Ends in .mp4, in .webp (an animation without sound), or is a folder for PNG pictures; see `check_target`.
        fps: Frames a second.
        size: Height and width of the frames, pixels.
        sound: Goes into an .mp4; for the others a warning says that it does not.
        provenance: What the file says of where its pictures come from; None says nothing.

    Raises:
        BadMedia: When the target cannot be written.
        BadInput: When `fps` is outside its range.
    """
    target = check_target(path)
    if target.suffix.lower() in (".mp4", ".webp"):
        return VideoWriter(target, fps, size, sound, provenance=provenance)
    if sound is not None:
        logger.warning("%s: a folder of pictures has no sound. Choose .mp4 for a video with sound.", target)
    return SequenceWriter(target, provenance=provenance)


def write_video(
    path: str | Path, frames: Iterable[Frames], sound: Sound | None = None, fps: float | Fraction | None = None
) -> Path:
    """Write the frames that a model makes, as they come: the file appears when all of them are written, or not at all.

    Its metadata say that it is synthetic and what made it; see `media.provenance`.

    Args:
        path: An .mp4 (with the sound), an animated .webp, or a folder for PNG pictures, ending in /.
        frames: What `PortraitTalk.generate` yields, or any records of frames in order, all of one size.
        sound: The recording that the frames go with; it is never cut.
        fps: Frames per second, 1 to 120; by default that of the frames.

    Returns:
        The absolute path of what was written.

    Raises:
        BadMedia: For a target that cannot be written, or a sound that it cannot hold, before the first frame is asked
            for.
        BadInput: For frames of different sizes, or none.
    """
    target = check_target(path)
    if sound is not None and target.suffix.lower() == ".mp4":
        check_sound(sound)
    chunks = iter(frames)
    first = next(chunks, None)
    if first is None:
        raise BadInput("`frames` must hold at least one frame, but holds none. Give what `generate` returns, unused.")
    size = (first.pixels.shape[-2], first.pixels.shape[-1])
    said = Provenance(first.model)
    with open_writer(path, first.fps if fps is None else fps, size, sound, said) as writer:
        for chunk in itertools.chain([first], chunks):
            writer.append(chunk.pixels)
    return target.absolute()
