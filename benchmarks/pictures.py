"""The pictures of the documents: docs/contact_sheet.jpg (8 unseen portraits x 8 frames) and docs/strip.jpg.

    python -m benchmarks.pictures

The sheet: each row is a portrait that was in no training set, then frames of it moving. The strip: a portrait, frames
of it speaking the shipped recording, and three prompts, one frame each.
"""

from __future__ import annotations

import torch
from torch import Tensor

from portraittalk_core.checkpoints.native import ASSETS
from portraittalk_core.media.audio import read_sound
from portraittalk_core.media.image import contact_sheet, read_image, write_image
from portraittalk_core.pipeline import PortraitTalk
from portraittalk_core.types import Sound

from .parts.motion import produce
from .parts.people import draw_subject
from .parts.program import DOCS, command_line

PEOPLE, FRAMES = 8, 8
"""Rows of the sheet, and frames of each."""

PROMPTS = ("a person with blue hair", "a person in front of a green background", "a smiling person with round glasses")
"""Of the strip."""


@torch.inference_mode()
def main() -> None:
    """Write both."""
    command_line("pictures", __doc__).parse_args()
    model = PortraitTalk.load("tiny")
    write_image(DOCS / "strip.jpg", _strip(model))
    write_image(DOCS / "contact_sheet.jpg", _sheet(model))


def _sheet(model: PortraitTalk) -> Tensor:
    rows: list[Tensor] = []
    for number in range(100, 100 + PEOPLE):
        subject = draw_subject(number, 2 * FRAMES)
        rows += [subject.reference[None], produce(model, subject, subject.caption())[::2]]
    return contact_sheet(torch.cat(rows), columns=FRAMES + 1)


def _strip(model: PortraitTalk) -> Tensor:
    portrait, sound = read_image(ASSETS / "portrait.png"), read_sound(ASSETS / "speech.wav")
    second = Sound(sound.samples[:, : sound.sample_rate], sound.sample_rate)
    blink = Sound(second.samples[:, : sound.sample_rate // 25], sound.sample_rate)
    spoken = torch.cat([f.pixels for f in model.generate([portrait], second, "a person")])[[5, 12, 19]]
    edited = [next(model.generate([portrait], blink, prompt)).pixels[:1] for prompt in PROMPTS]
    return contact_sheet(torch.cat([portrait[None], spoken, *edited]), columns=1 + 3 + len(PROMPTS))


if __name__ == "__main__":
    main()
