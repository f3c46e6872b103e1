"""The stacks of public files through the nodes: the latents of the command line, and every kind of file."""

import gc
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch

import portraittalk_core.stacks.public as core
from portraittalk_core.checkpoints import catalogue
from portraittalk_core.checkpoints.native import ASSETS
from portraittalk_core.diffusion.noise import FrameNoise
from portraittalk_core.diffusion.schedule import SMALLEST_ALPHA
from portraittalk_core.hosts.diffusers_patches import PatchAttachment
from portraittalk_core.hosts.sd15_models import VAE_SCALE, empty_text_encoder, empty_unet, empty_vae
from portraittalk_core.media.audio import read_sound
from portraittalk_core.media.image import read_image
from portraittalk_core.nets.low_rank import LowRankPatch
from portraittalk_core.perception.face_mesh import FaceMesher
from portraittalk_core.pipeline import PortraitTalk
from portraittalk_core.sites import Site
from portraittalk_core.stacks.options import SamplingOptions
from portraittalk_core.stacks.prompts import PromptTrack
from portraittalk_core.types import Sound

from ..checkpoints import stack_files
from ..checkpoints.public_files import SD15, layout, v3_layout, write_hollow
from ..checkpoints.test_structure_and_reference import ldm_control
from ..stacks.test_public import here, hollow, landmarker  # noqa: F401 - fixtures
from .comfy_env import as_the_host_runs_nodes, example_picture, result  # noqa: F401 - the first is a fixture

pytestmark = pytest.mark.comfy

SIZE, FRAMES, STEPS = 64, 2, 1
PROMPT, NEGATIVE = "a smiling man in a garden", "gray"
PARTS = {
    "sd15-portraittalk": {"vae": "none"},
    "sd15-magictalk": {"vae": "none", "identity": "faceid-portrait", "faces": "buffalo_l"},
}
BOUND = 1e-4
"""Of the spread of the latents."""


@pytest.fixture
def both(comfy_host, pack, monkeypatch, tmp_path):
    """Let the pack's copy of the core see what other fixtures have changed in ours; name its folder to the host."""
    import folder_paths

    folders = {"portraittalk": ([str(tmp_path)], set())}
    monkeypatch.setattr(folder_paths, "folder_names_and_paths", {**folder_paths.folder_names_and_paths, **folders})
    theirs = pack("portraittalk_core.checkpoints.catalogue")
    for name in ("_in_hub_cache", "_plausible"):
        monkeypatch.setattr(theirs, name, getattr(catalogue, name))
    monkeypatch.setattr(pack("portraittalk_core.perception.face_mesh").FaceMesher, "find", FaceMesher.find)
    return comfy_host.folder


def hosted_of(pack, folder, stack, parts):
    """Load adapters as the node does, from a folder whose stack.toml names the parts."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f'stack = "{stack}"', f"size = {SIZE}", "[parts]", *(f'{k} = "{v}"' for k, v in parts.items())]
    (folder / "stack.toml").write_text("\n".join(lines))
    return pack("nodes.models").load_adapters(str(folder))


def on_the_command_line(name, cfg, comfyui, lora):
    """Return latents as the command makes them, from a first step at the highest noise level."""
    loaded = PortraitTalk.load(name, parts=PARTS[name], size=SIZE, comfyui=comfyui)
    stack = replace(loaded.stack, config=trailing(loaded.stack.config))
    model = PortraitTalk(stack, loaded.host)
    identity = stack.identify([read_image(ASSETS / "portrait.png")])
    features = stack.listen(speech())
    maps = stack.structure(stack.move(features, seed=3), identity)
    track = PromptTrack(PROMPT, [], 25, FRAMES)
    options = SamplingOptions(steps=STEPS, cfg=cfg, fusion="joint")
    with corrected(stack.loader, lora):
        chunks = list(model.animate(identity, maps, features, track, negative=NEGATIVE, seed=5, options=options))
    return stack.config, torch.cat([chunk.latents for chunk in chunks])


@contextmanager
def corrected(loader, lora):
    """Let the U-Net have a LoRA beside the stack's own."""
    read = loader.read

    def corrected_read(name):
        net = read(name)
        if name == "unet" and lora is not None:
            PatchAttachment(net, [lora])
        return net

    loader.read = corrected_read
    try:
        yield
    finally:
        del loader.read


