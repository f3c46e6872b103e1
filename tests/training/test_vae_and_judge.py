import pytest
import torch

from portraittalk_core.hosts.diffusers_models import build_tiny_vae
from portraittalk_core.training import judge, vae
from portraittalk_core.weights import load_vae


def stripes(count, size=64):
    generator = torch.Generator().manual_seed(0)
    tone = torch.rand(count, 3, 1, 1, generator=generator)
    wave = torch.sin(torch.arange(size) / 3.0)[None, None, None]
    return ((tone + 0.2 * wave).clamp(0, 1) * 255).byte().expand(-1, -1, size, -1).contiguous()


def test_crops_lie_in_their_picture_and_weigh_eyes_and_mouth(tmp_path):
    frames = torch.arange(64).byte().view(1, 1, 1, 64).expand(3, 3, 64, 64)
    landmarks = torch.zeros(3, 70, 2)
    pictures, weight = vae.sample_crops(frames, landmarks, 5, 32, torch.Generator().manual_seed(0))
    assert pictures.shape == (5, 3, 32, 32) and weight.shape == (5, 1, 32, 32)
    columns = ((pictures[:, 0, 0] + 1) * 127.5).round()
    assert (columns.diff(dim=1) == 1).all()  # neighbours stay neighbours
    assert weight.min() >= 1 and weight.max() > 3


def test_training_lowers_the_error_and_resumes(tmp_path):
    frames, landmarks = stripes(80), torch.zeros(80, 70, 2)
    file = vae.train_vae(frames, landmarks, tmp_path, 0.05, batch=4, crop=32)
    first = vae.score_vae(load_vae(file), frames[-2:], landmarks[-2:] + torch.linspace(-0.5, 0.5, 70)[:, None])
    step = torch.load(tmp_path / "vae_state.pt", weights_only=True)["step"]
    untrained = build_tiny_vae(**vae.CONFIG).eval()
    before = vae.score_vae(untrained, frames[-2:], landmarks[-2:] + torch.linspace(-0.5, 0.5, 70)[:, None])
    assert first["whole"] > before["whole"]
    vae.train_vae(frames, landmarks, tmp_path, 0.02, batch=4, crop=32)
    assert torch.load(tmp_path / "vae_state.pt", weights_only=True)["step"] > step > 0


def test_moments_are_zero_for_normal_latents():
    normal = torch.randn(64, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    assert vae.moment_loss(normal) < 1e-3 and vae.moment_loss(normal * 2 + 1) > 1


def test_a_judge_learns_and_survives_the_file(tmp_path):
    frames = stripes(12).repeat_interleave(2, 0)
    tags = [{**dict.fromkeys(judge.TAGS, "same"), "hair": f"h{i // 2 % 2}"} for i in range(24)]
    person = torch.arange(12).repeat_interleave(2)
    file = judge.train_judge(frames, person, tags, tmp_path / "j.safetensors", 0.05, batch=8)
    loaded = judge.load_judge(file)
    pixels = frames[:4].float() / 127.5 - 1
    vectors = loaded.embed(pixels)
    assert torch.allclose(vectors.norm(dim=1), torch.ones(4), atol=1e-4)
    assert (vectors[0] @ vectors[1]) > (vectors[0] @ vectors[2])
    named = loaded.classify(pixels)
    assert named["style"] == ["same"] * 4 and set(named["hair"]) <= {"h0", "h1"}


@pytest.mark.parametrize("strength", [0.1, 1.0])
def test_psnr_is_that_of_the_definition(strength):
    wanted = torch.zeros(1, 3, 4, 4)
    assert vae.psnr(wanted + strength, wanted) == pytest.approx(-20 * torch.tensor(strength / 2).log10().item())
