"""A bank's people as the face networks see them: pictures by person, points in pixels, and who stands out from what."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float32, Float64, Int, UInt8
from numpy import ndarray

from ..people.bank import SIZE, Bank, open_bank

TRAINING = range(90)
"""The shards of a bank that may be learned from; later ones are held out."""


@dataclass(frozen=True)
class People:
    """Pictures of a bank, by person."""

    bank: Bank
    """The pictures and their truth."""

    first: Int[ndarray, "people"]
    """The first picture of each person; a person's pictures follow one another."""

    _masks: dict[int, UInt8[ndarray, "k m bytes"]] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, bank: Bank) -> People:
        """Group a bank's pictures by person.

        Args:
            bank: With everybody's pictures in a row.
        """
        starts = np.flatnonzero(np.diff(bank.person, prepend=bank.person[0] - 1))
        return cls(bank, starts)

    def __len__(self) -> int:
        return len(self.first)

    @functools.cached_property
    def turned_first(self) -> Float64[ndarray, "pictures"]:
        """How often each picture is taken where turned heads, of which there are few, are to be seen as often."""
        angles = self.bank.rotation / [12.0, 10.0, 20.0]
        weights = 1 + np.square(angles).sum(1).clip(0, 6)
        return weights / weights.sum()

    def rows(self, person: int) -> range:
        """Return the numbers of a person's pictures.

        Args:
            person: Number of the person.
        """
        end = self.first[person + 1] if person + 1 < len(self.first) else len(self.bank)
        return range(int(self.first[person]), int(end))

    def pixels(self, i: int) -> Float32[ndarray, "478 2"]:
        """Return the points of a picture as OpenCV counts pixels: the centre of the first one is (0, 0).

        Args:
            i: The picture's number.
        """
        return (self.bank.landmarks[i] + 1) * (SIZE / 2) - 0.5

    def cover(self, i: int) -> Float32[ndarray, "size size"] | None:
        """Return how far each pixel shows the person and not what is behind, 0 to 1; None where no map is stored.

        Args:
            i: The picture's number.
        """
        if self.bank.appearance[i] != 0:
            return None
        number = int(self.bank.shard[i])
        if number not in self._masks:
            file = self.bank.folder / f"{self.bank.numbers[number]:05d}.npz"
            if not file.exists():
                return None
            with np.load(file) as stored:
                self._masks[number] = np.packbits(stored["segments"] > 0, axis=-1)
        mask = np.unpackbits(self._masks[number][self.bank.row[i]], axis=-1).astype(np.float32)
        return cv2.GaussianBlur(cv2.resize(mask, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR), (0, 0), 1.0)


def open_people(folder: Path, shards: range = TRAINING) -> People:
    """Open the people of a bank.

    Args:
        folder: Where the bank lies.
        shards: Which of its shards.

    Raises:
        BadInput: When there are none.
    """
    return People.of(open_bank(folder, shards))
