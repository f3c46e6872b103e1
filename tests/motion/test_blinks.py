"""Blinks: whole ones, of the speed of lids, and often enough."""

import torch

from portraittalk_core.motion.blinks import whole_blinks

RATE = 25.0


def runs(closed: torch.Tensor) -> list[torch.Tensor]:
    """Return the stretches in which a lid is not open."""
    marked = torch.nn.functional.pad((closed > 0.02).long(), (1, 1))
    begins, ends = (marked.diff() == 1).nonzero()[:, 0], (marked.diff() == -1).nonzero()[:, 0]
    return [closed[a:b] for a, b in zip(begins.tolist(), ends.tolist(), strict=True)]


def test_a_lid_that_hangs_or_hardly_moves_blinks_once_and_wholly():
    lid = torch.zeros(50)
    lid[10:13] = torch.tensor([0.3, 0.4, 0.25])  # half of a blink
    lid[25:45] = 0.45  # a lid that stays half closed
    found = runs(whole_blinks(lid, RATE, torch.Generator().manual_seed(3)))
    assert len(found) == 2
    for blink in found:
        assert blink.max() > 0.95 and 5 <= len(blink) <= 9
        assert blink.argmax() < len(blink) / 2, "lids close faster than they open"


def test_nobody_stares_and_eyes_close_at_times_of_their_own():
    never = torch.zeros(round(120 * RATE))
    one, other = (whole_blinks(never, RATE, torch.Generator().manual_seed(seed)) for seed in (0, 1))
    for closed in (one, other):
        begins = ((closed > 0.5).long().diff() == 1).nonzero()[:, 0].diff() / RATE
        assert begins.max() < 7 and begins.min() > 1.5 and begins.std() > 0.5
    assert not torch.equal(one, other)
