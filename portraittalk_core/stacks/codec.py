"""The VAE of a stack, and what every stack does with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, cast

import torch
from jaxtyping import Float
from torch import Tensor

from ..types import Frames, LatentVideo, StructureMaps

if TYPE_CHECKING:
    from typing_extensions import Self


class Codec(Protocol):
    """The VAE of a stack, or a host's own."""

    @property
    def runs_while_sampling(self) -> bool:
        """Whether it may be asked while the U-Net samples; else what a condition needs is encoded before."""
        ...

    def encode(self, pixels: Float[Tensor, "n 3 s s"]) -> Float[Tensor, "n c h w"]:
        """Return the latents of pictures in [-1, 1], scaled as the denoiser expects them."""
        ...

    def decode(self, latents: Float[Tensor, "n c h w"]) -> Iterator[Float[Tensor, "k 3 s s"]]:
        """Yield the pictures of latents in [-1, 1], a few at a time, on the CPU."""
        ...


class CodecMethods:
    """What every stack does with its VAE, for a frozen dataclass with a field `codec`."""

    codec: Codec
    """The VAE."""

    def encode(self, pixels: Float[Tensor, "n 3 s s"]) -> Float[Tensor, "n c h w"]:
        """Return the latents of pictures; see `Stack.encode`."""
        return self.codec.encode(pixels)

    def decode(self, video: LatentVideo) -> Iterator[Frames]:
        """Yield the pictures of a video; see `Stack.decode`."""
        return frames_of(self.codec, video)

    def rest(self, identity: Any, fps: float) -> StructureMaps | None:
        """Return None: the decoder draws all of a frame; see `Stack.rest`."""
        return None

    def undrawn(
        self, identity: Any, maps: Any, which: slice, size: int | None = None, sure: bool = False
    ) -> Frames | None:
        """Return None: the decoder draws all of a frame; see `Stack.undrawn`."""
        return None

    def composite(
        self,
        frames: Iterable[Frames],
        identity: Any,
        maps: Any,
        size: int | None = None,
        edits: Float[Tensor, "frames *regions"] | float = 0.0,
        fine: bool = False,
    ) -> Iterator[Frames]:
        """Yield the frames as they are: the decoder has drawn them; see `Stack.composite`."""
        return iter(frames)

    def look(
        self,
        drawn: Frames,
        plain: Float[Tensor, "1 3 d d"],
        identity: Any,
        rest: Any,
        asked: Float[Tensor, "1 asked"],
        size: int | None = None,
        whole: bool = False,
    ) -> Any:
        """Return the person as they are; see `Stack.look`."""
        return identity

    def at(self, size: int) -> Self:
        """Return the stack as it is; see `Stack.at`."""
        return self

    def with_codec(self, codec: Codec) -> Self:
        """Return the same stack with another VAE, such as a host's."""
        return cast(Any, replace)(self, codec=codec)


def frames_of(codec: Codec, video: LatentVideo) -> Iterator[Frames]:
    """Decode a video.

    Args:
        codec: Of the stack.
        video: Latents.

    Yields:
        Its pictures, a few at a time. They are the caller's to change: not in inference mode.
    """
    pictures = codec.decode(video.latents)
    while True:
        with torch.inference_mode():
            pixels = next(pictures, None)
        if pixels is None:
            return
        yield Frames(pixels.clone(), video.fps)
