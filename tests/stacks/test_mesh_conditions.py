"""What an SD1.5 denoiser is conditioned on: closed forms on a small U-Net, and the public order of the text keys."""

import pytest
import torch

from portraittalk_core.checkpoints.base import load_text_keys
from portraittalk_core.host import Call, Pass
from portraittalk_core.hosts.diffusers_host import DiffusersHost
from portraittalk_core.motion.mesh_motion import MeshMaps
from portraittalk_core.nets.attention import KeyValues
from portraittalk_core.nets.low_rank import transformer_name
from portraittalk_core.nets.pose_guider import PoseGuider
from portraittalk_core.nets.reference_net import ReferenceNet
from portraittalk_core.perception.face_drawing import draw_for_aniportrait, draw_for_controlnet
from portraittalk_core.stacks import mesh_conditions
from portraittalk_core.stacks.conditions import Conditions
from portraittalk_core.stacks.denoiser import Denoiser
from portraittalk_core.stacks.mesh_conditions import (
    DrawnFaceCondition,
    RecordedReference,
    TextBesideCondition,
)
from portraittalk_core.stacks.prompts import PromptEmbeds, PromptTrack

from ..checkpoints.public_files import FOLDER, layout, numbered, write_pickle

BOTH = (Pass(), Pass(text=False, identity=False))
FRAMES = torch.arange(2)


@pytest.fixture
def host(tiny_unet):
    return DiffusersHost(tiny_unet)


@pytest.fixture
def latents(noise):
    return torch.randn(2, 4, 8, 8, generator=noise)


def own_keys(unet, shape):
    """The U-Net's own keys and values of text, as a branch beside."""
    sites = shape.adapter_sites()
    net = KeyValues(shape.cross_dim, [(site, shape.width(site)) for site in sites])
    for k, site in enumerate(sites):
        attention = unet.get_submodule(f"{transformer_name(site)}.attn2")
        for kind in ("to_k", "to_v"):
            getattr(net[str(2 * k + 1)], f"{kind}_ip").weight.copy_(getattr(attention, kind).weight)
    return net


def denoiser(host, conditions, prompts, **options):
    return Denoiser(host, Conditions(conditions), prompts, **options)


def image_embeds(tokens):
    """What AniPortrait's cross-attention reads, and the zeros of the passes that do not know the person."""
    return PromptEmbeds(tokens, torch.zeros_like(tokens), None, "identity")


@torch.no_grad()
def test_text_beside_an_image_embedding_of_zeros_is_text(host, tiny_unet, latents, noise):
    """Values of a zero token are zero, so that only what stands beside it is left: the plain U-Net with its text."""
    text, negative = torch.randn(1, 5, 32, generator=noise), torch.randn(1, 5, 32, generator=noise)
    track, zeros, time = PromptTrack("", [], 25, 2), torch.zeros(1, 1, 32), torch.tensor(300)
    prompts = PromptEmbeds(text, negative, track)
    beside = TextBesideCondition(own_keys(tiny_unet, host.shape), prompts, 1.0)
    found = denoiser(host, [beside], image_embeds(zeros)).predict(latents, time, FRAMES, BOTH)
    plain = denoiser(host, [], prompts).predict(latents, time, FRAMES, BOTH)
    torch.testing.assert_close(found, plain, atol=1e-5, rtol=1e-5)
    none = TextBesideCondition(own_keys(tiny_unet, host.shape), prompts, 0.0)
    assert none.branches(host, FRAMES, True, torch.device("cpu")) == []


@torch.no_grad()
def test_text_beside_may_have_a_row_a_frame_of_the_video(host, tiny_unet, noise):
    """What a host hands over that mixes prompts itself: rows of the frames that a window shows, or one for all."""
    net, negative = own_keys(tiny_unet, host.shape), torch.randn(1, 5, 32, generator=noise)
    rows, frames = torch.randn(4, 5, 32, generator=noise), torch.tensor([3, 1])
    query, call = torch.randn(2, 6, host.shape.channels[-1], generator=noise), Call(frames=torch.arange(2))

    def at_mid(tokens, frames):
        prompts = PromptEmbeds(tokens, negative)
        made = TextBesideCondition(net, prompts, 0.5).branches(host, frames, True, torch.device("cpu"))
        (branch,) = [b for b in made if b.site.stage == "mid"]
        return branch.cross(query, host.shape.heads, call)

    picked = at_mid(rows, frames)
    assert torch.equal(picked, at_mid(rows[frames], torch.arange(2)))
    assert not torch.allclose(picked, at_mid(rows, torch.arange(2)), atol=1e-3)
    # Not bit-equal: one row and two are multiplied by different routines.
    torch.testing.assert_close(at_mid(rows[:1], frames), at_mid(rows[[0, 0]], torch.arange(2)))


