"""Noise, music and codecs: of the right size, the same from the same generator, and as loud as they say."""

import pytest
import torch

from portraittalk_core.training.speech.augmentation import augment, codec, coloured_noise, mp3, music


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def voice(count: int = 16_000) -> torch.Tensor:
    time_s = torch.arange(count) / 16_000
    return torch.sin(2 * torch.pi * 150 * time_s) * (0.5 + 0.5 * torch.sin(2 * torch.pi * 4 * time_s))


@pytest.mark.parametrize("make", [coloured_noise, music])
@pytest.mark.parametrize("count", [16_000, 12_345])
def test_noise_has_unit_variance_and_one_source(make, count):
    made = make(count, generator())
    assert made.shape == (count,) and float(made.std()) == pytest.approx(1.0, abs=1e-3)
    assert torch.equal(made, make(count, generator())) and not torch.equal(made, make(count, generator(1)))


def test_a_codec_rounds_and_keeps_time():
    sound = voice()
    coded = codec(sound, generator())
    assert coded.shape == sound.shape and not torch.equal(coded, sound)
    assert float(torch.corrcoef(torch.stack([coded, sound]))[0, 1]) > 0.9


def test_mp3_keeps_time():
    sound = voice()
    coded = mp3(sound, generator())
    assert coded.shape == sound.shape and not torch.equal(coded, sound)
    shifts = [float((coded[2000:-2000] * sound.roll(lag)[2000:-2000]).sum()) for lag in range(-40, 41, 4)]
    assert shifts.index(max(shifts)) == 10 and float(torch.corrcoef(torch.stack([coded, sound]))[0, 1]) > 0.95


def test_loud_noise_comes_as_often_as_asked():
    quiet, loud = (augment(voice(), generator(3), None, chance) for chance in (0.0, 1.0))
    assert quiet.shape == loud.shape == (16_000,) and not torch.equal(quiet, loud)
