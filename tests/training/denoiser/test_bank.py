"""What is drawn from banks: pairs and clips; and how pictures are encoded."""

import dataclasses

import numpy as np
import pytest
import torch
from torch.nn import functional

from portraittalk_core.compositing.head_warp import HeadWarp
from portraittalk_core.errors import BadInput
from portraittalk_core.nets.dense_motion import DenseMotionNet
from portraittalk_core.training.denoiser.bank import EncodedBank, FrameEncoders, changed, encode_bank, is_made
from portraittalk_core.training.denoiser.pairs import FrameStore, PairDraws, caption_of
from portraittalk_core.training.people.bank import draw_bank

from ..synthetic import TAGS, encoded_bank, fake_renderer, shot

DEVICE = torch.device("cpu")


def test_a_draw_depends_on_its_step_alone_and_pairs_one_person(text):
    bank = encoded_bank(3, 4)
    draws = PairDraws(bank, text.tokenize, seed=3, refs=4, targets=3, edited=0.6)
    one, same, other = draws[5], draws[5], draws[6]
    assert all(torch.equal(a, b) for a, b in zip(vars(one).values(), vars(same).values(), strict=True))
    assert not torch.equal(one.targets, other.targets)
    person = torch.from_numpy(bank.person)
    assert torch.equal(person[one.targets], person[one.references[one.owner]])
    assert (one.references % 4 == 0).all() and not one.no_audio.any() and not one.no_mouth.any()
    many = torch.cat([draws[k].targets % 4 for k in range(40)])
    assert many.unique().tolist() == [0, 1, 2, 3]  # the portrait itself is a target as well
    edited = float((many >= 2).float().mean())  # the last two of four pictures have another appearance
    assert edited == pytest.approx(0.6, abs=0.08)


def test_more_targets_than_pictures_are_filled_up(text):
    draw = PairDraws(encoded_bank(2, 2), text.tokenize, seed=0, refs=1, targets=5)[0]
    assert len(draw.targets) == 5 and draw.targets.unique().tolist() in ([0, 1], [2, 3])


def test_what_is_dropped_is_gone_from_the_batch(text):
    bank = encoded_bank(3, 4)
    drops = {"drop_text": 1.0, "drop_identity": 1.0, "drop_reference": 1.0}
    batch = FrameStore(bank, DEVICE).gather(PairDraws(bank, text.tokenize, seed=0, refs=4, targets=3, **drops)[0])
    assert not batch.present.any() and not batch.embeddings.any()
    assert torch.equal(batch.ids, text.tokenize([""]).expand(12, -1))


def test_a_batch_is_the_rows_of_its_draw(text):
    bank = encoded_bank(3, 4)
    none = {"drop_text": 0.0, "drop_identity": 0.0, "drop_reference": 0.0}
    draw = PairDraws(bank, text.tokenize, seed=1, refs=2, targets=2, **none)[0]
    batch = FrameStore(bank, DEVICE).gather(draw)
    assert torch.equal(batch.latents, bank.latents[draw.targets].float())
    assert torch.equal(batch.warped_latents, bank.warped_latents[draw.targets].float())
    pixels = torch.from_numpy(bank.warped[draw.targets.numpy()]).float() / 127.5 - 1
    assert torch.equal(batch.warped_pictures, pixels) and torch.equal(batch.shown, batch.landmarks)
    assert torch.equal(batch.embeddings[:, 0], bank.embeddings[draw.references[draw.owner]])
    assert batch.present.all() and torch.equal(batch.unseen, bank.unseen[draw.targets])


def test_moved_references_come_at_eight_times_the_latents():
    bank = encoded_bank(2, 2)
    bank = dataclasses.replace(bank, latents=bank.latents[..., ::2, ::2])
    found = bank.read_warped(torch.tensor([3, 0]), DEVICE)
    assert found.shape == (2, 3, 32, 32)
    first = torch.from_numpy(bank.warped[3, :, :2, :2]).float().mean((1, 2)) / 127.5 - 1
    torch.testing.assert_close(found[0, :, 0, 0], first)


def test_a_caption_says_what_differs():
    generator = torch.Generator().manual_seed(0)
    wanted = {**TAGS, "hair": "red", "background": "street", "expression": "smiling"}
    found = [caption_of(TAGS, wanted, False, generator) for _ in range(20)]
    assert all(any(w in c for w in ("red", "ginger", "auburn", "copper")) for c in found) and len(set(found)) > 10
    assert all(any(w in c for w in ("street", "city", "outdoors", "outside")) for c in found)
    plain = [caption_of(TAGS, TAGS, False, generator) for _ in range(40)]
    alone = [caption_of(TAGS, TAGS, True, generator) for _ in range(40)]
    assert sum(len(c) for c in alone) > 1.5 * sum(len(c) for c in plain)  # without a picture more has to be said


