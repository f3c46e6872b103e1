"""AnimateDiff's motion modules: every version's table, and the numbers of diffusers' MotionAdapter."""

import pytest
import torch
from torch import nn

from portraittalk_core.checkpoints.temporal import load_temporal
from portraittalk_core.errors import BadInput, WeightsMismatch
from portraittalk_core.host import Call
from portraittalk_core.hosts.diffusers_host import DiffusersHost, shape_of

from .public_files import layout, lcm_layout, numbered, random_tensors, v3_layout, write_hollow, write_pickle

V1, V2 = layout("mm_sd_v15"), layout("mm_sd_v15_v2")
VERSIONS = [
    ("v1", V1, 24, 20),
    ("v2", V2, 32, 21),
    ("v3", v3_layout(), 32, 20),
    ("AnimateLCM", lcm_layout(), 64, 21),
]


class PerFrame(nn.Module):
    """A group norm that sees one frame at a time, as the original; diffusers' sees all frames of a clip at once."""

    def __init__(self, norm: nn.GroupNorm) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return torch.stack([self.norm(frame) for frame in hidden.unbind(2)], 2)


def use_per_frame_norms(adapter: nn.Module) -> None:
    for name, module in list(adapter.named_modules()):
        if "motion_modules" in name and isinstance(module, nn.GroupNorm):
            parent, _, last = name.rpartition(".")
            setattr(adapter.get_submodule(parent), last, PerFrame(module))


@pytest.mark.parametrize("version, table, frames, modules", VERSIONS, ids=[row[0] for row in VERSIONS])
def test_every_version_is_read_whole(version, table, frames, modules, tmp_path):
    numbers = {name: float(i) for i, name in enumerate(table)}
    loaded = load_temporal(write_pickle(tmp_path / "mm.ckpt", numbered(table), wrapper="state_dict"))
    net = loaded.net
    assert loaded.detected.version == version
    assert net.max_frames == frames and len(net.sites) == modules == len(net.branches())
    state = net.state_dict()
    assert set(loaded.ignored) == {name for name in table if name.endswith(".pe")}
    assert all("computed" in reason for reason in loaded.ignored.values())
    for name, tensor in state.items():
        if not name.endswith(".pe"):
            assert tensor.shape == table[name] and tensor.flatten()[0] == numbers[name]
    assert {n for n in state if not n.endswith(".pe")} | set(loaded.ignored) == set(table)
    wide = state[
        "down_blocks.2.motion_modules.0.temporal_transformer.transformer_blocks.0.attention_blocks.1.pos_encoder.pe"
    ]
    assert wide.shape == (1, frames, 1280) and wide[0, 3, :2].tolist() == pytest.approx([0.14112, -0.98999], abs=1e-4)


def test_a_window_longer_than_the_positions_is_refused(tmp_path):
    net = load_temporal(write_pickle(tmp_path / "mm.ckpt", numbered(V1))).net
    with pytest.raises(BadInput, match="at most 24, but got 32"):
        net.branches()[0].after(torch.zeros(32, 320, 1, 1), Call(frames=torch.arange(32)))


def test_what_is_no_motion_module_is_named(tmp_path):
    whole = {**V2, "conv_in.weight": (320, 4, 3, 3)}
    loaded = load_temporal(write_pickle(tmp_path / "mm.ckpt", numbered(whole)))
    assert loaded.ignored["conv_in.weight"] == "not part of a motion module"


def test_no_tensor_may_be_missing_misshapen_or_foreign(tmp_path):
    block = "up_blocks.3.motion_modules.2.temporal_transformer"
    cases = (
        ({k: s for k, s in V2.items() if k != f"{block}.proj_out.bias"}, "proj_out.bias is missing"),
        ({**V2, f"{block}.proj_in.weight": (320, 320, 1, 1)}, r"is \[320, 320, 1, 1\] instead of \[320, 320\]"),
        ({**V2, f"{block}.extra": (1,)}, f"{block}.extra is foreign"),
        ({k: s for k, s in V2.items() if "up_blocks.3" not in k}, "84 tensors.*|and 68 more"),
    )
    for shapes, message in cases:
        with pytest.raises(WeightsMismatch, match=message):
            load_temporal(write_hollow(tmp_path / "mm.safetensors", shapes))


