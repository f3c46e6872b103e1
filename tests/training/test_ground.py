"""What a model of SD1.5's shape begins with: public files become this project's own, tensor by tensor."""

import json

import pytest
import torch
from safetensors.torch import load_file

from portraittalk_core.checkpoints.native import load_text_encoder, load_vae, save_modules
from portraittalk_core.errors import BadInput, WeightsMismatch
from portraittalk_core.hosts.kl_vae import KlVae
from portraittalk_core.hosts.sd15_models import VAE_SCALE
from portraittalk_core.perception.clip_text import ClipTokens
from portraittalk_core.training.ground import make_ground
from portraittalk_core.training.model import read_model

from ..checkpoints.public_files import write_hollow
from ..checkpoints.stack_files import ROLES, write_role, write_tokenizer


def test_the_large_vae_has_the_face_of_the_small_one():
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    torch.manual_seed(0)
    vae = AutoencoderKL(block_out_channels=(32,), norm_num_groups=8, latent_channels=4).eval()
    net, pictures = KlVae(vae), torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        latents = net.encode(pictures).latents
        assert torch.equal(latents, vae.encode(pictures).latent_dist.mode() * VAE_SCALE)
        assert torch.equal(net.decode(latents).sample, vae.decode(latents / VAE_SCALE).sample)
    assert net.config["latent_channels"] == 4


def test_clip_has_the_face_of_the_small_text_encoder():
    from transformers import CLIPTextConfig, CLIPTextModel

    asked = []

    def tokenizer(prompts, **options):
        asked.append(options.get("max_length"))
        rows = [prompts] if isinstance(prompts, str) else prompts
        return {"input_ids": torch.arange(77)[None].expand(len(rows), -1) % 50}

    torch.manual_seed(0)
    model = CLIPTextModel(
        CLIPTextConfig(vocab_size=50, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16)
    ).eval()
    text = ClipTokens(model, tokenizer)
    found = text.encode(["a person", ""])
    assert found.shape == (2, 77, 16) and text.dim == 16 and text.context == 77 and asked[-1] == 77
    with torch.no_grad():
        assert torch.allclose(found, model(input_ids=text.tokenize(["a", "b"])).last_hidden_state)
    assert not text.expression(found).any() and text.expression(found).shape == (2, 3)


def test_files_that_cannot_serve_are_refused(tmp_path):
    base = write_hollow(tmp_path / "base.safetensors", ROLES["base"][1])
    plus = write_hollow(tmp_path / "plus.safetensors", ROLES["plus"][1])
    with pytest.raises(BadInput, match="FaceID-Plus looks at the face with CLIP"):
        make_ground(tmp_path / "g", read_model("sd15"), {"base": str(base), "identity": str(plus)})
    with pytest.raises(WeightsMismatch):
        make_ground(tmp_path / "g", read_model("sd15"), {"base": str(base), "temporal": str(plus)})
    assert not (tmp_path / "g").exists()


def test_a_text_encoder_with_another_tokenizer_is_refused(tmp_path):
    save_modules(tmp_path / "text.safetensors", {"a": torch.ones(1)}, {"layout": "sd15"})
    with pytest.raises(WeightsMismatch, match="tokenizer"):
        load_text_encoder(tmp_path / "text.safetensors")


@pytest.mark.slow
def test_public_files_of_full_size_become_a_start(tmp_path):
    files = {role: write_role(tmp_path, role) for role in ("base", "faceid", "temporal")}
    tokenizer = write_tokenizer(tmp_path / "tokenizer.json")
    sources = {"base": str(files["base"]), "identity": str(files["faceid"]), "temporal": str(files["temporal"])}
    ground = make_ground(tmp_path / "g", read_model("sd15"), {**sources, "tokenizer": str(tokenizer)})
    assert (ground.model.identity_tokens, ground.model.temporal_frames) == (4, 32)
    start = load_file(ground.start)
    base = load_file(files["base"])
    key = "unet.conv_in.weight"
    assert torch.equal(start[key], base["model.diffusion_model.input_blocks.0.0.weight"].half())
    assert {name.split(".")[0] for name in start} == {"unet", "identity_net", "animate_net"}
    moved = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.weight"  # FaceID's LoRA is in it
    there = "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1.to_q.weight"
    assert not torch.equal(start[f"unet.{moved}"], base[there].half())
    vae, text = load_vae(ground.vae), load_text_encoder(ground.text)
    assert vae.config["latent_channels"] == 4 and text.encode(["a"]).shape == (1, 77, 768)
    assert json.loads((tmp_path / "g" / "ground.json").read_text())["base"] == str(files["base"])
    assert make_ground(tmp_path / "g", read_model("sd15"), {**sources, "tokenizer": str(tokenizer)}) == ground
    with pytest.raises(BadInput, match="was made of"):
        make_ground(tmp_path / "g", read_model("sd15"), {"base": str(files["base"]), "tokenizer": str(tokenizer)})
