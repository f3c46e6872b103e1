"""A sheet of edits: people in the order of their numbers, the true picture above, ours below."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from portraittalk_core.media.image import from_bytes, resize

from ..real.sheet import write_jpeg
from .session import Session
from .wanted import KINDS

PEOPLE, CELL = 4, 112
"""How many are shown, and the side of their pictures in pixels."""

MOST_BYTES = 150_000
"""Of the sheet."""


def write_sheet(session: Session, target: Path) -> None:
    """Lay out the edits of the first people: the portrait, then `KINDS`; white where nothing can be asked for.

    Args:
        session: Has measured their edits.
        target: A .jpg file.
    """
    rows = [row for number in range(min(PEOPLE, session.given.people)) for row in _rows(session, number)]
    write_jpeg(target, torch.cat(rows), MOST_BYTES, 1 + len(KINDS))


def _rows(session: Session, number: int) -> list[Float[Tensor, "kinds 3 cell cell"]]:
    shown = session.truth(number)
    with np.load(session.folder / "sheets" / f"{number}.npz") as kept:
        ours = {kind: from_bytes(torch.from_numpy(kept[kind])) for kind in kept.files}
    white = torch.ones_like(shown.portrait)
    true = {wanted.edit.kind: wanted.after[0] for wanted in shown.edits}
    return [
        resize(torch.stack([shown.portrait, *(pictures.get(kind, white) for kind in KINDS)]), CELL, CELL)
        for pictures in (true, ours)
    ]
