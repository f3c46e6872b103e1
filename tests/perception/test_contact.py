"""Lips and lids touch and do not pass through one another."""

import pytest
import torch

from portraittalk_core.motion.geometry import eye_opening, mouth_opening
from portraittalk_core.perception.contact import LIDS_TOUCH, LIPS_TOUCH, keep_apart
from portraittalk_core.topology import MEETING_LIDS, MEETING_LIPS

from ..motion.faces import AT_REST, SPEAKING, faces

LIDS = [pair for eye in MEETING_LIDS for pair in eye]


def crossed(pairs, by: float) -> torch.Tensor:
    """Return speaking people whose upper points of pairs lie below the lower ones."""
    points = faces().view(SPEAKING).clone()
    upper, lower = ([pair[k] for pair in pairs] for k in (0, 1))
    points[:, upper] = points[:, lower] + torch.tensor([0.0, by])
    return points


def test_what_is_open_hardly_changes():
    some = faces().view(SPEAKING)
    assert float((keep_apart(some) - some).norm(dim=2).max()) < 0.002


@pytest.mark.parametrize("by", [0.0, 0.01, 0.05])
def test_what_crosses_meets(by):
    lips, lids = keep_apart(crossed(MEETING_LIPS, by)), keep_apart(crossed(LIDS, by))
    for opening, touch in ((mouth_opening(lips), LIPS_TOUCH), (eye_opening(lids), LIDS_TOUCH)):
        assert float(opening.min()) > -0.006 and float(opening.max()) < 1.1 * touch


def test_it_follows_a_head_that_leans():
    turn = torch.tensor([[0.8, -0.6], [0.6, 0.8]])
    leaning = crossed(LIDS, 0.03) @ turn.T
    torch.testing.assert_close(keep_apart(leaning), keep_apart(crossed(LIDS, 0.03)) @ turn.T, atol=1e-5, rtol=0)


def test_nothing_but_lips_and_lids_moves():
    some = crossed(LIDS, 0.03)
    others = [k for k in range(478) if k not in {p for pair in (*LIDS, *MEETING_LIPS) for p in pair}]
    assert torch.equal(keep_apart(some)[:, others], some[:, others])
    assert faces().view(AT_REST).shape == (6, 478, 2)
