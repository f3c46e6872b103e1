"""What a listener learns from: speech with its mouth and its sounds, kept in files, and degraded crops of it.

Every crop is drawn from a generator seeded by its number, so a resumed run sees what an uninterrupted one would.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from ...checkpoints.writing import save_state
from ...errors import BadInput
from ...perception.speech import resample_rows
from ...types import SPEECH_RATE
from ...voices.sentences import sentence
from ...voices.sounds import SOUNDS, sound_numbers
from ...voices.speech import Phoneme, mouth_track, synthesise
from .augmentation import augment, uniform, warp
from .scores import FPS, TRACK_HZ

RECORDING_S = 9.0
SOUNDS_HZ = 50
"""Rate of the sounds that a batch names: that of the tiny encoder's rows."""

LOUD = 0.5
"""Chance of loud noise or music, see `augmentation.augment`."""

RECORDED = 0.75
"""Minutes of flite's voices, which were built from recordings, for each minute of espeak-ng's."""


@dataclass(frozen=True)
class Recording:
    """Speech with its mouth and its sounds."""

    samples: Tensor
    """int16 at 16 kHz, [n]."""

    track: Tensor
    """The mouth at `TRACK_HZ`, columns as in `types.MOUTH`, float16, [m, 13]."""

    sounds: Tensor
    """Which of `voices.sounds.SOUNDS` is heard, at `TRACK_HZ`, int8, [m]."""


class Batch(NamedTuple):
    """Crops of recordings."""

    sound: Float[Tensor, "b n"]
    """Degraded, at 16 kHz."""

    mouth: Float[Tensor, "b frames k"]
    """At `FPS`."""

    sounds: Float[Tensor, "b rows classes"]
    """How much each of `voices.sounds.SOUNDS` is what is heard, at `SOUNDS_HZ`; the classes add up to 1."""


def understood(waveform: Float[Tensor, "n"], phonemes: list[Phoneme]) -> Recording:
    """Return a recording whose phonemes are known.

    Args:
        waveform: At 16 kHz, of any level; the recording's peak is .9.
        phonemes: In order.
    """
    samples = waveform / waveform.abs().max().clamp(min=1e-3) * 0.9
    spoken = joined_pauses(phonemes)
    track = mouth_track(spoken, TRACK_HZ, len(samples) / SPEECH_RATE)
    return Recording((samples * 32767).short(), track.half(), sound_numbers(spoken, TRACK_HZ, len(track)))


def make_recording(voices: tuple[str, ...], generator: torch.Generator) -> Recording:
    """Return about nine seconds of one voice: sentences with pauses of 0.05 to 1.2 s between them.

    Args:
        voices: As `synthesise` knows them, one of which speaks.
        generator: That decides voice, sentences and pauses.
    """
    voice = voices[int(torch.randint(len(voices), (), generator=generator))]
    rate, pitch = int(uniform(105, 225, generator)), int(uniform(10, 90, generator))
    pieces: list[Tensor] = []
    phonemes: list[Phoneme] = []
    now = 0.0
    while now < RECORDING_S:
        pause_s = uniform(0.05, 1.2, generator) if pieces else uniform(0, 0.6, generator)
        pieces.append(torch.zeros(int(pause_s * SPEECH_RATE)))
        start = now + len(pieces[-1]) / SPEECH_RATE
        phonemes.append(Phoneme("", now, start))
        sound, spoken = synthesise(sentence(voice.split("+")[0], generator), voice, rate, pitch)
        pieces.append(sound)
        phonemes += [Phoneme(p.symbol, start + p.start_s, start + p.end_s) for p in spoken]
        now = start + len(sound) / SPEECH_RATE
    return understood(torch.cat(pieces), phonemes)


def joined_pauses(phonemes: list[Phoneme]) -> list[Phoneme]:
    """Join pauses that touch, so that their length is judged as a whole.

    Args:
        phonemes: In order.
    """
    merged: list[Phoneme] = []
    for phoneme in phonemes:
        if merged and merged[-1].symbol == "" and phoneme.symbol == "":
            merged[-1] = Phoneme("", merged[-1].start_s, phoneme.end_s)
        else:
            merged.append(phoneme)
    return merged


