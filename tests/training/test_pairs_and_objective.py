import dataclasses

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

from portraittalk_core import presets
from portraittalk_core.avatars import parameters as traits
from portraittalk_core.checkpoints.native import load_text_encoder, load_vae
from portraittalk_core.config import TrainingConfig
from portraittalk_core.errors import BadConfig, BadInput
from portraittalk_core.motion.geometry import mouth_opening
from portraittalk_core.training.denoiser import losses
from portraittalk_core.training.denoiser.bank import EDITABLE, Bank, draw_album, draw_looks
from portraittalk_core.training.denoiser.clip_bank import FRAMES, ClipBank, ClipDraws, ClipStore
from portraittalk_core.training.denoiser.pairs import FrameStore, PairDraws
from portraittalk_core.training.denoiser.stages import ASSETS, STAGES, build_objective, load_weights, train_stage

DEVICE = torch.device("cpu")


@pytest.fixture(scope="module")
def text():
    return load_text_encoder(ASSETS / "text.safetensors")


@pytest.fixture(scope="module")
def vae():
    return load_vae(ASSETS / "vae.safetensors")


@pytest.fixture(scope="module")
def bank():
    """Latents of nothing in particular, 8x8 to be quick, under a real album."""
    album = draw_album(range(3), looks=2, frames=2)
    generator = torch.Generator().manual_seed(0)
    count = len(album.tags)
    embeddings = F.normalize(torch.randn(count, 512, generator=generator), dim=1)
    latents = torch.randn(count, 8, 8, 8, generator=generator).half()
    pictures = np.random.default_rng(0).integers(0, 256, (count, 3, 256, 256), np.uint8)
    return Bank(album, album.landmarks(), latents, embeddings, pictures)


def test_people_of_an_album_keep_who_they_are_and_change_what_they_wear(bank):
    album = bank.album
    assert album.person.tolist() == [0] * 4 + [1] * 4 + [2] * 4 and album.look.tolist() == [0, 0, 1, 1] * 3
    for tag in ("age", "skin", "eyes"):
        assert all(len({album.tags[i][tag] for i in range(p * 4, p * 4 + 4)}) == 1 for p in range(3))
    assert any(album.tags[0][t] != album.tags[2][t] for t in EDITABLE)
    again = draw_album([1], looks=2, frames=2)
    assert torch.equal(again.parameters, album.parameters[4:8])


def test_what_is_kept_of_a_look_is_kept_to_the_last_curl():
    generator = torch.Generator().manual_seed(1)
    first, fresh = traits.sample_attributes(generator), traits.sample_attributes(generator)
    made = traits.mixed(fresh, first, {"style", "background"})
    for tag, columns in traits.COLUMNS_OF_TAG.items():
        source = first if tag in ("style", "background") else fresh
        assert made.tags[tag] == source.tags[tag]
        assert [made.values[c] for c in columns] == [source.values[c] for c in columns]
    assert sorted(c for columns in traits.COLUMNS_OF_TAG.values() for c in columns) == sorted(traits.ATTRIBUTES)


def test_some_looks_differ_in_little_and_some_in_much():
    first, *others = draw_looks(60, torch.Generator().manual_seed(1))
    drawn = ("hair_r", "hair_seed", "background_r", "clothes_r")  # equal only where the attribute was kept
    same = [sum(o.values[c] == first.values[c] for c in drawn) for o in others]
    assert sum(s >= 3 for s in same) > 15 and sum(s <= 1 for s in same) > 15


def test_in_some_looks_one_attribute_alone_is_another_and_a_beard_most_often():
    first, *others = draw_looks(400, torch.Generator().manual_seed(2))
    alone = [changed for o in others if len(changed := [t for t in EDITABLE if o.tags[t] != first.tags[t]]) == 1]
    assert (
        len(alone) > 0.3 * 400 and max(alone, key=alone.count) == ["beard"] and {a for (a,) in alone} == set(EDITABLE)
    )


def test_many_pictures_are_as_in_speech_and_some_are_far():
    """Half of the pictures keep brows and smile, most the pose or nearly so; mouth and eyes always move."""
    album = draw_album(range(60), looks=2, frames=3)
    rows = album.parameters.view(60, 6, -1)
    moved = (rows[:, 1:] - rows[:, :1])[..., [traits.INDEX[name] for name in ("yaw", "pitch", "roll")]].abs()
    same = (moved.amax(-1) == 0).float().mean()
    assert 0.15 < same < 0.35 and (moved[..., 0] < 0.1).float().mean() > 0.6 and (moved[..., 0] > 0.25).any()
    smile, gaze = (traits.column(rows, name) for name in ("smile", "gaze_x"))
    assert 0.4 < (smile[:, 1:] == smile[:, :1]).float().mean() < 0.6 and not (gaze[:, 1:] == gaze[:, :1]).any()
    for i, tags in enumerate(album.tags):
        low, high = traits.EXPRESSION_RANGES[tags["expression"]][0]
        assert low <= float(traits.column(album.parameters, "smile")[i]) <= high


