"""LoRA files for few steps: every way of naming them, added to the weights."""

import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from portraittalk_core.checkpoints.detect import Kind, detect
from portraittalk_core.checkpoints.few_steps import read_low_rank
from portraittalk_core.checkpoints.layouts import shapes_of
from portraittalk_core.checkpoints.small_vae import load_small_vae
from portraittalk_core.errors import WeightsMismatch
from portraittalk_core.hosts.sd15_models import decoded, encoded
from portraittalk_core.nets.unet_keys import to_comfy
from portraittalk_core.sites import UNetShape

SHAPE = UNetShape((32, 64, 64), 1, (True, True, False), 32, 4)
LAYERS = (
    "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_q",
    "down_blocks.0.attentions.0.proj_in",
    "mid_block.resnets.0.conv1",
    "up_blocks.1.attentions.0.transformer_blocks.0.ff.net.0.proj",
)
RANK, ALPHA = 3, 1.5
NAMINGS = {
    "kohya": ("lora_unet_{}", "lora_down", "lora_up"),
    "kohya of LDM": ("lora_unet_{}", "lora_down", "lora_up"),
    "peft": ("unet.{}", "lora_A", "lora_B"),
    "peft alone": ("base_model.model.{}", "lora_A.default", "lora_B.default"),
    "older diffusers": ("unet.{}", "lora.down", "lora.up"),
}


def written(unet, naming, path, noise, alpha=True):
    """Write a LoRA of LAYERS; return its factors by layer."""
    form, down_name, up_name = NAMINGS[naming]
    tensors, factors = {}, {}
    for layer in LAYERS:
        weight = unet.get_submodule(layer).weight
        down = torch.randn(RANK, *weight.shape[1:], generator=noise)
        up = torch.randn(weight.shape[0], RANK, *(1,) * (weight.ndim - 2), generator=noise)
        if layer.endswith("proj_in") and naming == "peft":
            down, up = down.flatten(1), up.flatten(1)  # a 1 x 1 convolution, kept as a linear layer
        name = layer
        if naming == "kohya of LDM":
            (name,) = to_comfy({f"{layer}.weight": weight}, SHAPE)
            name = name.removesuffix(".weight")
        start = form.format(name.replace(".", "_") if naming.startswith("kohya") else name)
        tensors |= {f"{start}.{down_name}.weight": down, f"{start}.{up_name}.weight": up}
        if alpha and naming.startswith("kohya"):
            tensors[f"{start}.alpha"] = torch.tensor(ALPHA)
        factors[layer] = (down, up)
    tensors["lora_te_text_model_encoder_layers_0_mlp_fc1.lora_up.weight"] = torch.ones(2, 2)
    save_file(tensors, path)
    return factors


@pytest.mark.parametrize("naming", NAMINGS)
@torch.no_grad()
def test_every_naming_is_added_to_the_weights(naming, tiny_unet, noise, tmp_path):
    path = tmp_path / "animatediff.safetensors"
    factors = written(tiny_unet, naming, path, noise)
    assert detect(path).kind is Kind.LOW_RANK
    weights = tiny_unet.state_dict()
    file = read_low_rank(path, shapes_of(weights), SHAPE)
    assert list(file.ignored.values()) == ["the text encoder stays as it is"]
    added = file.added_to(weights, 0.8)
    assert set(added) == {f"{layer}.weight" for layer in LAYERS}
    factor = 0.8 * (ALPHA / RANK if naming.startswith("kohya") else 1)
    for layer, (down, up) in factors.items():
        module = tiny_unet.get_submodule(layer)
        if module.weight.ndim == 2:
            x = torch.randn(2, module.weight.shape[1], generator=noise)
            beside = F.linear(F.linear(x, down), up)
            merged = F.linear(x, added[f"{layer}.weight"], module.bias)
        else:
            x, padding = torch.randn(2, module.weight.shape[1], 5, 5, generator=noise), module.padding
            down, up = (f if f.ndim == 4 else f[..., None, None] for f in (down, up))
            beside = F.conv2d(F.conv2d(x, down, padding=padding), up)
            merged = F.conv2d(x, added[f"{layer}.weight"], module.bias, padding=padding)
        torch.testing.assert_close(merged, module(x) + factor * beside, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lora_unet_somewhere.lora_down.weight": (3, 4)}, "lora_unet_somewhere.lora_down.weight is foreign"),
        ({"lora_unet_conv_in.hada_w1_a": (3, 4)}, "lora_unet_conv_in.hada_w1_a is foreign"),
        ({"lora_unet_conv_in.lora_down.weight": (3, 4, 3, 3)}, "conv_in.weight lacks up"),
        (
            {"lora_unet_conv_in.lora_down.weight": (3, 5, 3, 3), "lora_unet_conv_in.lora_up.weight": (32, 3, 1, 1)},
            r"conv_in.weight is \[32, 4, 3, 3\], its factors are \[32, 3, 1, 1\] and \[3, 5, 3, 3\]",
        ),
    ],
)
def test_what_does_not_fit_is_named(change, message, tiny_unet, tmp_path):
    path = tmp_path / "lora.safetensors"
    save_file({name: torch.zeros(size) for name, size in change.items()}, path)
    with pytest.raises(WeightsMismatch, match=message):
        read_low_rank(path, shapes_of(tiny_unet.state_dict()), SHAPE)


@torch.no_grad()
def test_taesd_is_read_whole_and_works_on_scaled_latents(noise, tmp_path):
    from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny

    theirs = AutoencoderTiny().eval()
    save_file(theirs.state_dict(), tmp_path / "vae.safetensors")
    assert detect(tmp_path / "vae.safetensors").kind is Kind.SMALL_VAE
    loaded = load_small_vae(tmp_path / "vae.safetensors")
    pixels = torch.rand(1, 3, 32, 32, generator=noise) * 2 - 1
    latents = encoded(loaded.net, pixels)
    assert not loaded.ignored and torch.equal(latents, theirs.encode(pixels).latents)
    assert torch.equal(decoded(loaded.net, latents), theirs.decode(latents).sample)
