"""Fetch the public files of a model when the user asks for it: what they are is said first, one file after the other.

Nothing is fetched otherwise. An attempt that was cut off goes on where it stopped.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import asdict, dataclass
from pathlib import Path

from ..portraittalk_core.checkpoints.catalogue import Entry, comfyui_of, find, models_folder, search_folders, select
from ..portraittalk_core.checkpoints.fetch import check_disk, check_licences, fetch
from ..portraittalk_core.errors import BadInput, PortraitTalkError
from ..portraittalk_core.presets import PUBLIC
from .wording import worded

logger = logging.getLogger(__name__)


@dataclass
class Progress:
    """How far the fetching is."""

    model: str = ""
    """Whose files."""

    file: str = ""
    """Which is being fetched; "" where none is."""

    done: int = 0
    """Files that have come."""

    of: int = 0
    """Files that were asked for."""

    error: str = ""
    """What stopped it."""


class Downloads:
    """At most one fetching at a time, in a thread of its own."""

    def __init__(self, models: Path) -> None:
        """Fetch nothing yet.

        Args:
            models: ComfyUI's folder of models.
        """
        self._comfyui = comfyui_of(models)
        self._progress = Progress()
        self._thread: threading.Thread | None = None

    def files(self, model: str) -> list[dict[str, object]]:
        """Return the files of a model: what each is, and whether it is here. None for models that need no download."""
        folders = search_folders(self._comfyui)
        return [
            {
                "name": entry.name,
                "file": entry.save_as,
                "bytes": entry.size,
                "licence": entry.licence,
                "commercial": entry.commercial,
                "here": find(entry, folders) is not None,
            }
            for entry in _entries(model)
        ]

    def start(self, model: str, accepted: bool) -> None:
        """Begin to fetch what is missing of a model.

        Args:
            model: Of public files.
            accepted: Whether the user accepts licences that forbid commercial use.

        Raises:
            BadInput: While another fetching runs, for a licence that was not accepted, and where the disk is too full.
        """
        if self._thread is not None and self._thread.is_alive():
            raise BadInput(f"The files of {self._progress.model} are being fetched. Wait until they have come.")
        folder, folders = models_folder(self._comfyui), search_folders(self._comfyui)
        absent = [entry for entry in _entries(model) if find(entry, folders) is None]
        check_licences(absent, accepted)
        check_disk(absent, folder)
        self._progress = Progress(model, of=len(absent))
        self._thread = threading.Thread(target=self._fetch, args=(absent, folder), daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Wait for the end."""
        if self._thread is not None:
            self._thread.join()

    def progress(self) -> dict[str, object]:
        """Return how far it is."""
        return asdict(self._progress)

    def _fetch(self, absent: list[Entry], folder: Path) -> None:
        for entry in absent:
            self._progress.file = entry.name
            try:
                logger.info("%s -> %s", entry.name, fetch(entry, folder))
            except PortraitTalkError as error:
                self._progress.error = worded(str(error))
                logger.warning(self._progress.error)
                break
            self._progress.done += 1
        self._progress.file = ""


def _entries(model: str) -> list[Entry]:
    return select([model]) if model.removesuffix("-fast") in PUBLIC else []
