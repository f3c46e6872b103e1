"""Both presets build; on the meta device SD1.5 costs no memory."""

import pytest
import torch

from portraittalk_core import builders, presets


@pytest.fixture(params=[*sorted(presets.PRESETS), "sd15"])
def config(request):
    return {**presets.PRESETS, "sd15": presets.sd15}[request.param]()


def test_parts_sit_at_sites_of_the_unet(config):
    with torch.device("meta"):
        unet, identity, animate = builders.unet(config), builders.identity_net(config), builders.animate_net(config)
    shape = builders.unet_shape(config)
    widths = [shape.width(site) for site in shape.adapter_sites()]
    # one key and one value projection of identity tokens at every cross-attention, as wide as the site
    keys = [value for name, value in identity.state_dict().items() if name.endswith("to_k_ip.weight")]
    assert [tuple(k.shape) for k in keys] == [(width, config.unet.cross_dim) for width in widths]
    crosses = [name for name in unet.attn_processors if ".attn2." in name]
    assert len(crosses) == len(widths)
    assert sum(p.numel() for p in animate.parameters()) > 0
    assert unet.config["in_channels"] == config.unet.latent_channels


def test_sd15_is_the_public_unet():
    with torch.device("meta"):
        unet = builders.unet(presets.sd15())
    assert sum(p.numel() for p in unet.parameters()) == 859_520_964


def test_reference_and_temporal_layers_are_the_named_ones():
    config = presets.tiny()
    reference = builders.reference_net(config)
    assert [str(site) for site in reference.sites] == list(config.reference_layers)
    everywhere = builders.reference_net(presets.sd15())
    assert list(everywhere.sites) == builders.unet_shape(presets.sd15()).attention_sites()


def test_the_schedule_is_the_configured_one():
    tiny, sd15 = builders.noise_schedule(presets.tiny()), builders.noise_schedule(presets.sd15())
    assert tiny.alphas_cumprod[-1] == 0.0 < sd15.alphas_cumprod[-1]
    assert len(tiny.alphas_cumprod) == len(sd15.alphas_cumprod) == 1000
