"""Which speech encoder a training listens with: what is named, what a run began with, or what made the shards."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..checkpoints.hearing import (
    RECORD,
    Hearing,
    find_hearing,
    load_hearing,
    made_by_same,
    open_hearing,
    public_file,
    save_hearing,
    sign_of_speech,
)
from ..errors import BadInput
from ..preparation.cache import SPEECH
from ..preparation.shards import read_index

logger = logging.getLogger(__name__)

_REMEDY = (
    "Name its file: `--speech FILE`; or `--speech shipped`, which listens with the shipped encoder and makes the "
    "features anew."
)


def choose_hearing(out: Path, shards: Path, given: str | None = None, *, public: bool = False) -> Hearing:
    """Return the encoder that a training listens with, and write it down beside its runs.

    What was begun goes on with the encoder that it began with. Otherwise it is the one that is named, or the one whose
    features are in the shards; where there are none, wav2vec2-base-960h if `public` and it is there, or the shipped
    one.

    Args:
        out: Of the training.
        shards: Of `portraittalk prepare`.
        given: As `open_hearing` takes it; None leaves the choice.
        public: Whether the model begins with public files.

    Raises:
        BadInput: When another one is named than the training began with.
        WeightsMismatch: When it is not here.
    """
    named = None if given is None else open_hearing(given)
    if (before := _before(out)) is not None:
        if named is not None and not _same(named, before):
            raise BadInput(
                f"{out} was begun with {before.name}, {before.width} features wide, but `--speech` names {named.name}, "
                f"{named.width}. Name the same, or another --out."
            )
        return before
    hearing = named or _of_shards(shards) or _public(public) or open_hearing()
    save_hearing(out, hearing)
    logger.info("speech is heard with %s, %d features wide", hearing.name, hearing.width)
    return hearing


def _before(out: Path) -> Hearing | None:
    if (out / RECORD).is_file():
        return load_hearing(out)
    begun = any(out.glob("state.pt")) or any(out.glob("*/state.pt"))  # before there were others
    return open_hearing() if begun else None


def _of_shards(shards: Path) -> Hearing | None:
    cached: Mapping[str, Any] | None = read_index(shards).get("cached")
    return None if cached is None else find_hearing(cached[SPEECH], shards, _REMEDY)


def _public(wanted: bool) -> Hearing | None:
    place = public_file() if wanted else None
    return None if place is None else open_hearing(place)


def _same(one: Hearing, other: Hearing) -> bool:
    return made_by_same(sign_of_speech(one.encoder), sign_of_speech(other.encoder))
