"""Brows that are drawn."""

import torch

from portraittalk_core.compositing.edits.brows import with_brows
from portraittalk_core.compositing.masked import inside
from portraittalk_core.topology import BROW_OUTLINES, EYES

from ...rendered_people import portraits

POINTS = portraits()[1][:2].float()


def test_hairs_lie_on_brows_and_nowhere_else():
    face, everywhere = torch.full((2, 3, 256, 256), 0.7), torch.ones(2, 1, 256, 256)
    made = with_brows(face, everywhere, torch.full((2, 3, 1, 1), 0.1), POINTS)
    darker = (face - made).mean(1, keepdim=True)
    for outline in BROW_OUTLINES:
        brow = inside(POINTS[:, list(outline)], face)
        assert (darker * brow).sum() / brow.sum() > 0.12
    for outline in EYES:
        assert (darker * inside(POINTS[:, list(outline)], face)).sum() < 1e-3
    assert darker[..., 190:, :].abs().max() < 1e-6
    assert torch.equal(with_brows(face, 0 * everywhere, face, POINTS), face)
