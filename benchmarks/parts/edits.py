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

from portraittalk_core.evaluation.benchmark.edits import at_rest
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
    kept, edited, enrolled, true_same, true_edited = [], [], [], [], []
    obeyed: dict[str, list[bool]] = {tag: [] for tag in EDITS}
    able: dict[str, list[bool]] = {tag: [] for tag in EDITS}
    for number in range(given.people):
        record = one(model, judge, number, given)
        enrolled.append(torch.tensor(record["enrolled"]))
        true_same.append(torch.tensor(record["true"]))
        kept.append(torch.tensor(record["kept"]))
        edited.append(torch.tensor(record["edited"]))
        true_edited.append(torch.tensor(record["true edited"]))
        for tag in EDITS:
            if tag == "hair" and record["bald"]:
                continue  # there is no hair to see
            obeyed[tag].append(record["obeyed"][tag])
            able[tag].append(record["able"][tag])
    gallery = torch.stack(enrolled)
    found = {
        "identity top-1, same caption": {
            "value": top1(torch.stack(kept), gallery),
            "ceiling": top1(torch.stack(true_same), gallery),
            "n": given.people,
        },
        "identity top-1, edited": {
            "value": _mean_top1(edited, gallery),
            "ceiling": _mean_top1(true_edited, gallery),
            "n": given.people * len(EDITS),
        },
    }
    for tag in EDITS:
        made, best = obeyed[tag], able[tag]
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


def _mean_top1(faces: list[Tensor], gallery: Tensor) -> float:
    return sum(top1(torch.stack(faces)[:, k], gallery) for k in range(len(EDITS))) / len(EDITS)


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
    generator = torch.Generator().manual_seed(number)
    wanted = {tag: subject.edit(tag, generator) for tag in EDITS}
    prompts = [subject.caption(), *(text for _, text in wanted.values())]
    pictures = _made(model, subject, prompts, number, given)
    named = judge.classify(pictures[1:])
    true_edits = _through_vae(model, torch.cat([subject.wearing(tag, word) for tag, (word, _) in wanted.items()]))
    true_names = judge.classify(true_edits)
    record = {
        "bald": subject.tags["style"] == "bald",
        "enrolled": judge.embed(subject.enrolment[None])[0].tolist(),
        "true": judge.embed(_through_vae(model, subject.reference[None]))[0].tolist(),
        "true edited": judge.embed(true_edits).tolist(),
        "kept": judge.embed(pictures[:1])[0].tolist(),
        "edited": judge.embed(pictures[1:]).tolist(),
        "obeyed": {tag: named[tag][k] == wanted[tag][0] for k, tag in enumerate(EDITS)},
        "able": {tag: true_names[tag][k] == wanted[tag][0] for k, tag in enumerate(EDITS)},
    }
    file.write_text(json.dumps(record))
    sys.stdout.write(f"  person {number}: {record['obeyed']}\n")
    sys.stdout.flush()
    return record
