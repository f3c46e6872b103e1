"""Which clips there are: a folder of videos, or the layouts of public data sets, and who speaks in each.

Nothing of these sets is shipped or downloaded. Where a set names no people, its YouTube videos stand for them: two
videos of one person are then two people, which `split_of` cannot know.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from ..errors import BadInput, BadMedia
from ..evaluation.data.clips import find_clips, printable
from ..evaluation.data.datasets import DATASETS as SCORED
from ..evaluation.data.datasets import Dataset, Entry
from ..media.target import file_there


@dataclass(frozen=True)
class Source:
    """A clip to prepare."""

    path: Path
    """The video."""

    label: str
    """Its name, unique among the clips and the same wherever they lie."""

    person: str
    """Who speaks, as far as the names say."""

    sound: Path | None = None
    """A file whose sound replaces the video's own; None for its own."""

    dataset: str = ""
    """The set it is of; empty for a folder of videos."""

    note: str = ""
    """What the set says of it, such as an emotion; goes into the caption."""

    @property
    def signature(self) -> str:
        """Size and time of its files: a clip that changes is prepared again."""
        parts = []
        for path in (self.path, self.sound):
            if path is not None:
                found = path.stat()
                parts.append(f"{found.st_size} bytes, {found.st_mtime_ns}")
        return "; ".join(parts)


_VFHQ = re.compile(r"Clip\+(?P<video>[\w-]+)\+(?P<person>P\d+)\+(?P<clip>C\d+)\+F\d+-\d+$")
_CELEBV = re.compile(r"(?P<video>[\w-]{11})_\d+(_\d+)*$")
_TALKING_HEAD = re.compile(r"(?P<video>[\w-]{11})_\d{4}_S\d+_E\d+_L\d+_T\d+_R\d+_B\d+$")


def _by_name(pattern: re.Pattern[str]) -> Callable[[Path], Iterable[Entry]]:
    def find(folder: Path) -> Iterable[Entry]:
        for clip in find_clips([str(folder)]):
            match = pattern.match(clip.path.stem)
            if match is not None:
                person = "+".join(filter(None, (match["video"], match.groupdict().get("person"))))
                yield Entry(clip.path, None, person, (person,), clip.path.stem)

    return find


VFHQ = Dataset(
    name="VFHQ",
    find=_by_name(_VFHQ),
    splits={"all": list},
    layout="Clip+VIDEO+P0+C0+F0-100.mp4 anywhere below, as its list calls clips; folders of pictures have no sound",
    protocol={"source": "liangbinxie.github.io/projects/vfhq; Xie et al., CVPR Workshops 2022"},
)
"""Interviews from YouTube; a person is one of a video's."""

CELEBV_HQ = Dataset(
    name="CelebV-HQ",
    find=_by_name(_CELEBV),
    splits={"all": list},
    layout="YOUTUBEID_N.mp4 anywhere below, as celebvhq_info.json calls clips",
    protocol={"source": "github.com/CelebV-HQ/CelebV-HQ, download_and_process.py; Zhu et al., ECCV 2022"},
)
"""Celebrities from YouTube; a person is a video."""

TALKING_HEAD_1KH = Dataset(
    name="TalkingHead-1KH",
    find=_by_name(_TALKING_HEAD),
    splits={"all": list},
    layout="YOUTUBEID_0000_S0_E100_L0_T0_R512_B512.mp4 anywhere below, as videos_crop.py calls clips",
    protocol={"source": "github.com/tcwang0509/TalkingHead-1KH, videos_crop.py; Wang et al., CVPR 2021"},
)
"""Talking heads from YouTube; a person is a video."""

DATASETS = SCORED | {"vfhq": VFHQ, "celebv-hq": CELEBV_HQ, "talkinghead-1kh": TALKING_HEAD_1KH}
"""The sets by their name on the command line."""

_HDTF_PERSON = re.compile(r"(W[DR]A_.*?)\d*$")


def find_sources(folder: Path, dataset: str | None = None) -> list[Source]:
    """Find the clips of a folder.

    In a folder of no set, a person is the folder that a clip lies in; a clip that lies in none is a person of its own.

    Args:
        folder: Where they lie.
        dataset: A name of `DATASETS`; None for a folder of videos.

    Returns:
        The clips, in the order of their labels.

    Raises:
        BadMedia: When the folder is not there, or holds nothing of the set's layout.
        BadInput: When the set is unknown, the folder holds no video, or two clips have one name.
    """
    if dataset is None:
        if not folder.is_dir():
            raise BadMedia(f"CLIPS must be a folder, but `{folder}` is none. Name the folder of the videos.")
        sources = [_plain(clip.path, folder) for clip in find_clips([str(folder)])]
    else:
        if dataset not in DATASETS:
            raise BadInput(f"`--dataset` must be one of {', '.join(DATASETS)}, but got {dataset}. Choose one.")
        sources = [_of_set(entry, dataset) for entry in DATASETS[dataset].entries(folder, "all")]
    sources.sort(key=lambda source: source.label)
    labels = [source.label for source in sources]
    twice = next((label for label, count in Counter(labels).items() if count > 1), None)
    if twice is not None:
        raise BadInput(f"Clips must have names of their own, but {twice} is there twice. Rename or move one.")
    return sources


def _plain(path: Path, folder: Path) -> Source:
    name = path.relative_to(folder)
    beside = [path.with_suffix(suffix) for suffix in (".wav", ".m4a", ".flac")]
    sound = file_there(beside)
    label = printable(name.with_suffix("").as_posix())
    return Source(path, label, printable(name.parts[0]) if len(name.parts) > 1 else label, sound)


def _of_set(entry: Entry, dataset: str) -> Source:
    person, note = entry.person, ""
    if dataset == "hdtf":  # WDA_VeronicaEscobar0 and WDA_VeronicaEscobar1 are one person, RD_Radio10 and 11 are not
        match = _HDTF_PERSON.match(person)
        person = match[1] if match else person
    if dataset == "mead":
        _, emotion, level = entry.group
        note = emotion if emotion == "neutral" else f"{emotion}, level {level[-1]} of 3"
    return Source(entry.video, printable(entry.label), printable(person), entry.sound, dataset, note)
