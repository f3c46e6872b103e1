"""What the VAE is trained on: people, photographs, dead leaves."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from portraittalk_core.errors import BadInput
from portraittalk_core.training import pictures
from portraittalk_core.training.leaves import dead_leaves
from portraittalk_core.training.vae import HELD_OUT

from ..rendered_people import people


def test_dead_leaves_follow_from_their_generator():
    one, same, other = (dead_leaves(np.random.default_rng(k), 64, []) for k in (1, 1, 2))
    assert np.array_equal(one, same) and not np.array_equal(one, other)
    assert one.shape == (64, 64, 3) and one.dtype == np.uint8 and one.std() > 10


def test_dead_leaves_are_cut_from_textures_too():
    texture = np.zeros((80, 80, 3), np.uint8)
    texture[..., 0] = 255
    with_red = [dead_leaves(np.random.default_rng(k), 64, [texture]) for k in range(3)]
    without = [dead_leaves(np.random.default_rng(k), 64, []) for k in range(3)]
    red = [np.mean([p[..., 0].astype(int) - p[..., 1] for p in found]) for found in (with_red, without)]
    assert red[0] > red[1] + 20


@pytest.mark.slow
def test_a_vae_sees_people_last_and_photographs_and_leaves_before(tmp_path):
    bank = people().bank
    Image.fromarray(np.full((300, 400, 3), 77, np.uint8)).save(tmp_path / "plain.png")
    (tmp_path / "notes.txt").write_text("no picture")
    frames, points = pictures.vae_pictures(bank, tmp_path, leaves=2, seed=1)
    count = pictures.CUTS + 2
    assert frames.shape == (count + 8 // 2, 3, 256, 256) and points.shape == (len(frames), 478, 2)
    assert (frames[: pictures.CUTS] == 77).all()
    assert torch.equal(frames[-1], torch.from_numpy(bank.picture(6)).permute(2, 0, 1))
    np.testing.assert_allclose(points[-1], bank.landmarks[6], atol=1e-6)
    spread = points.std(1).amax(1)
    assert not spread[:count].any() and (spread[count:] > 0.1).all()  # one random place each, or a face
    again, _ = pictures.vae_pictures(bank, tmp_path, leaves=2, seed=1)
    assert torch.equal(frames, again)
    assert len(pictures.vae_pictures(bank, None, leaves=0)[0]) == 4


def test_a_folder_without_pictures_is_named(tmp_path):
    with pytest.raises(BadInput, match="holds no JPEG or PNG of at least 256 pixels"):
        pictures.vae_pictures(people().bank, tmp_path)


def test_a_finished_training_leaves_its_scores(tmp_path, monkeypatch):
    calls = {}
    monkeypatch.setattr(pictures, "open_bank", lambda folder, shards: (folder, shards))
    monkeypatch.setattr(
        pictures, "vae_pictures", lambda bank, photos, seed: (torch.zeros(99, 3, 4, 4), torch.zeros(99))
    )
    monkeypatch.setattr(pictures, "train_vae", lambda *given, **options: calls.update(options) or "file")
    monkeypatch.setattr(pictures, "load_vae", lambda file: file)
    monkeypatch.setattr(pictures, "score_vae", lambda vae, frames, points: {"whole": float(len(frames))})
    assert pictures.train_pictures(tmp_path / "people", tmp_path, 1.0, seed=4) == {"whole": HELD_OUT}
    assert json.loads((tmp_path / pictures.SCORES).read_text()) == {"whole": HELD_OUT}
    assert calls == {"rate": 2e-3, "start": None, "decoder_only": False, "bf16": False, "seed": 4}
