"""Decode a video a second time, knowing where the face is: flicker, likeness to the reference, a film strip."""

from __future__ import annotations

import base64
import functools
import io
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ...errors import BadInput, BadMedia, MissingExtra
from ...media.image import contact_sheet, resize, to_pil
from ...media.video import read_video
from ...metrics import functional as metrics
from ...metrics.functional.image import lpips_network
from .tracks import Track

STRIP_FRAMES = 8
"""Pictures of a film strip."""

STRIP_SIDE = 120
"""Side of each, pixels."""

_AROUND = 1.7
_MOST_DB = 100.0

_Compare = Callable[[Tensor, Tensor], float]


@dataclass
class PictureFigures:
    """What the pictures of a video show."""

    figures: dict[str, float] = field(default_factory=dict)
    """By key: `flicker`, and with a reference `psnr`, `ssim`, `lpips`."""

    unscored: list[str] = field(default_factory=list)
    """A line for each figure that cannot be had."""

    strip: str = ""
    """A film strip of the face, a JPEG as base64; "" for none."""


def measure_pictures(
    path: Path, track: Track, chunk: int, reference: Path | None = None, networks: bool = False
) -> PictureFigures:
    """Decode a video a second time, a few frames at once, and measure its pictures.

    Args:
        path: The video.
        track: Its face.
        chunk: Frames that are decoded together.
        reference: A video of the same size and rate to compare with; what is longer is cut.
        networks: Whether to compare by SSIM and LPIPS too.

    Returns:
        The figures, up to where the video is damaged.
    """
    found = PictureFigures()
    still = _still(track, found)
    flicker, likeness = _Flicker(still), _likeness(networks)
    wanted = {round(i * (len(track.landmarks) - 1) / (STRIP_FRAMES - 1)) for i in range(STRIP_FRAMES)}
    strip: list[Tensor] = []
    others = iter(()) if reference is None else pixels_of(reference, chunk)
    at = 0
    for pixels in pixels_of(path, chunk):
        if still is not None:
            flicker.update(pixels)
        strip += [_portrait(pixels[i - at], track, i) for i in range(at, at + len(pixels)) if i in wanted]
        other = next(others, None)
        if other is not None:
            for mean in likeness:
                mean.update(pixels[: len(other)], other[: len(pixels)])
        at += len(pixels)
    if flicker.value is not None:
        found.figures["flicker"] = flicker.value
    if reference is not None:
        found.figures |= {mean.name: mean.value for mean in likeness if mean.value is not None}
        found.unscored += [mean.trouble for mean in likeness if mean.trouble]
    found.strip = _jpeg(contact_sheet(torch.stack(strip), columns=STRIP_FRAMES, gap=2)) if strip else ""
    return found


def pixels_of(path: Path, chunk: int) -> Iterator[Tensor]:
    """Read the pictures of a video up to where it is damaged; that was reported when it was read first.

    Args:
        path: The video.
        chunk: Frames that are decoded together.

    Yields:
        Pictures [n, 3, h, w] in [-1, 1].
    """
    try:
        chunks, _, _ = read_video(path, chunk)
        for frames in chunks:
            yield frames.pixels
    except BadMedia:
        return


def _still(track: Track, found: PictureFigures) -> Bool[Tensor, "h w"] | None:
    if not track.seen:  # the clip's record says so already
        return None
    region = metrics.static_region(track.landmarks, track.height, track.width)
    if len(track.landmarks) >= 3 and bool(region.any()):
        return region
    why = "the face fills it" if not bool(region.any()) else "a video must have 3 frames or more"
    found.unscored.append(f"Flicker: unscored, a part of the picture must stay free of head and body; {why}.")
    return None


class _Flicker:
    """`metrics.flicker` over a video that comes in pieces; each piece is seen with the two frames before it."""

    def __init__(self, still: Bool[Tensor, "h w"] | None) -> None:
        self._still = still
        self._before: Tensor | None = None
        self._squares, self._count = 0.0, 0

    def update(self, pixels: Float[Tensor, "n 3 h w"]) -> None:
        seen = pixels if self._before is None else torch.cat([self._before, pixels])
        if len(seen) > 2:
            self._squares += metrics.flicker(seen, self._still) ** 2 * (len(seen) - 2)
            self._count += len(seen) - 2
        self._before = seen[-2:]

    @property
    def value(self) -> float | None:
        return math.sqrt(self._squares / self._count) if self._count else None


class _Mean:
    """The mean over frames of a likeness that comes in pieces; trouble: why there is none."""

    def __init__(self, name: str, compare: _Compare) -> None:
        self.name = name
        self.trouble = ""
        self._compare = compare
        self._sum, self._count = 0.0, 0

    def update(self, pixels: Float[Tensor, "n 3 h w"], reference: Float[Tensor, "n 3 h w"]) -> None:
        if self.trouble:
            return
        try:
            self._sum += min(self._compare(pixels, reference), _MOST_DB) * len(pixels)
            self._count += len(pixels)
        except (MissingExtra, BadInput) as error:
            self.trouble = " ".join(str(error).split())

    @property
    def value(self) -> float | None:
        return self._sum / self._count if self._count and not self.trouble else None


def _likeness(networks: bool) -> list[_Mean]:
    @functools.cache
    def network() -> Callable[..., Tensor]:
        return lpips_network()

    more = [_Mean("ssim", metrics.ssim), _Mean("lpips", lambda a, b: metrics.lpips(a, b, network()))]
    more = more if networks else []
    return [_Mean("psnr", metrics.psnr), *more]


def _portrait(pixels: Float[Tensor, "3 h w"], track: Track, at: int) -> Float[Tensor, "3 side side"]:
    """Cut a square around the head; the middle of the picture where there is no face."""
    height, width = pixels.shape[-2:]
    points = track.landmarks[at]
    if bool(torch.isfinite(points).all()):
        low, high = points.min(0).values, points.max(0).values
        (x, y), side = ((low + high) / 2).tolist(), float((high - low).max()) * _AROUND
    else:
        (x, y), side = (width / 2, height / 2), float(min(height, width))
    side = max(2, min(round(side), height, width))
    left = min(max(0, round(x - side / 2)), width - side)
    top = min(max(0, round(y - side / 2)), height - side)
    return resize(pixels[:, top : top + side, left : left + side], STRIP_SIDE, STRIP_SIDE)


def _jpeg(pixels: Float[Tensor, "3 h w"]) -> str:
    buffer = io.BytesIO()
    to_pil(pixels).save(buffer, format="JPEG", quality=80)
    return base64.b64encode(buffer.getvalue()).decode("ascii")
