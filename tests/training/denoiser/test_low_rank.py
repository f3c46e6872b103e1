"""Matrices beside a U-Net: nothing before they are learned, and the same when they have become part of it."""

import torch

from portraittalk_core import builders
from portraittalk_core.training.denoiser.low_rank import add_low_rank, folded, is_low_rank


def run(unet):
    generator = torch.Generator().manual_seed(0)
    latents, text = torch.randn(1, 4, 8, 8, generator=generator), torch.randn(1, 5, 128, generator=generator)
    with torch.no_grad():
        return unet(latents, torch.tensor([500]), encoder_hidden_states=text).sample


def test_they_begin_with_nothing_and_fold_into_the_weights(small):
    torch.manual_seed(1)
    unet = builders.unet(small).eval()
    plain = run(unet)
    before = {name: value.clone() for name, value in unet.state_dict().items()}
    add_low_rank(unet, 3)
    torch.testing.assert_close(run(unet), plain)
    for name, parameter in unet.named_parameters():
        if is_low_rank(name):
            torch.nn.init.normal_(parameter, std=0.2)
    changed = run(unet)
    assert float((changed - plain).abs().max()) > 1e-3
    stored = {f"unet.{name}": value for name, value in unet.state_dict().items() if is_low_rank(name)}
    own = {f"unet.{name}": value for name, value in before.items()}
    found = folded(stored, own)
    assert found and not any(is_low_rank(name) for name in found)
    other = builders.unet(small).eval()
    other.load_state_dict(before | {name.removeprefix("unet."): value for name, value in found.items()})
    torch.testing.assert_close(run(other), changed, atol=1e-5, rtol=1e-4)


def test_what_a_network_has_itself_is_not_folded_and_what_is_foreign_stays():
    names = ("unet.a.lora_down.weight", "unet.a.lora_up.weight")
    stored = dict(zip(names, (torch.ones(1, 2), torch.ones(2, 1)), strict=True))
    assert folded(stored, stored).keys() == stored.keys()
    assert "unet.a.lora_down.weight" in folded(stored, {})
