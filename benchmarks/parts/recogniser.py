"""Rows of docs/tiny.md: is it still the person, by the face pack's own recogniser?

It conditions the model, so this flatters.
"""

from __future__ import annotations

import argparse
import json
import sys

import torch
from torch import Tensor

from portraittalk_core.evaluation.benchmark.edits import at_rest
from portraittalk_core.pipeline import PortraitTalk

from .edits import top1
from .people import EDITS, draw_subject


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
    edited = torch.tensor([row["edited"] for row in rows])
    shares = [top1(edited[:, k], gallery) for k in range(len(EDITS))]
    return {
        "recogniser top-1, same caption": {
            "value": top1(kept, gallery),
            "ceiling": top1(true, gallery),
            "n": len(rows),
        },
        "recogniser top-1, edited": {"value": sum(shares) / len(shares), "n": len(rows) * len(EDITS)},
    }


def _one(model: PortraitTalk, number: int, given: argparse.Namespace) -> dict[str, list]:
    file = given.work / f"recogniser_{number}.json"
    if file.exists():
        return json.loads(file.read_text())
    subject = draw_subject(number, 1)
    generator = torch.Generator().manual_seed(number)
    prompts = [subject.caption(), *(subject.edit(tag, generator)[1] for tag in EDITS)]
    identity = model.stack.identify([subject.reference])
    made = [_embed(model, at_rest(model, identity, prompt, number)) for prompt in prompts]
    record = {
        "enrolled": _embed(model, subject.enrolment).tolist(),
        "true": identity.embeddings[0].tolist(),
        "kept": made[0].tolist(),
        "edited": [row.tolist() for row in made[1:]],
    }
    file.write_text(json.dumps(record))
    sys.stdout.write(f"  person {number}\n")
    sys.stdout.flush()
    return record


def _embed(model: PortraitTalk, picture: Tensor) -> Tensor:
    """Return the embedding of the face in a picture, zero where none is found."""
    found = model.stack.face_finder().find(picture)
    return found[0].embedding if found else torch.zeros(512)