def make_corpus(minutes: float, voices: tuple[str, ...], seed: int) -> list[Recording]:
    """Return recordings.

    Args:
        minutes: Of all together.
        voices: As `synthesise` knows them.
        seed: Of the recordings.
    """
    corpus: list[Recording] = []
    total_s = 0.0
    while total_s < minutes * 60:
        corpus.append(make_recording(voices, torch.Generator().manual_seed(seed * 1_000_003 + len(corpus))))
        total_s += len(corpus[-1].samples) / SPEECH_RATE
    return corpus


def stored_corpus(path: Path, minutes: float, voices: tuple[str, ...], seed: int) -> list[Recording]:
    """Return the corpus kept in a file, made first if it is not there.

    Args:
        path: Of the file.
        minutes: Of all recordings together.
        voices: As `synthesise` knows them.
        seed: Of the recordings.
    """
    return stored(path, lambda: make_corpus(minutes, voices, seed))


def stored(path: Path, make: Callable[[], list[Recording]]) -> list[Recording]:
    """Return the recordings kept in a file, made first if it is not there.

    Args:
        path: Of the file.
        make: Makes them.

    Raises:
        BadInput: For a file of a version that did not keep sounds.
    """
    if not path.exists():
        made = [(r.samples, r.track, r.sounds) for r in make()]
        path.parent.mkdir(parents=True, exist_ok=True)
        save_state(made, path)
    kept = torch.load(path, weights_only=True)
    if any(len(parts) != 3 for parts in kept):
        raise BadInput(f"`{path}` must keep the sounds of its recordings, but an older version made it. Delete it.")
    return [Recording(*parts) for parts in kept]


def _crop(corpus: list[Recording], seconds: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return a warped crop of a random recording; mouth and classes of sounds side by side at `TRACK_HZ`."""
    recording = corpus[int(torch.randint(len(corpus), (), generator=generator))]
    factor = 2 ** uniform(-0.28, 0.28, generator)
    need_s = seconds * factor + 0.02
    first = uniform(0, max(0.0, len(recording.samples) / SPEECH_RATE - need_s - 0.02), generator)
    begin, row = int(first * TRACK_HZ) * SPEECH_RATE // TRACK_HZ, int(first * TRACK_HZ)
    sound = recording.samples[begin : begin + int(need_s * SPEECH_RATE)].float() / 32768
    rows = slice(row, row + int(need_s * TRACK_HZ) + 1)
    classes = functional.one_hot(recording.sounds[rows].long(), len(SOUNDS))
    sound, track = warp(sound, torch.cat([recording.track[rows].float(), classes], 1), factor)
    return sound[: int(seconds * SPEECH_RATE)], track[: int(seconds * TRACK_HZ)]


def make_batch(corpus: list[Recording], size: int, generator: torch.Generator, loud: float = LOUD) -> Batch:
    """Draw crops of recordings; their length differs between batches.

    Args:
        corpus: From which they are cut.
        size: Crops.
        generator: That decides which, and how they are degraded.
        loud: Chance of loud noise or music, see `augment`.
    """
    frames = 5 * (11 + int(torch.randint(12, (), generator=generator)))
    seconds = frames / FPS
    sounds, tracks = [], []
    for _ in range(size):
        sound, track = _crop(corpus, seconds, generator)
        babble = None
        if uniform(0, 1, generator) < 0.3:
            voices = 1 + int(torch.randint(4, (), generator=generator))
            babble = torch.stack([_crop(corpus, seconds, generator)[0] for _ in range(voices)]).sum(0)
        if uniform(0, 1, generator) < 0.04:  # no speech at all: whatever sounds, the mouth stays closed
            sound, track = sound * 0 + 1e-4 * torch.randn(sound.shape, generator=generator), track * 0
            track[:, -len(SOUNDS)] = 1.0
        sounds.append(augment(sound, generator, babble, loud))
        tracks.append(track)
    mouth, classes = (torch.stack(tracks)[..., part] for part in (slice(-len(SOUNDS)), slice(-len(SOUNDS), None)))
    return Batch(
        torch.stack(sounds),
        resample_rows(mouth, TRACK_HZ, FPS, frames),
        resample_rows(classes, TRACK_HZ, SOUNDS_HZ, round(seconds * SOUNDS_HZ)),
    )


def column_spread(corpus: list[Recording]) -> Float[Tensor, "k"]:
    """Return the standard deviation of each column of the mouths of a corpus, at least 0.01.

    Args:
        corpus: Of recordings.
    """
    return torch.cat([recording.track.float() for recording in corpus]).std(0).clamp(min=0.01)
