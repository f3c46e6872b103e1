"""Denoising losses on people whom a denoiser has not learned from: numbers that can be compared between runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import torch

from .bank import EncodedBank
from .clip_bank import ClipBank, ClipDraws, ClipStore
from .objective import Objective
from .pairs import Batch, FrameStore, PairDraws, Tokenize

_SEED = 77
_NOTHING_LOST = {"drop_text": 0.0, "drop_identity": 0.0, "drop_reference": 0.0}


def score_pairs(
    objective: Objective, bank: EncodedBank, tokenize: Tokenize, device: torch.device, batches: int = 8
) -> float:
    """Return the loss of single frames; pictures, times and noise are the same at every call.

    Args:
        objective: On the device.
        bank: Of people who are held out.
        tokenize: Of the text encoder.
        device: Where the objective is.
        batches: Of sixteen frames each.
    """
    store = FrameStore(bank, device)
    draws = PairDraws(bank, tokenize, seed=_SEED, refs=4, targets=4, **_NOTHING_LOST)
    return _mean_loss(objective, lambda k: store.gather(draws[k]), device, batches)


def score_clips(
    objective: Objective, clips: ClipBank, tokenize: Tokenize, device: torch.device, batches: int = 8, frames: int = 8
) -> dict[str, float]:
    """Return the losses of clips whose mouth is withheld: what speech is worth is how far `heard` is below `deaf`.

    Args:
        objective: On the device; the higher its weight of the mouth, the plainer the difference.
        clips: Of people who are held out.
        tokenize: Of the text encoder.
        device: Where the objective is.
        batches: Of two clips each.
        frames: Of each clip.
    """
    store = ClipStore(clips, frames, device)
    draws = ClipDraws(
        clips.bank, tokenize, seed=_SEED, clips=2, frames=frames, drop_audio=0.0, drop_mouth=1.0, **_NOTHING_LOST
    )

    def deaf(step: int) -> Batch:
        batch = store.gather(draws[step])
        assert batch.features is not None
        return dataclasses.replace(batch, features=torch.zeros_like(batch.features))

    return {
        "heard": _mean_loss(objective, lambda k: store.gather(draws[k]), device, batches),
        "deaf": _mean_loss(objective, deaf, device, batches),
    }


@torch.no_grad()
def _mean_loss(objective: Objective, batch: Callable[[int], Batch], device: torch.device, batches: int) -> float:
    found = [objective(batch(k), torch.Generator(device).manual_seed(_SEED + k))["denoise"] for k in range(batches)]
    return float(torch.stack(found).mean())