@torch.no_grad()
def test_the_other_half_knows_neither_reference_nor_image_embedding(host, latents, noise):
    """AniPortrait's half-batch rule: the unconditional half does not depend on the bank, nor on CLIP's token."""
    time, net = torch.tensor(300), ReferenceNet(sites=host.shape.attention_sites())
    results = []
    for _ in range(2):
        seen = torch.randn(1, 1, 32, generator=noise)
        features = net.record(host, torch.randn(1, 4, 8, 8, generator=noise), seen)
        made = denoiser(host, [RecordedReference(features)], image_embeds(seen))
        results.append(made.predict(latents, time, FRAMES, BOTH))
    one, other = results
    assert torch.equal(one[2:], other[2:]) and not torch.allclose(one[:2], other[:2], atol=1e-3)
    bare = denoiser(host, [], image_embeds(torch.zeros(1, 1, 32))).predict(latents, time, FRAMES, (Pass(),))
    torch.testing.assert_close(one[2:], bare, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_a_recorded_reference_is_as_strong_as_its_scale_and_gives_its_memory_back(host, latents, noise):
    time, net, seen = torch.tensor(300), ReferenceNet(sites=host.shape.attention_sites()), torch.zeros(1, 1, 32)
    features = net.record(host, torch.randn(1, 4, 8, 8, generator=noise), seen)

    def run(conditions):
        return denoiser(host, conditions, image_embeds(seen)).predict(latents, time, FRAMES, (Pass(),))

    bare, half, full = run([]), run([RecordedReference(features, 0.5)]), run([RecordedReference(features)])
    assert torch.equal(run([RecordedReference(features, 0.0)]), bare)
    assert (half - bare).norm() < (full - bare).norm() and not torch.allclose(half, bare, atol=1e-3)
    reference, device = RecordedReference(features), torch.device("cpu")
    first = reference.branches(host, FRAMES, True, device)
    assert reference.branches(host, FRAMES[:1], False, device) is first  # one recording for all windows
    reference.reset()
    assert torch.equal(run([reference]), full)


@torch.no_grad()
def test_passes_one_after_the_other_are_the_passes_at_once(host, latents, noise):
    track, time = PromptTrack("a", [(0.0, "b")], 25, 2), torch.tensor(300)
    text, negative = torch.randn(2, 5, 32, generator=noise), torch.randn(1, 5, 32, generator=noise)
    prompts = PromptEmbeds(text, negative, track)
    runs = [
        denoiser(host, [], prompts, passes_at_once=at_once).predict(latents, time, FRAMES, BOTH)
        for at_once in (True, False)
    ]
    torch.testing.assert_close(*runs, atol=1e-5, rtol=1e-5)
    assert runs[0].shape == (4, 4, 8, 8) and runs[0].dtype == latents.dtype


@pytest.mark.slow
def test_drawings_are_kept_to_the_bit_and_a_long_video_is_drawn_once(noise, monkeypatch):
    maps = MeshMaps(torch.rand(6, 478, 2, generator=noise), 25.0)
    drawn: list[int] = []
    draw = mesh_conditions.draw_faces
    monkeypatch.setattr(mesh_conditions, "draw_faces", lambda faces, *a: drawn.append(len(faces)) or draw(faces, *a))
    for net in (PoseGuider(), torch.nn.Identity()):
        for kept, expected in ((1 << 30, [4, 2]), (3 * 64 * 64 * 3, [4, 3, 1, 3])):
            monkeypatch.setattr(mesh_conditions, "KEPT_BYTES", kept)
            condition = DrawnFaceCondition(net, maps, (64, 64))
            drawn.clear()
            for _ in range(2):
                for frames in (torch.arange(4), torch.arange(2, 6)):
                    exact = draw(maps.landmarks[frames], (64, 64), isinstance(net, PoseGuider))
                    assert torch.equal(condition.drawings(frames), exact)
            assert drawn == expected


@torch.no_grad()
def test_drawings_are_those_that_the_network_was_trained_on(noise):
    faces = torch.rand(3, 478, 2, generator=noise)
    maps, frames = MeshMaps(faces, 25.0), torch.tensor([2, 0])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        guider = PoseGuider(width=32, heads=2, head_dim=16).eval()
    drawn = DrawnFaceCondition(guider, maps, (64, 64)).drawings(frames)
    assert torch.equal(drawn[0], draw_for_aniportrait(faces[2], 64, 64)) and drawn.shape == (2, 3, 64, 64)
    other = DrawnFaceCondition(torch.nn.Identity(), maps, (64, 64)).drawings(frames)
    assert torch.equal(other[1], draw_for_controlnet([faces[0]], 64, 64))
    made = DrawnFaceCondition(guider, maps, (64, 64)).branches(None, frames, True, torch.device("cpu"))
    assert len(made) == 5


def test_the_keys_of_text_are_numbered_as_the_public_adapters_are(tmp_path):
    table = layout("aniportrait_denoising_unet")
    keys = load_text_keys(write_pickle(tmp_path / "unet.pth", numbered(table)))
    numbers = {name: float(i) for i, name in enumerate(table)}
    order = [line.split("\t") for line in (FOLDER / "ip_adapter_order.txt").read_text().splitlines()[1:]]
    crosses = {number: module for number, module in order if int(number) % 2}
    assert len(keys) == 32 == 2 * len(crosses)
    for number, module in crosses.items():
        for kind in ("to_k", "to_v"):
            assert float(keys[f"{number}.{kind}_ip.weight"].flatten()[0]) == numbers[f"{module}.{kind}.weight"]
