"""Do lips shut for m, b and p? How many of them, and how many open vowels are shut that should not be.

    python -m benchmarks.closures [--recordings TABLE] [--festvox FOLDER] [--clips FOLDER] [--model FOLDER]

What is known is when each sound is said: in a table of recordings (`portraittalk_core.voices`) by alignment, in
`festvox-ru` by its labels, in GRID's clips by their names (`said_words`), in synthetic voices that no listener has
learned from by themselves; six minutes of each. A closure
counts as shut where, within 0.04 s of the sound's middle, lips as they are drawn are 0.03 apart or less: `jawOpen` less
`mouthClose`, and half of what parts them. Only those between two other sounds count, for silences shut lips, too. An
open vowel is wrongly shut where they are in the frame of its middle, a consonant that leaves lips apart where a closure
would count. Average precision says how well what the network
hears tells closures from all other sounds, wherever its threshold lies.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from portraittalk_core.media.audio import speech_waveform
from portraittalk_core.media.video import read_video
from portraittalk_core.motion.audio_to_motion import ARTICULATION_DELAY_S, heard_mouth
from portraittalk_core.motion.closures import PARTING
from portraittalk_core.training.speech.corpus import make_recording
from portraittalk_core.training.speech.recorded import join_utterances
from portraittalk_core.training.speech.scores import TRACK_HZ
from portraittalk_core.types import SPEECH_RATE
from portraittalk_core.voices.mouth_shapes import Phoneme
from portraittalk_core.voices.recorded import read_transcripts, understand
from portraittalk_core.voices.sounds import OPEN, SHUT, runs, sound_numbers
from portraittalk_core.voices.speech import HELD_OUT_VOICES

from .parts.program import command_line
from .parts.real.festvox import labelled
from .parts.real.listening import Listener
from .said_words import SAID, spelled

FPS = 25.0
NEAR_S = 0.04
TOUCHING = 0.03
"""How far apart lips are at most that are shut."""

APART = tuple("ndtszʃʒθðlɹrkɡŋjx")
"""Consonants that leave lips apart."""

_LASTING_S = 0.06
_MINUTES = 6.0

Said = Iterator[tuple[Float[Tensor, "n"], list[Phoneme]]]
"""Sounds at 16 kHz, and what they say."""


@dataclass
class Count:
    """What was found in the recordings of one kind."""

    shut: list[bool] = field(default_factory=list)
    """Of each closure."""

    vowels: list[bool] = field(default_factory=list)
    """Of each open vowel, whether it is shut."""

    others: list[bool] = field(default_factory=list)
    """Of each consonant that leaves lips apart and has no closure beside it, whether they are shut."""

    evidence: list[tuple[float, bool]] = field(default_factory=list)
    """Of each sound: how shut it is heard to be, and whether it is."""

    def line(self, name: str) -> str:
        """Return a row of the table.

        Args:
            name: Of the recordings.
        """
        kinds = (self.shut, self.vowels, self.others)
        shares = [f"{100 * sum(one) / max(1, len(one)):.0f} % of {len(one)}" for one in kinds]
        return f"| {name} | {' | '.join(shares)} | {average_precision(self.evidence):.2f} |"


def average_precision(evidence: list[tuple[float, bool]]) -> float:
    """Return the area under precision over recall; what is true of all by chance is their share.

    Args:
        evidence: How much speaks for it, and whether it is so.
    """
    true = torch.tensor([so for _, so in sorted(evidence, key=lambda pair: -pair[0])], dtype=torch.float64)
    if not true.any():
        return 0.0
    precision = true.cumsum(0) / torch.arange(1, len(true) + 1)
    return float((precision * true).sum() / true.sum())


def lips_shut(mouth: Float[Tensor, "f k"], columns: tuple[str, ...]) -> Bool[Tensor, "f"]:
    """Return in which frames lips are shut.

    Args:
        mouth: As it is drawn.
        columns: Of what it is made.
    """
    track = dict(zip(columns, mouth.unbind(1), strict=True))
    apart = track["jawOpen"] - track.get("mouthClose", 0 * track["jawOpen"])
    return torch.stack([apart, *(0.5 * track[name] for name in PARTING if name in track)]).amax(0) <= TOUCHING


def count(listener: Listener, said: Said) -> Count:
    """Return what a listener does with recordings.

    Args:
        listener: Hears.
        said: The recordings.
    """
    found = Count()
    total_s = 0.0
    for waveform, phonemes in said:
        if total_s > 60 * _MINUTES:
            break
        total_s += len(waveform) / SPEECH_RATE
        rows = round(len(waveform) / SPEECH_RATE * TRACK_HZ)
        sounds = runs(sound_numbers(phonemes, TRACK_HZ, rows), TRACK_HZ)
        frames = round(len(waveform) / SPEECH_RATE * FPS)
        features = listener.encoder.encode(waveform, FPS, frames)
        shut = lips_shut(heard_mouth(features, listener.a2m), listener.a2m.columns)
        heard, log_odds = listener.a2m.hear(features.hidden)
        evidence = heard[:, listener.a2m.columns.index("mouthRollUpper")] if log_odds is None else log_odds
        time_s = (torch.arange(frames) + 0.5) / FPS - ARTICULATION_DELAY_S
        for before, sound, after in zip(sounds, sounds[1:], sounds[2:], strict=False):
            middle_s = (sound.start_s + sound.end_s) / 2
            near = (time_s - middle_s).abs() <= NEAR_S
            between = bool(before.symbol and after.symbol)
            if not between or not near.any():
                continue
            if sound.symbol in SHUT:
                found.shut.append(bool(shut[near].any()))
            elif sound.symbol in OPEN and sound.end_s - sound.start_s >= _LASTING_S:
                found.vowels.append(bool(shut[(time_s - middle_s).abs().argmin()]))
            elif sound.symbol in APART and not {before.symbol, after.symbol} & set(SHUT):
                found.others.append(bool(shut[near].any()))
            if sound.symbol in SHUT or not {before.symbol, after.symbol} & set(SHUT):
                near_it = (time_s + ARTICULATION_DELAY_S - middle_s).abs() <= NEAR_S
                found.evidence.append((float(evidence[near_it].max()), sound.symbol in SHUT))
    return found


def of_table(path: Path, speaker: str) -> Said:
    """Return the recordings of one speaker, joined as those of the training are.

    Args:
        path: Of the table.
        speaker: In it.
    """
    lines = read_transcripts(path)[speaker]
    for made in join_utterances(understand(lines), torch.Generator().manual_seed(0)):
        yield made.samples.float() / 32768, runs(made.sounds, TRACK_HZ)


def of_clips(folder: Path) -> Said:
    """Return the clips of GRID.

    Args:
        folder: Of .mp4 files, some of them those of `SAID`.
    """
    for path in sorted(folder.glob("*.mp4")):
        name = path.stem.rpartition("_")[2]
        if name in SAID:
            sound = read_video(path)[2]
            assert sound is not None
            waveform = speech_waveform(sound)
            yield waveform, spelled(name, len(waveform) / SPEECH_RATE)


def of_voices() -> Said:
    """Return what synthetic voices say that are held out."""
    for number in itertools.count():
        made = make_recording(HELD_OUT_VOICES, torch.Generator().manual_seed(3_000_000 + number))
        yield made.samples.float() / 32768, runs(made.sounds, TRACK_HZ)


@torch.inference_mode()
def main() -> None:
    """Write the table."""
    parser = command_line("closures", __doc__)
    parser.add_argument("--recordings", type=Path, help="table of recordings that were not learned from")
    parser.add_argument("--festvox", type=Path, help="folder of the voice of festvox-ru, with wav and lab")
    parser.add_argument("--clips", type=Path, help="folder of .mp4 files, some of them those of GRID")
    parser.add_argument("--model", default="tiny", help="or a folder with speech.safetensors and motion.safetensors")
    given = parser.parse_args()
    listener = Listener.load(given.model)
    lines = ["| | m, b, p shut | open vowels shut | t, n, k … shut | average precision |", "|---|---|---|---|---|"]
    lines.append(count(listener, of_voices()).line("synthetic voices"))
    for speaker in read_transcripts(given.recordings) if given.recordings else ():
        lines.append(count(listener, of_table(given.recordings, speaker)).line(speaker))
    if given.festvox:
        lines.append(count(listener, labelled(given.festvox)).line("festvox-ru"))
    if given.clips:
        lines.append(count(listener, of_clips(given.clips)).line("GRID"))
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
