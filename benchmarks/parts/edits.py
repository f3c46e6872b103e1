"""Rows of docs/tiny.md: is it still the person, and does the picture obey the prompt? A judge network says.

The judge saw no generated picture.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import json
import sys

import numpy as np
import torch
from torch import Tensor

from portraittalk_core.evaluation.benchmark.edits import at_rest, wearing
from portraittalk_core.pipeline import PortraitTalk
from portraittalk_core.training.judge import Judge

from .people import EDITS, JUDGE, Subject, draw_subject


def measure(model: PortraitTalk, judge: Judge, given: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Make one frame of every person as they are and one for each edit; let the judge name person and attribute.

    Args:
        model: The tiny model.
        judge: Names person and attributes.
        given: `people`, and the folder `work`.

    Returns:
        By the row's name: `value`, `ceiling`, `n`.
    """
    records = [one(model, judge, number, given) for number in range(given.people)]
    gallery = torch.tensor([record["enrolled"] for record in records])
    found = {
        "identity top-1, same caption": {
            "value": top1(torch.tensor([record["kept"] for record in records]), gallery),
            "ceiling": top1(torch.tensor([record["true"] for record in records]), gallery),
            "n": given.people,
        },
        "identity top-1, edited": {
            "value": edited_top1([record["edited"] for record in records], gallery),
            "ceiling": edited_top1([record["true edited"] for record in records], gallery),
            "n": sum(len(record["edited"]) for record in records),
        },
    }
    for tag in EDITS:
        made = [record["obeyed"][tag] for record in records if tag in record["obeyed"]]
        best = [record["able"][tag] for record in records if tag in record["able"]]
        if made:
            found[f"edit {tag}"] = {"value": sum(made) / len(made), "ceiling": sum(best) / len(best), "n": len(made)}
            found[f"edit {tag}"]["of"] = given.people
    return found


def top1(faces: Tensor, gallery: Tensor) -> float:
    """Count how often a face is nearest to its own row of the gallery.

    Args:
        faces: Embeddings [n, d].
        gallery: Embeddings [n, d] of the same people.

    Returns:
        A share, 0 to 1.
    """
    nearest = torch.cdist(faces, gallery).argmin(1)
    return float((nearest == torch.arange(len(gallery))).float().mean())


def edited_top1(faces: list[dict[str, list[float]]], gallery: Tensor) -> float:
    """Count how often an edited picture is nearest to its own person's row of the gallery.

    Args:
        faces: Of each person, embeddings by the attribute that was edited.
        gallery: Embeddings [people, d].

    Returns:
        A share, 0 to 1, of all edits.
    """
    own = torch.tensor([number for number, by_tag in enumerate(faces) for _ in by_tag])
    asked = torch.tensor([row for by_tag in faces for row in by_tag.values()])
    return float((torch.cdist(asked, gallery).argmin(1) == own).float().mean())


def _through_vae(model: PortraitTalk, pixels: Tensor) -> Tensor:
    """Return pictures as the best denoiser could make them."""
    return torch.cat([frames.pixels for frames in model.reconstruct(pixels)])


def _made(model: PortraitTalk, subject: Subject, prompts: list[str], number: int, given: argparse.Namespace) -> Tensor:
    """Return the person as each prompt says; kept as bytes, for judges come and go while the weights stay."""
    file = given.work / f"pictures_{number}.npy"
    if not file.exists():
        identity = model.stack.identify([subject.reference])
        made = torch.stack([at_rest(model, identity, prompt, number) for prompt in prompts])
        np.save(file, ((made + 1) * 127.5).round().clamp(0, 255).byte().numpy())
    return torch.from_numpy(np.load(file)).float() / 127.5 - 1


@functools.cache
def _judge_version() -> str:
    return hashlib.sha256(JUDGE.read_bytes()).hexdigest()[:8]


def one(model: PortraitTalk, judge: Judge, number: int, given: argparse.Namespace) -> dict:
    """Judge the pictures of one person, unless that was done already.

    Args:
        model: The tiny model.
        judge: Names person and attributes.
        number: Of the person.
        given: See `measure`.

    Returns:
        Embeddings of all pictures, and by attribute whether the picture, and the true one, show what was asked.
    """
    file = given.work / f"edits_{_judge_version()}_{number}.json"
    if file.exists():
        return json.loads(file.read_text())
    subject = draw_subject(number, 1)
    wanted = subject.asked()
    prompts = [subject.caption(), *(text for _, text in wanted.values())]
    pictures = _made(model, subject, prompts, number, given)
    named = judge.classify(pictures[1:])
    true_edits = torch.cat([wearing(subject.person, tag, words[0]) for tag, (words, _) in wanted.items()])
    true_edits = _through_vae(model, true_edits)
    true_names = judge.classify(true_edits)
    record = {
        "enrolled": judge.embed(subject.enrolment[None])[0].tolist(),
        "true": judge.embed(_through_vae(model, subject.reference[None]))[0].tolist(),
        "true edited": dict(zip(wanted, judge.embed(true_edits).tolist(), strict=True)),
        "kept": judge.embed(pictures[:1])[0].tolist(),
        "edited": dict(zip(wanted, judge.embed(pictures[1:]).tolist(), strict=True)),
        "obeyed": {tag: named[tag][k] in wanted[tag][0] for k, tag in enumerate(wanted)},
        "able": {tag: true_names[tag][k] in wanted[tag][0] for k, tag in enumerate(wanted)},
    }
    file.write_text(json.dumps(record))
    sys.stdout.write(f"  person {number}: {record['obeyed']}\n")
    sys.stdout.flush()
    return record
