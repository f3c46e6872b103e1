"""Read the layouts of HDTF, MEAD and GRID: which clips there are, which are the test, which sound belongs to which.

Nothing of these sets is shipped or downloaded. Each set's `protocol` says what is prescribed and by whom; where nobody
prescribes it, that is said, so that two figures "on HDTF" are not taken for the same thing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from ...errors import BadInput, BadMedia
from ...media.target import file_there
from .clips import Clip
from .expected import Expected

VIDEOS = (".mp4", ".mpg", ".mpeg", ".avi", ".mov", ".mkv", ".webm")
"""Endings of a set's videos."""

SOUNDS = (".wav", ".m4a", ".flac", ".mp3", ".ogg")
"""Endings of sounds that lie apart from the videos, the first found counts."""


@dataclass(frozen=True)
class Entry:
    """A clip of a data set as it lies there."""

    video: Path
    """Its video."""

    sound: Path | None
    """Its sound where that lies apart; None where the video has its own."""

    person: str
    """Who speaks, by the set's own name."""

    group: tuple[str, ...]
    """What a split counts together, such as person, emotion and level."""

    label: str
    """Its name, the same wherever the set lies."""


Split = Callable[[Sequence[Entry]], list[Entry]]
"""Chooses the clips that count."""


@dataclass(frozen=True)
class Dataset:
    """A public data set: its layout on disk, its splits and its protocol."""

    name: str
    """As papers call it."""

    find: Callable[[Path], Iterable[Entry]]
    """Yields the set's clips in a folder."""

    splits: dict[str, Split]
    """Splits by name; the first one is used unless another is asked for."""

    layout: str
    """How the files must lie, in one line."""

    protocol: dict[str, str]
    """What is known of how the set is used: `crop`, `fps`, `test`, and the `source` of each fact."""

    expected: Expected = field(default_factory=lambda: Expected("it"))
    """What its clips are like."""

    def clips(self, folder: Path, split: str | None = None) -> list[Clip]:
        """Find the clips of a split.

        Args:
            folder: Where the set lies.
            split: A name of `splits`, or a text file with a label a line (`#` begins a comment); None for the first.

        Returns:
            The clips, in the order of their labels.

        Raises:
            BadMedia: When the folder is not there or holds nothing of this layout.
            BadInput: When the split is unknown or empty.
        """
        return [
            Clip(entry.video, entry.label, entry.sound, expected=self.expected) for entry in self.entries(folder, split)
        ]

    def entries(self, folder: Path, split: str | None = None) -> list[Entry]:
        """Find the clips of a split as they lie in the set.

        Args:
            folder: Where the set lies.
            split: See `clips`.

        Returns:
            The entries, in the order of their labels.

        Raises:
            BadMedia: When the folder is not there or holds nothing of this layout.
            BadInput: When the split is unknown or empty.
        """
        if not folder.is_dir():
            raise BadMedia(f"The folder of {self.name} must exist, but there is no `{folder}`. Check the name.")
        found = sorted(self.find(folder), key=lambda entry: entry.label)
        if not found:
            raise BadMedia(f"`{folder}` must hold clips as {self.name} does ({self.layout}), but holds none.")
        name = split or next(iter(self.splits))
        chosen = self.splits[name](found) if name in self.splits else _listed(found, name, tuple(self.splits))
        if not chosen:
            people = ", ".join(sorted({entry.person for entry in found})[:8])
            raise BadInput(
                f"The split {name} of {self.name} must hold a clip, but has none of the {len(found)} in `{folder}` "
                f"(people there: {people}). Try --split all."
            )
        return chosen


def _all(entries: Sequence[Entry]) -> list[Entry]:
    return list(entries)


def _listed(entries: Sequence[Entry], name: str, known: tuple[str, ...]) -> list[Entry]:
    path = Path(name)
    if not path.is_file():
        raise BadInput(f"`--split` must be {', '.join(known)} or a file of names, but got `{name}`. Choose one.")
    lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
    wanted = {line for line in lines if line and not line.startswith("#")}
    unknown = sorted(wanted - {entry.label for entry in entries} - {Path(entry.label).name for entry in entries})
    if unknown:
        raise BadInput(f"`--split {name}` must name clips that are there, but {unknown[0]} is not. Check its spelling.")
    return [entry for entry in entries if wanted & {entry.label, Path(entry.label).name}]


def _of_people(*people: str) -> Split:
    return lambda entries: [entry for entry in entries if entry.person in people]


def _shown(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in suffixes
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]


_HDTF_CLIP = re.compile(r"(?P<video>.+)_\d+$")


def _hdtf(folder: Path) -> Iterable[Entry]:
    for video in _shown(folder, VIDEOS):
        match = _HDTF_CLIP.match(video.stem)
        if match is None:
            continue
        beside = [video.with_suffix(suffix) for suffix in SOUNDS]
        apart = [video.parent.parent / name / f"{video.stem}{s}" for name in ("audio", "audios", "wav") for s in SOUNDS]
        source = match["video"]
        yield Entry(video, file_there([*beside, *apart]), source, (source,), video.stem)


_MEAD_PERSON, _MEAD_LEVEL = re.compile(r"[MW]\d{3}$"), re.compile(r"level_[123]$")
_MEAD_LAST = {"neutral": 10}
_MEAD_LAST_OTHER = 6


