"""The objective and its stages: what is shown, what is updated, what is minimised."""

import dataclasses

import pytest
import torch
from safetensors.torch import load_file, save_file

from portraittalk_core import presets
from portraittalk_core.config import TrainingConfig
from portraittalk_core.errors import BadConfig, BadInput
from portraittalk_core.training.denoiser import losses
from portraittalk_core.training.denoiser.clip_bank import ClipDraws, ClipStore
from portraittalk_core.training.denoiser.pairs import FrameStore, PairDraws
from portraittalk_core.training.denoiser.stages import ASSETS, STAGES, build_objective, load_weights, train_stage

DEVICE = torch.device("cpu")


def test_training_can_begin_with_the_shipped_denoiser(text, vae):
    objective = build_objective(presets.tiny(), TrainingConfig(stage=2), text, vae)
    load_weights(objective, ASSETS / "denoiser.safetensors")
    stored = load_file(ASSETS / "denoiser.safetensors")
    own = objective.state_dict()
    assert stored and all(torch.equal(own[name], value.float()) for name, value in stored.items())


def test_new_input_channels_begin_at_zero_and_change_nothing(tmp_path, text, vae):
    objective = build_objective(presets.tiny(), TrainingConfig(), text, vae)
    name = "animate_net.structure.enter.0.weight"
    old = dict(objective.named_parameters())[name].detach()[:, :54].clone()
    save_file({name: old.contiguous()}, tmp_path / "old.safetensors")
    load_weights(objective, tmp_path / "old.safetensors")
    now = dict(objective.named_parameters())[name]
    assert torch.equal(now[:, :54], old) and not now[:, 54:].any()


def test_structure_and_warped_picture_follow_what_is_shown(clips, text, vae, monkeypatch):
    """Where the mouth is withheld, nothing that the denoiser sees may tell it."""
    objective = build_objective(presets.tiny(), TrainingConfig(stage=2), text, vae)
    draws = ClipDraws(clips.bank.album, text.tokenize, seed=0, clips=1, frames=4, drop_audio=0.0, drop_mouth=1.0)
    batch = ClipStore(clips, 4, DEVICE).gather(draws[0])
    seen = []
    monkeypatch.setattr(objective._adapters[0], "structure_branches", lambda **given: seen.append(given) or [])
    for landmarks in (batch.landmarks, batch.landmarks + 0.1):
        assert objective._structure(dataclasses.replace(batch, landmarks=landmarks)) == []
    assert len(seen) == 2 and all(torch.equal(seen[1][name], value) for name, value in seen[0].items())


@pytest.mark.parametrize("stage", [1, 2])
def test_a_stage_updates_its_own_parts_only_and_all_of_them(stage, bank, text, vae):
    objective = build_objective(presets.tiny(), TrainingConfig(stage=stage), text, vae)
    draws = PairDraws(bank.album, text.tokenize, seed=0, refs=2, targets=2, drop_reference=0)
    batch = FrameStore(bank, DEVICE).gather(draws[0])
    if stage == 2:
        batch = dataclasses.replace(batch, features=torch.randn(2, 2, 128), clip=2)
    with torch.no_grad():  # what starts at zero blocks the gradient of what lies before it
        for p in objective.parameters():
            if p.requires_grad and not p.any():
                p.normal_(std=0.02, generator=torch.Generator().manual_seed(1))
    losses_found = objective(batch, torch.Generator().manual_seed(0))
    losses_found["loss"].backward()
    reached = {n for n, p in objective.named_parameters() if p.grad is not None and p.grad.any()}
    wanted = {n for n, p in objective.named_parameters() if n.startswith(STAGES[stage].trained)}
    assert reached <= wanted
    # The last text token projections of a U-Net whose cross attention sees them all get gradients too.
    assert len(wanted - reached) <= 0.05 * len(wanted), sorted(wanted - reached)


def test_a_run_may_update_one_part_of_its_stage(text, vae):
    objective = build_objective(presets.tiny(), TrainingConfig(stage=2, parts=("audio",)), text, vae)
    names = {n for n, p in objective.named_parameters() if p.requires_grad}
    assert names == {n for n, _ in objective.named_parameters() if n.startswith("animate_net.audio.")}
    (adapters,) = objective._adapters
    assert not adapters.temporal_branches()  # temporal attention neither learns nor has learned: it is not run
    (adapters,) = build_objective(presets.tiny(), TrainingConfig(stage=2), text, vae)._adapters
    assert adapters.temporal_branches()
    with pytest.raises(BadConfig, match="`parts` of stage 2 are structure, occlusion, temporal, audio, but got 'unet'"):
        build_objective(presets.tiny(), TrainingConfig(stage=2, parts=("unet",)), text, vae)


def test_the_mouth_may_count_beyond_the_eyes(bank):
    landmarks = bank.landmarks[:3]
    plain, mouth = (losses.face_weight(landmarks, 32, 3.0, more)[:, 0] for more in (0.0, 60.0))
    for weight in (plain, mouth):
        torch.testing.assert_close(weight.mean((1, 2)), torch.ones(3))
    at = ((landmarks[:, 48:68].mean(1) + 1) * 16).long()
    eyes = ((landmarks[:, 36:42].mean(1) + 1) * 16).long()
    for row in range(3):
        x, y = at[row].tolist()
        u, v = eyes[row].tolist()
        assert mouth[row, y, x] > 4 * plain[row, y, x] and mouth[row, y, x] > 8 * mouth[row, v, u]


def test_an_unknown_stage_and_missing_beginnings_are_named(tmp_path, text, vae):
    with pytest.raises(BadConfig, match="`stage` must be one of"):
        build_objective(presets.tiny(), TrainingConfig(stage=3), text, vae)
    options = {"data": tmp_path / "b", "people": 1}
    with pytest.raises(BadInput, match="needs the weights to begin with"):
        train_stage(TrainingConfig(stage=2), tmp_path / "s", **options)
    with pytest.raises(BadInput, match="needs the VAE"):
        train_stage(TrainingConfig(stage=1), tmp_path / "s", vae=tmp_path / "none", **options)


def test_the_mask_loss_judges_the_corrupted_region_and_the_other_the_rest():
    clean, weight = torch.zeros(1, 2, 4, 4), torch.ones(1, 1, 4, 4)
    mask = torch.zeros(1, 1, 4, 4)
    mask[..., :2] = 1
    wrong = torch.zeros(1, 2, 4, 4)
    wrong[..., :2] = 3.0
    assert losses.mask_reconstruction_loss(wrong, clean, weight, mask) == pytest.approx(9.0)
    assert losses.denoising_loss(wrong, clean, weight, mask) == 0
    assert losses.denoising_loss(wrong.flip(-1), clean, weight, mask) == pytest.approx(4.5)


def test_random_regions_cover_a_part_with_the_given_chance():
    masks = losses.random_regions(400, 16, 0.3, torch.Generator().manual_seed(0))
    share = masks.mean((1, 2, 3))
    assert 0.22 < float((share > 0).float().mean()) < 0.38
    assert share[share > 0].min() > 0.03 and share.max() < 0.55
