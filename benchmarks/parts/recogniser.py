"""Rows of docs/tiny.md: is it still the person, by the face pack's own recogniser?

It conditions the model, so this flatters.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

import torch
from torch import Tensor

from portraittalk_core.evaluation.benchmark.edits import at_rest
from portraittalk_core.pipeline import PortraitTalk

from .edits import edited_top1, top1
from .people import draw_subject


def measure(model: PortraitTalk, given: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Make one frame of every person as they are and one for each edit; find the person among all by embedding.

    Args:
        model: The tiny model.
        given: `people`, and the folder `work`.

    Returns:
        By the row's name: `value`, `ceiling` where there is one, `n`.
    """
    rows = [_one(model, number, given) for number in range(given.people)]
    gallery = torch.tensor([row["enrolled"] for row in rows])
    kept, true = (torch.tensor([row[name] for row in rows]) for name in ("kept", "true"))
    return {
        "recogniser top-1, same caption": {
            "value": top1(kept, gallery),
            "ceiling": top1(true, gallery),
            "n": len(rows),
        },
        "recogniser top-1, edited": {
            "value": edited_top1([row["edited"] for row in rows], gallery),
            "n": sum(len(row["edited"]) for row in rows),
        },
    }


def _one(model: PortraitTalk, number: int, given: argparse.Namespace) -> dict[str, Any]:
    file = given.work / f"recogniser_{number}.json"
    if file.exists():
        return json.loads(file.read_text())
    subject = draw_subject(number, 1)
    wanted = subject.asked()
    prompts = [subject.caption(), *(prompt for _, prompt in wanted.values())]
    identity = model.stack.identify([subject.reference])
    made = [_embed(model, at_rest(model, identity, prompt, number)) for prompt in prompts]
    record = {
        "enrolled": _embed(model, subject.enrolment).tolist(),
        "true": identity.embeddings[0].tolist(),
        "kept": made[0].tolist(),
        "edited": {tag: row.tolist() for tag, row in zip(wanted, made[1:], strict=True)},
    }
    file.write_text(json.dumps(record))
    sys.stdout.write(f"  person {number}\n")
    sys.stdout.flush()
    return record


def _embed(model: PortraitTalk, picture: Tensor) -> Tensor:
    """Return the embedding of the face in a picture, zero where none is found."""
    found = model.stack.face_finder().find(picture)
    return found[0].embedding if found else torch.zeros(512)
