"""Clips of real people, as `portraittalk prepare` wrote them, encoded to the bank that both stages learn from.

A sample gives stretches of `clip_bank.FRAMES` frames, each with a reference far away in the same sample. What rendered
people know exactly is estimated: points and coefficients are the preparation's, the mouth at rest is the shaper's, and
what the reference does not show is the dense motion's own share. Everything is encoded before the first step and kept
on disk, three bytes a pixel twice a frame: for hours of clips, not for hundreds of hours.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from ...config import TrainingConfig
from ...errors import BadInput, BadMedia
from ...motion.structure import FaceFitter, FaceShaper, clamp_coefficients
from ...perception.speech import SpeechEncoder
from ...preparation.decoding import pixels_of
from ...preparation.samples import decoded, wave_samples
from ...preparation.settings import FPS
from ...preparation.shards import Sample, read_index, read_sample
from ...types import COEFFICIENTS, MOUTH
from ..model import VAE_FACTOR
from .bank import RESTING, BankFiles, FrameEncoders, encode_moved, is_made
from .clip_bank import FRAMES

logger = logging.getLogger(__name__)

_REST = 0.1
_MOVED = tuple(k for k, name in enumerate(COEFFICIENTS) if name.startswith(MOUTH))


@dataclass(frozen=True)
class Readers:
    """What reads faces and speech besides the encoders of a bank."""

    fitter: FaceFitter
    """Reads expression and pose off points."""

    shaper: FaceShaper
    """Gives points another expression."""

    speech: SpeechEncoder
    """Of the model that is trained."""


@dataclass(frozen=True)
class _Stretch:
    """A stretch of a sample, and the frame that it is shown of the person."""

    shard: Path
    entry: dict[str, Any]
    first: int
    reference: int


@dataclass(frozen=True)
class _Read:
    """A sample, and what all its stretches share."""

    key: str
    sample: Sample
    points: dict[str, Float[Tensor, "f 478 2"]]
    """Of all frames, as they are and with the mouth at rest, by how their files begin."""

    face: Float[Tensor, "1 512"]
    features: Float[Tensor, "f d"]


def bank_name(run: TrainingConfig) -> str:
    """Return the folder of what a run encodes; runs that learn other frames of the same samples have another.

    Args:
        run: What it is.
    """
    return f"bank_{run.sample_frames}" if run.sample_frames else "bank"


def encode_shards(
    folder: Path,
    shards: Path,
    encoders: FrameEncoders,
    readers: Readers,
    sizes: Sequence[int] = (128, 256),
    split: str = "train",
    *,
    frames: int = 0,
) -> None:
    """Encode a split of shards, unless that was done already; a broken sample is reported and left out.

    Args:
        folder: Where the bank will lie, in the layout of `clip_bank.encode_clips`.
        shards: Folder of `portraittalk prepare`.
        encoders: Make latents and moved references.
        readers: Read faces and speech.
        sizes: Sides in pixels at which latents are made.
        split: That is encoded.
        frames: Of each sample, its first, that are encoded; 0: all.

    Raises:
        BadInput: When the split holds no whole stretch.
    """
    if is_made(folder):
        return
    stretches = list(_stretches(shards, split, frames or sys.maxsize))
    if not stretches:
        raise BadInput(f"{shards}: must hold stretches of {FRAMES + 1} frames in `{split}`. Prepare longer clips.")
    made = BankFiles(folder, len(stretches) * (FRAMES + 1), max(sizes), ("", RESTING))
    tags: list[dict[str, str]] = []
    held: _Read | None = None
    for number, stretch in enumerate(stretches):
        if held is None or held.key != stretch.entry["key"]:
            held = _read(stretch, readers)
        moved = _encode(held, stretch, encoders, sizes, made.found)
        made.put(slice(number * (FRAMES + 1), (number + 1) * (FRAMES + 1)), moved)
        tags += [{"caption": held.sample.caption}] * (FRAMES + 1)
        logger.info("encoded %d of %d stretches", number + 1, len(stretches))
    clips = np.repeat(np.arange(len(stretches)), FRAMES + 1)
    made.finish(clips, clips * (FRAMES + 1), tags)


def _stretches(shards: Path, split: str, most: int) -> Iterator[_Stretch]:
    """Yield the stretches of all samples that are whole; the reference lies half a sample away."""
    for shard in read_index(shards)["shards"]:
        for entry in shard["samples"] if shard["split"] == split else ():
            count = min(entry["frames"], most)
            if count <= FRAMES:
                continue
            try:
                read_sample(shards / shard["file"], entry)
            except BadMedia as error:
                logger.warning("%s: %s; it is left out.", shard["file"], error)
                continue
            for k in range(count // FRAMES):
                first = k * FRAMES
                reference = (first + FRAMES // 2 + count // 2) % count
                yield _Stretch(shards / shard["file"], entry, first, reference)


def _read(stretch: _Stretch, readers: Readers) -> _Read:
    sample = read_sample(stretch.shard, stretch.entry)
    points = torch.from_numpy(sample.array("points"))
    face = F.normalize(torch.from_numpy(sample.array("faces")).mean(0, keepdim=True), dim=1)
    there = {"": points, RESTING: _at_rest(points, readers)}
    return _Read(stretch.entry["key"], sample, there, face, _heard(sample, len(points), readers.speech))


def _encode(
    read: _Read,
    stretch: _Stretch,
    encoders: FrameEncoders,
    sizes: Sequence[int],
    found: dict[str, list[Tensor]],
) -> dict[str, Float[Tensor, "k 3 s s"]]:
    """Append what is made of a stretch to `found`; return the references moved to each set of points."""
    rows = [stretch.reference, *range(stretch.first, stretch.first + FRAMES)]
    content = read.sample.frames
    pictures = torch.stack([_sized(content[row], max(sizes)) for row in rows]).to(encoders.device)
    there = {name: points[rows].to(encoders.device) for name, points in read.points.items()}
    moved, motions = encode_moved(pictures, there, encoders, sizes, found)
    side = max(sizes) // VAE_FACTOR
    unseen = F.interpolate(motions[""].shares[:, :1].float(), (side, side), mode="area")[:, 0]
    unseen[0] = 0
    found.setdefault("unseen", []).append(unseen.half().cpu())
    found.setdefault("embeddings", []).append(read.face.expand(len(rows), -1))
    for name, value in there.items():
        found.setdefault(f"{name}landmarks", []).append(value.cpu())
    found.setdefault("features", []).append(read.features[rows[1:]][None])
    return moved


def _sized(content: bytes, size: int) -> Float[Tensor, "3 size size"]:
    picture = decoded(content)
    if picture.shape[0] != size:
        how = cv2.INTER_AREA if picture.shape[0] > size else cv2.INTER_CUBIC
        picture = cv2.resize(picture, (size, size), interpolation=how)
    return pixels_of(picture)


@torch.no_grad()
def _at_rest(points: Float[Tensor, "f 478 2"], readers: Readers) -> Float[Tensor, "f 478 2"]:
    """Return the points with the mouth at rest."""
    coefficients, pose = readers.fitter(points)
    found = torch.cat([clamp_coefficients(coefficients), pose], 1)
    return at_rest(points, found, resting_coefficients(found[:, :-6]), readers.shaper)


def resting_coefficients(coefficients: Float[Tensor, "f 52"]) -> Float[Tensor, "f 52"]:
    """Return blendshapes with the mouth at rest: what it does in nine of ten frames is mood, and stays.

    Args:
        coefficients: Of all frames of a sample.
    """
    resting = coefficients.clone()
    low = coefficients[:, _MOVED].quantile(_REST, dim=0)
    resting[:, _MOVED] = torch.minimum(coefficients[:, _MOVED], low)
    return resting


@torch.no_grad()
def at_rest(
    points: Float[Tensor, "n 478 2"],
    coefficients: Float[Tensor, "n 58"],
    resting: Float[Tensor, "n 52"],
    shaper: FaceShaper,
) -> Float[Tensor, "n 478 2"]:
    """Return points with another expression.

    Args:
        points: Of some frames.
        coefficients: Of the same, blendshapes and pose.
        resting: Blendshapes that they get.
        shaper: Gives points another expression.
    """
    now, pose = coefficients[:, :-6], coefficients[:, -6:]
    return shaper(points, now, pose, resting, pose)


def _heard(sample: Sample, frames: int, encoder: SpeechEncoder) -> Float[Tensor, "f d"]:
    """Return speech features of all frames of a sample, float16; of silence where it has no sound."""
    sound = wave_samples(sample.files["wav"]) if "wav" in sample.files else torch.zeros(frames * 640)
    return encoder.encode(sound, FPS, frames).hidden.half()
