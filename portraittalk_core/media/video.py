"""Write videos frame by frame, whole or not at all; read them back."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn.functional import pad

from ..errors import BadInput, BadMedia
from ..types import Frames, Sound
from .audio import read_sound
from .content_credentials import installed, own_certificate, sign
from .decoding import decode_pictures, timed_frames, upright
from .image import from_bytes, to_bytes
from .provenance import SYNTHETIC, Provenance, add_xmp
from .sound_file import counted_s
from .soundtrack import SoundTrack
from .streams import HIGHEST_RATE, main_video, opened, rate_of, shown_pictures, sound_tracks
from .target import Partial, check_target
from .write_errors import write_failure

if TYPE_CHECKING:
    from av.video.stream import VideoStream
    from typing_extensions import Self

logger = logging.getLogger(__name__)

CRF = 16
"""Constant rate factor of x264; below about 18 the loss is not seen."""

MAX_PIXELS = 36_000_000
"""Videos with larger pictures are refused by their header; 8K has 33 Mpx."""

_CHUNK_PIXELS = 1 << 26
_BT709 = 1
_NTSC_BASES = (24, 30, 48, 60, 120)


def frame_rate(fps: float | Fraction) -> Fraction:
    """Return the exact frame rate.

    Args:
        fps: Frames a second in [1, 120]; 23.976, 29.97, 59.94 ... mean the NTSC rates of n * 1000 / 1001.

    Raises:
        BadInput: When it is outside that range.
    """
    if not 1 <= fps <= 120:
        raise BadInput(f"`fps` must lie between 1 and 120, but got {float(fps):g}. Try 25.")
    for base in _NTSC_BASES:
        if abs(fps - base * 1000 / 1001) < 0.005:
            return Fraction(base * 1000, 1001)
    return Fraction(fps).limit_denominator(1001)


class VideoWriter:
    """A writer of frames into an .mp4 (H.264 with the sound) or an animated .webp (without sound).

    Use it as a context manager: on success the file appears under its name in one step; on any exception,
    KeyboardInterrupt included, nothing is left and an existing file stays as it was.

    Args:
        path: Ends in .mp4 or .webp; an existing file is replaced.
        fps: Frames a second, see `frame_rate`.
        size: Height and width of the frames, pixels; odd ones are padded by repeating the last row or column, as H.264
            wants even sizes.
        sound: Goes into an .mp4 and is never cut; see `SoundTrack` for what is copied and what is encoded.
        crf: Constant rate factor of x264; lower is better.
        provenance: What the file says of where its pictures come from; None says nothing, for pictures of a camera.

    Raises:
        BadMedia: When the target cannot be written, or a certificate is named that cannot be read.
        BadInput: When `fps` is outside its range.
    """

    def __init__(
        self,
        path: str | Path,
        fps: float | Fraction,
        size: tuple[int, int],
        sound: Sound | None = None,
        crf: int = CRF,
        provenance: Provenance | None = SYNTHETIC,
    ) -> None:
        self.fps = frame_rate(fps)
        self.size = size
        self.frames_written = 0
        self._sound = sound
        self._expected = None if sound is None else sound.frame_count(float(fps))
        self._crf = crf
        self._provenance = provenance
        self._partial = Partial(check_target(path, folder=False))
        self._track: SoundTrack | None = None

    def __enter__(self) -> Self:
        from av.error import FFmpegError

        try:
            self._open()
        except (FFmpegError, OSError) as error:
            self._abort()
            raise write_failure(self._partial.target, error) from error
        except BaseException:
            self._abort()
            raise
        return self

    def append(self, pixels: Float[Tensor, "*n 3 h w"] | UInt8[Tensor, "*n 3 h w"]) -> None:
        """Append one frame or several.

        Args:
            pixels: RGB, float in [-1, 1] or bytes, of the writer's size.

        Raises:
            BadInput: When they have another size.
            BadMedia: When they cannot be written.
        """
        from av.error import FFmpegError

        if tuple(pixels.shape[-2:]) != tuple(self.size):
            raise BadInput(f"Frames must have the writer's size {self.size}, but got {tuple(pixels.shape[-2:])}.")
        levels = to_bytes(pixels) if pixels.is_floating_point() else pixels
        try:
            for frame in levels.reshape(-1, *levels.shape[-3:]).cpu():
                self._write(frame)
        except FFmpegError as error:
            raise write_failure(self._partial.target, error) from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            self._abort()

    def _open(self) -> None:
        import av

        height, width = self.size
        animation = self._partial.target.suffix.lower() == ".webp"
        # The movie's clock counts samples, so that the length of the sound is kept to the sample.
        ticks = str(self._sound.sample_rate) if self._sound is not None else "90000"
        options = {"loop": "0"} if animation else {"movflags": "+faststart", "movie_timescale": ticks}
        self._container = av.open(
            str(self._partial.path), "w", format="webp" if animation else "mp4", container_options=options
        )
        if self._provenance is not None:
            if installed():
                own_certificate()  # a wrong name is known before anything is computed
            self._container.metadata["comment"] = self._provenance.comment
        codec, settings = ("libwebp_anim", {"quality": "90"}) if animation else ("libx264", {"crf": str(self._crf)})
        stream: VideoStream = self._container.add_stream(codec, rate=self.fps, options=settings)
        stream.width, stream.height, stream.pix_fmt = width + width % 2, height + height % 2, "yuv420p"
        if not animation:
            context = stream.codec_context
            context.colorspace = context.color_primaries = context.color_trc = context.color_range = _BT709
        self._stream, self._animation = stream, animation
        if self._sound is not None and animation:
            logger.warning(
                "%s: an animated WebP has no sound. Choose .mp4 for a video with sound.", self._partial.target
            )
        elif self._sound is not None:
            self._track = SoundTrack(self._container, self._sound)

    def _write(self, levels: UInt8[Tensor, "3 h w"]) -> None:
        import av
        import cv2
        import numpy as np
        from av.video.reformatter import ColorRange, Colorspace

        height, width = self.size
        even = levels
        if height % 2 or width % 2:
            even = pad(levels[None].float(), (0, width % 2, 0, height % 2), mode="replicate")[0].to(torch.uint8)
        # OpenCV interleaves colours in a tenth of the time that a transposed copy takes.
        rows = np.asarray(cv2.merge([*even.contiguous().numpy()]), dtype=np.uint8)
        frame = av.VideoFrame.from_ndarray(rows, format="rgb24")
        if not self._animation:
            frame = frame.reformat(format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG)
        frame.pts, frame.time_base = self.frames_written, 1 / self.fps
        for packet in self._stream.encode(frame):
            self._container.mux(packet)
        self.frames_written += 1
        if self._track is not None:
            self._track.write_until(self.frames_written / float(self.fps))

    def _finish(self) -> None:
        from av.error import FFmpegError

        if not self.frames_written:
            raise BadMedia(f"`{self._partial.target}` got no frames. Nothing was written.")
        if self._expected is not None and self.frames_written != self._expected:
            logger.warning("The sound lasts %d frames, but %d were written.", self._expected, self.frames_written)
        try:
            for packet in self._stream.encode(None):
                self._container.mux(packet)
            if self._track is not None:
                self._track.finish()
            self._container.close()
            if self._provenance is not None:
                add_xmp(self._partial.path, self._provenance)
                sign(self._partial.path, self._partial.target, self._provenance)
        except (FFmpegError, OSError) as error:
            raise write_failure(self._partial.target, error) from error
        self._partial.commit()

    def _abort(self) -> None:
        """Release everything; after a commit there is nothing left to delete."""
        from av.error import FFmpegError

        try:
            with contextlib.suppress(FFmpegError, OSError, ValueError):
                if self._track is not None:
                    self._track.close()
            if hasattr(self, "_container"):
                with contextlib.suppress(FFmpegError, OSError, ValueError):  # the trailer of a video given up
                    self._container.close()
        finally:
            self._partial.discard()


@dataclass(frozen=True)
class MediaInfo:
    """What a media file says of itself; values that a file does not have are 0 or empty."""

    duration_s: float
    """How long it lasts, seconds."""
    width: int = 0
    """Of the pictures, pixels."""
    height: int = 0
    """Of the pictures, pixels."""
    fps: float = 0.0
    """Frames a second, the mean over the file."""
    frames: int = 0
    """How many pictures there are."""
    video_codec: str = ""
    """FFmpeg's name of the pictures' codec."""
    audio_codec: str = ""
    """FFmpeg's name of the sound's codec."""
    sample_rate: int = 0
    """Of the sound, Hz."""
    channels: int = 0
    """Of the sound."""


def probe(path: str | Path) -> MediaInfo:
    """Return what a sound or video file says of itself, without decoding it.

    Args:
        path: The file.

    Raises:
        BadMedia: When it is missing or no sound or video file.
    """
    with opened(path) as container:
        found: dict[str, object] = {"duration_s": (container.duration or 0) / 1e6}
        if video := main_video(container):
            found |= {"width": video.width, "height": video.height, "fps": rate_of(video)}
            found |= {"frames": video.frames, "video_codec": video.codec_context.codec.canonical_name}
        if tracks := sound_tracks(container):
            audio = tracks[0].codec_context
            found |= {"audio_codec": audio.codec.canonical_name}
            found |= {"sample_rate": audio.sample_rate, "channels": audio.channels}
            if "width" not in found or not container.duration:  # of sound alone the header's length may be a guess
                found["duration_s"] = counted_s(container, tracks[0])
        return MediaInfo(**found)  # type: ignore[arg-type]


def read_video(path: str | Path, chunk: int = 32) -> tuple[Iterator[Frames], float, Sound | None]:
    """Read a video; frames are decoded as they are asked for, so that length costs no memory.

    Frame k is what is seen k / fps seconds after the pictures begin, whatever the file's own rate does in between;
    pixels are square, rotation is applied. Of several streams that which players show is read, never an album's cover.

    Args:
        path: The file.
        chunk: The most frames at a time.

    Returns:
        An iterator of upright frames, the frame rate, and the sound if there is any.

    Raises:
        BadMedia: When it has no pictures or cannot be read; the iterator raises it where the file is damaged.
    """
    info = probe(path)
    if not info.video_codec or not info.width:
        with opened(path) as container:
            shown_pictures(container, path)  # says what it is instead
    if not info.fps:
        raise BadMedia(
            f"`{path}` must have a frame rate of at most {HIGHEST_RATE:g} a second, but says another or none. "
            "Export it with 25."
        )
    if info.width * info.height > MAX_PIXELS:
        raise BadMedia(
            f"`{path}` must have pictures of at most {MAX_PIXELS / 1e6:.0f} Mpx, but has {info.width} x {info.height}. "
            "Reduce it first."
        )
    return _decoded(path, chunk, info.fps), info.fps, read_sound(path) if info.audio_codec else None


def _decoded(path: str | Path, chunk: int, fps: float) -> Iterator[Frames]:
    with opened(path) as container:
        pending: list[Tensor] = []
        stream = shown_pictures(container, path)
        area = max(1, stream.width * stream.height)
        chunk, shape = max(1, min(chunk, _CHUNK_PIXELS // area)), None
        for pixels in decode_pictures(container, stream, fps, str(path)):
            if pixels.shape != (shape := shape or pixels.shape):
                raise BadMedia(f"`{path}` changes the size of its pictures half-way. Export it in one size.")
            pending.append(pixels)
            if len(pending) == chunk:
                yield Frames(from_bytes(torch.stack(pending)), fps)
                pending = []
        if pending:
            yield Frames(from_bytes(torch.stack(pending)), fps)


def timed_pictures(path: str | Path) -> Iterator[tuple[float, Float[Tensor, "3 h w"]]]:
    """Read the pictures of a video one by one, as `timed_levels` does.

    Args:
        path: The file, of a constant or a varying rate.

    Yields:
        Seconds from the first picture, and the upright picture in [-1, 1].

    Raises:
        BadMedia: When it has no pictures or cannot be read; later, where the file is damaged.
    """
    return ((time_s, from_bytes(levels)) for time_s, levels in timed_levels(path))


def timed_levels(path: str | Path) -> Iterator[tuple[float, UInt8[Tensor, "3 h w"]]]:
    """Read the pictures of a video one by one, each with the time at which it is shown.

    Args:
        path: The file, of a constant or a varying rate.

    Yields:
        Seconds from the first picture, by the file's time stamps, and the upright picture, RGB bytes.

    Raises:
        BadMedia: When it has no pictures or cannot be read; later, where the file is damaged.
    """
    with opened(path) as container:
        stream = shown_pictures(container, path)
        begin_s, aspect = None, float(stream.sample_aspect_ratio or 1)
        for time_s, frame in timed_frames(container, stream, rate_of(stream) or 25.0, str(path)):
            begin_s = time_s if begin_s is None else begin_s
            yield time_s - begin_s, upright(frame, aspect)
