"""Learn from shards of `portraittalk prepare` as they are: samples are read, drawn from and encoded in every step.

However many shards there are, nothing is written. Which stretch of which sample a batch holds is decided by the seed
and the batch's number alone, so that a resumed run stands where it stood in the shards, for any number of processes and
of loader workers. Every sample is drawn once before any is drawn again. A sample whose bytes are not those that were
written is left out, the next takes its place, and the run says so.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor
from torch.utils.data import Dataset

from ...compositing.head_warp import moved_picture
from ...errors import BadInput, BadMedia
from ...preparation import cache
from ...preparation.samples import decoded, wave_samples
from ...preparation.settings import FPS
from ...preparation.shards import Sample, read_index, read_sample
from .bank import FrameEncoders
from .pairs import Batch, Tokenize
from .shard_bank import Readers, at_rest, resting_coefficients

MARGIN = 30
"""Frames between a reference and what is drawn beside it, at least, where the sample is long enough: as public
trainings of talking heads have it (`sample_margin` of github.com/fudan-generative-vision/hallo)."""

ENCODED_PIXELS = 1 << 20
"""Of pictures that are encoded together: four of 512 pixels, for which SD1.5's VAE takes 2.7 GB."""


@dataclass(frozen=True)
class RawDraw:
    """What a batch is made of, read from shards and not encoded yet; made in a loader's process."""

    references: UInt8[Tensor, "r s s 3"]
    """Reference pictures."""

    reference_points: Float[Tensor, "r 478 2"]
    """Of those."""

    pictures: UInt8[Tensor, "n s s 3"]
    """Target frames, of one reference after the other."""

    points: Float[Tensor, "n 478 2"]
    """Of those."""

    coefficients: Float[Tensor, "n 58"]
    """Of those: blendshapes, then the pose, as they are."""

    resting: Float[Tensor, "n 52"]
    """Blendshapes with the mouth at rest."""

    faces: Float[Tensor, "r 512"]
    """Embeddings of the people, unit length."""

    captions: tuple[str, ...]
    """One a reference; empty where the text is dropped."""

    drops: Bool[Tensor, "4 r"]
    """Which go without the face embedding, the reference picture, the speech, the mouth."""

    sounds: tuple[Float[Tensor, "samples"], ...]
    """Of whole samples, for clips."""

    first: Int[Tensor, "r"]
    """Frame of the sample that each clip begins with."""

    names: tuple[str, ...]
    """Samples and frames, for messages."""

    latents: Float[Tensor, "n c h w"] | None = None
    """Of the target frames, where shards bring them; `pictures` has no pixels then."""

    reference_latents: Float[Tensor, "r c h w"] | None = None
    """Of the references, likewise."""

    features: Float[Tensor, "r f d"] | None = None
    """Of the speech in each clip, likewise; `sounds` is empty then."""

    skipped: tuple[str, ...] = ()
    """Samples that were left out, each with the reason."""


@dataclass
class _Parts:
    """A draw in the making, by field."""

    values: dict[str, list[Any]] = field(default_factory=dict)

    def add(self, **values: Any) -> None:
        for name, value in values.items():
            self.values.setdefault(name, []).append(value)

    def joined(self, *names: str) -> dict[str, Tensor]:
        return {name: torch.from_numpy(np.concatenate(self.values[name])) for name in names}


