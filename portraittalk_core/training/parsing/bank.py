"""The bank that face parsing learns from: more people than other banks have, in two pictures each.

What is worn differs from what a caption can say: shoulders and necks are bare, since portraits of real people have
necklines that the grammar has no word for, and hats are less rare.

    python -m portraittalk_core.training.parsing.bank --out runs/parsed --shards 128 --part 0/2
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.random import Generator

from ...people.person import Person, draw_person, dress
from ...people.scene import draw_scene
from ..people.bank import begin_drawing, draw_bank, drawing_parser
from ..people.draw import Shot, draw_clip

FIRST_SEED = 4_000_000
"""Of the people, whom no other bank has."""

FRAMES = 2
"""Of each person."""

SHARDS = 128
"""Of a whole bank."""

_LOW = 0.4
"""How often a neckline is low."""
_BARE = 0.12
"""How often no clothes are seen at all, of low ones."""
_DEPTHS = (0.9, 2.3)
"""Of low necklines, decimetres from the middle of the neck."""
_NO_CLOTHES = 4.0
"""The same where no clothes are seen."""
_HAT = 0.15
"""How often a hat is put on besides."""


def draw_parsed(seed: int) -> list[Shot]:
    """Draw what the bank shows of one person.

    Args:
        seed: From which all follows.

    Returns:
        One clip of `FRAMES` frames.
    """
    rng = np.random.default_rng([seed, 59])
    person = _undressed(rng, draw_person(seed))
    return [draw_clip(rng, person, draw_scene(seed, person.background), FRAMES)]


def _undressed(rng: Generator, person: Person) -> Person:
    if rng.random() < _HAT:
        person = dress(person, {"hat": str(rng.choice(("beanie", "cap")))}, rng)
    if rng.random() < _LOW:
        low = _NO_CLOTHES if rng.random() < _BARE else float(rng.uniform(*_DEPTHS))
        person = replace(person, garment=str(rng.choice(("t-shirt", "v-neck"))), neckline=low)
    return person


def draw_parsed_people(folder: Path, shards: range, textures: Path | None = None) -> None:
    """Draw the shards that are missing.

    Args:
        folder: Where the bank lies.
        shards: Their numbers, which decide the people.
        textures: Folder of MakeHuman's textures, or None for painted skin alone.
    """
    draw_bank(folder, shards, textures, FIRST_SEED, shots=draw_parsed)


def main() -> None:
    """Read the command line and draw."""
    given = drawing_parser(__doc__, SHARDS).parse_args()
    draw_parsed_people(given.out, begin_drawing(given), given.textures)


if __name__ == "__main__":
    main()
