"""Recordings of people whose words are known: who speaks, what is said, and when each phoneme of it is.

What was recorded is listed in a table of tab-separated columns, `speaker`, `voice`, `file` and `text`: whoever speaks,
a language of espeak-ng, a sound file (relative to the table) and the words.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from torch import Tensor

from ..errors import BadInput
from ..media.audio import read_sound, speech_waveform
from ..types import SPEECH_RATE
from .alignment import Aligned, Words, align
from .mouth_shapes import Phoneme
from .speech import spell

COLUMNS = ("speaker", "voice", "file", "text")
"""Of a table."""

_SHORTEST_S, _LONGEST_S, _LEAST_S = 0.25, 30.0, 0.04
"""Of a recording, and for each phoneme of it; what is outside is left out."""

_WORST = 0.15
_SLOWEST, _FASTEST = 4.0, 19.0
"""Phonemes a second; beyond, something else is said than the text says."""


@dataclass(frozen=True)
class Transcript:
    """A line of a table."""

    speaker: str
    """Whoever speaks, by any name."""

    voice: str
    """The language, as espeak-ng names it."""

    file: Path
    """The recording."""

    text: str
    """What is said."""


@dataclass(frozen=True)
class Utterance:
    """A recording that has been understood."""

    waveform: Float[Tensor, "n"]
    """Mono at 16 kHz."""

    phonemes: list[Phoneme]
    """They cover it without gaps; pauses have empty symbols."""


def read_transcripts(path: Path) -> dict[str, list[Transcript]]:
    """Read a table.

    Args:
        path: A file of tab-separated values with `COLUMNS`.

    Returns:
        Its lines by speaker, in order.

    Raises:
        BadInput: When columns or values are missing.
    """
    found: dict[str, list[Transcript]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        if set(COLUMNS) - set(reader.fieldnames or ()):
            raise BadInput(
                f"The table `{path}` must have the columns {', '.join(COLUMNS)}, but has "
                f"{', '.join(reader.fieldnames or ()) or 'none'}. Name them in its first line, tabs between."
            )
        for number, row in enumerate(reader, 2):
            if not all((row[name] or "").strip() for name in COLUMNS):
                raise BadInput(f"Line {number} of `{path}` must have a value in each column. Complete or remove it.")
            line = Transcript(row["speaker"], row["voice"], path.parent / row["file"], row["text"])
            found.setdefault(line.speaker, []).append(line)
    return found


def write_transcripts(path: Path, lines: Sequence[Transcript]) -> None:
    """Write a table.

    Args:
        path: Of the file.
        lines: In order; tabs and line breaks of a text become spaces.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = ["\t".join((line.speaker, line.voice, str(line.file), " ".join(line.text.split()))) for line in lines]
    path.write_text("\n".join(["\t".join(COLUMNS), *rows]) + "\n", encoding="utf-8")


def understand(lines: Sequence[Transcript]) -> list[Utterance]:
    """Find the phonemes of one speaker's recordings.

    Left out are recordings shorter than 0.25 s or longer than 30, those too short or too long for their text, and the
    15 % whose sound fits their text worst: among hundreds of volunteers' recordings some say something else.

    Args:
        lines: Of one speaker.
    """
    waveforms: list[Tensor] = []
    said: list[Words] = []
    for line in lines:
        waveform, words = speech_waveform(read_sound(line.file)), spell(line.text, line.voice)
        count, length_s = sum(map(len, words)), len(waveform) / SPEECH_RATE
        if count and max(_SHORTEST_S, _LEAST_S * count) <= length_s <= _LONGEST_S:
            waveforms.append(waveform)
            said.append(words)
    if not waveforms:
        return []
    aligned = align(waveforms, said)
    least = float(np.quantile([one.fit for one in aligned], _WORST))
    return [
        Utterance(waveform, one.phonemes)
        for waveform, one in zip(waveforms, aligned, strict=True)
        if one.fit >= least and _SLOWEST <= _pace(one) <= _FASTEST
    ]


def _pace(aligned: Aligned) -> float:
    spoken = [phoneme for phoneme in aligned.phonemes if phoneme.symbol]
    return len(spoken) / max(sum(phoneme.end_s - phoneme.start_s for phoneme in spoken), 0.05)
