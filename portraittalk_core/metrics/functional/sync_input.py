"""What SyncNet looks at and listens to: crops of a face at 25 fps, and cepstra of the sound.

Protocol of SyncNet v2's own pipeline (github.com/joonson/syncnet_python), with three differences, which are ours: the
boxes come from the detector in use and not from S3FD, pictures are not compressed once more on the way, and a clip is
not searched for cuts.
"""

from __future__ import annotations

import itertools
import math
from functools import cache

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from ...errors import BadInput
from ...types import SPEECH_RATE
from .sync import SYNC_FPS
from .voice import check_audio

CROP_SIDE = 224
"""Side of a crop, pixels."""

LONGEST_GAP = 25
"""Frames without a face that a track survives."""

_WINDOW, _STEP, _BINS, _BANDS, _CEPSTRA, _LIFTER, _EMPHASIS = 400, 160, 512, 26, 13, 22, 0.97
_COLUMNS_PER_FRAME, _COLUMNS = 4, 20
_OVERLAP, _MEDIAN, _SCALE, _PAD_LEVEL = 0.5, 13, 0.4, 110.0
_FOREHEAD = 0.3
_TINY = torch.finfo(torch.float64).eps


def mfcc(audio: Float[Tensor, "n"]) -> Float[Tensor, "columns 13"]:
    """Return mel-frequency cepstra of sound at 16 kHz, a hundred columns a second.

    Those of python_speech_features 0.6 with its defaults, which SyncNet was trained on: samples as 16-bit integers,
    pre-emphasis 0.97, rectangular windows of 25 ms every 10 ms (the last one filled up with zeros), power spectrum of
    512 points, 26 triangles between 0 and 8 kHz with corners on whole bins, logarithm, orthonormal DCT-II, lifter 22;
    the first coefficient is the logarithm of the energy. librosa's mel filters do not round their corners: its cepstra
    are 1.4 away (root mean square, of 19) on the shipped speech, which is why these are not taken from there.

    Args:
        audio: One channel at 16 kHz in [-1, 1]; what exceeds it is clipped, as in a file of 16 bits.

    Raises:
        BadInput: For what is not one finite channel.
    """
    samples = (check_audio(audio, SPEECH_RATE).double() * 32768).round().clamp(-32768, 32767)
    emphasised = torch.cat([samples[:1], samples[1:] - _EMPHASIS * samples[:-1]])
    columns = 1 + max(0, math.ceil((len(samples) - _WINDOW) / _STEP))
    padded = functional.pad(emphasised, (0, max(0, (columns - 1) * _STEP + _WINDOW - len(samples))))
    power = torch.fft.rfft(padded.unfold(0, _WINDOW, _STEP), _BINS).abs().square() / _BINS
    bands = (power @ _triangles().T).clamp(min=_TINY).log()
    cepstra = bands @ _cosines().T
    cepstra[:, 0] = power.sum(1).clamp(min=_TINY).log()
    return cepstra.float()


