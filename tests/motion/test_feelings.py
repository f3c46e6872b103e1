"""What prompts feel, and how faces show it."""

import pytest
import torch

from portraittalk_core.motion.arkit import sides
from portraittalk_core.motion.feelings import OFFSETS, SHOWN, feelings_of, shown_feelings
from portraittalk_core.types import COEFFICIENTS

WORDS = ("smile", "brow_raise", "brow_frown")


def said(**words: float) -> torch.Tensor:
    return torch.tensor([[words.get(name, 0.0) for name in WORDS]])


def shown(name: str, offsets: torch.Tensor) -> float:
    return float(shown_feelings(offsets, WORDS)[0, [COEFFICIENTS.index(full) for full in sides(name)]].mean())


@pytest.mark.parametrize("feeling", list(OFFSETS))
def test_a_feeling_is_read_back_wholly_and_alone(feeling: str):
    found = feelings_of(said(**OFFSETS[feeling]), WORDS)[0]
    expected = torch.tensor([float(name == feeling) for name in OFFSETS])
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=0)
    for name, value in SHOWN[feeling].items():
        assert shown(name, said(**OFFSETS[feeling])) == pytest.approx(value, abs=1e-3)


def test_half_a_feeling_is_half_of_it_and_none_is_none():
    half = said(smile=-0.2, brow_raise=0.05, brow_frown=0.2)
    assert shown("mouthFrown", half) == pytest.approx(SHOWN["sad"]["mouthFrown"] / 2, abs=1e-3)
    assert not shown_feelings(torch.zeros(1, 3), WORDS).any()
    assert float(shown_feelings(said(smile=0.01, brow_raise=-0.02, brow_frown=0.02), WORDS).max()) < 0.05


def test_sad_brows_rise_and_angry_ones_fall():
    sad, angry = (said(**OFFSETS[name]) for name in ("sad", "angry"))
    assert shown("browInnerUp", sad) > 0.5 > 0.3 > shown("browDown", sad)
    assert shown("browDown", angry) > 0.5 and shown("browInnerUp", angry) < 0.05
