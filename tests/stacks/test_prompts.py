"""Prompts over time."""

import pytest
import torch

from portraittalk_core.errors import BadInput
from portraittalk_core.stacks.prompts import FADE_S, PromptTrack


def test_without_edits_one_prompt_holds_throughout():
    track = PromptTrack("a", [], 25, 10)
    assert track.prompts == ["a"] and torch.equal(track.weights, torch.ones(10, 1))


def test_an_edit_fades_in_at_its_time_and_covers_what_was_before():
    track = PromptTrack("a", [(1.0, "c"), (0.4, "b")], 25, 50)
    assert track.prompts == ["a", "b", "c"]
    assert torch.allclose(track.weights.sum(1), torch.ones(50))
    assert track.weights[9].tolist() == [1, 0, 0] and track.weights[24].tolist() == [0, 1, 0]
    assert track.weights[-1].tolist() == [0, 0, 1]
    fade = track.weights[10:17, 1]
    assert (fade.diff() >= 0).all() and fade[0] < 0.1 and fade[round(FADE_S * 25)] == 1
    values = torch.tensor([[0.0], [1.0], [2.0]])
    assert track.mix(values, torch.tensor([0, 20, 49])).flatten().tolist() == [0, 1, 2]


def test_an_edit_before_the_start_is_refused():
    with pytest.raises(BadInput, match="must begin at 0 s or later"):
        PromptTrack("a", [(-1.0, "b")], 25, 10)