def encoders(seen=None):
    def encode(pixels):
        return functional.avg_pool2d(pixels, 8)

    def embed(pixels, landmarks):
        if seen is not None:
            seen.append(landmarks)
        return functional.normalize(pixels.mean((2, 3)) @ torch.ones(3, 512), dim=1)

    torch.manual_seed(0)
    return FrameEncoders(encode, HeadWarp(DenseMotionNet(widths=(8, 16)).eval()), embed, DEVICE)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """People of four pictures (two appearances, one of them in another light as well), and the same encoded."""
    people, folder = tmp_path_factory.mktemp("people"), tmp_path_factory.mktemp("encoded")
    with pytest.MonkeyPatch.context() as patch:
        fake_renderer(patch)
        draw_bank(people, range(2), shots=lambda seed: [shot(seed, 2), shot(seed, 1), shot(seed, 1)], people=1)
        draw_bank(people, range(90, 91), shots=lambda seed: [shot(seed, 2)], people=1)
    encode_bank(folder, people, encoders(), (32, 64))
    return people, folder


def test_an_encoded_bank_leaves_out_other_light_and_who_is_held_out(folders):
    bank = EncodedBank.open(folders[1], 64)
    assert bank.person.tolist() == [0, 0, 0, 1, 1, 1] and bank.first.tolist() == [0, 0, 0, 3, 3, 3]
    assert bank.latents.shape == (6, 3, 8, 8) and EncodedBank.open(folders[1], 32).latents.shape == (6, 3, 4, 4)
    assert bank.warped.shape == (6, 3, 64, 64) and len(bank.tags) == 6
    torch.testing.assert_close(bank.embeddings.norm(dim=1), torch.ones(6))
    with pytest.raises(BadInput, match="holds no latents of pictures of 128 pixels"):
        EncodedBank.open(folders[1], 128)


def test_pictures_of_one_person_are_photographed_alike(folders):
    latents = EncodedBank.open(folders[1], 64).latents.float()
    inside = latents[..., 1:-1, :]  # the camera's softness reaches over the edge of a picture
    assert torch.equal(inside[0], inside[1]) and torch.equal(inside[0], inside[2])
    before = torch.tensor([20.0, 30.0]) / 127.5 - 1  # as rendered
    found = inside[[0, 3], :, -1].mean((1, 2))
    assert ((found - before).abs() > 0.01).all() and latents.abs().max() <= 1


def test_a_reference_that_need_not_move_stays_and_what_it_hides_is_known(folders):
    bank = EncodedBank.open(folders[1], 64)
    picture = bank.read_warped(torch.tensor([0]), DEVICE)
    torch.testing.assert_close(functional.avg_pool2d(picture, 8), bank.latents[:1].float(), atol=0.02, rtol=0)
    torch.testing.assert_close(bank.warped_latents.float(), bank.latents[bank.first].float(), atol=0.02, rtol=0)
    unseen = bank.unseen
    assert not unseen[0].any() and unseen[1, :, :4].all() and not unseen[1, :, 4:].any()
    assert not unseen[2].any()  # other attributes have no maps, and this one's picture is the same


def test_what_is_changed_is_where_latents_differ_from_the_moved_reference():
    latents, warped = torch.zeros(1, 2, 4, 4), torch.zeros(1, 2, 4, 4)
    latents[..., 0], latents[..., 1], latents[..., 2] = 2.0, 0.65, 0.3
    assert changed(latents, warped)[0, 0].tolist() == pytest.approx([1, 0.5, 0, 0], abs=1e-3)


def test_what_is_encoded_is_not_encoded_again(folders, tmp_path):
    people, folder = folders
    assert is_made(folder) and not is_made(tmp_path)
    before = np.load(folder / "latents_64.npy")
    encode_bank(folder, people / "gone", encoders())
    assert np.array_equal(np.load(folder / "latents_64.npy"), before)
    seen = []
    encode_bank(tmp_path / "again", people, encoders(seen), (32, 64))
    assert np.array_equal(np.load(tmp_path / "again" / "latents_64.npy"), before)
    assert [points.shape for points in seen] == [(3, 478, 2)] * 2