def _mead(folder: Path) -> Iterable[Entry]:
    # Only the frontal view: the other six show the same sentences from elsewhere.
    for video in _shown(folder, VIDEOS):
        parts = video.parts
        if len(parts) < 5 or _MEAD_LEVEL.match(parts[-2]) is None or parts[-4] != "front":
            continue
        emotion, level = parts[-3], parts[-2]
        above = video.parents[3]
        person = above.parent if above.name == "video" else above
        if _MEAD_PERSON.match(person.name) is None:
            continue
        sounds = [person / "audio" / emotion / level / f"{video.stem}{suffix}" for suffix in SOUNDS]
        group = (person.name, emotion, level)
        yield Entry(video, file_there(sounds), person.name, group, "_".join((*group, video.stem)))


def _mead_last(entries: Sequence[Entry]) -> list[Entry]:
    # The last sentences of every person, emotion and level, as the authors hold them out.
    chosen: list[Entry] = []
    for (_, emotion, _), together in groupby(sorted(entries, key=lambda e: (e.group, e.label)), lambda e: e.group):
        chosen += list(together)[-_MEAD_LAST.get(emotion, _MEAD_LAST_OTHER) :]
    return chosen


_GRID_PERSON = re.compile(r"s\d{1,2}$")
_GRID_SENTENCE = re.compile(r"[blps][bgrw][abiw][a-vx-z][z1-9][anps]$")
"""Command, colour, preposition, letter (no w), digit and adverb, by their first letters: `bbaf2n`."""


def _grid(folder: Path) -> Iterable[Entry]:
    for video in _shown(folder, VIDEOS):
        if _GRID_SENTENCE.match(video.stem) is None:
            continue
        person = next((part for part in reversed(video.parent.parts) if _GRID_PERSON.match(part)), None)
        if person is None:
            continue
        places = [folder / name / person for name in ("audio", "audio_25k", "wav")]
        places += [folder / person / "audio", video.parent]
        sounds = [place / f"{video.stem}{suffix}" for place in places for suffix in SOUNDS]
        yield Entry(video, file_there(sounds), person, (person,), f"{person}_{video.stem}")


HDTF = Dataset(
    name="HDTF",
    find=_hdtf,
    splits={"all": _all},
    layout="VIDEO_CLIP.mp4 anywhere below, such as RD_Radio11_0.mp4; the sound in the video, beside it or in ../audio",
    protocol={
        "crop": "a fixed window for each clip (the authors' xx_crop_wh.txt), resized to 512 x 512; must be done before",
        "fps": "none is prescribed: that of each clip",
        "test": "the authors name no test clips and papers draw their own: all clips count unless --split names a file",
        "source": "github.com/MRzzm/HDTF, README; Zhang et al., CVPR 2021",
    },
    expected=Expected("HDTF", sizes=((512, 512),)),
)
"""High-definition talking faces from YouTube, one folder of clips."""

MEAD = Dataset(
    name="MEAD",
    find=_mead,
    splits={"test": _of_people("M003", "M030", "W009", "W015"), "last": _mead_last, "all": _all},
    layout="M003/video/front/angry/level_1/001.mp4 with M003/audio/angry/level_1/001.m4a; the level `video` may miss",
    protocol={
        "crop": "none: the frontal view as distributed; papers crop the face by their own rules",
        "fps": "30 as distributed; the instructions of EMOTE (github.com/radekd91/inferno) resample to 25 first",
        "test": "test: speakers M003, M030, W009 and W015, those that EAT (github.com/yuangan/EAT_code) tests on. "
        "last: of every speaker, emotion and level the last 6 sentences (10 of neutral), the rule of the set's authors",
        "source": "github.com/uniBruce/Mead, README; Wang et al., ECCV 2020",
    },
    expected=Expected("MEAD", fps=(30.0, 29.97, 25.0)),
)
"""Actors who speak with eight emotions in three intensities; the frontal view."""

GRID = Dataset(
    name="GRID",
    find=_grid,
    splits={"test": _of_people("s1", "s2", "s20", "s22"), "all": _all},
    layout="s1/bbaf2n.mpg or s1/video/bbaf2n.mpg; the sound in the video, in audio/s1/bbaf2n.wav or s1/audio/",
    protocol={
        "crop": "none: the whole picture, 360 x 288 (normal) or 720 x 576 (high quality)",
        "fps": "25, 75 frames a sentence",
        "test": "speakers s1, s2, s20 and s22, the unseen ones of LipNet (arXiv 1611.01599), as "
        "github.com/VIPL-Audio-Visual-Speech-Understanding/LipNet-PyTorch states them",
        "source": "Cooke et al., J. Acoust. Soc. Am. 120(5), 2006; 34 talkers, 1000 sentences each, s21 without video",
    },
    expected=Expected("GRID", fps=(25.0,), sizes=((360, 288), (720, 576))),
)
"""Short sentences of a fixed grammar by 34 speakers."""

DATASETS = {"hdtf": HDTF, "mead": MEAD, "grid": GRID}
"""The sets by their name on the command line."""


def with_results(clips: Sequence[Clip], made: Path) -> list[Clip]:
    """Pair results with the true clips of a data set.

    Args:
        clips: The set's clips.
        made: The folder of results, each named by the label of its true clip.

    Returns:
        The clips of the results in the same order, each with the true clip as reference and the set's sound. A result
        that is not there is reported with its clip.

    Raises:
        BadMedia: When the folder is not there.
    """
    if not made.is_dir():
        raise BadMedia(f"The results must be a folder, but there is no `{made}`. Check the name.")

    def file(label: str) -> Path:
        return file_there([made / f"{label}{suffix}" for suffix in VIDEOS]) or made / f"{label}.mp4"

    return [Clip(file(c.label), c.label, c.sound or c.path, c.path, expected=None) for c in clips]