def test_a_draw_depends_on_its_step_alone_and_pairs_one_person(bank, text):
    draws = PairDraws(bank.album, text.tokenize, seed=3, refs=4, targets=3)
    one, same, other = draws[5], draws[5], draws[6]
    assert all(torch.equal(a, b) for a, b in zip(vars(one).values(), vars(same).values()))
    assert not torch.equal(one.targets, other.targets)
    person = torch.from_numpy(bank.album.person)
    assert torch.equal(person[one.targets], person[one.references[one.owner]])
    assert (one.targets != one.references[one.owner]).all()


def test_what_is_dropped_is_gone_from_the_batch(bank, text):
    draws = PairDraws(
        bank.album, text.tokenize, seed=0, refs=4, targets=3, drop_text=1, drop_identity=1, drop_reference=1
    )
    batch = FrameStore(bank, DEVICE).gather(draws[0])
    assert not batch.present.any() and not batch.embeddings.any()
    assert torch.equal(batch.ids, text.tokenize([""]).expand(12, -1))


def test_pictures_come_at_eight_times_the_latents(bank):
    found = bank.read_pictures(torch.tensor([3, 0]), DEVICE)
    assert found.shape == (2, 3, 64, 64)
    first = torch.from_numpy(bank.pictures[3, :, :4, :4]).float().mean((1, 2)) / 127.5 - 1
    torch.testing.assert_close(found[0, :, 0, 0], first)


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


@pytest.fixture
def clips():
    """One clip of a real album whose latents say which frame they are."""
    album = draw_album([7], looks=1, frames=FRAMES + 1)
    album = dataclasses.replace(album, person=np.zeros(FRAMES + 1, int))
    latents = torch.arange(FRAMES + 1.0).view(-1, 1, 1, 1).expand(-1, 8, 4, 4)
    embeddings = torch.ones(FRAMES + 1, 512)
    features = torch.arange(float(FRAMES)).view(1, -1, 1).expand(-1, -1, 128)
    pictures = np.zeros((FRAMES + 1, 3, 256, 256), np.uint8)
    return ClipBank(Bank(album, album.landmarks(), latents, embeddings, pictures), features)


def test_clips_are_consecutive_frames_of_one_person(clips, text):
    album = clips.bank.album
    draws = ClipDraws(album, text.tokenize, seed=0, clips=2, frames=16, drop_audio=0.0)
    batch = ClipStore(clips, 16, DEVICE).gather(draws[0])
    frames = batch.latents[:, 0, 0, 0].view(2, 16)
    assert (frames.diff(dim=1) == 1).all() and batch.clip == 16
    assert torch.equal(batch.features[:, :, 0], frames - 1)  # frame 0 is the reference


def test_a_withheld_mouth_is_at_rest_in_all_that_structure_shows(clips, text):
    draws = ClipDraws(clips.bank.album, text.tokenize, seed=0, clips=2, frames=16, drop_audio=0.0, drop_mouth=1.0)
    batch = ClipStore(clips, 16, DEVICE).gather(draws[0])
    assert (mouth_opening(batch.landmarks) > 0.05).any() and mouth_opening(batch.shown).abs().max() < 0.01
    torch.testing.assert_close(batch.shown[:, 17:48], batch.landmarks[:, 17:48], atol=0.002, rtol=0)  # the rest stays
    heard = ClipDraws(clips.bank.album, text.tokenize, seed=0, clips=2, frames=16, drop_audio=1.0, drop_mouth=1.0)
    batch = ClipStore(clips, 16, DEVICE).gather(heard[0])
    assert not batch.features.any() and torch.equal(batch.shown, batch.landmarks)  # never without both


def test_structure_and_warped_picture_follow_what_is_shown(clips, text, vae):
    """Where the mouth is withheld, nothing that the denoiser sees may tell it."""
    objective = build_objective(presets.tiny(), TrainingConfig(stage=2), text, vae)
    draws = ClipDraws(clips.bank.album, text.tokenize, seed=0, clips=1, frames=4, drop_audio=0.0, drop_mouth=1.0)
    batch = ClipStore(clips, 4, DEVICE).gather(draws[0])
    shown = objective._structure(batch)
    moved = objective._structure(dataclasses.replace(batch, landmarks=batch.landmarks + 0.1))
    assert shown.keys() == moved.keys() and all(torch.equal(moved[name], value) for name, value in shown.items())


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
