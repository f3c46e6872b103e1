"""Gradient checkpointing with branches: the same losses and the same gradients, less that is kept."""

import dataclasses

import pytest
import torch

from portraittalk_core.checkpoints.native import load_vae
from portraittalk_core.config import TrainingConfig
from portraittalk_core.training.denoiser.clip_bank import ClipDraws, ClipStore
from portraittalk_core.training.denoiser.pairs import FrameStore, PairDraws
from portraittalk_core.training.denoiser.stages import build_objective

from ..synthetic import clip_bank, encoded_bank

DEVICE = torch.device("cpu")


def batch_of(stage, text):
    if stage == 1:
        bank = encoded_bank(3, 4, channels=4)
        return FrameStore(bank, DEVICE).gather(PairDraws(bank, text.tokenize, seed=0, refs=2, targets=2)[0])
    clips = clip_bank(2, channels=4, side=8)
    return ClipStore(clips, 2, DEVICE).gather(ClipDraws(clips.bank, text.tokenize, seed=0, clips=2, frames=2)[0])


def awake(objective):
    """Move what begins at zero, so that every part has gradients."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in objective.parameters():
            if not parameter.any():
                parameter.copy_(0.05 * torch.randn(parameter.shape, generator=generator))
    return objective


@pytest.mark.parametrize("stage", [1, 2])
def test_losses_and_gradients_are_those_without_it(stage, small, text, vae_file):
    config, kept, found = TrainingConfig(stage=stage, clip=stage, size=64, mask_chance=1.0), [], []
    for recompute in (False, True):
        run = dataclasses.replace(config, recompute=recompute)
        objective = awake(build_objective(small, run, text, load_vae(vae_file)))
        size = [0]

        def note(tensor, size=size):
            size[0] += tensor.nbytes
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            losses = objective(batch_of(stage, text), torch.Generator().manual_seed(1))
        losses["loss"].backward()
        gradients = {n: p.grad for n, p in objective.named_parameters() if p.requires_grad}
        assert all(value is not None and bool(value.any()) for value in gradients.values())
        found.append((losses["loss"], gradients))
        kept.append(size[0])
        assert not any(module._forward_hooks or module._forward_pre_hooks for module in objective.unet.modules())
    (loss, plain), (again, recomputed) = found
    assert torch.equal(loss, again) and plain.keys() == recomputed.keys()
    for name, value in plain.items():
        torch.testing.assert_close(recomputed[name], value, rtol=1e-5, atol=1e-8, msg=name)
    assert kept[1] < 0.6 * kept[0], kept
