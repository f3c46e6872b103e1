"""IP-Adapter FaceID files: what is read, against diffusers' own loader at full width, and what is refused."""

import pytest
import torch
from torch.nn import functional as F

from portraittalk_core.checkpoints.detect import Kind
from portraittalk_core.checkpoints.identity import load_identity
from portraittalk_core.errors import BadInput, SiteNotFound, WeightsMismatch
from portraittalk_core.host import Call, Pass
from portraittalk_core.hosts.diffusers_host import DiffusersHost
from portraittalk_core.hosts.diffusers_patches import PatchAttachment
from portraittalk_core.nets.low_rank import LowRankPatch, comfy_names
from portraittalk_core.sites import Site

from .public_files import FOLDER, SD15, layout, numbered, random_tensors, write_hollow, write_pickle

FACEID, PORTRAIT = layout("ip-adapter-faceid_sd15"), layout("ip-adapter-faceid-portrait_sd15")
PLUS = layout("ip-adapter-faceid-plus_sd15")
ORDER = [line.split("\t") for line in (FOLDER / "ip_adapter_order.txt").read_text().splitlines()[1:]]


def faces(count, noise):
    return F.normalize(torch.randn(count, 512, generator=noise), dim=-1)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The four files as pickles with numbered tensors; a number follows its tensor through the loader."""
    folder = tmp_path_factory.mktemp("identity")
    tables = {"faceid": FACEID, "portrait": PORTRAIT, "plus": PLUS}
    return {name: write_pickle(folder / f"{name}.bin", numbered(t), levels=1) for name, t in tables.items()}


@pytest.mark.parametrize(
    "name, plus, tokens, lora",
    [("faceid", None, 4, 128), ("portrait", None, 16, 0), ("plus", "plus", 4, 128), ("plus", "plusv2", 4, 128)],
)
def test_every_tensor_arrives_where_the_public_order_says(files, name, plus, tokens, lora):
    table = {"faceid": FACEID, "portrait": PORTRAIT, "plus": PLUS}[name]
    numbers = {key: float(i) for i, key in enumerate(table)}
    loaded = load_identity(files[name], plus=plus)
    assert loaded.net.image_proj.tokens == tokens and len(loaded.lora) == lora and not loaded.ignored
    for key, tensor in loaded.net.state_dict().items():
        assert tensor.shape == table[key] and tensor.flatten()[0] == numbers[key]
        assert tensor.dtype is torch.float32 and not tensor.requires_grad
    modules = dict(ORDER)
    wanted = {f"{modules[str(i)]}.{kind}" for i in range(32) for kind in ("to_q", "to_k", "to_v", "to_out.0")}
    assert {patch.module for patch in loaded.lora} == (wanted if lora else set())
    places = {module: number for number, module in ORDER}
    for patch in loaded.lora:
        module, _, projection = patch.module.partition(f"{patch.attention}.")
        key = f"ip_adapter.{places[module + patch.attention]}.{projection.removesuffix('.0')}_lora"
        assert patch.down.flatten()[0] == numbers[f"{key}.down.weight"]
        assert patch.up.flatten()[0] == numbers[f"{key}.up.weight"]


def test_the_mid_block_is_last_and_not_between_down_and_up():
    net_sites = SD15.adapter_sites()
    assert str(net_sites[-1]) == "mid.0.0" and str(net_sites[6]) == "up.1.0"
    names = [name.replace("_blocks", "").replace("_block", "").split(".attentions.") for _, name in ORDER[1::2]]
    assert [str(site) for site in net_sites] == [f"{b if b != 'mid' else 'mid.0'}.{r.split('.')[0]}" for b, r in names]


def test_plus_must_be_chosen_and_only_there(files):
    with pytest.raises(BadInput, match="must say whether this is plus or plusv2.*same tensors"):
        load_identity(files["plus"])
    with pytest.raises(BadInput, match="must be left out, because this is IP-Adapter FaceID$|left out.*FaceID\\."):
        load_identity(files["faceid"], plus="plus")
    with pytest.raises(BadInput, match="must be plus or plusv2, but got 'v2'"):
        load_identity(files["plus"], plus="v2")


def test_no_tensor_may_be_missing_misshapen_or_foreign(tmp_path):
    cases = (
        ({k: s for k, s in FACEID.items() if k != "ip_adapter.31.to_k_ip.weight"}, "31.to_k_ip.weight is missing"),
        ({k: s for k, s in FACEID.items() if k != "ip_adapter.30.to_v_lora.up.weight"}, "30.to_v_lora.up.weight is mi"),
        ({**FACEID, "ip_adapter.7.to_k_ip.weight": (1280, 768)}, r"is \[1280, 768\] instead of \[640, 768\]"),
        ({**PORTRAIT, "ip_adapter.33.to_k_ip.weight": (320, 768)}, "ip_adapter.33.to_k_ip.weight is foreign"),
        ({**PORTRAIT, "image_proj.proj.2.weight": (1000, 1024)}, "whole tokens of 768 numbers, but gives 1000"),
    )
    for shapes, message in cases:
        with pytest.raises(WeightsMismatch, match=message):
            load_identity(write_hollow(tmp_path / "a.safetensors", shapes))
    with pytest.raises(WeightsMismatch, match="must be IP-Adapter FaceID or .* but is SyncNet"):
        load_identity(write_hollow(tmp_path / "b.safetensors", layout("syncnet_v2")))


def test_halves_stay_halves_when_asked(tmp_path):
    loaded = load_identity(write_hollow(tmp_path / "a.safetensors", PORTRAIT), dtype=torch.float16)
    assert {t.dtype for t in loaded.net.state_dict().values()} == {torch.float16}
    assert loaded.detected.kind is Kind.FACEID_PORTRAIT


def test_patches_have_comfyuis_names(files):
    patches = load_identity(files["faceid"]).lora
    table = layout("sd15_single_file")
    for name, patch in comfy_names(patches, SD15).items():
        assert table[f"model.diffusion_model.{name}"] == (len(patch.up), patch.down.shape[1])


@torch.no_grad()
def test_patches_leave_no_trace(tiny_unet, noise):
    site, down, up = Site("mid", 0, 0), torch.randn(4, 64, generator=noise), torch.randn(64, 4, generator=noise)
    patch = LowRankPatch(site, "attn1", "to_out.0", down, up)
    inputs = (torch.randn(2, 4, 8, 8, generator=noise), torch.tensor([5]), torch.randn(2, 3, 32, generator=noise))
    bare = tiny_unet(*inputs).sample
    with PatchAttachment(tiny_unet, [patch], scale=0.0):
        assert torch.equal(tiny_unet(*inputs).sample, bare)
    attachment = PatchAttachment(tiny_unet, [patch], scale=0.5)
    patched = tiny_unet(*inputs).sample
    attachment.detach()
    attachment.detach()
    assert torch.equal(tiny_unet(*inputs).sample, bare)
    weight = tiny_unet.get_submodule(patch.module).weight
    before = weight.clone()
    weight += 0.5 * up @ down
    torch.testing.assert_close(tiny_unet(*inputs).sample, patched, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(patched, bare, atol=1e-3)
    weight.copy_(before)
    with pytest.raises(SiteNotFound, match="1 are not, first up_blocks.9"):
        PatchAttachment(tiny_unet, [LowRankPatch(Site("up", 9, 0), "attn1", "to_q", down, up)])


@pytest.mark.slow
@pytest.mark.parity
@torch.no_grad()
@pytest.mark.parametrize("plus", ["plus", "plusv2"])
def test_plus_tokens_are_those_of_diffusers(plus, tmp_path, noise, capsys):
    from diffusers.loaders.unet import UNet2DConditionLoadersMixin

    tensors = numbered(PLUS) | random_tensors({k: s for k, s in PLUS.items() if k.startswith("image_proj.")}, seed=2)
    loaded = load_identity(write_pickle(tmp_path / "plus.bin", tensors, levels=1), plus=plus)
    state = {k.removeprefix("image_proj."): v for k, v in tensors.items() if k.startswith("image_proj.")}
    theirs = UNet2DConditionLoadersMixin()._convert_ip_adapter_image_proj_to_diffusers(state, low_cpu_mem_usage=False)
    theirs.shortcut = plus == "plusv2"
    embeddings, looks = faces(3, noise), torch.randn(3, 257, 1280, generator=noise)
    theirs.clip_embeds = looks[:, None]
    expected = theirs(embeddings[:, None]).reshape(1, 12, 768)
    found = loaded.net.tokens(embeddings[None], looks[None])
    with capsys.disabled():
        print(f"\n{plus} tokens: max difference {float((found - expected).abs().max()):.1e}")
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=1e-4)
    other = load_identity(tmp_path / "plus.bin", plus="plus" if plus == "plusv2" else "plusv2")
    assert not torch.allclose(other.net.tokens(embeddings[None], looks[None]), expected, atol=0.1)
    with pytest.raises(BadInput, match="Give CLIP's tokens of each reference"):
        loaded.net.tokens(embeddings[None], looks[None, :2])
    branches = loaded.net.branches(embeddings[None], looks[None], torch.zeros(257, 1280))
    assert [b.site for b in branches] == SD15.adapter_sites() and not loaded.net.branches(
        embeddings[None], looks[None], torch.zeros(257, 1280), scale=0
    )


def run_diffusers(unet, tensors, faces, inputs, scale):
    """Let diffusers load the adapter and run; the U-Net is as before afterwards."""
    public = {
        part: {k.split(".", 1)[1]: v for k, v in tensors.items() if k.startswith(part)}
        for part in ("image_proj", "ip_adapter")
    }
    before = dict(unet.attn_processors)
    unet._load_ip_adapter_weights([public])
    for processor in unet.attn_processors.values():
        if hasattr(processor, "scale"):
            processor.scale = [scale]
    latents, timestep, text = inputs
    condition = {"image_embeds": [faces.expand(len(latents), -1, -1)]}
    out = unet(latents, timestep, encoder_hidden_states=text, added_cond_kwargs=condition).sample
    unet.set_attn_processor(before)
    unet.encoder_hid_proj = None
    unet.config["encoder_hid_dim_type"] = None
    return out


@pytest.mark.slow
@pytest.mark.parity
@torch.no_grad()
@pytest.mark.parametrize("name, count", [("faceid", 1), ("portrait", 1), ("portrait", 5)])
def test_full_width_latents_are_those_of_diffusers(name, count, sd15_unet, tmp_path, noise, capsys):
    tensors = random_tensors(FACEID if name == "faceid" else PORTRAIT, seed=3)
    loaded = load_identity(write_pickle(tmp_path / "a.bin", tensors, levels=1))
    people = faces(count, noise)
    inputs = (
        torch.randn(2, 4, 8, 8, generator=noise),
        torch.tensor([20, 700]),
        torch.randn(2, 77, 768, generator=noise),
    )
    host = DiffusersHost(sd15_unet)
    call = Call(frames=torch.arange(1), passes=(Pass(), Pass(identity=False)))
    with PatchAttachment(sd15_unet, loaded.lora), host.attach(loaded.net.branches(people, scale=0.7)):
        found = host.denoise(*inputs, call)
    # LoRA by the formula and the public order of layers, independently of our sites: W + up down, no alpha.
    modules = dict(ORDER)
    deltas = {
        f"{modules[key.split('.')[1]]}.{key.split('.')[2].removesuffix('_lora')}".replace("to_out", "to_out.0"): (
            tensors[key.replace(".down.", ".up.")] @ tensors[key]
        )
        for key in tensors
        if key.endswith("_lora.down.weight")
    }
    for module, delta in deltas.items():
        sd15_unet.get_submodule(module).weight += delta
    nobody = torch.zeros_like(people)
    rows = [tuple(t[i : i + 1] for t in inputs) for i in range(2)]
    expected = torch.cat([run_diffusers(sd15_unet, tensors, p, r, 0.7) for p, r in zip((people, nobody), rows)])
    bare = sd15_unet(inputs[0], inputs[1], inputs[2]).sample
    for module, delta in deltas.items():
        sd15_unet.get_submodule(module).weight -= delta
    difference, spread = float((found - expected).abs().max()), float(expected.std())
    effect = float((expected - bare).abs().max())
    with capsys.disabled():
        print(f"\n{name}, {count} faces: max difference {difference:.1e} of std {spread:.2f}; effect {effect:.2f}")
    torch.testing.assert_close(found, expected, atol=1e-4 * spread, rtol=1e-4)
    assert effect > 100 * difference


@pytest.mark.slow
@pytest.mark.parity
@torch.no_grad()
def test_the_lora_of_a_file_is_that_of_diffusers_with_peft(sd15_unet, tmp_path, noise, capsys):
    pytest.importorskip("peft", reason="peft is not installed: pip install peft")
    tensors = random_tensors(FACEID, seed=4)
    loaded = load_identity(write_pickle(tmp_path / "a.bin", tensors, levels=1))
    inputs = (torch.randn(1, 4, 8, 8, generator=noise), torch.tensor([500]), torch.randn(1, 77, 768, generator=noise))
    bare = sd15_unet(*inputs).sample
    with PatchAttachment(sd15_unet, loaded.lora):
        found = sd15_unet(*inputs).sample
    assert torch.equal(sd15_unet(*inputs).sample, bare)
    adapter = {k.removeprefix("ip_adapter."): v for k, v in tensors.items() if k.startswith("ip_adapter.")}
    (theirs,) = sd15_unet._load_ip_adapter_loras([{"ip_adapter": adapter}]).values()
    sd15_unet.load_lora_adapter(theirs, prefix="unet", adapter_name="faceid_0")
    expected = sd15_unet(*inputs).sample
    sd15_unet.unload_lora()
    difference, effect = float((found - expected).abs().max()), float((expected - bare).abs().max())
    with capsys.disabled():
        print(f"\nLoRA against peft: max difference {difference:.1e}; effect {effect:.2f}")
    assert difference < 1e-4 < 0.1 < effect