def trailing(config):
    return replace(config, schedule=replace(config.schedule, timestep_spacing="trailing"))


def speech():
    sound = read_sound(ASSETS / "speech.wav")
    return Sound(sound.samples[:, : FRAMES * sound.sample_rate // 25], sound.sample_rate)


def through_nodes(pack, hosted, model, conditioning, vae):
    """Connect the nodes as a graph does; return the MODEL, both CONDITIONINGs and the empty LATENT."""
    identity_nodes, animate = pack("nodes.identity"), pack("nodes.animate")
    cut = speech()
    audio = {"waveform": cut.samples[None], "sample_rate": cut.sample_rate}
    image = example_picture()
    bound, cropped, mask = result(identity_nodes.LoadIdentity.execute(hosted, image))
    assert cropped.shape == (1, SIZE, SIZE, 3) and mask.shape == (1, SIZE, SIZE) and 0.02 < mask.mean() < 0.9
    features, count, *_ = result(pack("nodes.speech").EncodeAudio.execute(hosted, audio))
    assert count == FRAMES
    dials = pack("portraittalk_core.motion.audio_to_motion").MotionDials()
    motion, preview = pack("nodes.listening").move(features, bound, dials, 3, conditioning[0])
    assert preview.shape == (FRAMES, 128, 128, 3) and preview.max() > 0.5
    attached, *shown = result(identity_nodes.IdentityNetConditioning.execute(model, *conditioning, bound))
    if hosted.stack.loader.spec.is_aniportrait:
        attached = result(identity_nodes.ReferenceNetApply.execute(attached, bound, vae))[0]
    attached, latent = result(animate.AnimateNetApply.execute(attached, motion, features, identity=bound))
    assert latent["samples"].shape == (FRAMES, 4, SIZE // 8, SIZE // 8) and "batch_index" not in latent
    return attached, shown, latent


def sampled(model, shown, cfg, config):
    import comfy.sample
    import comfy.samplers

    noise = FrameNoise((4, SIZE // 8, SIZE // 8), torch.Generator().manual_seed(5), shared=0.0).at(torch.arange(FRAMES))
    sigmas, sampler = core.builders.noise_schedule(config).sigmas(STEPS), comfy.samplers.sampler_object("dpmpp_2m")
    zeros = torch.zeros_like(noise)
    rows = comfy.sample.sample_custom(model, noise, cfg, sampler, sigmas, *shown, zeros, disable_pbar=True)
    return rows * VAE_SCALE  # a LATENT is not scaled


def low_rank(seed=4):
    """A LoRA on one projection: as our patch, and as a file of the host's names."""
    generator = torch.Generator().manual_seed(seed)
    down, up = 0.1 * torch.randn(4, 320, generator=generator), torch.randn(320, 4, generator=generator)
    patch = LowRankPatch(Site("up", 3, 0), "attn1", "to_v", down, up)
    name = "lora_unet_output_blocks_9_1_transformer_blocks_0_attn1_to_v"
    return patch, {f"{name}.lora_up.weight": up, f"{name}.lora_down.weight": down}


@pytest.fixture
def finite(monkeypatch):
    """Let the highest noise level be 4096, as it is in ComfyUI, where ours is infinite."""
    as_made = core.builders.noise_schedule

    def made(config):
        schedule = as_made(config)
        schedule.alphas_cumprod = schedule.alphas_cumprod.clamp(min=SMALLEST_ALPHA)
        return schedule

    monkeypatch.setattr(core.builders, "noise_schedule", made)


def check(name, found, expected, other, capsys):
    """Hold latents against those of the command line, and against some that must not be the same."""
    spread, difference = float(expected.std()), float((found - expected).abs().max())
    effect = float((expected - other).abs().max())
    with capsys.disabled():
        print(f"\n{name}: max difference {difference:.1e} of a spread of {spread:.2f}; effect {effect:.2f}")
    assert torch.isfinite(found).all() and effect > 100 * BOUND * spread and difference <= BOUND * spread


@pytest.mark.slow
@pytest.mark.parity
@pytest.mark.usefixtures("landmarker", "finite")
@pytest.mark.parametrize(("stack", "with_lora"), [("sd15-portraittalk", True), ("sd15-magictalk", False)])
def test_keystone_of_public_files(pack, here, both, tmp_path, capsys, stack, with_lora):  # noqa: F811
    """The same files, noise and noise level: the command line's latents are the nodes', also after a stock LoRA."""
    import comfy.sd

    for seed, role in enumerate(stack_files.ROLES_OF[stack]):
        stack_files.write_role(here, role, seed)
    stack_files.write_faces(here)
    cfg, (patch, file) = 3.5, low_rank()
    config, expected = on_the_command_line(stack, cfg, both, None)
    corrected_too = on_the_command_line(stack, cfg, both, patch)[1] if with_lora else None
    gc.collect()

    folder = tmp_path / "stack"
    hosted_of(pack, folder, stack, PARTS[stack])
    model, clip, vae, hosted = result(pack("nodes.loaders").LoadPortraitTalk.execute(str(folder)))
    encode = pack("nodes.encoding").encode
    conditioning = [encode(clip, PROMPT), encode(clip, NEGATIVE)]
    del clip
    attached, shown, _ = through_nodes(pack, hosted, model, conditioning, vae)
    found = sampled(attached, shown, cfg, config)
    unconditioned = pack("nodes.model_patches").scheduled(model, hosted.stack.schedule, stack)
    bare = sampled(unconditioned, conditioning, cfg, config)
    check(stack, found, expected, bare, capsys)
    if with_lora:
        stock, _ = comfy.sd.load_lora_for_models(model, None, file, 1.0, 0.0)
        attached, shown, _ = through_nodes(pack, hosted, stock, conditioning, vae)
        check(f"{stack} after a LoRA", sampled(attached, shown, cfg, config), corrected_too, expected, capsys)


STACKS = [
    ("sd15-portraittalk", {}, ("identity", "temporal", "structure", "mesh")),
    ("sd15-portraittalk", {"identity": "faceid", "temporal": "animatediff-v1"}, ("identity", "temporal")),
    (
        "sd15-portraittalk",
        {"identity": "faceid-plusv2", "image_encoder": "clip-vit-h14"},
        ("identity", "image_encoder"),
    ),
    ("sd15-portraittalk", {"identity": "faceid-plus", "image_encoder": "clip-vit-h14"}, ("identity", "image_encoder")),
    ("sd15-portraittalk", {"temporal": "animatediff-v3", "head": "audio2pose"}, ("temporal", "head")),
    ("sd15-portraittalk", {"structure": "control_ldm.safetensors"}, ("structure",)),
    ("sd15-magictalk", {}, ("temporal", "structure", "text_beside", "reference", "image_encoder", "head")),
]


@pytest.mark.slow
@pytest.mark.usefixtures("hollow", "both")
@pytest.mark.parametrize(
    ("stack", "parts", "names"), STACKS, ids=[f"{stack}-{'+'.join(names)}" for stack, _, names in STACKS]
)
def test_every_kind_of_file_becomes_a_network_that_the_host_moves(pack, here, tmp_path, stack, parts, names):  # noqa: F811
    """Each file of the table in its public layout; what runs while sampling is an additional model of the MODEL."""
    write_hollow(here / "animatediff_models" / "v3_sd15_mm.ckpt", v3_layout())
    write_hollow(here / "ipadapter" / "ip-adapter-faceid-plus_sd15.bin", layout("ip-adapter-faceid-plus_sd15"))
    folder = tmp_path / "stack"
    folder.mkdir()
    write_hollow(folder / "control_ldm.safetensors", ldm_control())
    hosted = hosted_of(pack, folder, stack, {"vae": "none", **parts})
    loader = hosted.stack.loader
    for name in names:
        if name in ("temporal", "structure", "text_beside"):
            net = loader.keep(name)
            assert any(hasattr(layer, "comfy_cast_weights") for layer in net.modules()) == (name != "text_beside")
            assert loader.keep(name) is net
        else:
            with loader.load(name) as (net,):
                assert next(getattr(net, "net", net).parameters()).device.type == "cpu"
    assert len(hosted.get_models()) == len({"temporal", "structure", "text_beside"} & set(names))


def write_folder(folder):
    """Write SD1.5 as a diffusers folder, hollow."""
    folder.mkdir()
    (folder / "model_index.json").write_text('{"unet": [], "vae": [], "text_encoder": []}')
    for name, net in (("unet", empty_unet(SD15)), ("vae", empty_vae()), ("text_encoder", empty_text_encoder())):
        (folder / name).mkdir()
        stem, prefix = ("model", "text_model.") if name == "text_encoder" else ("diffusion_pytorch_model", "")
        inner = getattr(net, "text_model", net)
        shapes = {prefix + key: tuple(value.shape) for key, value in inner.state_dict().items()}
        write_hollow(folder / name / f"{stem}.safetensors", shapes)


@pytest.mark.slow
@pytest.mark.usefixtures("hollow", "both")
@pytest.mark.parametrize("base", ["file", "folder"])
def test_every_base_is_loaded_and_a_faceid_file_patches_it_once(pack, here, tmp_path, base):  # noqa: F811
    """A checkpoint or a diffusers folder, a VAE of its own; the LoRA in a FaceID file becomes the host's patches."""
    parts = (
        {"identity": "faceid", "vae": "vae.safetensors"} if base == "file" else {"identity": "faceid", "vae": "none"}
    )
    shapes = {key: tuple(value.shape) for key, value in empty_vae().state_dict().items()}
    (tmp_path / "stack").mkdir()
    write_hollow(tmp_path / "stack" / "vae.safetensors", shapes)
    if base == "folder":
        write_folder(tmp_path / "stack" / "sd15")
        parts["base"] = "sd15"
    stack_files.write_role(here, "faceid", 3)
    hosted_of(pack, tmp_path / "stack", "sd15-portraittalk", parts)
    model, clip, vae, hosted = result(pack("nodes.loaders").LoadPortraitTalk.execute(str(tmp_path / "stack")))
    assert vae.encode(torch.zeros(1, SIZE, SIZE, 3)).shape == (1, 4, SIZE // 8, SIZE // 8)
    tokens = pack("nodes.encoding").encode(clip, PROMPT)
    assert tokens[0][0].shape == (1, 77, 768)
    kind = pack("portraittalk_core.perception.mesh_identity").MeshIdentity
    who = kind(torch.zeros(1, 3, SIZE, SIZE), torch.zeros(1, 478, 3), torch.ones(1, 512), torch.zeros(1, 3, 224, 224))
    bound = pack("nodes.hosted_stack").BoundIdentity(who, hosted)
    node = pack("nodes.identity").IdentityNetConditioning.execute
    once = result(node(model, tokens, tokens, bound))[0]
    twice = result(node(once, tokens, tokens, bound))[0]
    attentions = 16 * 2
    assert len(once.patches) == 4 * attentions and not model.patches
    assert {len(given) for given in twice.patches.values()} == {1}, "two nodes in a row correct the U-Net once"
    sigmas = [model.get_model_object("model_sampling").sigmas, once.get_model_object("model_sampling").sigmas]
    assert not torch.equal(*sigmas)
    torch.testing.assert_close(sigmas[1], core.builders.noise_schedule(hosted.stack.config).sigmas())


@pytest.mark.usefixtures("hollow", "both")
def test_what_a_stack_cannot_do_is_one_line(pack, tmp_path):
    errors, attaching = pack("portraittalk_core.errors"), pack("nodes.attaching")
    kind = pack("portraittalk_core.perception.mesh_identity").MeshIdentity
    hosted = hosted_of(pack, tmp_path / "a", "sd15-portraittalk", {"vae": "none"})
    who = kind(torch.zeros(1, 3, SIZE, SIZE), torch.zeros(1, 478, 3), torch.zeros(1, 512), torch.zeros(1, 3, 224, 224))
    bound = pack("nodes.hosted_stack").BoundIdentity(who, hosted)
    with pytest.raises(errors.BadInput, match="a has no ReferenceNet: IdentityNet Conditioning alone says who"):
        attaching.reference_net(None, bound, None, 1.0)
    assert attaching.reference_net("MODEL", bound, None, 0.0) == "MODEL"
    features = pack("portraittalk_core.types").SpeechFeatures(torch.zeros(2, 768), torch.zeros(2), 25.0)
    motion = pack("portraittalk_core.motion.mesh_motion").MeshMotion(torch.zeros(2, 468, 3), torch.zeros(2, 6), 25.0)
    moving = {"window": 16, "overlap": 1, "fusion": "joint", "audio_scale": 1.0}
    with pytest.raises(errors.BadInput, match="`audio_scale` must stay 1: no public file conditions this"):
        attaching.animate_net(None, motion, features, bound, **{**moving, "audio_scale": 0.5})
    with pytest.raises(errors.BadInput, match="`window` must be at most 32 frames with this motion module"):
        attaching.animate_net(None, motion, features, bound, **{**moving, "window": 40})
    sound, rows = speech(), {"encoded_audio": torch.zeros(1, 4, 768), "audio_samples": 1280}
    for name, given in (("a", rows), ("a", {**rows, "encoded_audio": torch.zeros(1, 4, 64)})):
        with pytest.raises(errors.BadInput, match=f"`encoded` must .* {name} .* Disconnect it"):
            pack("nodes.listening").encode(hosted, sound, 25.0, given, 0.0)
    with pytest.raises(errors.WeightsMismatch, match="Run `portraittalk models download sd15-vae`"):
        pack("nodes.models").load("sd15-portraittalk")
    with pytest.raises(errors.BadInput, match="AnimateLCM needs a sampler for consistency models"):
        hosted_of(pack, tmp_path / "b", "sd15-portraittalk", {"vae": "none", "temporal": "animatelcm"})
    magic = hosted_of(pack, tmp_path / "c", "sd15-magictalk", {"vae": "none"})
    with pytest.raises(errors.BadInput, match="brings no networks that find faces in a finished video"):
        magic.stack.face_finder()
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "stack.toml").write_text("size = 64\nparts = {vae = 3}")
    with pytest.raises(errors.BadConfig, match="`parts` must be a table of names"):
        pack("nodes.models").load_adapters(str(tmp_path / "d"))


@pytest.mark.usefixtures("hollow", "both")
def test_the_loaders_offer_the_stacks_and_folders_that_mix_them(pack, tmp_path):
    hosted_of(pack, tmp_path / "mine", "sd15-portraittalk", {"vae": "none"})
    assert pack("nodes.model_names").available() == ["tiny", "sd15-portraittalk", "sd15-magictalk", "mine"]
    assert pack("nodes.models").load_adapters("mine").stack.config.size == SIZE


@pytest.mark.usefixtures("hollow", "both")
def test_adapters_for_a_checkpoint_from_elsewhere_ask_for_none_of_their_own(pack, hollow, tmp_path):  # noqa: F811
    errors = pack("portraittalk_core.errors")
    for place in (stack_files.ROLES["base"][0], stack_files.TOKENIZER):
        (hollow / place).unlink()
    hosted = pack("nodes.models").load_adapters("sd15-portraittalk")
    assert "base" not in hosted.stack.loader.spec.files and hosted.shape.cross_dim == 768
    with pytest.raises(errors.WeightsMismatch, match="sd15-base"):
        pack("nodes.models").load("sd15-portraittalk")
    with pytest.raises(errors.WeightsMismatch, match="sd15-base"):
        pack("nodes.models").load_adapters("sd15-magictalk")


@pytest.mark.usefixtures("hollow", "both")
def test_a_picture_without_a_face_is_skipped_where_that_is_asked(pack, tmp_path, monkeypatch):
    errors, stacks = pack("portraittalk_core.errors"), pack("portraittalk_core.stacks.public")
    kind = pack("portraittalk_core.perception.mesh_identity").MeshIdentity
    hosted = hosted_of(pack, tmp_path / "a", "sd15-portraittalk", {"vae": "none"})

    def identify(images, mesher, analyser, face=None, size=None):
        if any(not image.any() for image in images):
            raise errors.NoFaceFound("picture 1: no face was found in it.")
        count = len(images)
        return kind(torch.stack(list(images)), torch.zeros(count, 478, 3), torch.ones(count, 512), None)

    class Mesher:
        def __init__(self, path):
            pass

        def close(self):
            pass

    monkeypatch.setattr(stacks, "identify_mesh", identify)
    monkeypatch.setattr(stacks, "FaceMesher", Mesher)
    monkeypatch.setattr(stacks.PublicStack, "face_finder", lambda self: None)
    node = pack("nodes.identity").LoadIdentity.execute
    seen, empty = torch.ones(SIZE, SIZE, 3), torch.full((SIZE, SIZE, 3), 0.5)
    identity = result(node(hosted, torch.stack([empty, seen, empty, seen]), no_face="skip the picture"))[0].identity
    assert identity.crops.shape[0] == identity.landmarks.shape[0] == identity.embeddings.shape[0] == 2
    assert identity.faces is None
    for images, no_face in (([seen, empty], "stop"), ([empty, empty], "skip the picture")):
        with pytest.raises(errors.NoFaceFound):
            node(hosted, torch.stack(images), no_face=no_face)
