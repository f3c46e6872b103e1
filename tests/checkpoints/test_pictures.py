"""The pose guider and CLIP's image encoders: every tensor, and the numbers of torch, diffusers and transformers."""

import pytest
import torch
from torch import nn

from portraittalk_core.checkpoints.pictures import load_clip_vision, load_pose_guider
from portraittalk_core.errors import BadInput, WeightsMismatch
from portraittalk_core.host import Call, Pass
from portraittalk_core.hosts.diffusers_host import DiffusersHost
from portraittalk_core.nets.pose_guider import PoseGuider

from .public_files import layout, numbered, random_tensors, write_hollow, write_pickle

GUIDER, VIT_L, VIT_H = (
    layout(name) for name in ("aniportrait_pose_guider", "clip_vit_l14_image_encoder", "clip_vit_h14_image_encoder")
)


def markers(net):
    return {name: float(t.flatten()[0]) for name, t in net.state_dict().items()}


def guider_tensors():
    """Random values with positive variances, and scales that keep the maps near 1."""
    tensors = random_tensors(GUIDER, seed=6)
    for name in tensors:
        if name.endswith("running_var"):
            tensors[name] = tensors[name].abs() + 0.5
        if name.endswith("num_batches_tracked"):
            tensors[name] = torch.tensor(7)
    return tensors


def test_every_tensor_of_the_pose_guider(tmp_path):
    loaded = load_pose_guider(write_pickle(tmp_path / "a.pth", numbered(GUIDER)))
    assert markers(loaded.net) == {name: float(i) for i, name in enumerate(GUIDER)} and not loaded.ignored
    broken = {k: s for k, s in GUIDER.items() if k != "cross_attn4.proj_out.bias"}
    with pytest.raises(WeightsMismatch, match="cross_attn4.proj_out.bias is missing"):
        load_pose_guider(write_hollow(tmp_path / "b.safetensors", broken))


