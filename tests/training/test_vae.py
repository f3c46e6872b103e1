"""Training the VAE."""

import itertools

import pytest
import torch

from portraittalk_core.checkpoints.native import load_vae
from portraittalk_core.errors import BadInput
from portraittalk_core.hosts.diffusers_models import build_tiny_vae
from portraittalk_core.training import vae


def stripes(count, size=64):
    generator = torch.Generator().manual_seed(0)
    tone = torch.rand(count, 3, 1, 1, generator=generator)
    wave = torch.sin(torch.arange(size) / 3.0)[None, None, None]
    return ((tone + 0.2 * wave).clamp(0, 1) * 255).byte().expand(-1, -1, size, -1).contiguous()


def test_crops_lie_in_their_picture_and_weigh_eyes_and_mouth(tmp_path):
    frames = torch.arange(64).byte().view(1, 1, 1, 64).expand(3, 3, 64, 64)
    landmarks = torch.zeros(3, 478, 2)
    pictures, weight = vae.sample_crops(frames, landmarks, 5, 32, torch.Generator().manual_seed(0))
    assert pictures.shape == (5, 3, 32, 32) and weight.shape == (5, 1, 32, 32)
    columns = ((pictures[:, 0, 0] + 1) * 127.5).round()
    assert (columns.diff(dim=1) == 1).all()  # neighbours stay neighbours
    assert weight.min() >= 1 and weight.max() > 3


@pytest.mark.slow
def test_training_lowers_the_error_and_resumes(tmp_path):
    frames, landmarks = stripes(80), torch.zeros(80, 478, 2)
    marks = landmarks[-2:] + torch.linspace(-0.5, 0.5, 478)[:, None]
    before = vae.score_vae(build_tiny_vae(**vae.CONFIG).eval(), frames[-2:], marks)["whole"]
    steps, found = [0], before
    while len(steps) < 3 or (found <= before and len(steps) < 12):  # a busy machine makes few steps in three seconds
        file = vae.train_vae(frames, landmarks, tmp_path, 0.05, batch=4, crop=32)
        steps.append(torch.load(tmp_path / "vae_state.pt", weights_only=True)["step"])
        found = vae.score_vae(load_vae(file), frames[-2:], marks)["whole"]
    assert found > before
    assert all(later > earlier for earlier, later in itertools.pairwise(steps))


def test_a_vae_has_as_many_latent_channels_as_its_model(tmp_path):
    file = vae.train_vae(stripes(66), torch.zeros(66, 478, 2), tmp_path, 0.0, latent_channels=4)
    assert load_vae(file).config["latent_channels"] == 4


def test_moments_are_zero_for_normal_latents():
    normal = torch.randn(64, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    assert vae.moment_loss(normal) < 1e-3 and vae.moment_loss(normal * 2 + 1) > 1


@pytest.mark.parametrize("strength", [0.1, 1.0])
def test_psnr_is_that_of_the_definition(strength):
    wanted = torch.zeros(1, 3, 4, 4)
    assert vae.psnr(wanted + strength, wanted) == pytest.approx(-20 * torch.tensor(strength / 2).log10().item())


def test_a_grown_decoder_begins_as_the_decoder_that_it_was():
    small = build_tiny_vae(**{**vae.CONFIG, "decoder_blocks": (1, 1, 1, 1)}).eval()
    large = build_tiny_vae(**{**vae.CONFIG, "decoder_blocks": (2, 1, 3, 1)}).eval()
    large.load_state_dict(vae.grow_decoder(small.state_dict(), large.state_dict(), (1, 1, 1, 1), (2, 1, 3, 1)))
    latents = torch.randn(2, 8, 4, 4, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.allclose(large.decode(latents).sample, small.decode(latents).sample, atol=1e-5)
        assert torch.equal(
            large.encode(torch.zeros(1, 3, 32, 32)).latents, small.encode(torch.zeros(1, 3, 32, 32)).latents
        )


def test_a_decoder_does_not_shrink():
    state = build_tiny_vae(**vae.CONFIG).state_dict()
    with pytest.raises(BadInput, match="can only grow"):
        vae.grow_decoder(state, state, (3, 3, 3, 1), (3, 3, 2, 1))
