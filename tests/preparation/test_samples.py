"""What a sample is made of comes back as it went in."""

import numpy as np
import pytest
import torch

from portraittalk_core.errors import BadMedia
from portraittalk_core.preparation.samples import decoded, encoded, evenly, strip_of, wave_bytes, wave_samples

from ..rendered_people import pictures


@pytest.mark.parametrize("kind", ["jpg", "webp"])
def test_pictures(kind):
    picture = pictures()[0]
    content = encoded(picture, kind, 95)
    assert content == encoded(picture, kind, 95) and len(content) > len(encoded(picture, kind, 30))
    assert np.abs(decoded(content).astype(float) - picture).mean() < 3
    with pytest.raises(BadMedia, match="cannot be decoded"):
        decoded(b"nothing")


def test_sound():
    sound = torch.rand(1000) * 2 - 1
    assert torch.allclose(wave_samples(wave_bytes(sound)), sound, atol=1 / 32767)
    assert float(wave_samples(wave_bytes(torch.tensor([2.0, -2.0]))).abs().max()) == 1


def test_rows_are_spread_and_each_counts_once():
    assert evenly(100, 5) == [10, 30, 50, 70, 90]
    assert evenly(3, 5) == [0, 1, 2]


def test_a_strip_shows_six_pictures():
    assert decoded(strip_of(list(pictures()))).shape == (96, 6 * 96, 3)
