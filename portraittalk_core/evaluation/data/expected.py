"""What the protocol of a set says of its clips, and how a clip differs from it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Expected:
    """What clips of a set are like. fps, sizes (width, height): the allowed ones, () for any; name: of the set."""

    name: str
    fps: tuple[float, ...] = ()
    sizes: tuple[tuple[int, int], ...] = ()

    def differences(self, fps: float, width: int, height: int) -> list[str]:
        """Return a line for each thing in which a clip differs from the set's protocol."""
        lines = []
        if self.fps and not any(abs(fps - allowed) < 0.05 for allowed in self.fps):
            allowed = " or ".join(f"{value:g}" for value in self.fps)
            lines.append(f"{self.name} has {allowed} frames a second, but this clip {fps:g}: mind it when comparing")
        if self.sizes and (width, height) not in self.sizes:
            allowed = " or ".join(f"{w} x {h}" for w, h in self.sizes)
            lines.append(f"{self.name} has pictures of {allowed}, but this clip {width} x {height}")
        return lines
