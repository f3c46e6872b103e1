"""How well is somebody told from the place in a whole photograph?

    python -m benchmarks.cut_outs CUTOUT.png ...

Each picture shows one person and has an alpha channel. It is laid over painted places, a little out of focus, and over
plain walls, one of them of skin's colour. IoU is that of alpha and of what `compositing.wide_parsing` takes for the
person, both over one half: of the whole photograph, of what lies beyond the crop, and with face parsing of the crop
alone, where nothing is known beyond it. Error is the mean difference of the two masks, in per cent.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from portraittalk_core.compositing.surroundings import Surroundings, away
from portraittalk_core.compositing.wide_parsing import segments_around
from portraittalk_core.media.image import cut_square
from portraittalk_core.people.background import paint_background
from portraittalk_core.pipeline import PortraitTalk
from portraittalk_core.stacks.tiny import TinyStack

from .parts.program import command_line, say

PLACES = ("street", "park", "bookshelf", "brick wall", "office", "curtain")
WALLS = {"white wall": (0.92, 0.92, 0.9), "wall of skin's colour": (0.72, 0.52, 0.42), "dark wall": (0.1, 0.1, 0.12)}
MARGIN = 0.25
"""Of the longer side, that there is of the place beside somebody."""

BLUR = 1.5
"""Of places, pixels of 288."""


@torch.inference_mode()
def main() -> None:
    """Write a row for each place, the mean over all cut-outs."""
    parser = command_line("cut_outs", __doc__)
    parser.add_argument("cutouts", type=Path, nargs="+")
    given = parser.parse_args()
    stack = PortraitTalk.load("tiny").stack
    assert isinstance(stack, TinyStack)
    say("| place | IoU: whole, beyond the crop, parsing of the crop alone | error, % |\n|---|---|---|")
    rows: list[Float[Tensor, "4"]] = []
    for name in (*PLACES, *WALLS):
        found = torch.stack([_scored(stack, path, name) for path in given.cutouts]).mean(0)
        rows.append(found)
        say(_row(name, found))
    say(_row("mean", torch.stack(rows).mean(0)))


def _row(name: str, found: Float[Tensor, "4"]) -> str:
    whole, beyond, alone, error = found.tolist()
    return f"| {name} | {whole:.3f}, {beyond:.3f}, {alone:.3f} | {100 * error:.1f} |"


def _scored(stack: TinyStack, path: Path, name: str) -> Float[Tensor, "4"]:
    photograph, alpha = _photograph(path, name)
    identity = stack.identify([photograph])
    where, parser = Surroundings.of(identity.places[0]), stack.warp.parser
    assert parser is not None
    square, truth = (cut_square(each, where.square)[None] for each in (photograph, alpha))
    points = identity.landmarks[:1]
    person = 1 - segments_around(square, where, points, parser)[:, :1]
    crop = 1 - parser.segments(where.cut(square), points)[:, :1]
    alone = where.with_crop(torch.zeros_like(person), crop)
    inside = torch.zeros_like(person)  # of the photograph
    top, left = -where.square.top, -where.square.left
    inside[..., top : top + photograph.shape[-2], left : left + photograph.shape[-1]] = 1
    beyond = inside * (away(where, person.shape[-1]) > 1)
    error = ((person - truth).abs() * inside).sum() / inside.sum()
    return torch.stack([_iou(person, truth, inside), _iou(person, truth, beyond), _iou(alone, truth, inside), error])


def _iou(one: Tensor, other: Tensor, where: Tensor) -> Tensor:
    first, second = ((mask > 0.5) & (where > 0) for mask in (one, other))
    return (first & second).sum() / (first | second).sum().clamp(min=1)


def _photograph(path: Path, name: str) -> tuple[Float[Tensor, "3 h w"], Float[Tensor, "1 h w"]]:
    """Return somebody before a place, in [-1, 1], and their alpha."""
    with Image.open(path) as picture:
        levels = torch.from_numpy(np.array(picture.convert("RGBA"), np.float32) / 255).permute(2, 0, 1)
    side = round(MARGIN * max(levels.shape[-2:]))
    levels = torch.nn.functional.pad(levels, (side, side, side, 0))
    size = max(levels.shape[-2:])
    if name in WALLS:
        place = torch.tensor(WALLS[name]).view(3, 1, 1).expand(3, size, size)
    else:
        painted = cv2.GaussianBlur(paint_background(name, 0, 288), (0, 0), BLUR).clip(0, 1) ** (1 / 2.2)
        place = torch.from_numpy(cv2.resize(painted, (size, size), interpolation=cv2.INTER_CUBIC)).permute(2, 0, 1)
    place = place[:, : levels.shape[-2], : levels.shape[-1]].clamp(0, 1)
    grain = 0.015 * torch.randn(levels[:3].shape, generator=torch.Generator().manual_seed(0))
    made = levels[:3] * levels[3:] + place * (1 - levels[3:]) + grain
    return made.clamp(0, 1) * 2 - 1, levels[3:]


if __name__ == "__main__":
    main()
