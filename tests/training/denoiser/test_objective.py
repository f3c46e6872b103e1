"""The objective: what is shown, what a stage updates, what is minimised."""

import dataclasses

import pytest
import torch
from safetensors.torch import load_file, save_file

from portraittalk_core import presets
from portraittalk_core.checkpoints.native import load_vae
from portraittalk_core.config import TrainingConfig
from portraittalk_core.errors import BadConfig, BadInput
from portraittalk_core.topology import EYES, OUTER_LIPS
from portraittalk_core.training.denoiser import losses
from portraittalk_core.training.denoiser.assembly import STAGES, build_objective, load_weights
from portraittalk_core.training.denoiser.clip_bank import ClipDraws, ClipStore
from portraittalk_core.training.denoiser.pairs import FrameStore, PairDraws
from portraittalk_core.training.denoiser.stages import ASSETS

from ...rendered_people import portraits
from ..synthetic import clip_bank, encoded_bank

DEVICE = torch.device("cpu")


@pytest.fixture(scope="module")
def vae(vae_file):
    return load_vae(vae_file)


def pairs(text, refs=2, targets=2):
    bank = encoded_bank(3, 4, channels=4)
    draws = PairDraws(bank, text.tokenize, seed=0, refs=refs, targets=targets, drop_reference=0.0)
    return FrameStore(bank, DEVICE).gather(draws[0])


def stretches(text, **options):
    clips = clip_bank(2, channels=4, side=8)
    draws = ClipDraws(clips.bank, text.tokenize, seed=0, clips=2, frames=2, drop_reference=0.0, **options)
    return ClipStore(clips, 2, DEVICE).gather(draws[0])


def test_training_can_begin_with_the_shipped_denoiser(text):
    objective = build_objective(presets.tiny(), TrainingConfig(stage=2), text, load_vae(ASSETS / "vae.safetensors"))
    load_weights(objective, ASSETS / "denoiser.safetensors")
    stored, own = load_file(ASSETS / "denoiser.safetensors"), objective.state_dict()
    assert stored
    for name, value in stored.items():  # a convolution may have got more input channels since
        assert torch.equal(own[name][:, : value.shape[1]] if value.ndim == 4 else own[name], value.float())


def test_new_input_channels_begin_at_zero_and_change_nothing(tmp_path, small, text, vae):
    objective = build_objective(small, TrainingConfig(size=64), text, vae)
    name = "animate_net.structure.enter.0.weight"
    old = dict(objective.named_parameters())[name].detach()[:, :10].clone()
    save_file({name: old.contiguous()}, tmp_path / "old.safetensors")
    load_weights(objective, tmp_path / "old.safetensors")
    now = dict(objective.named_parameters())[name]
    assert torch.equal(now[:, :10], old) and not now[:, 10:].any()


def test_later_files_are_loaded_over_earlier_ones(tmp_path, small, text, vae):
    objective = build_objective(small, TrainingConfig(size=64), text, vae)
    for k, names in enumerate((("unet.conv_in.bias", "unet.conv_out.bias"), ("unet.conv_out.bias",))):
        own = objective.state_dict()
        save_file({name: torch.full_like(own[name], k + 1.0) for name in names}, tmp_path / f"{k}.safetensors")
    load_weights(objective, tmp_path / "0.safetensors", tmp_path / "1.safetensors")
    assert (objective.unet.conv_in.bias == 1).all() and (objective.unet.conv_out.bias == 2).all()


def test_weights_of_another_width_are_refused_before_anything_is_copied(tmp_path, small, text, vae):
    objective = build_objective(small, TrainingConfig(size=64), text, vae)
    before = {name: value.clone() for name, value in objective.state_dict().items()}
    name = "animate_net.identity.token_proj.norm.weight"
    save_file({name: torch.zeros(3), "unet.conv_in.bias": torch.full((32,), 9.0)}, tmp_path / "w.safetensors")
    with pytest.raises(BadInput, match=name):
        load_weights(objective, tmp_path / "w.safetensors")
    assert all(torch.equal(value, before[name]) for name, value in objective.state_dict().items())


def test_structure_and_warped_picture_follow_what_is_shown(small, text, vae, monkeypatch):
    """Where the mouth is withheld, nothing that the denoiser sees may tell it."""
    objective = build_objective(small, TrainingConfig(stage=2, size=64), text, vae)
    batch = stretches(text, drop_audio=0.0, drop_mouth=1.0)
    seen = []
    monkeypatch.setattr(objective._adapters[0], "structure_branches", lambda **given: seen.append(given) or [])
    for landmarks in (batch.landmarks, batch.landmarks + 0.1):
        assert objective._structure(dataclasses.replace(batch, landmarks=landmarks)) == []
    assert len(seen) == 2 and all(torch.equal(seen[1][name], value) for name, value in seen[0].items())


@pytest.mark.parametrize("stage", [1, 2])
def test_a_stage_updates_its_own_parts_only_and_all_of_them(stage, small, text, vae):
    objective = build_objective(small, TrainingConfig(stage=stage, size=64), text, vae)
    batch = pairs(text) if stage == 1 else stretches(text, drop_identity=0.0)
    with torch.no_grad():  # what starts at zero blocks the gradient of what lies before it
        for p in objective.parameters():
            if p.requires_grad and not p.any():
                p.normal_(std=0.02, generator=torch.Generator().manual_seed(1))
    objective(batch, torch.Generator().manual_seed(0))["loss"].backward()
    reached = {n for n, p in objective.named_parameters() if p.grad is not None and p.grad.any()}
    wanted = {n for n, p in objective.named_parameters() if n.startswith(STAGES[stage].trained)}
    assert reached <= wanted
    # The last text token projections of a U-Net whose cross attention sees them all get gradients too.
    assert len(wanted - reached) <= 0.05 * len(wanted), sorted(wanted - reached)


