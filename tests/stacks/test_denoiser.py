"""Guidance's passes at once, and one after the other from where memory does not suffice."""

import contextlib

import pytest
import torch

from portraittalk_core.host import Pass
from portraittalk_core.stacks.denoiser import Denoiser
from portraittalk_core.stacks.prompts import PromptEmbeds

BOTH = (Pass(), Pass(text=False))


class Small:
    """A host whose memory holds so many rows; it predicts the sum of latents and text."""

    dtype = torch.float32

    def __init__(self, rows):
        self.rows, self.seen = rows, []

    def attach(self, branches):
        return contextlib.nullcontext()

    def denoise(self, rows, timestep, text, call):
        self.seen.append(len(rows))
        if len(rows) > self.rows:
            raise torch.OutOfMemoryError("full")
        return rows + text.mean((1, 2))[:, None, None, None]


class Nothing:
    def branches(self, host, frames, uncond, device):
        return []


def predicted(host, reuse=1):
    noise = torch.Generator().manual_seed(0)
    text = torch.randn(2, 1, 5, 8, generator=noise)
    denoiser = Denoiser(host, Nothing(), PromptEmbeds(*text, None), reuse=reuse)
    latents = torch.randn(4, 2, 3, 3, generator=noise)
    return [denoiser.predict(latents, torch.tensor(9), torch.arange(4), passes) for passes in (BOTH, BOTH, (Pass(),))]


@pytest.mark.parametrize("reuse", [1, 2])
def test_where_memory_does_not_hold_all_passes_they_run_one_by_one_from_then_on(caplog, reuse):
    plenty, little = Small(8), Small(4)
    for whole, parts in zip(predicted(plenty, reuse), predicted(little, reuse), strict=True):
        assert torch.equal(whole, parts)
    assert plenty.seen == [8, 8, 4] and little.seen == [8, 4, 4, 4, 4, 4]
    assert caplog.text.count("Memory does not hold") == 1


def test_where_it_holds_no_pass_at_all_the_error_is_torchs():
    with pytest.raises(torch.OutOfMemoryError):
        predicted(Small(3))