@torch.no_grad()
def test_statistics_of_the_batch_or_of_training(noise):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = PoseGuider(width=32, heads=2, head_dim=16)
    drawings = torch.rand(3, 3, 64, 64, generator=noise)
    before = {name: t.clone() for name, t in net.state_dict().items()}
    trained, alone = net(drawings), net(drawings[:1])
    net.as_released = True
    released, released_alone = net(drawings), net(drawings[:2])
    for whole, single in zip(trained, alone):
        torch.testing.assert_close(whole[:1], single, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(released[1][:1], released_alone[1][:1], atol=1e-2)
    with pytest.raises(BadInput, match="more than one frame of 64 pixels"):
        net(drawings[:1])
    # Both halves of a guided batch hold the same drawings, which leaves the statistics as they are.
    for whole, twice in zip(released, net(torch.cat([drawings, drawings]))):
        torch.testing.assert_close(whole, twice[:3], atol=1e-4, rtol=1e-4)
    assert all(torch.equal(t, before[name]) for name, t in net.state_dict().items())
    assert [tuple(m.shape[1:]) for m in trained] == [(32, 8, 8), (32, 4, 4), (64, 2, 2), (128, 1, 1), (128, 1, 1)]
    with pytest.raises(BadInput, match="multiples of 8"):
        net(drawings[..., :60])


@torch.no_grad()
def test_maps_go_to_the_first_map_and_to_what_enters_each_block(noise):
    from portraittalk_core.hosts.diffusers_models import build_unet

    with torch.random.fork_rng():
        torch.manual_seed(0)
        unet = build_unet(
            latent_channels=4, channels=(32, 64, 128, 128), layers=1, attention=(True, True, True, False), heads=4,
            cross_dim=32,
        ).eval()  # fmt: skip
        net = PoseGuider(width=32, heads=2, head_dim=16)
        for parameter in net.final_proj.parameters():
            parameter += 0.1
    maps = net(torch.rand(2, 3, 64, 64, generator=noise))
    branches = net.branches(maps)
    assert [str(b.site) for b in branches] == ["None", "down.1.0", "down.2.0", "down.3.0", "mid.0.0"]
    latents, text = torch.randn(4, 4, 8, 8, generator=noise), torch.randn(4, 3, 32, generator=noise)
    host, call = DiffusersHost(unet), Call(frames=torch.arange(2), passes=(Pass(), Pass(identity=False)))
    with host.attach(branches):
        found = host.denoise(latents, torch.tensor([9]), text, call)
    # The same by hand: after conv_in, and after each down block to what goes on but not to its skips.
    both = [torch.cat([m, m]) for m in maps]
    handles = [unet.conv_in.register_forward_hook(lambda _m, _a, out: out + both[0])]
    for block, extra in zip(unet.down_blocks, both[1:]):
        handles.append(block.register_forward_hook(lambda _m, _a, out, extra=extra: (out[0] + extra, out[1])))
    expected = unet(latents, torch.tensor([9]), text).sample
    for handle in handles:
        handle.remove()
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert net.branches(maps, scale=0) == []


@pytest.mark.slow
@pytest.mark.parity
@torch.no_grad()
@pytest.mark.parametrize("as_released", [False, True])
def test_the_pose_guider_is_its_published_structure(as_released, tmp_path, noise, capsys):
    from diffusers.models.transformers.transformer_2d import Transformer2DModel

    tensors = guider_tensors()
    net = load_pose_guider(write_pickle(tmp_path / "a.pth", tensors), as_released=as_released).net
    drawings = torch.rand(2, 3, 128, 128, generator=noise)

    def sequence(name, plan):
        layers = [
            layer
            for inner, outer, kernel, stride in plan
            for layer in (nn.Conv2d(inner, outer, kernel, stride, 1), nn.BatchNorm2d(outer), nn.ReLU())
        ]
        made = nn.Sequential(*layers).train(as_released)
        made.load_state_dict({k.removeprefix(f"{name}."): v for k, v in tensors.items() if k.startswith(f"{name}.")})
        return made

    widths = [(3, 3), (3, 16), (16, 16), (16, 32), (32, 32), (32, 64), (64, 64), (64, 128)]
    first = [(*pair, 4 if i in (1, 3, 5) else 3, 2 if i in (1, 3, 5) else 1) for i, pair in enumerate(widths)]
    hidden = sequence("conv_layers", first)((drawings * 255 if as_released else drawings) * 2 - 1)
    hidden = nn.functional.conv2d(hidden, tensors["final_proj.weight"], tensors["final_proj.bias"]) * tensors["scale"]
    expected = [hidden]
    plans = [[(320, 320), (320, 320)], [(320, 320), (320, 640)], [(640, 640), (640, 1280)], [(1280, 1280)]]
    for number, plan in enumerate(plans, 1):
        steps = [(*pair, 3, 1 + i) for i, pair in enumerate(plan)]
        hidden = sequence(f"conv_layers_{number}", steps)(hidden)
        transformer = Transformer2DModel(in_channels=plan[-1][1], activation_fn="geglu").eval()
        start = f"cross_attn{number}."
        transformer.load_state_dict({k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)})
        hidden = transformer(hidden).sample
        expected.append(hidden)
    for number, (found, wanted) in enumerate(zip(net(drawings), expected)):
        difference, spread = float((found - wanted).abs().max()), float(wanted.std())
        with capsys.disabled():
            print(f"\npose guider map {number}: max difference {difference:.1e} at std {spread:.2f}")
        assert found.shape == wanted.shape and difference < 1e-4 * spread


@pytest.mark.parametrize("table, version, width", [(VIT_L, "ViT-L/14", 768), (VIT_H, "ViT-H/14", 1024)])
def test_both_clips_are_read_whole(table, version, width, tmp_path):
    old = {**numbered(table), "vision_model.embeddings.position_ids": torch.zeros(1, 257, dtype=torch.long)}
    loaded = load_clip_vision(write_pickle(tmp_path / "a.bin", old))
    assert markers(loaded.model) == {name: float(i) for i, name in enumerate(table)}
    assert loaded.ignored == {"vision_model.embeddings.position_ids": "a constant"}
    assert loaded.model.config.projection_dim == width
    with pytest.raises(WeightsMismatch, match="must be CLIP ViT-L/14 or ViT-H/14, but has width 768"):
        load_clip_vision(write_hollow(tmp_path / "b", {"vision_model.embeddings.class_embedding": (768,)}))


@pytest.mark.slow
@pytest.mark.parity
@torch.no_grad()
def test_clip_computes_what_transformers_loads_itself(tmp_path, noise, capsys):
    from safetensors.torch import save_file
    from transformers import CLIPVisionModelWithProjection

    save_file(random_tensors(VIT_L), tmp_path / "model.safetensors", metadata={"format": "pt"})
    ours = load_clip_vision(tmp_path / "model.safetensors").model
    ours.config.save_pretrained(tmp_path)
    theirs = CLIPVisionModelWithProjection.from_pretrained(tmp_path).eval()
    picture = torch.randn(1, 3, 224, 224, generator=noise)
    found, expected = ours(picture).image_embeds, theirs(picture).image_embeds
    with capsys.disabled():
        print(f"\nCLIP ViT-L/14: max difference {float((found - expected).abs().max()):.1e}")
    assert torch.equal(found, expected)
