"""What the protocol of a data set says of its clips, and how a clip differs from it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Expected:
    """What the clips of a data set are like."""

    name: str
    """Of the set, as the lines of a report call it."""

    fps: tuple[float, ...] = ()
    """Allowed frame rates, frames a second; () for any."""

    sizes: tuple[tuple[int, int], ...] = ()
    """Allowed sizes of the picture as (width, height), pixels; () for any."""

    def differences(self, fps: float, width: int, height: int) -> list[str]:
        """Say in what a clip differs from the set's protocol.

        Args:
            fps: Frames a second of the clip.
            width: Of its pictures, pixels.
            height: Of its pictures, pixels.

        Returns:
            One line for each difference; [] where there is none.
        """
        lines = []
        if self.fps and not any(abs(fps - allowed) < 0.05 for allowed in self.fps):
            allowed = " or ".join(f"{value:g}" for value in self.fps)
            lines.append(f"{self.name} has {allowed} frames a second, but this clip {fps:g}: mind it when comparing")
        if self.sizes and (width, height) not in self.sizes:
            allowed = " or ".join(f"{w} x {h}" for w, h in self.sizes)
            lines.append(f"{self.name} has pictures of {allowed}, but this clip {width} x {height}")
        return lines
