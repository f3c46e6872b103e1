"""Which clips are trained on, which are held out: by person, the same wherever and in whatever order it is asked."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from .sources import Source

TRAIN, VALIDATION, TEST, ASIDE = "train", "validation", "test", "aside"
"""Splits. Aside are clips of people of the test that the test does not name: they are not prepared."""

SPLITS = (TRAIN, VALIDATION, TEST)
"""Splits that shards are written of."""

HELD_OUT = (
    *("RD_Radio7_000", "RD_Radio8_000", "RD_Radio9_000", "WDA_TinaSmith_000", "WDA_TomCarper_000"),
    *("WDA_TomPerez_000", "WDA_TomUdall_000", "WDA_VeronicaEscobar0_000", "WDA_VeronicaEscobar1_000"),
    *("WDA_WhipJimClyburn_000", "WDA_XavierBecerra_000", "WDA_XavierBecerra_001", "WDA_XavierBecerra_002"),
    *("WDA_ZoeLofgren_000", "WRA_SteveScalise1_000", "WRA_TimScott_000", "WRA_ToddYoung_000", "WRA_TomCotton_000"),
    *("WRA_TomPrice_000", "WRA_VickyHartzler_000"),
)
"""The clips of HDTF that MuseTalk holds out: github.com/TMElyralab/MuseTalk, configs/training/preprocess.yaml."""

_NUMBERED = re.compile(r"(.+)_0*(\d+)$")


def _plain(label: str) -> str:
    """Return a clip's name without the zeros that some lists fill its number up with."""
    match = _NUMBERED.match(label)
    return f"{match[1]}_{match[2]}" if match else label


_NAMED = frozenset(_plain(label) for label in HELD_OUT)


def splits_of(sources: Sequence[Source], validation: float) -> dict[str, str]:
    """Assign clips to splits.

    Args:
        sources: All clips.
        validation: Share of the people who are held out for validation.

    Returns:
        By label, the split.
    """
    named = {s.label for s in sources if s.dataset == "hdtf" and _plain(s.label) in _NAMED}
    people = {s.person for s in sources if s.label in named}
    found: dict[str, str] = {}
    for source in sources:
        if source.label in named:
            found[source.label] = TEST
        elif source.person in people and source.dataset == "hdtf":
            found[source.label] = ASIDE
        else:
            found[source.label] = VALIDATION if _share(source) < validation else TRAIN
    return found


def _share(source: Source) -> float:
    """Return a number in [0, 1) that a person has wherever they are met."""
    digest = hashlib.sha256(f"{source.dataset}/{source.person}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
