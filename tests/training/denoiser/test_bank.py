"""What is drawn: people, appearances, pairs and clips."""

import torch

from portraittalk_core.avatars import parameters as traits
from portraittalk_core.motion.geometry import mouth_opening
from portraittalk_core.training.denoiser.bank import EDITABLE, draw_album, draw_appearances
from portraittalk_core.training.denoiser.clip_bank import ClipDraws, ClipStore
from portraittalk_core.training.denoiser.pairs import FrameStore, PairDraws

DEVICE = torch.device("cpu")


def test_people_of_an_album_keep_who_they_are_and_change_what_they_wear(bank):
    album = bank.album
    assert album.person.tolist() == [0] * 4 + [1] * 4 + [2] * 4 and album.appearance.tolist() == [0, 0, 1, 1] * 3
    for tag in ("age", "skin", "eyes"):
        assert all(len({album.tags[i][tag] for i in range(p * 4, p * 4 + 4)}) == 1 for p in range(3))
    assert any(album.tags[0][t] != album.tags[2][t] for t in EDITABLE)
    again = draw_album([1], appearances=2, frames=2)
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
    first, *others = draw_appearances(60, torch.Generator().manual_seed(1))
    drawn = ("hair_r", "hair_seed", "background_r", "clothes_r")  # equal only where the attribute was kept
    same = [sum(o.values[c] == first.values[c] for c in drawn) for o in others]
    assert sum(s >= 3 for s in same) > 15 and sum(s <= 1 for s in same) > 15


def test_in_some_looks_one_attribute_alone_is_another_and_a_beard_most_often():
    first, *others = draw_appearances(400, torch.Generator().manual_seed(2))
    alone = [changed for o in others if len(changed := [t for t in EDITABLE if o.tags[t] != first.tags[t]]) == 1]
    assert (
        len(alone) > 0.3 * 400 and max(alone, key=alone.count) == ["beard"] and {a for (a,) in alone} == set(EDITABLE)
    )


def test_many_pictures_are_as_in_speech_and_some_are_far():
    """Half of the pictures keep brows and smile, most the pose or nearly so; mouth and eyes always move."""
    album = draw_album(range(60), appearances=2, frames=3)
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