@cache
def _triangles() -> Float[Tensor, "bands bins"]:
    """Return the mel filters: rising and falling lines between corners that were rounded down to bins."""
    top = 2595 * math.log10(1 + SPEECH_RATE / 2 / 700)
    mels = torch.linspace(0, top, _BANDS + 2, dtype=torch.float64)
    corners = ((_BINS + 1) * 700 * (10 ** (mels / 2595) - 1) / SPEECH_RATE).floor()
    low, middle, high = (corners[i : i + _BANDS, None] for i in range(3))
    at = torch.arange(_BINS // 2 + 1, dtype=torch.float64)
    rising = (at - low) / (middle - low) * ((at >= low) & (at < middle))
    falling = (high - at) / (high - middle) * ((at >= middle) & (at < high))
    return rising.nan_to_num() + falling.nan_to_num()


@cache
def _cosines() -> Float[Tensor, "cepstra bands"]:
    """Return the first rows of the orthonormal DCT-II, raised by the lifter."""
    k = torch.arange(_CEPSTRA, dtype=torch.float64)[:, None]
    n = torch.arange(_BANDS, dtype=torch.float64)
    rows = torch.cos(math.pi * k * (2 * n + 1) / (2 * _BANDS)) * math.sqrt(2 / _BANDS)
    rows[0] /= math.sqrt(2)
    return rows * (1 + _LIFTER / 2 * torch.sin(math.pi * k / _LIFTER))


def sound_windows(audio: Float[Tensor, "n"], count: int) -> Float[Tensor, "count 13 20"]:
    """Return the cepstra beside each of the first `count` frames at 25 fps: columns 4v to 4v + 20 for frame v.

    Args:
        audio: One channel at 16 kHz in [-1, 1].
        count: Frames, at least 1.

    Raises:
        BadInput: Where the sound ends before.
    """
    columns = mfcc(audio)
    needed = (count - 1) * _COLUMNS_PER_FRAME + _COLUMNS
    if count < 1 or len(columns) < needed:
        raise BadInput(
            f"`audio` must last {max(needed, _COLUMNS) / 100:.2f} s for {count} frames, but lasts "
            f"{len(audio) / SPEECH_RATE:.2f} s. Cut the picture."
        )
    return columns.unfold(0, _COLUMNS, _COLUMNS_PER_FRAME)[:count].contiguous()


def frames_at_25(frames: int, fps: float) -> Int[Tensor, "n"]:
    """Return which frame of a video is shown in the middle of each frame at 25 fps.

    Args:
        frames: Of the video.
        fps: Of the video.

    Raises:
        BadInput: For an fps that is not positive.
    """
    if not fps > 0:
        raise BadInput(f"`fps` must be positive, but got {fps}. Try 25.")
    count = math.floor(frames / fps * SYNC_FPS + 1e-6)
    at = (torch.arange(count, dtype=torch.float64) + 0.5) / SYNC_FPS * fps
    return (at + 1e-6).floor().long().clamp(max=max(0, frames - 1))


def face_boxes(landmarks: Float[Tensor, "f p 2"]) -> Float[Tensor, "f 4"]:
    """Return left, top, right, bottom of the face in each frame, NaN without one; for detectors that give no boxes.

    Our stand-in for the boxes of the protocol, which reach from the forehead to the chin: those of the landmarks with
    three tenths of their height added above the brows. Boxes of a detector that was trained on WIDER FACE, as the
    protocol's was, are nearer to it.

    Args:
        landmarks: In pixels, NaN rows without a face.
    """
    low, high = landmarks.amin(1), landmarks.amax(1)
    forehead = _FOREHEAD * (high[:, 1] - low[:, 1])
    return torch.stack([low[:, 0], low[:, 1] - forehead, high[:, 0], high[:, 1]], 1)


def longest_track(boxes: Float[Tensor, "f 4"]) -> tuple[int, Float[Tensor, "n 4"]]:
    """Return the first frame of the longest run of one face, and its boxes with gaps filled in linearly.

    A run goes on while no more than 25 frames lack a face and each box covers more than half (intersection over union)
    of the one before.

    Args:
        boxes: Left, top, right, bottom in pixels, NaN rows without a face.

    Raises:
        BadInput: Where no frame has a face.
    """
    known = torch.isfinite(boxes).all(1).nonzero()[:, 0].tolist()
    if not known:
        raise BadInput("LSE: unscored, no frame has a face. Check the detector.")
    shared = _shared(boxes[known[:-1]], boxes[known[1:]]).tolist()
    runs: list[list[int]] = [[known[0]]]
    for (before, now), overlap in zip(itertools.pairwise(known), shared, strict=True):
        if now - before <= LONGEST_GAP and overlap > _OVERLAP:
            runs[-1].append(now)
        else:
            runs.append([now])
    longest = max(runs, key=lambda run: run[-1] - run[0])
    at = torch.tensor(longest)
    wanted = torch.arange(longest[0], longest[-1] + 1)
    after = torch.searchsorted(at, wanted).clamp(min=min(1, len(at) - 1))
    before = (after - 1).clamp(min=0)
    share = (wanted - at[before]).double() / (at[after] - at[before]).clamp(min=1)
    rows = boxes[at].double()
    return longest[0], torch.lerp(rows[before], rows[after], share[:, None])


def _shared(first: Float[Tensor, "n 4"], second: Float[Tensor, "n 4"]) -> Float[Tensor, "n"]:
    """Return intersection over union of boxes, row by row."""
    low, high = torch.maximum(first[:, :2], second[:, :2]), torch.minimum(first[:, 2:], second[:, 2:])
    both = (high - low).clamp(min=0).prod(1)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(1) for boxes in (first, second)]
    return both / (areas[0] + areas[1] - both).clamp(min=1e-9)


def steady_squares(boxes: Float[Tensor, "n 4"]) -> Float[Tensor, "n 3"]:
    """Return x and y of the middle and half the longer side of each box, through a running median of 13 frames.

    Beyond both ends zeros are counted, as in the protocol, so that the first and last frames take a low value of their
    neighbours.

    Args:
        boxes: Left, top, right, bottom in pixels, of one run.
    """
    sides, middle = boxes[:, 2:] - boxes[:, :2], (boxes[:, 2:] + boxes[:, :2]) / 2
    rows = torch.cat([middle, sides.amax(1, keepdim=True) / 2], 1)
    padded = functional.pad(rows, (0, 0, _MEDIAN // 2, _MEDIAN // 2))
    return padded.unfold(0, _MEDIAN, 1).median(-1).values


def crop_face(pixels: Float[Tensor, "3 h w"], square: Float[Tensor, "3"]) -> Float[Tensor, "3 224 224"]:
    """Return what SyncNet sees of a picture: from the top of the face to below the chin; blue, green, red, 0 to 255.

    The crop reaches one half side up, 1.8 down and 1.4 to either side; what lies outside the picture is gray (110). It
    is resized without antialiasing, as OpenCV does.

    Args:
        pixels: Red, green, blue in [-1, 1].
        square: x, y and half a side in pixels, a row of `steady_squares`.

    Raises:
        BadInput: For a box of no size or outside the picture.
    """
    x, y, half = square.tolist()
    pad = int(half * (1 + 2 * _SCALE))
    levels = (pixels.float() * 127.5 + 127.5).round().clamp(0, 255).flip(0)
    padded = functional.pad(levels, (pad,) * 4, value=_PAD_LEVEL)
    across, down = (1 + _SCALE) * half, (1 + 2 * _SCALE) * half
    top, bottom = max(0, int(y + pad - half)), int(y + pad + down)
    left, right = max(0, int(x + pad - across)), int(x + pad + across)
    face = padded[:, top:bottom, left:right]
    if not face.numel():
        raise BadInput(f"LSE: unscored, a face must lie in the picture, but its box is {square.tolist()}.")
    return functional.interpolate(face[None], (CROP_SIDE, CROP_SIDE), mode="bilinear")[0].round()
