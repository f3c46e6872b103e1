"""The pictures of the documents: docs/strip.jpg, docs/demo.webp, docs/edits.jpg and docs/whole.jpg.

    python -m benchmarks.pictures PHOTOGRAPH [PHOTOGRAPH …]

The strip: each row is a photograph, cut around the head, and frames of it speaking the shipped recording. The first
photograph also makes the little video, whose prompt changes; of each there is a frame for each of some prompts, and
whole photographs, their upper squares, for each of others. Use
photographs whose licence allows to publish them; the shipped ones are the astronaut Eileen Collins (NASA, public
domain, `skimage.data.astronaut`) and Grace Hopper (US Navy, public domain, in matplotlib's sample data).
"""

from __future__ import annotations

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from portraittalk_core.checkpoints.native import ASSETS
from portraittalk_core.media.audio import read_sound
from portraittalk_core.media.image import contact_sheet, read_image, resize, write_image
from portraittalk_core.media.paste_back import paste_back
from portraittalk_core.media.sequence import write_video
from portraittalk_core.pipeline import PortraitTalk
from portraittalk_core.types import Sound

from .parts.program import DOCS, command_line

SECONDS = 3.6
"""Of the recording that are spoken."""

SIDE = 256
"""Of a frame in pixels."""

WHOLE_SIDE = 320
"""Of a whole photograph, likewise."""

SHOWN = (0, 8, 16, 24, 34, 44, 56, 66)
"""Frames of the strip."""


PROMPTS = (
    "a person",
    "a person in a park",
    "a person with long red hair",
    "an old person",
    "a person wearing round glasses",
    "a person with a beard",
    "a bald person",
    "a person wearing a red hoodie",
)
"""Of the edits."""

WHOLE = (
    "a person on a beach",
    "a person in front of a bookshelf",
    "a person with long red hair",
    "a person wearing a green shirt",
    "a person wearing a white shirt in a park",
)
"""Of the whole photographs."""

CHANGES = (
    (1.2, "a person with red hair in a park"),
    (2.4, "an old person wearing round glasses, in front of a brown background"),
)
"""Of the little video: seconds and prompts."""

EDITED = 14
"""Frame of the edits."""


def edited(model: PortraitTalk, picture: Float[Tensor, "3 h w"], sound: Sound) -> Float[Tensor, "prompts 3 s s"]:
    """Return the same frame of a photograph that speaks, for each of `PROMPTS`."""
    said = _beginning(sound, (EDITED + 1) / 25)
    videos = (model.generate([picture], said, prompt, size=SIDE) for prompt in PROMPTS)
    return torch.stack([torch.cat([f.pixels for f in video])[EDITED] for video in videos])


def whole(model: PortraitTalk, picture: Float[Tensor, "3 h w"], sound: Sound) -> Float[Tensor, "pictures 3 s s"]:
    """Return the upper square of a photograph, and the same frame of it for each of `WHOLE`."""
    side = min(picture.shape[-2:])
    square = picture[:, :side, :side]
    said = _beginning(sound, (EDITED + 1) / 25)
    place = model.stack.identify([square]).places[0]
    made = [square]
    for prompt in WHOLE:
        frames = paste_back(model.generate([square], said, prompt, fine=True), square, place)
        made.append(torch.cat([part.pixels for part in frames])[EDITED])
    return torch.stack([resize(each, WHOLE_SIDE, WHOLE_SIDE) for each in made])


def _beginning(sound: Sound, seconds: float) -> Sound:
    return Sound(sound.samples[:, : round(seconds * sound.sample_rate)], sound.sample_rate)


def main() -> None:
    """Write all of them."""
    parser = command_line("pictures", __doc__)
    parser.add_argument("photographs", nargs="+", type=Path, metavar="PHOTOGRAPH")
    given = parser.parse_args()
    model, sound = PortraitTalk.load("tiny"), read_sound(ASSETS / "speech.wav")
    said = _beginning(sound, SECONDS)
    rows: list[Tensor] = []
    looks: list[Tensor] = []
    wholes: list[Tensor] = []
    for number, file in enumerate(given.photographs):
        picture = read_image(file)
        frames = torch.cat([f.pixels for f in model.generate([picture], said, "a person", size=SIDE)])
        rows += [model.stack.identify([picture]).crops[:1], frames[list(SHOWN)]]
        looks.append(edited(model, picture, sound))
        wholes.append(whole(model, picture, sound))
        if number == 0:
            changing = model.generate([picture], said, "a person", edits=CHANGES, size=SIDE)
            write_video(DOCS / "demo.webp", changing, None)
    write_image(DOCS / "edits.jpg", contact_sheet(torch.cat(looks), columns=len(PROMPTS)))
    write_image(DOCS / "whole.jpg", contact_sheet(torch.cat(wholes), columns=1 + len(WHOLE)))
    write_image(DOCS / "strip.jpg", contact_sheet(torch.cat(rows), columns=1 + len(SHOWN)))


if __name__ == "__main__":
    main()
