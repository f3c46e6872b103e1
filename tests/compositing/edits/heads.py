"""A head of 128 pixels to which prompts are applied, and a face parser that says what it is told."""

import torch

from portraittalk_core.compositing.edits.edited import edited
from portraittalk_core.compositing.edits.regions import ASKED
from portraittalk_core.topology import SEGMENTS

SIDE = 128


class Segments:
    """Says of the photograph and of what was drawn what it is told."""

    def __init__(self, before, after):
        self.given = [before, after]

    def segments(self, pictures, landmarks):
        return self.given.pop(0)


def segments(**boxes):
    """A head: hair above row 40, skin to row 90, clothes below; the sides are background; or other boxes."""
    found = torch.zeros(1, len(SEGMENTS), SIDE, SIDE)
    places = {
        "skin": (slice(0, 96), slice(32, 96)),
        "hair": (slice(4, 40), slice(24, 104)),
        "clothes": (slice(96, SIDE), slice(0, SIDE)),
    }
    for name, place in (places | boxes).items():
        if place is not None:
            found[:, :, place[0], place[1]] = 0
            found[:, SEGMENTS.index(name), place[0], place[1]] = 1
    found[:, 0] = 1 - found[:, 1:].sum(1)
    return found


def change(photograph, drawn, points, *regions, before=None, after=None, plain=None):
    before = segments() if before is None else before
    asked = torch.tensor([[float(region in regions) for region in ASKED]])
    parser = Segments(before, before if after is None else after)
    return edited(photograph, drawn, plain, asked, points, parser)


def fine(picture):
    return (picture - torch.nn.functional.avg_pool2d(picture, 5, 1, 2))[..., 3:-3, 3:-3]  # edges have no neighbours


def correlation(one, other):
    return float(torch.corrcoef(torch.stack([one.flatten(), other.flatten()]))[0, 1])
