"""Which windows a video is denoised in, where prompts that follow one another have looks of their own."""

from __future__ import annotations

from dataclasses import dataclass

from ..portraittalk_core.diffusion.windows import Window, plan_windows, without_overlap
from ..portraittalk_core.looks import Span


@dataclass(frozen=True)
class WindowPlan:
    """Cuts videos into windows."""

    window: int
    """Frames that are denoised together."""

    overlap: int
    """Frames that neighbouring windows share."""

    coupled: bool = True
    """Whether frames of a window see one another; where they do not, none is denoised twice."""

    spans: tuple[Span, ...] = ()
    """Where each look is seen; windows share two looks only in the fade between them."""

    def windows(self, frames: int) -> list[Window]:
        """Return the windows in order.

        Args:
            frames: Of the video.
        """
        if len(self.spans) < 2 or max(span.end for span in self.spans) != frames:
            return self._cut(frames)
        made = [
            Window(span.first + window.start, span.first + window.stop)
            for span in self.spans
            for window in self._cut(span.end - span.first)
        ]
        return _in_turn(made)

    def whole(self, frames: int) -> list[Window]:
        """Return the windows of a video as if all of it had one look and frames saw one another."""
        return plan_windows(frames, self.window, self.overlap)

    def _cut(self, frames: int) -> list[Window]:
        windows = self.whole(frames)
        return windows if self.coupled else without_overlap(windows)


def _in_turn(windows: list[Window]) -> list[Window]:
    """Return windows each of which begins and ends later than the one before, which cover the same frames."""
    kept: list[Window] = []
    for window in sorted(windows, key=lambda each: (each.start, each.stop)):
        if kept and window.stop <= kept[-1].stop:
            continue
        if kept and window.start == kept[-1].start:
            kept.pop()
        kept.append(window)
    return kept
