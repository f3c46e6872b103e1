"""The pictures of the documents: docs/strip.jpg and docs/demo.webp.

    python -m benchmarks.pictures PHOTOGRAPH [PHOTOGRAPH …]

The strip: each row is a photograph, cut around the head, and frames of it speaking the shipped recording. The first
photograph also makes the little video. Use photographs whose licence allows to publish them; the shipped ones are the
astronaut Eileen Collins (NASA, public domain, `skimage.data.astronaut`) and Grace Hopper (US Navy, public domain, in
matplotlib's sample data).
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from portraittalk_core.checkpoints.native import ASSETS
from portraittalk_core.media.audio import read_sound
from portraittalk_core.media.image import contact_sheet, read_image, write_image
from portraittalk_core.media.sequence import write_video
from portraittalk_core.pipeline import PortraitTalk
from portraittalk_core.types import Frames, Sound

from .parts.program import DOCS, command_line

SECONDS = 3.0
"""Of the recording that are spoken."""

SIDE = 256
"""Of a frame in pixels."""

SHOWN = (0, 8, 16, 24, 34, 44, 56, 66)
"""Frames of the strip."""


def main() -> None:
    """Write both."""
    parser = command_line("pictures", __doc__)
    parser.add_argument("photographs", nargs="+", type=Path, metavar="PHOTOGRAPH")
    given = parser.parse_args()
    model, sound = PortraitTalk.load("tiny"), read_sound(ASSETS / "speech.wav")
    said = Sound(sound.samples[:, : round(SECONDS * sound.sample_rate)], sound.sample_rate)
    rows: list[Tensor] = []
    for number, file in enumerate(given.photographs):
        picture = read_image(file)
        frames = torch.cat([f.pixels for f in model.generate([picture], said, "a person", size=SIDE)])
        rows += [model.stack.identify([picture]).crops[:1], frames[list(SHOWN)]]
        if number == 0:
            write_video(DOCS / "demo.webp", iter([Frames(frames, 25.0, model.stack.config.name)]), None)
    write_image(DOCS / "strip.jpg", contact_sheet(torch.cat(rows), columns=1 + len(SHOWN)))


if __name__ == "__main__":
    main()
