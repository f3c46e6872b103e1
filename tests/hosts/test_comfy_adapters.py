"""The tiny model's adapters through the nodes: what each socket carries, and that all of it conditions the model."""

import pytest
import torch

from portraittalk_core.checkpoints.native import ASSETS
from portraittalk_core.media.audio import read_sound

from .comfy_env import as_the_host_runs_nodes, example_picture, result  # noqa: F401 - the first is a fixture
from .test_comfy_host import adapters, base, folder  # noqa: F401 - fixtures

pytestmark = pytest.mark.comfy

FRAMES = 5


@pytest.fixture
def who(pack, adapters):  # noqa: F811
    image = example_picture()
    return result(pack("nodes.identity").LoadIdentity.execute(adapters, image))


@pytest.fixture
def heard(pack, adapters):  # noqa: F811
    sound = read_sound(ASSETS / "speech.wav")
    audio = {"waveform": sound.samples[None], "sample_rate": sound.sample_rate}
    encode = pack("nodes.speech").EncodeAudio.execute
    return result(encode(adapters, audio, duration_s=FRAMES / 25))


@pytest.fixture
def dials(pack):
    return pack("portraittalk_core.motion.audio_to_motion").MotionDials()


def test_pictures_sound_and_motion_become_sockets(pack, adapters, who, heard, dials):  # noqa: F811
    bound, cropped, mask = who
    assert cropped.shape == (1, 256, 256, 3) and mask.shape == (1, 256, 256) and 0.03 < mask.mean() < 0.6
    speech, count, fps, _ = heard
    assert count == FRAMES == len(speech.hidden) and fps == 25
    motion, preview = pack("nodes.listening").move(speech, bound, dials, 2**63 + 1, None)
    assert preview.shape == (FRAMES, 128, 128, 3) and preview.max() > 0.5
    assert motion.mouth_opening.shape == (FRAMES,)
    again, _ = pack("nodes.listening").move(speech, bound, dials, 1, None)
    assert torch.equal(motion.coefficients, again.coefficients), "seeds of 64 bits are taken modulo 2**63"
    assert adapters.stack.face_finder() is adapters.stack.faces
    assert len(adapters.get_models()) == 2, "adapters and dense motion"
    rows = {"encoded_audio": torch.zeros(1, 50, 64), "audio_samples": 16000}
    with pytest.raises(pack("portraittalk_core.errors").BadInput, match="`encoded` must have 128 features a row"):
        pack("nodes.listening").encode(adapters, read_sound_of(pack), 25.0, rows, 0.0)


def test_the_hosts_vae_draws_as_the_cores(pack, random_model, adapters, portrait):  # noqa: F811
    pixels, _ = portrait
    own, core = (
        torch.cat(list(s.codec.decode(s.codec.encode(pixels[None])))) for s in (adapters.stack, random_model.stack)
    )
    assert torch.allclose(own, core, atol=1e-4)


def read_sound_of(pack):
    return pack("portraittalk_core.media.audio").read_sound(ASSETS / "speech.wav")


def test_each_node_conditions_the_model_and_zero_does_not(
    pack,
    random_model,
    base,  # noqa: F811
    adapters,  # noqa: F811
    who,
    heard,
    dials,
):
    nodes, text = pack("nodes.identity"), random_model.stack.text
    positive, negative = [[text.encode(["a man"]), {}]], [[text.encode([""]), {}]]
    bound, speech = who[0], heard[0]
    motion, _ = pack("nodes.listening").move(speech, bound, dials, 0, positive)

    class Vae:
        def encode(self, images):
            generator = torch.Generator().manual_seed(int(images.mean() * 1e6))
            return torch.randn(len(images), 8, 32, 32, generator=generator)

    def sampled(model, person=bound):
        apply = pack("nodes.animate").AnimateNetApply.execute
        attached, latent = result(apply(model, motion, speech, identity=person, vae=Vae()))
        options = {"seed": 0, "steps": 1, "cfg": 2.0, "sampler_name": "euler", "scheduler": "simple", "denoise": 1.0}
        return pack("nodes.sampling").sample(attached, positive, negative, None, latent, **options)["samples"]

    recognised, shown, hidden = result(nodes.IdentityNetConditioning.execute(base, positive, negative, bound))
    assert shown is positive and hidden is negative
    seen = result(nodes.ReferenceNetApply.execute(recognised, bound, Vae()))[0]
    plain, with_identity, with_both = (sampled(model) for model in (base, recognised, seen))
    assert plain.shape == (FRAMES, 8, 32, 32)
    assert (with_identity - plain).abs().max() > 1e-3 and (with_both - with_identity).abs().max() > 1e-3
    nobody = result(nodes.IdentityNetConditioning.execute(base, positive, negative, bound, identity_scale=0.0))[0]
    assert nobody is base and result(nodes.ReferenceNetApply.execute(base, bound, Vae(), 0.0))[0] is base
    assert torch.equal(sampled(seen, None), with_both), "the MODEL knows whom it was told of"
    of_the_same = result(nodes.ReferenceNetApply.execute(recognised, vae=Vae()))[0]
    assert torch.equal(sampled(of_the_same), with_both), "and so does ReferenceNet Apply"
    empty = pack("nodes.attaching").empty_latent(adapters.stack, FRAMES)
    assert empty["samples"].shape == plain.shape and empty["batch_index"] == [0] * FRAMES
    errors = pack("portraittalk_core.errors")
    with pytest.raises(errors.BadInput, match="`vae` must be connected"):
        nodes.ReferenceNetApply.execute(base, bound, None)
    with pytest.raises(errors.BadInput, match="`motion` must be of this speech, 5 frames at 25 fps, but has 4"):
        short = type(motion)(motion.coefficients[:4], motion.pose[:4], motion.fps)
        pack("nodes.animate").AnimateNetApply.execute(base, short, speech, identity=bound, vae=Vae())
    for asks in (lambda: sampled(base, None), lambda: nodes.ReferenceNetApply.execute(base, vae=Vae())):
        with pytest.raises(errors.BadInput, match="`identity` must be connected where `model` was not told"):
            asks()
