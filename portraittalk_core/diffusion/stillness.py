"""Hold still what only the denoiser's own error moves: a Wiener filter over time on the latents of a video.

A denoiser that sees one frame at a time answers a little differently in each, so that walls and clothes shimmer. Where
the latents of a cell move no more than that error, the movement is taken out; where they move more, a mouth or a turned
head, they are kept. Our definition; progressive latent fusion (MAGIC-Talk) joins windows, it says nothing of shimmer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import BadInput
from .windows import Window


class StillRegions:
    """Filters the parts of a video one after the other; what has stood still so far stays where it was.

    Args:
        flicker: Standard deviation of the denoiser's error over time, in units of the latents; 0 changes nothing.

    Raises:
        BadInput: For a negative one.
    """

    def __init__(self, flicker: float) -> None:
        if flicker < 0:
            raise BadInput(f"`flicker` must not be negative, but got {flicker}. Set 0 to keep the latents as they are.")
        self._power = flicker**2
        self._rest: Tensor | None = None

    def hold(self, latents: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """Return the next frames of the video, each cell drawn to its rest by the share of flicker in its movement.

        The rest of a cell is its mean over the part before; so a cell that never moves never does, however long the
        video is, and one that moves carries its rest along.

        Args:
            latents: Those that follow the part before.
        """
        if self._power == 0:
            return latents
        rest = latents.mean(0, keepdim=True) if self._rest is None else self._rest
        away = latents - rest
        moved = away.square().mean((0, 1), keepdim=True)
        held = rest + away * (1 - self._power / moved.clamp(min=self._power))
        self._rest = held.mean(0, keepdim=True)
        return held


def hold_still(
    latents: Float[Tensor, "n c h w"], windows: Sequence[Window], flicker: float
) -> Float[Tensor, "n c h w"]:
    """Filter a whole video, in the parts in which streaming hands it out: what no later window changes.

    Args:
        latents: Of all frames.
        windows: In which they were denoised.
        flicker: See `StillRegions`.
    """
    still = StillRegions(flicker)
    return torch.cat([still.hold(part) for part in latents.split(final_lengths(windows))])


def hold_chunks(chunks: Iterator[tuple[int, Tensor]], flicker: float) -> Iterator[tuple[int, Tensor]]:
    """Filter the chunks of a streamed video.

    Args:
        chunks: First frame and latents of each, in order.
        flicker: See `StillRegions`.
    """
    still = StillRegions(flicker)
    return ((start, still.hold(latents)) for start, latents in chunks)


def final_lengths(windows: Sequence[Window]) -> list[int]:
    """Return how many frames each window adds that no later window changes; they sum to the video's.

    Args:
        windows: Of the whole video, in order.
    """
    starts = [window.start for window in windows]
    return [stop - start for start, stop in zip(starts, [*starts[1:], windows[-1].stop], strict=True)]
