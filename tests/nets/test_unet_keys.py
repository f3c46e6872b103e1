"""The key map between diffusers and the layout that ComfyUI keeps."""

import os
from pathlib import Path

import pytest
import torch

from portraittalk_core.errors import BadInput, WeightsMismatch
from portraittalk_core.nets.unet_keys import comfy_block, comfy_config, to_comfy
from portraittalk_core.sites import Site, UNetShape

SD15 = UNetShape(channels=(320, 640, 1280, 1280), layers=2, attention=(True, True, True, False), cross_dim=768)


def make(shape):
    from diffusers import UNet2DConditionModel

    levels = [("CrossAttn" if a else "") for a in shape.attention]
    return UNet2DConditionModel(
        sample_size=8,
        in_channels=8,
        out_channels=8,
        block_out_channels=shape.channels,
        layers_per_block=shape.layers,
        down_block_types=tuple(f"{a}DownBlock2D" for a in levels),
        up_block_types=tuple(f"{a}UpBlock2D" for a in reversed(levels)),
        cross_attention_dim=shape.cross_dim,
        attention_head_dim=shape.heads,
    ).eval()


SHAPES = [
    UNetShape(channels=(32, 64, 64), layers=1, attention=(False, True, True), cross_dim=16, heads=4),
    UNetShape(channels=(32, 64, 96), layers=2, attention=(True, False, True), cross_dim=16, heads=2),
    UNetShape(channels=(32, 32, 32, 32), layers=2, attention=(True, True, True, False), cross_dim=16, heads=2),
]


@pytest.mark.parametrize("shape", SHAPES)
def test_every_tensor_has_one_name(shape):
    state = make(shape).state_dict()
    there = to_comfy(state, shape)
    assert len(there) == len(state)
    assert {k.split(".")[0] for k in there} == {"input_blocks", "middle_block", "output_blocks", "time_embed", "out"}
    assert all(a is b for a, b in zip(state.values(), there.values(), strict=True))


def test_names_of_sd15_are_the_known_ones():
    names = to_comfy(
        dict.fromkeys(
            [
                "down_blocks.0.downsamplers.0.conv.weight",
                "down_blocks.1.resnets.0.conv_shortcut.weight",
                "up_blocks.0.upsamplers.0.conv.bias",
                "up_blocks.1.upsamplers.0.conv.bias",
                "up_blocks.3.attentions.2.transformer_blocks.0.attn2.to_k.weight",
                "mid_block.resnets.1.time_emb_proj.weight",
                "mid_block.attentions.0.proj_in.weight",
            ],
            torch.zeros(1),
        ),
        SD15,
    )
    assert list(names) == [
        "input_blocks.3.0.op.weight",
        "input_blocks.4.0.skip_connection.weight",
        "output_blocks.2.1.conv.bias",
        "output_blocks.5.2.conv.bias",
        "output_blocks.11.1.transformer_blocks.0.attn2.to_k.weight",
        "middle_block.2.emb_layers.1.weight",
        "middle_block.1.proj_in.weight",
    ]


def test_addresses_of_sd15_attention_are_comfyuis():
    addresses = [comfy_block(s, SD15) for s in SD15.attention_sites()]
    assert addresses == [
        *(("input", n) for n in (1, 2, 4, 5, 7, 8)),
        ("middle", 0),
        *(("output", n) for n in range(3, 12)),
    ]
    assert comfy_block(Site("up", 0, 2), SD15) == ("output", 2)


def test_foreign_tensors_and_shapes_are_refused():
    with pytest.raises(WeightsMismatch, match=r"2 tensors have no place, first down_blocks\.9"):
        to_comfy({"down_blocks.9.resnets.0.conv1.bias": torch.zeros(1), "up.x": torch.zeros(1)}, SD15)
    with pytest.raises(WeightsMismatch, match="in diffusers' layout"):
        to_comfy({"input_blocks.0.0.weight": torch.zeros(1)}, SD15)
    with pytest.raises(BadInput, match="multiples of the first"):
        comfy_config(UNetShape((32, 48), 1, (True, True), 16), in_channels=4, out_channels=4)


@pytest.mark.comfy
@pytest.mark.parametrize("shape", SHAPES)
def test_comfyuis_unet_computes_the_same(shape, noise, monkeypatch):
    root = Path(os.environ.get("COMFYUI_PATH", "~/comfy/ComfyUI")).expanduser()
    if not (root / "comfy").is_dir():
        pytest.skip("no ComfyUI checkout: set COMFYUI_PATH to one")
    pytest.importorskip("einops", reason="ComfyUI needs einops: install its requirements")
    monkeypatch.syspath_prepend(str(root))
    import comfy.cli_args

    comfy.cli_args.args.cpu = True
    import comfy.ops
    from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel

    ours = make(shape)
    config = comfy_config(shape, in_channels=8, out_channels=8)
    theirs = UNetModel(**config, device="cpu", dtype=torch.float32, operations=comfy.ops.disable_weight_init)
    theirs.load_state_dict(to_comfy(ours.state_dict(), shape), strict=True)
    latents, text = torch.randn(2, 8, 8, 8, generator=noise), torch.randn(2, 5, 16, generator=noise)
    timestep = torch.tensor([3, 700])
    with torch.no_grad():
        expected = ours(latents, timestep, text).sample
        found = theirs.eval()(latents, timestep, text, transformer_options={})
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
