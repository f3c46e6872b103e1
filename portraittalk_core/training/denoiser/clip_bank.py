"""Clips of speaking avatars: what stage 2 learns motion from.

Each clip has a reference picture of its person (often in another appearance), consecutive frames at 25 a second, and
the speech features that belong to them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import Dataset

from ...avatars import parameters as traits
from ...types import COEFFICIENTS, POSE
from ...voices.speech import MOUTH
from .bank import Album, Bank, FrameEncoders, draw_appearances, in_processes, is_made, make_bank
from .clips import SpeechClips, draw_clip, load_speech_clips
from .pairs import Batch, Draw, Tokenize, caption_of

SAME_APPEARANCE = 0.5
"""Chance that the reference of a clip wears what the clip wears."""

FRAMES = 24
"""Frames of a stored clip; training takes a random stretch of it."""

_FIRST_SEED = 200_000
_REST = {"yaw": 0.5, "pitch": 0.5, "roll": 0.5}


def draw_clips(
    seeds: list[int], speech: SpeechClips, *, processes: int = 1
) -> tuple[Album, Float[Tensor, "clips frames d"]]:
    """Draw clips of speaking avatars.

    Args:
        seeds: One a clip.
        speech: From which each takes a stretch.
        processes: That draw.

    Returns:
        An album in which each clip is its reference frame and then its `FRAMES` frames, and the features of the speech.
    """
    parts = in_processes(_draw_some, seeds, (speech,), processes)
    drawn = [clip for part in parts for clip in part]
    album = Album(
        torch.from_numpy(np.concatenate([d[0] for d in drawn])),
        np.repeat(np.arange(len(drawn)), FRAMES + 1),
        np.tile(np.array([0] + [1] * FRAMES), len(drawn)),
        [tags for d in drawn for tags in (d[2], *[d[3]] * FRAMES)],
    )
    return album, torch.from_numpy(np.stack([d[1] for d in drawn]))


_Drawn = tuple[np.ndarray, np.ndarray, dict[str, str], dict[str, str]]


def _draw_some(seeds: list[int], speech: SpeechClips) -> list[_Drawn]:
    torch.set_num_threads(1)
    return [_draw_one(torch.Generator().manual_seed(_FIRST_SEED + seed), speech) for seed in seeds]


def _draw_one(generator: torch.Generator, speech: SpeechClips) -> _Drawn:
    person, light = traits.sample_identity(generator), traits.sample_light(generator)
    first, other = draw_appearances(2, generator)
    appearance = first if float(torch.rand((), generator=generator)) < SAME_APPEARANCE else other
    seen, mood = traits.sample_expression(generator), traits.sample_expression(generator)
    reference = traits.pack(person, first, seen, traits.sample_pose(generator), light)
    rest = traits.sample_pose(generator)
    coefficients, offsets, features = draw_clip(speech, FRAMES, generator)
    rows = traits.pack(person, appearance, mood, rest, light).repeat(FRAMES, 1)
    for index, name in enumerate(COEFFICIENTS):
        base = mood.values[name] if name in ("smile", "brow_raise", "brow_frown") else 0.0
        low = -0.5 if name in ("smile", "brow_raise") else -1.0 if name.startswith("gaze") else 0.0
        rows[:, traits.INDEX[name]] = (coefficients[:, index] + base).clamp(low, 1.0)
    for index, name in enumerate(POSE):
        column = rows[:, traits.INDEX[name]]
        moved = column * offsets[:, index] if name == "scale" else column * _REST.get(name, 1.0) + offsets[:, index]
        limit = {"yaw": 0.36, "pitch": 0.26, "roll": 0.21}.get(name, 2.0)
        rows[:, traits.INDEX[name]] = moved.clamp(-limit, limit)
    given = {**person.tags, **first.tags, **seen.tags}
    wanted = {**person.tags, **appearance.tags, **mood.tags}
    return torch.cat([reference[None], rows]).numpy(), features.numpy(), given, wanted


@dataclass(frozen=True)
class ClipBank:
    """A bank whose album is made of clips, with what is said in them."""

    bank: Bank
    """Of each clip the reference frame, then `FRAMES` frames."""

    features: Float[Tensor, "clips frames d"]
    """Of the speech, a row a frame, `FRAMES` rows a clip."""


def make_clip_bank(
    folder: Path,
    speech_file: Path,
    count: int,
    encoders: FrameEncoders,
    sizes: Sequence[int] = (128, 256),
    *,
    processes: int = 1,
) -> None:
    """Draw and encode clips, unless that was done already.

    Args:
        folder: Where the bank will lie.
        speech_file: As `clips.save_speech_clips` writes it.
        count: Clips.
        encoders: Make latents and embeddings.
        sizes: Sides in pixels at which latents are made; pictures are drawn at the largest.
        processes: That draw.
    """
    if is_made(folder):
        return
    album, features = draw_clips(list(range(count)), load_speech_clips(speech_file), processes=processes)
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "features.npy", features.numpy())
    make_bank(folder, album, encoders, sizes)


def open_clip_bank(folder: Path, size: int = 256) -> ClipBank:
    """Read what `make_clip_bank` finished.

    Args:
        folder: Where it lies.
        size: Side in pixels of the pictures whose latents are read.

    Raises:
        BadInput: When the bank holds no latents of that size.
    """
    return ClipBank(Bank.open(folder, size), torch.from_numpy(np.load(folder / "features.npy")))


class ClipDraws(Dataset[Draw]):
    """Draws of stretches of clips: item k is the draw of step k, as in `PairDraws`; targets are their first frames."""

    def __init__(
        self,
        album: Album,
        tokenize: Tokenize,
        *,
        seed: int,
        clips: int,
        frames: int,
        drop_text: float = 0.1,
        drop_identity: float = 0.1,
        drop_reference: float = 0.1,
        drop_audio: float = 0.1,
        drop_mouth: float = 0.15,
    ) -> None:
        """Set what is drawn.

        Args:
            album: Of clips, as `draw_clips` makes it.
            tokenize: Of the text encoder.
            seed: From which, with k, everything follows.
            clips: A step.
            frames: Of each, at most `FRAMES`.
            drop_text: Chance that a clip loses its caption.
            drop_identity: Chance that it loses the face embedding.
            drop_reference: Chance that it loses the reference picture.
            drop_audio: Chance that it loses its speech.
            drop_mouth: Chance that structure shows its mouth at rest, so that only speech says what it does. Never
                together with a lost speech.
        """
        self._tags, self._tokenize = album.tags, tokenize
        self._seed, self._clips, self._frames = seed, clips, frames
        self._drops = torch.tensor([drop_text, drop_identity, drop_reference, drop_audio])
        self._drop_mouth = drop_mouth
        self._count = len(album.tags) // (FRAMES + 1)

    def __getitem__(self, step: int) -> Draw:
        generator = torch.Generator().manual_seed((self._seed << 40) + step)
        clips = torch.randint(self._count, (self._clips,), generator=generator)
        shift = torch.randint(FRAMES - self._frames + 1, (self._clips,), generator=generator)
        references = clips * (FRAMES + 1)
        targets = references + 1 + shift
        draw = torch.rand(5, self._clips, generator=generator)
        no_text, no_identity, no_reference, no_audio = draw[:4] < self._drops[:, None]
        captions = [
            "" if quiet else caption_of(self._tags[r], self._tags[t], alone, generator)
            for r, t, alone, quiet in zip(
                references.tolist(), targets.tolist(), no_reference.tolist(), no_text.tolist(), strict=True
            )
        ]
        no_mouth = (draw[4] < self._drop_mouth) & ~no_audio
        owner = torch.arange(self._clips)
        return Draw(references, targets, owner, self._tokenize(captions), no_identity, no_reference, no_audio, no_mouth)


class ClipStore:
    """A clip bank on the device that trains, from which a draw becomes a batch of whole stretches."""

    def __init__(self, clips: ClipBank, frames: int, device: torch.device) -> None:
        """Put a bank on a device.

        Args:
            clips: What is drawn from.
            frames: Of a stretch.
            device: That trains.
        """
        bank = clips.bank
        self._latents, self._landmarks = bank.latents.to(device), bank.landmarks.to(device)
        self._at_rest = _mouth_at_rest(bank.album).landmarks().to(device)
        self._embeddings, self._features = bank.embeddings.to(device), clips.features.to(device)
        self._frames, self._device = frames, device
        self._pictures = bank.read_pictures

    def gather(self, draw: Draw) -> Batch:
        """Return the frames of a draw, clip after clip, float32.

        Args:
            draw: Of `ClipDraws`.
        """
        d = draw.to(self._device)
        ramp = torch.arange(self._frames, device=self._device)
        rows = (d.targets[:, None] + ramp).flatten()
        clip, shift = d.references // (FRAMES + 1), d.targets - d.references - 1
        features = self._features[clip[:, None], shift[:, None] + ramp].float() * ~d.no_audio[:, None, None]

        def each(value: Tensor) -> Tensor:
            return value.repeat_interleave(self._frames, 0)

        return Batch(
            reference_latents=self._latents[d.references].float(),
            reference_landmarks=self._landmarks[d.references],
            reference_pictures=self._pictures(draw.references, self._device),
            latents=self._latents[rows].float(),
            landmarks=self._landmarks[rows],
            shown=torch.where(each(d.no_mouth)[:, None, None], self._at_rest[rows], self._landmarks[rows]),
            owner=each(d.owner),
            ids=each(d.ids),
            embeddings=each((self._embeddings[d.references] * ~d.no_identity[:, None])[:, None]),
            present=each(~d.no_reference),
            features=features,
            clip=self._frames,
        )


def _mouth_at_rest(album: Album) -> Album:
    """Return the album with every mouth closed and relaxed, the rest of the faces as they were."""
    parameters = album.parameters.clone()
    for name in MOUTH:
        traits.column(parameters, name).zero_()
    return replace(album, parameters=parameters)
