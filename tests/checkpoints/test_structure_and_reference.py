"""ControlNets in both layouts and AniPortrait's reference U-Net: every tensor, and what cannot be read."""

import pytest
import torch

from portraittalk_core.checkpoints.reference import load_reference_unet
from portraittalk_core.checkpoints.structure import load_controlnet
from portraittalk_core.errors import WeightsMismatch
from portraittalk_core.hosts.diffusers_host import DiffusersHost
from portraittalk_core.hosts.sd15_models import empty_controlnet
from portraittalk_core.nets.reference_net import ReferenceNet

from .public_files import SD15, layout, numbered, random_tensors, reference_layout, write_hollow, write_pickle

CONTROL = layout("controlnet_sd15_diffusers")
SINGLE = layout("sd15_single_file")
HINT = [(16, 3), (16, 16), (32, 16), (32, 32), (96, 32), (96, 96), (256, 96), (320, 256)]
ZERO = [320] * 4 + [640] * 3 + [1280] * 5


def ldm_control():
    """The LDM layout: the first half of the U-Net, a sequence for the picture, and 1 x 1 convolutions."""
    unet = {k.removeprefix("model.diffusion_model."): s for k, s in SINGLE.items() if k.startswith("model.")}
    table = {k: s for k, s in unet.items() if k.startswith(("time_embed.", "input_blocks.", "middle_block."))}
    convs = {f"input_hint_block.{2 * i}": (*pair, 3, 3) for i, pair in enumerate(HINT)}
    convs |= {f"zero_convs.{i}.0": (width, width, 1, 1) for i, width in enumerate(ZERO)}
    convs["middle_block_out.0"] = (1280, 1280, 1, 1)
    for name, size in convs.items():
        table[f"{name}.weight"], table[f"{name}.bias"] = size, size[:1]
    return {f"control_model.{name}": size for name, size in table.items()}


def markers(state):
    return {name: float(t.flatten()[0]) for name, t in state.items()}


def test_a_controlnet_in_diffusers_layout(tmp_path):
    loaded = load_controlnet(write_pickle(tmp_path / "a.bin", numbered(CONTROL)))
    assert markers(loaded.net.state_dict()) == {name: float(i) for i, name in enumerate(CONTROL)}
    assert not loaded.ignored and not loaded.net.training


@pytest.mark.parity
@pytest.mark.parametrize("prefix", ["control_model.", ""])
def test_a_controlnet_in_ldm_layout_goes_where_diffusers_puts_it(prefix, tmp_path):
    from diffusers.loaders.single_file_utils import convert_controlnet_checkpoint

    table = {name.replace("control_model.", prefix): size for name, size in ldm_control().items()}
    loaded = load_controlnet(write_pickle(tmp_path / "a.pth", numbered(table)))
    config = dict(empty_controlnet(SD15).config)
    expected = convert_controlnet_checkpoint(dict(numbered(table)), config)
    assert markers(loaded.net.state_dict()) == markers(expected) and len(expected) == 340


def test_no_tensor_of_a_controlnet_may_be_missing(tmp_path):
    for table, gone in ((CONTROL, "controlnet_mid_block.bias"), (ldm_control(), "control_model.zero_convs.11.0.bias")):
        with pytest.raises(WeightsMismatch, match=f"{gone} is missing"):
            load_controlnet(write_hollow(tmp_path / "a.safetensors", {k: s for k, s in table.items() if k != gone}))


def test_a_reference_unet_lacks_only_its_end(tmp_path):
    table = reference_layout()
    loaded = load_reference_unet(write_pickle(tmp_path / "a.pth", numbered(table)))
    found = markers(loaded.unet.state_dict())
    assert {name: found[name] for name in table} == {name: float(i) for i, name in enumerate(table)}
    assert {name for name in found if name not in table} == {
        f"{part}.{kind}" for part in ("conv_norm_out", "conv_out") for kind in ("weight", "bias")
    }
    whole = layout("aniportrait_denoising_unet")
    assert markers(load_reference_unet(write_pickle(tmp_path / "b.pth", numbered(whole))).unet.state_dict())
    broken = {k: s for k, s in table.items() if k != "conv_in.bias"}
    with pytest.raises(
        WeightsMismatch, match="682 tensors of AniPortrait's reference_unet, but conv_in.bias is missing"
    ):
        load_reference_unet(write_hollow(tmp_path / "c.safetensors", broken))


@pytest.mark.slow
@pytest.mark.parity
@torch.no_grad()
def test_all_sixteen_blocks_are_recorded_at_full_width(tmp_path, noise):
    unet = load_reference_unet(write_pickle(tmp_path / "a.pth", random_tensors(reference_layout()))).unet
    net = ReferenceNet(sites=SD15.attention_sites())
    latents, nobody = torch.randn(1, 4, 8, 8, generator=noise), torch.zeros(1, 1, 768)
    seen: dict[str, torch.Tensor] = {}
    blocks = {n: m for n, m in unet.named_modules() if n.endswith("transformer_blocks.0.norm1")}
    handles = [m.register_forward_hook(lambda _m, _a, out, n=n: seen.update({n: out})) for n, m in blocks.items()]
    unet(latents, torch.zeros(1, dtype=torch.long), nobody)
    for handle in handles:
        handle.remove()
    found = net.record(DiffusersHost(unet), latents, nobody).tokens
    assert len(found) == 16 == len(seen)
    # Pairing by the names that both networks share: the same sixteen, whatever their widths.
    for site, tokens in found.items():
        block = "mid_block" if site.stage == "mid" else f"{site.stage}_blocks.{site.block}"
        assert torch.equal(tokens, seen[f"{block}.attentions.{site.layer}.transformer_blocks.0.norm1"])
