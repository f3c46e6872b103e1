"""Losses on held-out people: the same at every call, and speech counts only where it is heard."""

import dataclasses

import torch

from portraittalk_core.checkpoints.native import load_vae
from portraittalk_core.config import TrainingConfig
from portraittalk_core.training.denoiser.score import score_clips, score_pairs
from portraittalk_core.training.denoiser.stages import build_objective

from ..synthetic import clip_bank, encoded_bank

DEVICE = torch.device("cpu")


def objective(small, text, vae_file):
    return build_objective(small, TrainingConfig(stage=2, size=64, mask_chance=0.0), text, load_vae(vae_file)).eval()


def test_scores_repeat_and_follow_the_weights(small, text, vae_file):
    net = objective(small, text, vae_file)
    bank = encoded_bank(2, 4, channels=4)
    one, same = (score_pairs(net, bank, text.tokenize, DEVICE, batches=1) for _ in range(2))
    with torch.no_grad():
        net.unet.conv_out.bias += 1
    assert one == same != score_pairs(net, bank, text.tokenize, DEVICE, batches=1)


def test_what_is_heard_makes_a_difference_once_the_branch_says_something(small, text, vae_file):
    net = objective(small, text, vae_file)
    clips = clip_bank(2, channels=4, side=8)
    clips = dataclasses.replace(clips, features=torch.randn(clips.features.shape, generator=torch.manual_seed(0)))
    silent = score_clips(net, clips, text.tokenize, DEVICE, batches=1, frames=2)
    assert silent["heard"] == silent["deaf"]  # an untrained branch adds nothing
    with torch.no_grad():
        for name, value in net.named_parameters():
            if name.startswith("animate_net.audio.") and not value.any():
                value.normal_(std=0.1, generator=torch.Generator().manual_seed(1))
    spoken = score_clips(net, clips, text.tokenize, DEVICE, batches=1, frames=2)
    assert spoken["heard"] != spoken["deaf"]
