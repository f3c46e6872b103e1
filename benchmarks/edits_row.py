"""Is it still the person, and does the picture obey the prompt? A judge network that saw no generated picture says."""

from __future__ import annotations

import argparse
import json
import sys

import torch
import torch.nn.functional as F
from held_out import EDITS, FPS, draw_subject
from torch import Tensor

from portraittalk_core.pipeline import PortraitTalk
from portraittalk_core.prompts import PromptTrack
from portraittalk_core.training.judge import Judge
from portraittalk_core.types import COEFFICIENTS, FaceMotion, Identity


def measure(model: PortraitTalk, judge: Judge, given: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Make one frame of every person as they are and one for each edit; let the judge name person and attribute."""
    kept, edited, enrolled, true_same = [], [], [], []
    obeyed: dict[str, list[bool]] = {tag: [] for tag in EDITS}
    for number in range(given.people):
        record = _one(model, judge, number, given)
        enrolled.append(torch.tensor(record["enrolled"]))
        true_same.append(torch.tensor(record["true"]))
        kept.append(torch.tensor(record["kept"]))
        edited.append(torch.tensor(record["edited"]))
        for tag in EDITS:
            obeyed[tag].append(record["obeyed"][tag])
    gallery = torch.stack(enrolled)
    found = {
        "identity top-1, same caption": {
            "value": top1(torch.stack(kept), gallery),
            "ceiling": top1(torch.stack(true_same), gallery),
            "n": given.people,
        },
        "identity top-1, edited": {
            "value": sum(top1(torch.stack(edited)[:, k], gallery) for k in range(len(EDITS))) / len(EDITS),
            "n": given.people * len(EDITS),
        },
    }
    for tag, results in obeyed.items():
        found[f"edit {tag}"] = {"value": sum(results) / len(results), "n": len(results)}
    return found


def top1(faces: Tensor, gallery: Tensor) -> float:
    """Return how often a face is nearest to its own row of the gallery."""
    nearest = (F.normalize(faces, dim=1) @ F.normalize(gallery, dim=1).T).argmax(1)
    return float((nearest == torch.arange(len(gallery))).float().mean())


def one_frame(model: PortraitTalk, identity: Identity, prompt: str, seed: int) -> Tensor:
    """Return the person at rest, wearing what the prompt says, [3, 256, 256]."""
    rest = FaceMotion(torch.zeros(1, len(COEFFICIENTS)), torch.tensor([[0.0, 0, 0, 0, 0, 1]]), FPS)
    for name, value in model.networks.preparation.text.expression_of(prompt).items():
        rest.coefficients[0, COEFFICIENTS.index(name)] = value
    maps = model.structure(rest, identity)
    video = next(model.animate(identity, maps, None, PromptTrack(prompt, (), FPS, 1), seed=seed))
    return next(model.decode(video)).pixels[0]


def _one(model: PortraitTalk, judge: Judge, number: int, given: argparse.Namespace) -> dict:
    file = given.work / f"edits_{number}.json"
    if file.exists():
        return json.loads(file.read_text())
    subject = draw_subject(number, 1)
    generator = torch.Generator().manual_seed(number)
    wanted = {tag: subject.edit(tag, generator) for tag in EDITS}
    identity = model.identify([subject.reference])
    prompts = [subject.caption(), *(text for _, text in wanted.values())]
    pictures = torch.stack([one_frame(model, identity, prompt, number) for prompt in prompts])
    named = judge.classify(pictures[1:])
    record = {
        "enrolled": judge.embed(subject.enrolment[None])[0].tolist(),
        "true": judge.embed(subject.reference[None])[0].tolist(),
        "kept": judge.embed(pictures[:1])[0].tolist(),
        "edited": judge.embed(pictures[1:]).tolist(),
        "obeyed": {tag: named[tag][k] == wanted[tag][0] for k, tag in enumerate(EDITS)},
    }
    file.write_text(json.dumps(record))
    sys.stdout.write(f"  person {number}: {record['obeyed']}\n")
    sys.stdout.flush()
    return record
