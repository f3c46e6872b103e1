"""Make the pictures of the documents: docs/contact_sheet.jpg (8 unseen portraits x 8 frames) and docs/strip.jpg.

    python benchmarks/pictures.py

The sheet: each row is a portrait that was in no training set, then frames of it moving. The strip: a portrait, frames
of it speaking the shipped recording, and three prompts, one frame each.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parent))

from held_out import draw_subject
from motion_row import produce
from torch import Tensor

from portraittalk_core.checkpoints.native import ASSETS
from portraittalk_core.media.audio import read_sound
from portraittalk_core.media.image import contact_sheet, read_image, write_image
from portraittalk_core.pipeline import PortraitTalk
from portraittalk_core.types import Sound

DOCS = Path(__file__).resolve().parent.parent / "docs"
PEOPLE, FRAMES = 8, 8
PROMPTS = ("a person with blue hair", "a person in front of a green background", "a smiling person with round glasses")


def sheet(model: PortraitTalk) -> Tensor:
    rows: list[Tensor] = []
    for number in range(100, 100 + PEOPLE):
        subject = draw_subject(number, 2 * FRAMES)
        rows += [subject.reference[None], produce(model, subject, subject.caption())[::2]]
    return contact_sheet(torch.cat(rows), columns=FRAMES + 1)


def strip(model: PortraitTalk) -> Tensor:
    portrait, sound = read_image(ASSETS / "portrait.png"), read_sound(ASSETS / "speech.wav")
    second = Sound(sound.samples[:, : sound.sample_rate], sound.sample_rate)
    blink = Sound(second.samples[:, : sound.sample_rate // 25], sound.sample_rate)
    spoken = torch.cat([f.pixels for f in model.generate([portrait], second, "a person")])[[5, 12, 19]]
    edited = [next(model.generate([portrait], blink, prompt)).pixels[:1] for prompt in PROMPTS]
    return contact_sheet(torch.cat([portrait[None], spoken, *edited]), columns=1 + 3 + len(PROMPTS))


if __name__ == "__main__":
    with torch.inference_mode():
        loaded = PortraitTalk.load("tiny")
        write_image(DOCS / "strip.jpg", strip(loaded))
        write_image(DOCS / "contact_sheet.jpg", sheet(loaded))
