"""What is kept on disk of each clip while a folder is prepared: its record, its samples, strips of what was left out.

The record is written last, so that a clip counts as done only when all of it is there; a run that was stopped, however
hard, has lost the clip it was at and no other.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import BadMedia
from .shards import write_whole
from .sources import Source

FOLDER = "clips"
"""The folder of the records, in that of the shards."""


def clip_name(label: str) -> str:
    """Return the name of a clip's files: readable, without dots, and unique.

    Args:
        label: Of the clip.
    """
    plain = "".join(letter if letter.isascii() and (letter.isalnum() or letter in "-_") else "_" for letter in label)
    return f"{plain[-60:]}-{hashlib.sha256(label.encode()).hexdigest()[:8]}"


@dataclass(frozen=True)
class Made:
    """What was made of a clip."""

    record: dict[str, Any]
    """What is known of it."""

    pieces: tuple[bytes, ...] = ()
    """Its samples, each a piece of a tar file."""

    strips: Mapping[str, bytes] = field(default_factory=dict)
    """JPEGs of what was left out, by reason."""


class Records:
    """The records of a folder.

    Args:
        folder: Of the shards.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / FOLDER

    def done(self, source: Source) -> dict[str, Any] | None:
        """Return the record of a clip; None where it is not there, or of a clip that has changed since.

        Args:
            source: The clip.

        Raises:
            BadMedia: When it is damaged.
        """
        path = self.folder / f"{clip_name(source.label)}.json"
        if not path.is_file():
            return None
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            same = record["signature"] == source.signature
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise BadMedia(f"`{path}` is damaged ({error}). Delete it, and its clip is prepared again.") from error
        return record if same else None

    def add(self, source: Source, made: Made) -> None:
        """Write what was made of a clip; from here on it counts as done.

        Args:
            source: The clip.
            made: Of it.

        Raises:
            BadMedia: When it cannot be written.
        """
        name = clip_name(source.label)
        for reason, strip in made.strips.items():
            write_whole(self.strip(source.label, reason), strip)
        if made.pieces:
            write_whole(self.samples(source.label), b"".join(made.pieces))
        record = json.dumps(made.record, indent=1, ensure_ascii=False) + "\n"
        write_whole(self.folder / f"{name}.json", record.encode(errors="backslashreplace"))

    def samples(self, label: str) -> Path:
        """Return the file of a clip's samples, which is there until they are in a shard.

        Args:
            label: Of the clip.
        """
        return self.folder / f"{clip_name(label)}.tar"

    def strip(self, label: str, reason: str) -> Path:
        """Return the file of a strip.

        Args:
            label: Of the clip.
            reason: Why it was left out.
        """
        return (
            self.folder
            / "strips"
            / f"{clip_name(label)}-{hashlib.sha256(reason.encode(errors='backslashreplace')).hexdigest()[:6]}.jpg"
        )
