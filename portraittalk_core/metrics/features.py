"""Features of pictures and of clips, whose Fréchet distance is FID and FVD; the networks are the user's to bring.

Both are TorchScript files, which need no code of others: Inception as StyleGAN2-ADA publishes it, I3D as StyleGAN-V
does. Figures of other ports of the same networks do not compare with theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from ..errors import BadInput, WeightsMismatch
from .networks import find_weights

CLIP_FRAMES = 16
"""Frames of a clip that FVD looks at."""

WIDTHS = {"FID": 2048, "FVD": 400}
"""Features a row, by score."""

_BATCH = 32
_SETTINGS: dict[str, dict[str, bool]] = {
    "FID": {"return_features": True},
    "FVD": {"rescale": True, "resize": True, "return_features": True},
}

FeatureNetwork = Callable[[UInt8[Tensor, "n *picture"]], Float[Tensor, "n d"]]
"""Pictures `[n, 3, h, w]` (FID) or clips `[n, 3, 16, h, w]` (FVD), 0 to 255, to a row of features each."""


def load_features(score: str, path: str | Path | None, device: torch.device | str = "cpu") -> FeatureNetwork:
    """Return the network of FID or FVD from the user's file; it resizes and scales pictures by itself.

    A TorchScript file holds a program, which torch runs in an interpreter of its own: open only files that you trust.

    Args:
        score: `FID` or `FVD`.
        path: The TorchScript file.
        device: Where the network runs; features come back on the CPU.

    Raises:
        MissingExtra: Where there is no file; it says what to get.
        WeightsMismatch: For a file that is no TorchScript, and from the network for one that is another network.
    """
    file = find_weights(score, path)
    try:
        network: Any = torch.jit.load(str(file), map_location=device).eval()
    except (RuntimeError, ValueError, OSError) as error:
        why = str(error).strip().splitlines()[-1]
        raise WeightsMismatch(
            f"{score}: unscored, {file} must be a TorchScript file, but cannot be read: {why}."
        ) from error

    @torch.no_grad()
    def features(pictures: UInt8[Tensor, "n *picture"]) -> Float[Tensor, "n d"]:
        try:
            found = network(pictures.to(device), **_SETTINGS[score])
        except (RuntimeError, ValueError, TypeError, torch.jit.Error) as error:
            why = str(error).strip().splitlines()[-1]
            raise WeightsMismatch(f"{score}: unscored, {file} is another network: {why}.") from error
        if not isinstance(found, Tensor) or found.shape != (len(pictures), WIDTHS[score]):
            raise WeightsMismatch(
                f"{score}: unscored, {file} must give {WIDTHS[score]} features a row, but gives "
                f"{list(found.shape) if isinstance(found, Tensor) else type(found).__name__}. Name another file."
            )
        return found.float().cpu()

    return features


def picture_features(
    chunks: Iterable[Float[Tensor, "n 3 h w"]], network: FeatureNetwork, every: int = 1
) -> Float[Tensor, "n 2048"]:
    """Return the features of a video's pictures, for FID.

    Args:
        chunks: Pictures in [-1, 1], a few at a time.
        network: What `load_features("FID", ...)` returned.
        every: Take one picture of so many, at least 1. Neighbours hold little news: 5 is plenty for long videos.

    Returns:
        A row a picture that was taken.

    Raises:
        BadInput: For a video without pictures.
    """
    rows = [network(_levels(torch.stack(part))) for part in _batches(_every(chunks, every), _BATCH)]
    if not rows:
        raise BadInput("FID: unscored, a video must have at least one picture, but has none.")
    return torch.cat(rows)


def clip_features(chunks: Iterable[Float[Tensor, "n 3 h w"]], network: FeatureNetwork) -> Float[Tensor, "n 400"]:
    """Return the features of a video's clips of 16 frames, for FVD; the rest at its end does not count.

    StyleGAN-V takes one clip of each video; we take all that do not overlap, as people have few videos.

    Args:
        chunks: Pictures in [-1, 1], a few at a time.
        network: What `load_features("FVD", ...)` returned.

    Returns:
        A row a clip.

    Raises:
        BadInput: For fewer than 16 frames.
    """
    rows = []
    for part in _batches(_every(chunks, 1), CLIP_FRAMES):
        if len(part) == CLIP_FRAMES:
            rows.append(network(_levels(torch.stack(part, 1))[None]))
    if not rows:
        raise BadInput(f"FVD: unscored, a video must have at least {CLIP_FRAMES} frames. Give a longer one.")
    return torch.cat(rows)


def _levels(pixels: Float[Tensor, "*b"]) -> UInt8[Tensor, "*b"]:
    return (pixels.float() * 127.5 + 127.5).round().clamp(0, 255).to(torch.uint8)


def _every(chunks: Iterable[Float[Tensor, "n 3 h w"]], every: int) -> Iterator[Float[Tensor, "3 h w"]]:
    if every < 1:
        raise BadInput(f"`every` must be at least 1, but got {every}. 1 takes every picture.")
    at = 0
    for chunk in chunks:
        for pixels in chunk:
            if at % every == 0:
                yield pixels
            at += 1


def _batches(pictures: Iterator[Tensor], size: int) -> Iterator[list[Tensor]]:
    held: list[Tensor] = []
    for pixels in pictures:
        held.append(pixels)
        if len(held) == size:
            yield held
            held = []
    if held:
        yield held
