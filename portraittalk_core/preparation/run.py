"""Prepare a folder: clip by clip, here or on a cluster; then join what was made to shards.

A run that was stopped, however hard, goes on: a clip whose record is there is done, and so is a shard that the index
names. The result is the same to the byte as that of a run that was not stopped.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ..errors import BadInput, BadMedia
from ..evaluation.engine import Engine, Lost
from .clip import ClipPreparer, Tools
from .measures import Drop
from .records import FOLDER, Made, Records
from .settings import FPS, Settings
from .shards import INDEX, ShardWriter, read_index, write_whole
from .sources import Source
from .splits import ASIDE, SPLITS, splits_of
from .tools import described, open_tools

logger = logging.getLogger(__name__)

SHARD_BYTES = 1 << 29
"""Size from which on a shard is full: half a gigabyte, of 512 px frames some minutes."""


class Preparation:
    """The preparation of clips into a folder.

    Args:
        folder: Where shards, records and report lie; made when it is first written.
        sources: All clips.
        settings: What to make.
        tools: What looks and listens; None: what the settings name.

    Attributes:
        folder: Where everything lies.

    Raises:
        BadInput: When the folder was made with other settings, or a clip in its shards has changed since.
        BadMedia: When what lies there is damaged.
    """

    def __init__(self, folder: Path, sources: Sequence[Source], settings: Settings, tools: Tools | None = None) -> None:
        self.folder = folder
        self._settings, self._tools = settings, tools
        self._sources = list(sources)
        self._splits = splits_of(sources, settings.validation)
        self._records = Records(folder)
        self._index = self._read_index()
        packed = {entry["clip"] for shard in self._index["shards"] for entry in shard["samples"]}
        self.pending = [source for source in self._sources if self._records.done(source) is None]
        changed = next((source.label for source in self.pending if source.label in packed), None)
        if changed is not None:
            raise BadInput(f"`{folder}` holds {changed} in a shard, but the clip has changed since. Name a new folder.")

    def _read_index(self) -> dict[str, Any]:
        if not (self.folder / INDEX).exists():
            tools = open_tools(self._settings) if self._tools is None else self._tools
            cached = {} if tools.cache is None else {"cached": tools.cache.record(self._settings.size)}
            return {
                "format": 1, "fps": FPS, "settings": json.loads(json.dumps(self._settings.record)),
                "tools": described(self._settings, tools), **cached, "shards": [],
            }  # fmt: skip
        index = read_index(self.folder)
        # What an index does not know of is younger than it, and was then as the default is.
        usual, ours = (json.loads(json.dumps(one.record)) for one in (Settings(), self._settings))
        before = {**usual, **index["settings"], "limits": usual["limits"] | index["settings"]["limits"]}
        flat = [{**found, **found["limits"]} for found in (before, ours)]
        other = next((name for name in flat[1] if name != "limits" and flat[0].get(name) != flat[1][name]), None)
        if other is not None:
            raise BadInput(
                f"`{self.folder}` was made with {other} {flat[0].get(other)}, but {flat[1][other]} is asked for. "
                "Name a new folder, or ask for the same."
            )
        return index

    def run(self, engine: Engine | None = None) -> Iterator[dict[str, Any]]:
        """Prepare what is pending; every clip is written as soon as it is done.

        Args:
            engine: Where to work; None for here.

        Yields:
            The record of each clip as it is finished.

        Raises:
            PortraitTalkError: When something is wrong that concerns every clip, such as a caption command that fails.
        """
        for file in leftovers(self.folder):
            file.unlink(missing_ok=True)
        if not (self.folder / INDEX).exists():
            self._write_index()
        jobs: list[tuple[Source, str]] = []
        for source in self.pending:
            if self._splits[source.label] == ASIDE:
                yield self._set_aside(source)
            else:
                jobs.append((source, self._splits[source.label]))
        build = _Build(self._settings, self.folder, self._tools)
        for (source, split), result in (engine or Engine()).run(jobs, build):
            if isinstance(result, Lost):  # not written: the next run tries it again
                yield {**_empty(source, split), "dropped": [{**Drop(0, 0, "lost").record, "why": result.reason}]}
            else:
                yield result
        self.pending = []

    def _set_aside(self, source: Source) -> dict[str, Any]:
        record = _empty(source, ASIDE) | {"dropped": [Drop(0, 0, "a person of the test clips").record]}
        self._records.add(source, Made(record))
        return record

    def pack(self, shard_bytes: int = SHARD_BYTES) -> list[dict[str, Any]]:
        """Join the samples of all clips that are in no shard yet, split by split, in the order of the clips.

        Args:
            shard_bytes: From which size on a shard is full.

        Returns:
            The shards that the folder now has, as the index names them.

        Raises:
            BadMedia: When a shard cannot be written.
        """
        packed = {entry["clip"] for shard in self._index["shards"] for entry in shard["samples"]}
        records = self.records()
        for split in SPLITS:
            waiting = [r for r in records if r["split"] == split and r["samples"] and r["label"] not in packed]
            self._pack_split(split, waiting, shard_bytes)
        for record in records:
            if record["samples"]:
                self._records.samples(record["label"]).unlink(missing_ok=True)
        return self._index["shards"]

    def _pack_split(self, split: str, records: list[dict[str, Any]], shard_bytes: int) -> None:
        while records:
            number = sum(shard["split"] == split for shard in self._index["shards"])
            writer = ShardWriter(self.folder / f"{split}-{number:06d}.tar")
            try:
                while records and writer.bytes < shard_bytes:  # a clip is never torn apart
                    self._append(writer, records.pop(0))
                self._index["shards"].append(writer.finish(split))
            finally:
                writer.discard()
            self._write_index()

    def _append(self, writer: ShardWriter, record: dict[str, Any]) -> None:
        path = self._records.samples(record["label"])
        try:
            with path.open("rb") as file:
                for entry in record["samples"]:
                    file.seek(entry["offset"])
                    facts = {name: entry[name] for name in ("key", "person", "frames", "caption")}
                    writer.add({"clip": record["label"], **facts}, file.read(entry["bytes"]))
        except OSError as error:
            raise BadMedia(f"`{path}` cannot be read ({error.strerror}). Delete its .json and run it again.") from error

    def _write_index(self) -> None:
        write_whole(
            self.folder / INDEX,
            (json.dumps(self._index, indent=1, ensure_ascii=False) + "\n").encode(errors="backslashreplace"),
        )

    @property
    def index(self) -> dict[str, Any]:
        """What the folder's index says."""
        return self._index

    def records(self) -> list[dict[str, Any]]:
        """Return the records of the clips that are done, in order."""
        found = (self._records.done(source) for source in self._sources)
        return [record for record in found if record is not None]

    def strip(self, label: str, reason: str) -> Path:
        """Return the file of a strip of what was left out; it may be missing.

        Args:
            label: Of the clip.
            reason: Why it was left out.
        """
        return self._records.strip(label, reason)


class _Build:
    """Makes a worker; travels to the machines of a cluster."""

    def __init__(self, settings: Settings, folder: Path, tools: Tools | None) -> None:
        self._settings, self._folder, self._tools = settings, folder, tools

    def __call__(self) -> Callable[[tuple[Source, str]], dict[str, Any]]:
        prepare = ClipPreparer(self._settings, self._tools or open_tools(self._settings))
        records = Records(self._folder)

        def work(job: tuple[Source, str]) -> dict[str, Any]:
            made = prepare(*job)
            records.add(job[0], made)
            return made.record

        return work


def _empty(source: Source, split: str) -> dict[str, Any]:
    known = {"label": source.label, "person": source.person, "split": split, "signature": source.signature}
    return known | {"dataset": source.dataset, "seconds": 0.0, "samples": [], "dropped": []}


def leftovers(folder: Path) -> list[Path]:
    """Return what a run that was stopped hard left behind: files in the making.

    Args:
        folder: Of the shards.
    """
    places = (folder, folder / FOLDER, folder / FOLDER / "strips")
    return [file for place in places if place.is_dir() for file in sorted(place.glob(".*.part"))]
