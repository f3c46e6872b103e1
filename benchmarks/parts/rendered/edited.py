"""Prompt edits: does what should change move towards the truth, does the rest stay, is it still the person?"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from portraittalk_core.media.image import contact_sheet, to_bytes, write_image
from portraittalk_core.pipeline import PortraitTalk
from portraittalk_core.stacks.options import SamplingOptions
from portraittalk_core.stacks.prompts import PromptTrack
from portraittalk_core.types import FaceMotion, Identity

from ..people import FPS
from ..program import say
from .material import POSES, EditTruth, posed
from .scores import edit_scores, named
from .session import Made, Session, make

UNCHANGED = {"empty": "", "a person": "a person", "caption": None}
"""Prompts that ask for nothing new: no words, words that fit everybody, and all that the portrait shows."""

VARIANTS = ("finished", "decoded")
"""What is compared with the truth."""


def measure(session: Session) -> dict[str, Any]:
    """Measure every edit of every person.

    Args:
        session: What was asked for.

    Returns:
        By the person's number, see `one`.
    """
    found: dict[str, Any] = {}
    for number in range(session.given.people):
        row = found[str(number)] = session.kept(f"edits_{number}", lambda n=number: one(session, n))
        said = {kind: round(edit["finished"][0]["moved"], 2) for kind, edit in row["edits"].items() if edit["seen"]}
        say(f"  person {number}:", said)
    return found


def edited(
    model: PortraitTalk,
    identity: Identity,
    prompt: str,
    seed: int,
    options: SamplingOptions | None = None,
    poses: int = len(POSES),
) -> Made:
    """Make a person in `POSES` as a prompt has them, with the expression that it asks for.

    Args:
        model: Of the tiny kind.
        identity: Who.
        prompt: What is asked for.
        seed: Of the noise.
        options: Of sampling.
        poses: How many of them.
    """
    expression = model.stack.expression(PromptTrack(prompt, (), FPS, len(POSES)))
    motion = posed(expression)
    motion = FaceMotion(motion.coefficients[:poses], motion.pose[:poses], FPS)
    maps = model.stack.structure(motion, identity)
    return make(model, identity, maps, prompt, seed, options)


def one(session: Session, number: int) -> dict[str, Any]:
    """Make and measure all edits of a person, and what should change nothing.

    Args:
        session: What was asked for.
        number: Of the person.

    Returns:
        `edits` by kind: what was asked, scores of each of `VARIANTS` and poses, what the picture shows, its embedding;
        `unchanged` by prompt: mean difference to the true picture and to that of no prompt at all, of 255.
    """
    shown, stack = session.truth(number), session.stack
    identity = stack.identify([shown.portrait])
    row: dict[str, Any] = {"edits": {}, "unchanged": {}}
    pictures: dict[str, ndarray] = {}
    plain: Made | None = None
    for name, prompt in UNCHANGED.items():
        made = edited(session.model, identity, shown.subject.caption() if prompt is None else prompt, number)
        plain = plain or made
        row["unchanged"][name] = {
            "truth": _apart(made.finished, shown.before),
            "empty": _apart(made.finished, plain.finished),
            "decoded": _apart(made.decoded[:1], plain.decoded[:1]),
        }
    assert plain is not None
    before = shown.before
    cells = [before[0], before[0], plain.decoded[0], plain.finished[0], before[1], plain.finished[1]]
    for wanted in shown.edits:
        made = edited(session.model, identity, wanted.edit.prompt, number)
        row["edits"][wanted.edit.kind] = _scored(session, wanted, made, plain, before)
        pictures[wanted.edit.kind] = to_bytes(made.finished[0]).numpy()
        cells += [before[0], wanted.after[0], made.decoded[0], made.finished[0], wanted.after[1], made.finished[1]]
    sheet = session.folder / "sheets" / f"{number}.jpg"
    sheet.parent.mkdir(exist_ok=True)
    write_image(sheet, contact_sheet(torch.stack(cells), columns=6))
    np.savez_compressed(sheet.with_suffix(".npz"), **pictures)  # pyright: ignore[reportArgumentType]
    return row


def _apart(one: Float[Tensor, "n 3 s s"], other: Float[Tensor, "n 3 s s"]) -> float:
    return float((one - other).abs().mean() * 127.5)


def _scored(
    session: Session, wanted: EditTruth, made: Made, plain: Made, before: Float[Tensor, "poses 3 s s"]
) -> dict[str, Any]:
    """Score an edit; what was made without a prompt says what the photograph and its motion account for."""
    edit = wanted.edit
    row: dict[str, Any] = {"asked": edit.prompt, "own": edit.own, "word": edit.word}
    for name, frames in zip(VARIANTS, (made.finished, made.decoded), strict=True):
        row[name] = _rows(frames, before, wanted.after)
        row[f"{name} shows"] = named(frames[0], wanted.shown)
        row[f"{name} obeyed"] = row[f"{name} shows"] in edit.meant
    row["plain"] = _rows(plain.finished, before, wanted.after)
    row["truth obeyed"] = named(wanted.after[0], wanted.shown) in edit.meant
    row["seen"] = bool(row["finished"])
    row["embedding"] = session.embed(made.finished[0])
    row["true embedding"] = session.embed(wanted.after[0])
    return row


def _rows(frames: Tensor, before: Tensor, after: Tensor) -> list[dict[str, float]]:
    scored = [edit_scores(*row) for row in zip(frames, before, after)]  # a look is drawn at rest alone
    return [row for row in scored if row is not None]
