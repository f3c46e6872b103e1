"""Lips shut where an m, b or p is likely, whichever way the network says so."""

import pytest
import torch

from portraittalk_core.checkpoints.native import ASSETS, load_motion
from portraittalk_core.motion.audio_to_motion import AudioToMotion, heard_mouth
from portraittalk_core.motion.closures import held, shut_lips, surely_shut
from portraittalk_core.types import MOUTH, SpeechFeatures

COLUMNS = ("jawOpen", "mouthClose", "mouthRollUpper", "mouthLowerDown")


def test_lips_that_are_likely_shut_are_shut():
    mouth = torch.tensor([[0.3, 0.02, roll, 0.2] for roll in (0.0, 0.05, 0.125, 0.2, 0.25)])
    sure = surely_shut(mouth, COLUMNS, 25.0)
    torch.testing.assert_close(sure, torch.tensor([0.0, 0.0, 0.5, 1.0, 1.0]))
    shut = shut_lips(mouth, COLUMNS, sure)
    torch.testing.assert_close(shut[:, 1], torch.tensor([0.02, 0.02, 0.15, 0.3, 0.3]))
    torch.testing.assert_close(shut[:, 3], torch.tensor([0.2, 0.2, 0.1, 0.0, 0.0]))
    assert torch.equal(shut[:, [0, 2]], mouth[:, [0, 2]])
    other = tuple("abcd")
    assert torch.equal(shut_lips(mouth, other, sure), mouth) and not surely_shut(mouth, other, 25.0).any()


def test_what_the_network_is_asked_for_comes_before_what_a_lip_does():
    mouth = torch.tensor([[0.3, 0.02, 0.25, 0.2]] * 9)
    odds = torch.tensor([-5.0, -5.0, -5.0, -5.0, 0.3, -5.0, -5.0, -5.0, 9.0])
    sure = surely_shut(mouth, COLUMNS, 25.0, odds)
    assert not sure[:4].any() and float(sure[4]) == pytest.approx(0.5) and not sure[5:8].any() and sure[8] == 1


def test_evidence_that_rises_and_falls_is_one_closure_at_its_peak():
    odds = torch.tensor([-1.0, 1.0, 2.0, 4.0, 3.8, 2.0, 1.0, -1.0, -1.0, 2.0, -1.0])
    sure = surely_shut(torch.zeros(11, 0), (), 25.0, odds)
    assert (sure > 0.5).nonzero().flatten().tolist() == [3, 4, 9]
    twice = surely_shut(torch.zeros(22, 0), (), 50.0, odds.repeat_interleave(2))
    assert torch.equal(twice[::2] > 0.5, sure > 0.5)


def test_a_network_that_says_closures_shuts_lips_by_them():
    a2m = AudioToMotion(dim=4, closures=True).requires_grad_(False)
    assert AudioToMotion(**a2m.config).close is not None and AudioToMotion(dim=4).close is None
    jaw, close = MOUTH.index("jawOpen"), MOUTH.index("mouthClose")
    for layer in (a2m.close, a2m.leave):  # half open, whatever is said
        layer.weight.zero_()
    a2m.leave.bias.zero_()[close] = -3.0
    features = SpeechFeatures(torch.zeros(20, 4), torch.full((20,), -20.0), 25.0)
    for odds, shut in ((-9.0, False), (9.0, True)):
        a2m.close.bias.fill_(odds)
        mouth = heard_mouth(features, a2m)
        assert bool((mouth[:, close] >= mouth[:, jaw] - 1e-6).all()) is shut
        assert bool((mouth[:, MOUTH.index("mouthLowerDown")] == 0).all()) is shut


def test_the_shipped_network_says_closures():
    a2m, _ = load_motion(ASSETS / "tiny" / "motion.safetensors")
    found, odds = a2m.hear(torch.zeros(9, a2m.config["dim"]))
    assert found.shape == (9, len(MOUTH)) and odds is not None and odds.shape == (9,)
    assert torch.equal(a2m(torch.zeros(9, a2m.config["dim"])), found)
    with pytest.raises(RuntimeError, match="close"):
        AudioToMotion(**(a2m.config | {"closures": False})).load_state_dict(a2m.state_dict())


def test_a_closure_lasts_however_many_frames_a_second_there_are():
    sure = torch.tensor([0.0, 0.0, 1.0, 0.0, 0.0])
    assert held(sure, 0.0, 0.0).tolist() == sure.tolist() and held(sure, 1.0, 1.0).tolist() == [0, 0, 0, 1, 0]
    assert held(sure, 0.5, 1.5).tolist() == [0, 0, 1, 1, 0]  # 25 a second, late by 0.02 s
    assert held(sure, 1.0, 3.0).tolist() == [0, 0, 1, 1, 1] and held(sure[2:], 0.5, 1.5).tolist() == [1, 1, 0]
    assert held(sure[:3], 0.0, 3.0).tolist() == [0, 1, 1]
