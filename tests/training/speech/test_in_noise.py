"""Audio-to-motion is trained on: it alone changes, and an interrupted run goes on."""

import csv

import pytest
import torch

from portraittalk_core.checkpoints.native import ASSETS, load_motion, load_speech_encoder
from portraittalk_core.training.speech.in_noise import train_in_noise

TINY = ASSETS / "tiny"


def recordings(count: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Return noise that swells as a jaw opens."""
    made = []
    for number in range(count):
        jaw = 0.5 - 0.5 * torch.cos(torch.arange(700) / 15)
        sound = torch.randn(700 * 160, generator=torch.Generator().manual_seed(number)) * jaw.repeat_interleave(160)
        made.append(((sound * 3000).short(), torch.stack([jaw, 0 * jaw, 0 * jaw, 0 * jaw], 1).half()))
    return made


@pytest.mark.slow
def test_only_audio_to_motion_learns(tmp_path):
    work = tmp_path / "work"
    work.mkdir()
    torch.save(recordings(2), work / "corpus_0_0.1.pt")
    torch.save(recordings(1), work / "held_out.pt")
    small = {"minutes": 0.1, "batch": 2, "work_dir": work}
    scores = train_in_noise(tmp_path / "out", TINY / "motion.safetensors", steps=2, **small)
    assert {"r_jaw", "loud_r_jaw", "loud_rest"} <= set(scores)
    was, now = (load_motion(folder / "motion.safetensors") for folder in (TINY, tmp_path / "out"))
    assert all(torch.equal(a, b) for a, b in zip(was[1].state_dict().values(), now[1].state_dict().values()))
    assert not torch.equal(was[0].leave.weight, now[0].leave.weight)
    kept = (load_speech_encoder(folder / "speech.safetensors") for folder in (TINY, tmp_path / "out"))
    assert all(torch.equal(a, b) for a, b in zip(*(encoder.state_dict().values() for encoder in kept)))
    assert train_in_noise(tmp_path / "out", TINY, steps=2, **small) == scores  # nothing is left to do
    with (work / "in_noise.csv").open() as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["0", "2"]
