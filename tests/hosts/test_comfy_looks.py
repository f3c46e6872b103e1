"""Prompt Look with the shipped model in a real ComfyUI: the command line's picture, and a video that moves it."""

import copy
from pathlib import Path

import numpy as np
import pytest
import torch

from portraittalk_core.checkpoints.native import ASSETS
from portraittalk_core.looks import restyled
from portraittalk_core.media.audio import read_sound
from portraittalk_core.media.image import read_image
from portraittalk_core.pipeline import PortraitTalk
from portraittalk_core.stacks.prompts import PromptTrack

from .comfy_env import as_the_host_runs_nodes, example_picture, result  # noqa: F401 - the first is a fixture

pytestmark = pytest.mark.comfy

PHOTOGRAPH = Path(__file__).resolve().parents[2] / "workflows" / "inputs" / "astronaut.jpg"
RED, SEED, FRAMES = "a person with red hair", 3, 20


@pytest.fixture(scope="module")
def loaded(comfy_host, pack):
    """MODEL, CLIP, VAE, the person and FRAMES of speech."""
    with torch.inference_mode():
        model, clip, vae, hosted = result(pack("nodes.loaders").LoadPortraitTalk.execute("tiny"))
        image = example_picture()
        bound = result(pack("nodes.identity").LoadIdentity.execute(hosted, image))[0]
        sound = read_sound(ASSETS / "speech.wav")
        audio = {
            "waveform": sound.samples[None, :, : FRAMES * sound.sample_rate // 25],
            "sample_rate": sound.sample_rate,
        }
        speech = result(pack("nodes.speech").EncodeAudio.execute(hosted, audio))[0]
    return model, clip, vae, bound, speech


def looked(pack, loaded, prompt, edits=""):
    """Return what Prompt Edit and Prompt Look give: CONDITIONINGs, the person and the portraits."""
    model, clip, _, bound, speech = loaded
    said = result(pack("nodes.prompt").PromptEdit.execute(clip, prompt, "", edits, speech=speech))
    return said, *result(pack("nodes.prompt_look").PromptLook.execute(model, bound, *said, seed=SEED))


def test_the_look_is_that_of_the_command_line(pack, loaded):
    _, dressed, portraits = looked(pack, loaded, RED)
    plain = loaded[3].identity
    cli = PortraitTalk.load("tiny", precision="float32")
    person = cli.stack.identify([read_image(ASSETS / "portrait.png")])
    rest, track = cli.stack.rest(person, 25.0), PromptTrack(RED, (), 25.0, 1)
    expected = restyled(cli.stack, cli.animate, person, rest, track, seed=SEED).portrait
    found = dressed.identity.portrait
    effect = float((expected - plain.portrait).square().mean().sqrt())
    apart = float((found - expected).square().mean().sqrt())
    print(f"the prompt changes {effect:.3f}, the hosts differ by {apart:.1e}")
    assert effect > 0.02 and apart < 0.02 * effect
    torch.testing.assert_close(portraits[0], (found.movedim(0, -1) / 2 + 0.5).clamp(0, 1))
    assert dressed.identity.embeddings is plain.embeddings and dressed.identity.landmarks is plain.landmarks


def test_a_place_lies_behind_the_whole_photograph_as_on_the_command_line(pack, loaded):
    model, clip, vae, bound, speech = loaded
    picture = read_image(PHOTOGRAPH)
    wide = result(pack("nodes.identity").LoadIdentity.execute(bound.hosted, (picture.movedim(0, -1)[None] + 1) / 2))[0]
    beach = (model, clip, vae, wide, speech)
    said, dressed, _ = looked(pack, beach, "a person on a beach")
    made = video(pack, beach, dressed, said)[1]
    cli = PortraitTalk.load("tiny", precision="float32")
    person = cli.stack.identify([picture])
    rest, track = cli.stack.rest(person, 25.0), PromptTrack("a person on a beach", (), 25.0, 1)
    expected = (restyled(cli.stack, cli.animate, person, rest, track, whole=True, seed=SEED).photograph + 1) / 2
    corner = (slice(0, 60), slice(-60, None))  # far from the head
    sky, before = (
        expected[:, corner[0], corner[1]].movedim(0, -1),
        (picture[:, corner[0], corner[1]] + 1).movedim(0, -1),
    )
    assert (sky - before / 2).abs().mean() > 0.1
    assert (made[:, corner[0], corner[1]] - sky).abs().max() < 0.01
    assert made.shape[1:3] == picture.shape[1:]


def video(pack, loaded, bound, said, fusion="joint"):
    """Return the LATENT and the finished pictures of a person."""
    model, _, vae, _, speech = loaded
    motion, _ = pack("nodes.listening").move(
        speech, bound, pack("portraittalk_core.motion.audio_to_motion").MotionDials(), SEED, said[0]
    )
    told, *shown = result(pack("nodes.identity").IdentityNetConditioning.execute(model, *said, bound))
    told = result(pack("nodes.identity").ReferenceNetApply.execute(told))[0]
    attached, empty = pack("nodes.attaching").animate_net(told, motion, speech, None, 16, 4, fusion, 1.0)
    how = {"seed": SEED, "steps": 1, "cfg": 1.0, "sampler_name": "euler", "scheduler": "simple", "denoise": 1.0}
    latent = pack("nodes.sampling").sample(attached, *shown, None, empty, **how)
    pictures = vae.decode(latent["samples"])
    made = result(pack("nodes.paste_back").PasteBack.execute(pictures, bound, motion, positive=said[0]))[0]
    return latent["samples"], made


@pytest.mark.parametrize("fusion", ["joint", "streaming"])
def test_looks_over_time_are_each_moved(pack, loaded, fusion):
    said, dressed, portraits = looked(pack, loaded, "a person", f"0.4: {RED}")
    samples, made = video(pack, loaded, dressed, said, fusion)
    assert len(portraits) == 2 and samples.shape[-2:] == (16, 16), "plain frames are denoised at 128 pixels"
    assert bool(samples.isfinite().all())
    place = dressed.identity.places[0]
    for frame, look in ((2, 0), (-1, 1)):
        inside = made[frame, max(0, place.top) : place.top + place.side, max(0, place.left) : place.left + place.side]
        apart = [float((inside.mean((0, 1)) - each.mean((0, 1))).abs().sum()) for each in portraits]
        assert apart[look] < apart[1 - look], f"frame {frame} shows look {look}"


def test_without_it_frames_are_as_they_were(pack, loaded):
    _, dressed, _ = looked(pack, loaded, "a person")
    assert dressed.identity is loaded[3].identity, "nothing was drawn"
    *_, bound, speech = loaded
    motion = bound.hosted.stack.move(speech)
    for who, side in ((bound, 32), (dressed, 16)):
        _, empty = pack("nodes.attaching").animate_net(loaded[0], motion, speech, who, 16, 4, "joint", 1.0)
        assert empty["samples"].shape == (FRAMES, 8, side, side)


def test_conditioning_of_another_node_changes_nothing_and_is_noted(pack, loaded):
    model, clip, _, bound, _ = loaded
    said = pack("nodes.encoding").encode(clip, RED)
    output = pack("nodes.prompt_look").PromptLook.execute(model, bound, said, said)
    assert result(output)[0] is bound
    (note,) = output.ui["portraittalk_notes"]
    assert note.endswith("Connect Prompt Edit.")


def test_the_preview_is_a_picture_of_the_models_vae_where_that_is_at_hand(pack, loaded):
    model, _, vae, bound, _ = loaded
    said = looked(pack, loaded, "a person")[0]
    told = result(pack("nodes.identity").IdentityNetConditioning.execute(model, *said, bound))[0]
    sampling, latent = pack("nodes.sampling"), vae.encode((bound.identity.crops / 2 + 0.5).movedim(1, -1))
    previewer = sampling.Progress(told, 1)._previewer
    shown = torch.from_numpy(np.array(previewer.decode_latent_to_preview(latent)))
    assert (shown - vae.decode(latent)[0] * 255).abs().max() <= 2
    away = sampling.VaePreviewer(copy.deepcopy(vae.first_stage_model).to("meta"), previewer._otherwise)
    assert away.decode_latent_to_preview(latent).size == latent.shape[-2:], "colours alone: nothing is loaded for it"


def test_an_empty_prompt_works_to_the_end(pack, loaded):
    said, dressed, _ = looked(pack, loaded, "")
    assert dressed.identity.portrait is loaded[3].identity.portrait, "there is nothing to draw"
    _, made = video(pack, loaded, dressed, said)
    assert made.shape[0] == FRAMES and torch.isfinite(made).all()
    border = torch.ones(made.shape[1:3], dtype=torch.bool)
    border[8:-8, 8:-8] = False
    apart = (made - example_picture()[:1]).abs()[:, border].mean() * 255
    assert apart < 2, "what surrounds the head is the photograph's"