class ShardDraws(Dataset[RawDraw]):
    """Draws from shards: item k is batch k, decided by the seed and k alone."""

    def __init__(
        self,
        shards: Path,
        *,
        seed: int,
        refs: int,
        targets: int,
        clip: int = 1,
        size: int = 512,
        drops: dict[str, float] | None = None,
        split: str = "train",
        frames: int = 0,
        made: Collection[str] = (),
    ) -> None:
        """Read the index.

        Args:
            shards: Folder of `portraittalk prepare`.
            seed: From which, with the number of a batch, everything follows.
            refs: Samples a batch, each with one reference frame.
            targets: Frames of each, or clips.
            clip: Frames of a clip; 1 for single frames.
            size: Side of the pictures.
            drops: Chances by the names of `TrainingConfig`, such as `drop_text`.
            split: Which samples.
            frames: Of each sample, its first, that are drawn from; 0: all.
            made: What is taken from the shards in place of pixels and sound, see `preparation.cache`: `latents`,
                `speech`.

        Raises:
            BadInput: When no sample is long enough.
        """
        self._latents, self._speech = cache.LATENTS in made, cache.SPEECH in made and clip > 1
        self._folder, self._seed, self._refs, self._targets = shards, seed, refs, targets
        self._clip, self._size, self._drops, self._frames = clip, size, drops or {}, frames or sys.maxsize
        needed = max(targets + 1, clip + 1)
        self._entries: list[tuple[str, dict[str, Any]]] = [
            (shard["file"], entry)
            for shard in read_index(shards)["shards"]
            for entry in (shard["samples"] if shard["split"] == split else ())
            if min(entry["frames"], self._frames) >= needed
        ]
        if not self._entries:
            raise BadInput(f"{shards}: must hold samples of {needed} frames in `{split}`. Prepare longer clips.")

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, number: int) -> RawDraw:
        parts, skipped = _Parts(), list[str]()
        for k in range(self._refs):
            place = number * self._refs + k
            sample = self._read(place, skipped)
            generator = np.random.default_rng((self._seed, place))
            self._draw(sample, generator, parts)
        values = parts.values
        made = [name for name in ("latents", "reference_latents", "features") if name in values]
        return RawDraw(
            **parts.joined("references", "reference_points", "pictures", "points", "coefficients", "resting", "faces"),
            **parts.joined(*made),
            captions=tuple(values["captions"]),
            drops=torch.from_numpy(np.stack(values["drops"], 1)),
            sounds=tuple(values.get("sounds", ())),
            first=torch.tensor(values["first"]),
            names=tuple(values["names"]),
            skipped=tuple(skipped),
        )

    def _read(self, place: int, skipped: list[str]) -> Sample:
        """Return the sample of a place in the endless order, or the next whole one."""
        for further in itertools.count():
            file, entry = self._entries[self._order(place + further)]
            try:
                return read_sample(self._folder / file, entry)
            except BadMedia as error:
                skipped.append(f"{file}: {error}")
                if further >= len(self._entries):
                    raise
        raise AssertionError  # the loop above ends by itself

    def _order(self, place: int) -> int:
        round_, position = divmod(place, len(self._entries))
        return int(np.random.default_rng((self._seed, round_, 7)).permutation(len(self._entries))[position])

    def _draw(self, sample: Sample, generator: np.random.Generator, parts: _Parts) -> None:
        content = sample.frames
        count = min(len(content), self._frames)
        reference, rows = self._rows(count, generator)
        points, motion = sample.array("points"), sample.array("motion")
        face = sample.array("faces").mean(0, keepdims=True)
        chances = [self._drops.get(f"drop_{name}", 0.0) for name in ("text", "identity", "reference", "audio", "mouth")]
        lost = generator.random(5) < chances
        shown = [_sized(decoded(content[row]), self._size) for row in (reference, *(() if self._latents else rows))]
        parts.add(
            references=np.stack(shown[:1]),
            pictures=np.stack(shown[1:]) if shown[1:] else np.zeros((len(rows), 0, 0, 3), np.uint8),
            reference_points=points[reference : reference + 1],
            points=points[rows],
            coefficients=motion[rows],
            resting=resting_coefficients(torch.from_numpy(motion[:, :-6])).numpy()[rows],
            faces=face / np.linalg.norm(face).clip(1e-6),
            captions="" if lost[0] else sample.caption,
            drops=np.array([lost[1], lost[2], lost[3], lost[4] and not lost[3]]),
            first=int(rows[0]),
            names=f"{sample.key}:{reference}>{rows[0]}",
        )
        if self._latents:
            latents = sample.array(cache.LATENTS)
            parts.add(latents=latents[rows], reference_latents=latents[reference : reference + 1])
        if self._speech:
            parts.add(features=sample.array(cache.SPEECH)[None, rows])
        elif self._clip > 1:
            heard = sample.files.get("wav")
            parts.add(sounds=wave_samples(heard) if heard else torch.zeros(len(content) * 640))

    def _rows(self, count: int, generator: np.random.Generator) -> tuple[int, list[int]]:
        """Return a reference frame, and the frames that are drawn beside it: far enough away where that is possible."""
        if self._clip > 1:
            first = int(generator.integers(count - self._clip + 1))
            rows = list(range(first, first + self._clip))
        else:
            rows = sorted(int(row) for row in generator.choice(count, self._targets, replace=False))
        away = np.abs(np.arange(count)[:, None] - np.array(rows)[None]).min(1)
        near = np.nonzero(away >= min(MARGIN, int(away.max())))[0]
        return int(generator.choice(near)), rows