def test_a_run_may_update_one_part_of_its_stage(small, text, vae):
    objective = build_objective(small, TrainingConfig(stage=2, size=64, parts=("audio",)), text, vae)
    names = {n for n, p in objective.named_parameters() if p.requires_grad}
    assert names == {n for n, _ in objective.named_parameters() if n.startswith("animate_net.audio.")}
    (adapters,) = objective._adapters
    assert not adapters.temporal_branches()  # temporal attention neither learns nor has learned: it is not run
    (adapters,) = build_objective(small, TrainingConfig(stage=2, size=64), text, vae)._adapters
    assert adapters.temporal_branches()
    with pytest.raises(BadConfig, match="`parts` of stage 2 are structure, occlusion, temporal, audio, but got 'unet'"):
        build_objective(small, TrainingConfig(stage=2, parts=("unet",)), text, vae)


def test_the_same_generator_gives_the_same_losses(small, text, vae):
    objective = build_objective(small, TrainingConfig(size=64), text, vae)
    batch = pairs(text, 1, 2)
    with torch.no_grad():
        one, same, other = (objective(batch, torch.Generator().manual_seed(k))["loss"] for k in (3, 3, 4))
    assert one == same and one != other


def objective_of(kind, small, text, vae, **options):
    schedule = dataclasses.replace(small.schedule, prediction_type=kind)
    return build_objective(dataclasses.replace(small, schedule=schedule), TrainingConfig(size=64, **options), text, vae)


@pytest.mark.parametrize("kind", ["epsilon", "sample", "v_prediction"])
def test_a_perfect_prediction_of_its_kind_costs_nothing(kind, small, text, vae, monkeypatch):
    objective = objective_of(kind, small, text, vae, mask_chance=0.0)
    seen = []
    monkeypatch.setattr(objective.schedule, "add_noise", lambda *given: seen.append(given) or given[0])
    monkeypatch.setattr(objective, "predict", lambda *given: objective.schedule.target(*seen[0]))
    assert objective(pairs(text), torch.Generator().manual_seed(0))["denoise"] == 0


def test_the_mask_loss_of_noise_prediction_stays_in_bounds_where_noise_hides_all(small, text, vae):
    """Clean latents told by the noise are off by its error over sqrt(abar), 15 times at the last step."""
    objective = objective_of("epsilon", small, text, vae, mask_chance=1.0, high_noise=0.0)
    with torch.no_grad():
        found = objective(pairs(text), torch.Generator().manual_seed(0))
    assert found["mask"] < 10 * found["denoise"].clamp(min=1)


def test_the_mouth_may_count_beyond_the_eyes():
    landmarks = portraits()[1][:3]
    plain, mouth = (losses.face_weight(landmarks, 32, 3.0, more)[:, 0] for more in (0.0, 60.0))
    for weight in (plain, mouth):
        torch.testing.assert_close(weight.mean((1, 2)), torch.ones(3))
    at = ((landmarks[:, list(OUTER_LIPS)].mean(1) + 1) * 16).long()
    eyes = ((landmarks[:, list(EYES[0])].mean(1) + 1) * 16).long()
    for row in range(3):
        x, y = at[row].tolist()
        u, v = eyes[row].tolist()
        assert plain[row, v, u] > 2 * plain[row, 0, 0]
        assert mouth[row, y, x] > 4 * plain[row, y, x] and mouth[row, y, x] > 8 * mouth[row, v, u]


def test_what_the_reference_does_not_show_counts_as_much_as_eyes_and_mouth():
    landmarks, unseen = portraits()[1][:1], torch.zeros(1, 32, 32)
    unseen[:, 0] = 1
    weight = losses.face_weight(landmarks, 32, 3.0, unseen=unseen)[0, 0]
    torch.testing.assert_close(weight[0], 4 * weight[1, :1].expand(32), rtol=0.02, atol=0)
    assert weight.mean() == pytest.approx(1.0)


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


def test_min_snr_weighs_each_sample_before_the_mean(small, text, vae):
    alpha = torch.tensor([0.0, 0.5, 0.99])
    velocity = losses.min_snr_weight(alpha, 5.0, "v_prediction")
    torch.testing.assert_close(velocity, torch.tensor([1.0, 1.0, 5 / 100]))  # pure noise still counts
    torch.testing.assert_close(losses.min_snr_weight(alpha[1:], 5.0, "epsilon"), torch.tensor([1.0, 5 / 99]))
    torch.testing.assert_close(losses.min_snr_weight(alpha, 5.0, "sample"), torch.tensor([0.0, 1.0, 5.0]))
    run = TrainingConfig(size=64, mask_chance=0.0)
    plain = build_objective(small, run, text, vae)
    weighed = build_objective(small, dataclasses.replace(run, min_snr=5.0), text, vae)
    with torch.no_grad():
        found = [
            [float(objective(pairs(text), torch.Generator().manual_seed(seed))["loss"]) for seed in range(6)]
            for objective in (plain, weighed)
        ]
    assert sum(found[1]) < sum(found[0]) and all(less <= more for more, less in zip(*found))


def test_noise_offset_shifts_whole_channels_of_a_clip(small, text, vae):
    run = TrainingConfig(stage=2, clip=2, size=64, noise_offset=5.0, shared_noise=0.0)
    objective = build_objective(small, run, text, vae)
    noise = objective._draw_noise(torch.zeros(4, 4, 8, 8), 2, torch.Generator().manual_seed(0))
    apart = noise.mean((2, 3))
    assert float(apart.abs().mean()) > 1.0 and float((apart[0] - apart[1]).abs().max()) < 0.5 * float(apart.abs().max())
