"""LSE of a video from its pictures and its sound; the formula is `functional.sync.sync_score`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import BadInput
from ..types import SPEECH_RATE
from .functional.sync import SHORTEST_FRAMES, SYNC_FPS, SyncScore, sync_score
from .functional.sync_input import crop_face, frames_at_25, longest_track, sound_windows, steady_squares

BATCH = 16
"""Embeddings that are taken together: 20 crops, with which a run stays at about half a gigabyte."""

_SPAN = 5
_SAMPLES_A_FRAME = int(SPEECH_RATE / SYNC_FPS)


class SyncNetwork(Protocol):
    """What LSE needs of a network: `nets.sync_net.SyncNet`, read by `checkpoints.syncnet.load_syncnet`."""

    def lips(self, frames: Float[Tensor, "t 3 224 224"]) -> Float[Tensor, "t_minus_4 d"]:
        """Embed the lips at every frame that four others follow.

        Args:
            frames: Blue, green, red, 0 to 255.
        """
        ...

    def sound(self, mfcc: Float[Tensor, "n 13 20"]) -> Float[Tensor, "n d"]:
        """Embed windows of sound.

        Args:
            mfcc: Twenty columns of cepstra each.
        """
        ...


@torch.no_grad()
def score_sync(
    chunks: Iterable[Float[Tensor, "n 3 h w"]],
    boxes: Float[Tensor, "f 4"],
    fps: float,
    audio: Float[Tensor, "n"],
    network: SyncNetwork,
    device: torch.device | str = "cpu",
) -> SyncScore:
    """Return LSE-D, LSE-C and offset of a video by SyncNet's protocol. The longest run of one face is scored.

    Args:
        chunks: Its pictures in [-1, 1], a few at a time and each once, as they are decoded.
        boxes: Left, top, right, bottom of the face in each picture, in pixels, NaN rows without one;
            `functional.sync_input.face_boxes` makes them from landmarks.
        fps: Frames a second of the pictures; those shown at 25 are scored.
        audio: One channel at 16 kHz, in [-1, 1].
        network: SyncNet on `device`.
        device: Where the network runs.

    Raises:
        BadInput: Where the longest run has fewer than 100 frames at 25 fps: shorter clips are not scored.
    """
    at = frames_at_25(len(boxes), fps)
    first, track = longest_track(boxes[at])
    heard = audio[first * _SAMPLES_A_FRAME : (first + len(track)) * _SAMPLES_A_FRAME]
    count = min(len(track), len(heard) // _SAMPLES_A_FRAME)
    if count < SHORTEST_FRAMES:
        raise BadInput(
            f"LSE: unscored, face and sound must last {SHORTEST_FRAMES} frames at 25 fps together, but last {count}. "
            "Give a longer clip."
        )
    squares, wanted = steady_squares(track)[: count - 1], at[first : first + count - 1].tolist()
    crops = (crop_face(pixels, square) for pixels, square in zip(_chosen(chunks, wanted), squares))
    lips = torch.cat([network.lips(part.to(device)).cpu() for part in _overlapping(crops)])
    cepstra = sound_windows(heard, count - _SPAN)
    sound = torch.cat([network.sound(part.to(device)).cpu() for part in cepstra.split(4 * BATCH)])
    if len(lips) != len(sound):
        raise BadInput(
            f"LSE: unscored, the video must have the {len(boxes)} pictures that `boxes` has, but ended before. "
            "Read it again."
        )
    return sync_score(lips, sound)


def _chosen(chunks: Iterable[Float[Tensor, "n 3 h w"]], wanted: list[int]) -> Iterator[Float[Tensor, "3 h w"]]:
    """Yield the pictures of the given numbers, which rise and may repeat, out of a stream."""
    numbers = iter(wanted)
    number = next(numbers, None)
    start = 0
    for chunk in chunks:
        while number is not None and number < start + len(chunk):
            yield chunk[number - start]
            number = next(numbers, None)
        if number is None:
            return
        start += len(chunk)


def _overlapping(crops: Iterator[Float[Tensor, "3 s s"]]) -> Iterator[Float[Tensor, "n 3 s s"]]:
    """Yield stacks of crops for `BATCH` embeddings each, every one beginning with the last four of the one before."""
    held: list[Tensor] = []
    for crop in crops:
        held.append(crop)
        if len(held) == BATCH + _SPAN - 1:
            yield torch.stack(held)
            held = held[-(_SPAN - 1) :]
    if len(held) >= _SPAN:
        yield torch.stack(held)
