"""Which edits are asked of a rendered person, in which words, and what the picture should then show."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from portraittalk_core.evaluation.benchmark.people import Person
from portraittalk_core.people.caption import compose, unseen
from portraittalk_core.people.person import ATTRIBUTES

from ..people import FIRST_SEED

TAGS = {
    "background": "background",
    "clothes": "clothes",
    "hair": "hair",
    "haircut": "style",
    "bald": "style",
    "glasses": "glasses",
    "no glasses": "glasses",
    "beard": "beard",
    "shaven": "beard",
    "older": "age",
    "younger": "age",
    "smile": "expression",
}
"""Kinds of edits, and the attribute that each changes."""

KINDS = tuple(TAGS)
"""In the order of the tables."""

HAIRCUTS = {
    "male": ("buzz", "short", "side", "curly", "long", "afro"),
    "female": ("bob", "long", "wavy", "side", "bun", "ponytail", "curly", "short", "afro"),
}
"""Styles of hair that people of each sex are drawn with, and so edits in training."""

OTHERS = 2
"""Words beside the old and the new one that a picture could show instead, where the kind names no word of its own."""


@dataclass(frozen=True)
class Edit:
    """One thing that a prompt changes."""

    kind: str
    """Of `KINDS`."""

    word: str
    """What the attribute becomes."""

    meant: tuple[str, ...]
    """Every word that obeys, for "brown hair" is dark brown too."""

    own: str
    """What the attribute is."""

    others: tuple[str, ...]
    """Words that are neither."""

    prompt: str
    """What the model is told: the change, and nothing else of the person."""

    @property
    def tag(self) -> str:
        """The attribute."""
        return TAGS[self.kind]

    @property
    def words(self) -> tuple[str, ...]:
        """Everything that the picture could show: the own word, those that obey, and others."""
        return (self.own, *self.meant, *self.others)


def edits_of(person: Person) -> list[Edit]:
    """Draw every edit that a person's picture can show, seeded by the person.

    Args:
        person: Who is edited.
    """
    found: list[Edit] = []
    for place, kind in enumerate(KINDS):
        rng = np.random.default_rng([FIRST_SEED + person.number, 71, place])
        word = _word(person.tags, kind, rng)
        if word is not None:
            found.append(_edit(person, kind, word, rng))
    return found


def _word(tags: dict[str, str], kind: str, rng: Generator) -> str | None:
    """Return what the attribute shall become; None where it cannot be seen or is so already."""
    tag, own = TAGS[kind], tags[TAGS[kind]]
    if tag in unseen(tags):
        return None
    if kind in _FIXED:
        word, only = _FIXED[kind]
        return word if own != word and (not only or own in only) and not (tag == "beard" and own == "none") else None
    words = HAIRCUTS[tags["sex"]] if kind == "haircut" else ATTRIBUTES[tag]
    return str(rng.choice([word for word in words if word not in (own, "none")]))


_FIXED: dict[str, tuple[str, tuple[str, ...]]] = {
    "bald": ("bald", ()),
    "no glasses": ("none", ()),
    "shaven": ("none", ()),
    "older": ("old", ("young", "middle aged")),
    "younger": ("young", ("middle aged", "old")),
    "smile": ("smiling", ()),
}
"""Kinds whose word is always the same, and of whom it can be asked (nothing: of everybody else)."""


def _edit(person: Person, kind: str, word: str, rng: Generator) -> Edit:
    tag = TAGS[kind]
    own = person.tags[tag]
    while True:
        made = compose({**person.tags, tag: word}, rng, {"sex", tag})
        meant = tuple(made.spoken[tag].split("|"))
        if own not in meant:
            break
    left = [other for other in ATTRIBUTES[tag] if other not in (own, *meant)]
    others = rng.choice(left, min(OTHERS, len(left)), replace=False) if left and kind not in _FIXED else []
    return Edit(kind, word, meant, own, tuple(str(other) for other in others), made.text)
