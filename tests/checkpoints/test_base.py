"""The base of SD1.5: every tensor of a single file against diffusers' own conversion, and other ways to keep it."""

import json

import pytest
import torch

from portraittalk_core.checkpoints.base import load_base, load_vae
from portraittalk_core.errors import WeightsMismatch
from portraittalk_core.hosts.sd15_models import empty_text_encoder, empty_unet, empty_vae

from .public_files import SD15, layout, numbered, random_tensors, write_hollow, write_pickle

SINGLE = layout("sd15_single_file")
LEFT_OUT = {
    "model_ema.decay": (),
    "model_ema.diffusion_modelinput_blocks00weight": (320, 4, 3, 3),
    "first_stage_model.loss.logvar": (),
    "betas": (1000,),
    "alphas_cumprod": (1000,),
    "alphas_cumprod_prev": (1000,),
    "posterior_mean_coef1": (1000,),
    "cond_stage_model.transformer.text_model.embeddings.position_ids": (1, 77),
    "cond_stage_model.logit_scale": (),
    "cond_stage_model.transformer.text_projection.weight": (768, 768),
}


def part(prefix):
    return {k.removeprefix(prefix): s for k, s in SINGLE.items() if k.startswith(prefix)}


def markers(net):
    inner = getattr(net, "text_model", net)
    return {name: float(t.flatten()[0]) for name, t in inner.state_dict().items()}


def diffusers_conversion(tensors):
    """What diffusers makes of a single file: the same three state dicts, by its own renaming."""
    from diffusers.loaders import single_file_utils as theirs

    return {
        "unet": theirs.convert_ldm_unet_checkpoint(dict(tensors), dict(empty_unet(SD15).config)),
        "vae": theirs.convert_ldm_vae_checkpoint(dict(tensors), dict(empty_vae().config)),
        "text_encoder": {
            k.removeprefix("text_model."): v for k, v in theirs.convert_ldm_clip_checkpoint(dict(tensors)).items()
        },
    }


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    return write_pickle(
        tmp_path_factory.mktemp("base") / "model.ckpt", numbered({**SINGLE, **LEFT_OUT}), 0, "state_dict"
    )


@pytest.mark.slow
@pytest.mark.parity
def test_every_tensor_of_a_single_file_goes_where_diffusers_puts_it(single):
    loaded = load_base(single)
    expected = diffusers_conversion(numbered(SINGLE))
    count = 0
    for name, state in expected.items():
        found = markers(getattr(loaded, name))
        assert found == {key: float(t.flatten()[0]) for key, t in state.items()}
        assert all(not t.is_meta for t in getattr(loaded, name).state_dict().values())
        count += len(found)
    assert count == len(SINGLE) == 1130
    assert set(loaded.ignored) == set(LEFT_OUT) and all(loaded.ignored.values())


def test_no_tensor_may_be_missing_misshapen_or_foreign(tmp_path):
    unet, vae = "model.diffusion_model.output_blocks.11.0.skip_connection.weight", "first_stage_model.decoder.up.3"
    text = "cond_stage_model.transformer.text_model"
    cases = (
        ({k: s for k, s in SINGLE.items() if k != unet}, f"{unet} is missing.*|686 tensors of SD1.5's U-Net"),
        ({**SINGLE, f"{vae}.upsample.conv.bias": (256,)}, r"upsample.conv.bias is \[256\] instead of \[512\]"),
        ({**SINGLE, f"{text}.encoder.layers.12.mlp.fc1.bias": (3072,)}, "layers.12.mlp.fc1.bias is foreign"),
        ({**SINGLE, "something.else": (1,)}, "something.else is foreign"),
        ({k: s for k, s in SINGLE.items() if not k.startswith("first_stage")}, "has no vae. Name a file"),
        ({k: s for k, s in SINGLE.items() if not k.startswith("cond_stage")}, "has no text_encoder"),
    )
    for shapes, message in cases:
        with pytest.raises(WeightsMismatch, match=message):
            load_base(write_hollow(tmp_path / "model.safetensors", shapes))


