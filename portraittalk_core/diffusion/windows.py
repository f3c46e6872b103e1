"""Plan overlapping windows over a video and how wide their seams are."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import BadInput

LAST_WIDTH = 1 / 3
"""The share of an overlap that is still blended at the last step. Not zero: a hard cut would be seen."""


@dataclass(frozen=True)
class Window:
    """A stretch of a video that is denoised together; its length is `len(window)`."""

    start: int
    """First frame, from 0."""

    stop: int
    """The frame after the last."""

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def frames(self) -> slice:
        """The frames, to index a tensor of the whole video with."""
        return slice(self.start, self.stop)

    @property
    def indices(self) -> Tensor:
        """The frame numbers, int64, [window]."""
        return torch.arange(self.start, self.stop)


def plan_windows(frame_count: int, window: int, overlap: int) -> list[Window]:
    """Cover a video by overlapping windows of one length.

    The last window is shifted back so that it is as long as the others (temporal attention was trained on that
    length); it then shares more. A video no longer than a window is one window.

    Args:
        frame_count: Frames of the video, at least 1.
        window: Frames of a window, at least 1.
        overlap: Frames that neighbours share at least, from 0, fewer than `window`.

    Raises:
        BadInput: For sizes that cannot work.
    """
    for name, value in (("frame_count", frame_count), ("window", window)):
        if value < 1:
            raise BadInput(f"`{name}` must be at least 1 frame, but got {value}. Try 16.")
    if overlap < 0:
        raise BadInput(f"`overlap` must not be negative, but got {overlap}. Try {window // 4}.")
    if overlap >= window:
        raise BadInput(
            f"`overlap` must be shorter than `window` ({window} frames), but got {overlap}. Try {window // 4}."
        )
    if frame_count <= window:
        return [Window(0, frame_count)]
    starts = [*range(0, frame_count - window, window - overlap), frame_count - window]
    return [Window(start, start + window) for start in starts]


def without_overlap(windows: list[Window]) -> list[Window]:
    """Cut windows where the next ones begin, for denoisers in which frames do not see one another.

    They would answer the same twice for a frame that two windows share.

    Args:
        windows: Of the whole video, in order.
    """
    stops = [*(window.start for window in windows[1:]), windows[-1].stop]
    return [Window(window.start, stop) for window, stop in zip(windows, stops, strict=True)]


def blend_width(progress: float) -> float:
    """Return the share of an overlap that is blended, from 1 at the first step to `LAST_WIDTH` at the last.

    Our definition of "progressive": early steps decide the layout and must agree over the whole overlap; late
    steps draw detail, which averaging blurs, so that each frame should come from one window.

    Args:
        progress: Of the sampling, from 0 at the first step to 1 at the last.
    """
    return 1.0 - (1.0 - LAST_WIDTH) * progress


def later_share(before: Window, after: Window, progress: float) -> Float[Tensor, "overlap"]:
    """Return, for each shared frame, the weight in [0, 1] of the later of two windows; the earlier has the rest.

    A straight ramp around the middle of the overlap, `blend_width` of it wide; 0 before and 1 after it. Over the
    whole overlap this is the triangular window of overlap-add.

    Args:
        before: The earlier window.
        after: The later one, which begins before the other ends.
        progress: Of the sampling, in [0, 1].
    """
    shared = before.stop - after.start
    place = (torch.arange(shared, dtype=torch.float64) + 0.5) / shared - 0.5
    return (place / blend_width(progress) + 0.5).clamp(0, 1).float()


def fusion_weights(windows: list[Window], progress: float) -> list[Float[Tensor, "window"]]:
    """Return a weight for each frame of each window; over the windows that share a frame they sum to 1.

    A frame in one window only has the weight 1 exactly.

    Args:
        windows: Of the whole video, in order.
        progress: Of the sampling, in [0, 1].
    """
    weights = [torch.ones(len(window), dtype=torch.float64) for window in windows]
    for i, (before, after) in enumerate(pairwise(windows)):
        shared = before.stop - after.start
        if shared > 0:
            share = later_share(before, after, progress).double()
            weights[i][-shared:] *= 1 - share
            weights[i + 1][:shared] *= share
    total = torch.zeros(windows[-1].stop, dtype=torch.float64)
    for window, weight in zip(windows, weights, strict=True):
        total[window.frames] += weight
    return [(w / total[window.frames]).float() for window, w in zip(windows, weights, strict=True)]