class StreamStore:
    """Encodes draws on the device that trains."""

    def __init__(
        self, encoders: FrameEncoders, readers: Readers, tokenize: Tokenize, device: torch.device, clip: int = 1
    ) -> None:
        """Hold what encodes.

        Args:
            encoders: Make latents and moved references.
            readers: Read faces and speech.
            tokenize: Of the text encoder.
            device: That trains.
            clip: Frames of a clip; 1 for single frames.
        """
        self._encoders, self._readers, self._tokenize = encoders, readers, tokenize
        self._device, self._clip = device, clip

    @torch.no_grad()
    def gather(self, draw: RawDraw) -> Batch:
        """Return the batch of a draw, float32.

        Where the mouth is withheld, everything that shows it has it at rest: the points, and the moved reference.

        Args:
            draw: Of `ShardDraws`.
        """
        at = self._device
        each = len(draw.pictures) // len(draw.references)
        owner = torch.arange(len(draw.references), device=at).repeat_interleave(each)
        references = _pixels(draw.references, at)
        there, points = draw.reference_points.to(at), draw.points.to(at)
        no_identity, no_reference, no_audio, no_mouth = draw.drops.to(at)
        shown = points
        if self._clip > 1 and bool(draw.drops[3].any()):
            rest = at_rest(draw.points, draw.coefficients, draw.resting, self._readers.shaper).to(at)
            shown = torch.where(no_mouth[owner].view(-1, 1, 1), rest, points)
        moved, unseen = self._moved(references, there, shown, owner)
        features = None if self._clip == 1 else self._heard(draw).to(at).float() * ~no_audio[:, None, None]
        faces = draw.faces.to(at).float() * ~no_identity[:, None]
        return Batch(
            reference_latents=self._latents(draw.reference_latents, draw.references),
            reference_landmarks=there,
            warped_pictures=moved,
            warped_latents=self._encoded(moved),
            latents=self._latents(draw.latents, draw.pictures),
            landmarks=points,
            shown=shown,
            owner=owner,
            ids=self._tokenize(list(draw.captions)).to(at)[owner],
            embeddings=faces[owner][:, None],
            present=~no_reference[owner],
            unseen=unseen,
            features=features,
            clip=self._clip,
            names=draw.names,
            skipped=draw.skipped,
        )

    def _moved(
        self, references: Tensor, there: Tensor, shown: Float[Tensor, "n 478 2"], owner: Int[Tensor, "n"]
    ) -> tuple[Float[Tensor, "n 3 s s"], Float[Tensor, "n h w"]]:
        """Return the references moved to each frame, and what they do not show of it."""
        pictures, unseen = list[Tensor](), list[Tensor]()
        side = references.shape[-1] // 8
        for k in range(len(references)):
            for wanted in shown[owner == k].split(encoded_at_once(references.shape[-1])):
                motion = self._encoders.warp.motion(references[k : k + 1], there[k : k + 1], wanted)
                pictures.append(moved_picture(references[k : k + 1], motion))
                unseen.append(F.interpolate(motion.shares[:, :1].float(), (side, side), mode="area")[:, 0])
        return torch.cat(pictures), torch.cat(unseen)

    def _encoded(self, pictures: Float[Tensor, "n 3 s s"]) -> Float[Tensor, "n c h w"]:
        parts = pictures.split(encoded_at_once(pictures.shape[-1]))
        return torch.cat([self._encoders.encode(part).float() for part in parts])

    def _latents(self, made: Tensor | None, levels: UInt8[Tensor, "n s s 3"]) -> Float[Tensor, "n c h w"]:
        """Return latents that shards brought, or make them of pictures."""
        return self._encoded(_pixels(levels, self._device)) if made is None else made.to(self._device).float()

    def _heard(self, draw: RawDraw) -> Float[Tensor, "r f d"]:
        """Return speech features of each clip, heard in the whole of its sample."""
        if draw.features is not None:
            return draw.features
        rows = list[Tensor]()
        for sound, first in zip(draw.sounds, draw.first.tolist(), strict=True):
            frames = max(first + self._clip, len(sound) * round(FPS) // 16000)
            with torch.autocast(self._device.type, enabled=False):
                features = self._readers.speech.encode(sound, FPS, frames).hidden
            rows.append(features[first : first + self._clip])
        return torch.stack(rows)


def encoded_at_once(size: int) -> int:
    """Return how many pictures are encoded together: as many pixels at any size.

    Args:
        size: Side of a picture in pixels.
    """
    return max(1, ENCODED_PIXELS // size**2)


def _pixels(levels: UInt8[Tensor, "n s s 3"], device: torch.device) -> Float[Tensor, "n 3 s s"]:
    return levels.to(device).permute(0, 3, 1, 2).float() / 127.5 - 1


def _sized(picture: UInt8[np.ndarray, "a a 3"], size: int) -> UInt8[np.ndarray, "size size 3"]:
    if picture.shape[0] == size:
        return picture
    how = cv2.INTER_AREA if picture.shape[0] > size else cv2.INTER_CUBIC
    return cv2.resize(picture, (size, size), interpolation=how)


def throughput(draws: ShardDraws, batches: int) -> Iterator[int]:
    """Yield the frames of one batch after the other, for whoever measures how fast shards are read.

    Args:
        draws: From shards.
        batches: How many.
    """
    for number in range(batches):
        draw = draws[number]
        yield len(draw.pictures) + len(draw.references)