def test_a_vae_on_its_own_in_every_layout(tmp_path):
    table = part("first_stage_model.")
    wanted = markers(load_vae(write_pickle(tmp_path / "plain.ckpt", numbered(table))))
    assert len(set(wanted.values())) == 248
    prefixed = {f"first_stage_model.{k}": t for k, t in numbered(table).items()}
    assert markers(load_vae(write_pickle(tmp_path / "prefixed.ckpt", prefixed))) == wanted
    own = {k: torch.tensor(wanted[k]).expand(t.shape) for k, t in empty_vae().state_dict().items()}
    assert markers(load_vae(write_pickle(tmp_path / "diffusers.bin", own))) == wanted
    names = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    old = {}
    for key, tensor in own.items():
        for new_name, old_name in names.items():
            key = key.replace(f"attentions.0.{new_name}.", f"attentions.0.{old_name}.")
        old[key] = tensor
    assert set(old) != set(own)
    assert markers(load_vae(write_pickle(tmp_path / "old.bin", old))) == wanted


@pytest.mark.slow
def test_a_vae_beside_the_checkpoint_wins(single, tmp_path):
    other = write_hollow(tmp_path / "vae.safetensors", part("first_stage_model."))
    loaded = load_base(single, vae=other)
    assert set(markers(loaded.vae).values()) == {0.0} and max(markers(loaded.unet).values()) > 0
    with pytest.raises(WeightsMismatch, match="must be VAE of Stable Diffusion, but is CLIP text"):
        load_base(single, vae=write_hollow(tmp_path / "text.safetensors", part("cond_stage_model.transformer.")))


@pytest.mark.slow
def test_a_diffusers_folder(tmp_path):
    (tmp_path / "model_index.json").write_text(json.dumps({"unet": [], "vae": [], "text_encoder": []}))
    with pytest.raises(WeightsMismatch, match="lacks unet/diffusion_pytorch_model.safetensors"):
        load_base(tmp_path)
    for folder, net in (("unet", empty_unet(SD15)), ("vae", empty_vae()), ("text_encoder", empty_text_encoder())):
        (tmp_path / folder).mkdir()
        stem = "model" if folder == "text_encoder" else "diffusion_pytorch_model"
        form = "fp16.safetensors" if folder == "unet" else "safetensors"
        prefix = "text_model." if folder == "text_encoder" else ""
        shapes = {prefix + k: tuple(t.shape) for k, t in getattr(net, "text_model", net).state_dict().items()}
        write_hollow(tmp_path / folder / f"{stem}.{form}", shapes)
    loaded = load_base(tmp_path, dtype=torch.float16)
    assert loaded.unet.dtype is torch.float16 and loaded.vae.config["scaling_factor"] == 0.18215
    assert not loaded.ignored


@pytest.mark.slow
@pytest.mark.parity
@torch.no_grad()
def test_vae_and_text_compute_what_diffusers_own_loader_gives(tmp_path, noise, capsys):
    from diffusers import AutoencoderKL
    from safetensors.torch import save_file
    from transformers import CLIPTextConfig, CLIPTextModel

    table = {k: s for k, s in SINGLE.items() if not k.startswith("model.")}
    tensors = random_tensors(table, seed=5)
    unet = {k: torch.zeros(()).expand(s) for k, s in SINGLE.items() if k.startswith("model.")}
    both = write_pickle(tmp_path / "model.ckpt", tensors | unet)
    loaded = load_base(both)
    vae = {k: v for k, v in tensors.items() if k.startswith("first_stage_model.")}
    save_file(vae, tmp_path / "vae.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({**empty_vae().config, "_class_name": "AutoencoderKL"}))
    theirs = AutoencoderKL.from_single_file(str(tmp_path / "vae.safetensors"), config=str(tmp_path)).eval()
    picture, latent = torch.rand(1, 3, 32, 32, generator=noise) * 2 - 1, torch.randn(1, 4, 4, 4, generator=noise)
    pairs = {
        "encoder": (loaded.vae.encode(picture).latent_dist.mean, theirs.encode(picture).latent_dist.mean),
        "decoder": (loaded.vae.decode(latent).sample, theirs.decode(latent).sample),
    }
    text = CLIPTextModel(CLIPTextConfig(**{k: v for k, v in loaded.text_encoder.config.to_dict().items()})).eval()
    prefix = "cond_stage_model.transformer.text_model."
    getattr(text, "text_model", text).load_state_dict(
        {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
    )
    ids = torch.randint(0, 49408, (2, 77), generator=noise)
    pairs["text"] = (loaded.text_encoder(ids).last_hidden_state, text(ids).last_hidden_state)
    for name, (found, expected) in pairs.items():
        difference = float((found - expected).abs().max())
        with capsys.disabled():
            print(f"\n{name}: max difference {difference:.1e} at std {float(expected.std()):.2f}")
        assert difference == 0 and expected.std() > 0.01