@pytest.mark.parity
@torch.no_grad()
def test_a_whole_unet_is_that_of_diffusers_motion_model(tiny_unet, tmp_path, noise, capsys):
    from diffusers.models.unets.unet_motion_model import MotionAdapter, UNetMotionModel

    channels = tuple(tiny_unet.config.block_out_channels)
    adapter = MotionAdapter(
        channels, motion_layers_per_block=1, motion_num_attention_heads=4, motion_max_seq_length=32
    ).eval()
    state = adapter.state_dict()
    random = random_tensors({k: tuple(t.shape) for k, t in state.items() if not k.endswith(".pe")})
    adapter.load_state_dict(random | {k: t for k, t in state.items() if k.endswith(".pe")})
    path = write_pickle(tmp_path / "motion_adapter.bin", adapter.state_dict())
    loaded = load_temporal(path, shape=shape_of(tiny_unet))
    assert loaded.detected.layout == "diffusers" and len(loaded.net.sites) == 10
    theirs = UNetMotionModel.from_unet2d(tiny_unet, adapter).eval()
    latents, text = torch.randn(6, 4, 8, 8, generator=noise), torch.randn(1, 3, 32, generator=noise)
    timestep = torch.tensor([300])

    def diffusers() -> torch.Tensor:
        clip = latents[None].transpose(1, 2)
        return theirs(clip, timestep, text.expand(6, -1, -1)).sample[0].transpose(0, 1)

    joint = diffusers()
    use_per_frame_norms(theirs)
    expected = diffusers()
    host = DiffusersHost(tiny_unet)
    with host.attach(loaded.net.branches()):
        found = host.denoise(latents, timestep, text.expand(6, -1, -1), Call(frames=torch.arange(6)))
    per_frame, all_frames = (float((found - out).abs().max()) for out in (expected, joint))
    with capsys.disabled():
        print(f"\nmotion model: max difference {per_frame:.1e}; with diffusers' joint norms {all_frames:.2f}")
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    assert all_frames > 1e3 * per_frame


@pytest.mark.slow
@pytest.mark.parity
@torch.no_grad()
@pytest.mark.parametrize("version, table", [("v1", V1), ("v2", V2)])
def test_every_module_at_full_width_is_that_of_diffusers(version, table, tmp_path, noise, capsys):
    from diffusers.loaders.single_file_utils import convert_animatediff_checkpoint_to_diffusers
    from diffusers.models.unets.unet_motion_model import MotionAdapter

    tensors = random_tensors(table)
    path = tmp_path / "mm.safetensors"
    from safetensors.torch import save_file

    save_file(tensors, path)
    with torch.device("meta"):
        adapter = MotionAdapter(
            motion_max_seq_length=24 if version == "v1" else 32, use_motion_mid_block=version == "v2"
        )
    positions = {k: torch.zeros(t.shape) for k, t in adapter.state_dict().items() if k.endswith(".pe")}
    adapter.load_state_dict(convert_animatediff_checkpoint_to_diffusers(tensors) | positions, strict=True, assign=True)
    del tensors
    net = load_temporal(path).net
    ours = {branch.site: branch for branch in net.branches()}
    worst, worst_joint, call = 0.0, 0.0, Call(frames=torch.arange(4))
    for name, module in adapter.eval().named_modules():
        if not name.rpartition(".")[0].endswith("motion_modules"):
            continue
        path_here = f"{name}.temporal_transformer.transformer_blocks.0.attention_blocks.0.pos_encoder.pe"
        for block in module.transformer_blocks:
            block.pos_embed.pe = type(block.pos_embed)(module.norm.num_channels, max_seq_length=net.max_frames).pe
            assert torch.allclose(block.pos_embed.pe, net.state_dict()[path_here], atol=1e-6)
        stage, _, rest = name.partition("_block")
        numbers = [int(part) for part in rest.split(".") if part.isdigit()]
        site = next(s for s in ours if s.stage == stage and (stage == "mid" or [s.block, s.layer] == numbers))
        hidden = torch.randn(4, module.norm.num_channels, 2, 3, generator=noise)
        found = ours[site].after(hidden, call)
        joint = module(hidden, num_frames=4)
        module.norm = PerFrame(module.norm)
        expected = module(hidden, num_frames=4)
        worst = max(worst, float((found - expected).abs().max()))
        worst_joint = max(worst_joint, float((found - joint).abs().max()))
    with capsys.disabled():
        print(f"\n{version}: max difference over {len(ours)} modules {worst:.1e}; with joint norms {worst_joint:.2f}")
    assert worst < 2e-5 < 0.1 < worst_joint
