import pytest
import torch

from portraittalk_core.conditioning import FADE_S, PromptTrack, WindowConditions
from portraittalk_core.errors import BadInput
from portraittalk_core.host import Pass
from portraittalk_core.motion.geometry import placement
from portraittalk_core.types import Identity, SpeechFeatures, StructureMaps

BOTH = (Pass(), Pass(text=False, identity=False, audio=False))


def test_without_edits_one_prompt_holds_throughout():
    track = PromptTrack("a", [], 25, 10)
    assert track.prompts == ["a"] and torch.equal(track.weights, torch.ones(10, 1))


def test_an_edit_fades_in_at_its_time_and_covers_what_was_before():
    track = PromptTrack("a", [(1.0, "c"), (0.4, "b")], 25, 50)
    assert track.prompts == ["a", "b", "c"]
    assert torch.allclose(track.weights.sum(1), torch.ones(50))
    assert track.weights[9].tolist() == [1, 0, 0] and track.weights[24].tolist() == [0, 1, 0]
    assert track.weights[-1].tolist() == [0, 0, 1]
    fade = track.weights[10:17, 1]
    assert (fade.diff() >= 0).all() and fade[0] < 0.1 and fade[round(FADE_S * 25)] == 1
    values = torch.tensor([[0.0], [1.0], [2.0]])
    assert track.mix(values, torch.tensor([0, 20, 49])).flatten().tolist() == [0, 1, 2]


def test_an_edit_before_the_start_is_refused():
    with pytest.raises(BadInput, match="must begin at 0 s or later"):
        PromptTrack("a", [(-1.0, "b")], 25, 10)


def parts(model, frames, identity):
    generator = torch.Generator().manual_seed(0)
    drift = 0.01 * torch.randn(frames, 1, 2, generator=generator).cumsum(0)
    landmarks = identity.landmarks[:1] + drift
    maps = StructureMaps(landmarks, placement(identity.landmarks[:1], landmarks), 25.0)
    speech = SpeechFeatures(torch.randn(frames, 128, generator=generator), torch.zeros(frames), 25.0)
    return maps, speech


def conditions(model, identity, maps, speech, **options) -> WindowConditions:
    nets = model.networks
    return WindowConditions(
        host=model._host,
        identity_net=nets.identity_net,
        animate_net=nets.animate_net,
        reference_net=model._reference_net,
        text=nets.text,
        identity=identity,
        reference_latents=torch.zeros(len(identity.crops), 8, 32, 32),
        structure=maps,
        speech=speech,
        prompts=PromptTrack("a man with red hair", [], 25, len(maps.landmarks)),
        **options,
    )


@torch.no_grad()
def test_a_window_is_told_of_its_own_frames_whatever_was_denoised_before(random_model, somebody):
    maps, speech = parts(random_model, 9, somebody)
    latents = torch.randn(4, 8, 32, 32, generator=torch.Generator().manual_seed(1))
    frames, time = torch.arange(3, 7), torch.tensor(500)
    alone = conditions(random_model, somebody, maps, speech).predict(latents, time, frames, BOTH, None)
    used = conditions(random_model, somebody, maps, speech, keep=2)
    for start in (0, 1, 5):
        used.predict(latents, time, torch.arange(start, start + 4), BOTH, None)
    assert torch.equal(used.predict(latents, time, frames, BOTH, None), alone)
    assert alone.shape == (8, 8, 32, 32) and not torch.allclose(alone[:4], alone[4:])


@torch.no_grad()
def test_speech_beside_the_window_is_heard(random_model, somebody):
    maps, speech = parts(random_model, 9, somebody)
    latents = torch.zeros(2, 8, 32, 32)
    frames, time = torch.arange(4, 6), torch.tensor(500)
    before = conditions(random_model, somebody, maps, speech).predict(latents, time, frames, (Pass(),), None)
    louder = speech.hidden.clone()
    louder[3] += 5  # one frame before the window
    other = conditions(random_model, somebody, maps, SpeechFeatures(louder, speech.loudness, 25.0))
    after = other.predict(latents, time, frames, (Pass(),), None)
    assert not torch.allclose(before, after, atol=1e-6)
    far = speech.hidden.clone()
    far[0] += 5  # beyond what a frame hears
    unheard = conditions(random_model, somebody, maps, SpeechFeatures(far, speech.loudness, 25.0))
    assert torch.equal(unheard.predict(latents, time, frames, (Pass(),), None), before)


@torch.no_grad()
def test_several_references_join_in(random_model, somebody):
    maps, speech = parts(random_model, 2, somebody)
    other = torch.nn.functional.normalize(torch.randn(1, 512, generator=torch.Generator().manual_seed(5)), dim=1)
    two = Identity(
        torch.cat([somebody.embeddings, other]), somebody.crops.repeat(2, 1, 1, 1), somebody.landmarks.repeat(2, 1, 1)
    )
    latents, frames, time = torch.zeros(2, 8, 32, 32), torch.arange(2), torch.tensor(10)
    one = conditions(random_model, somebody, maps, speech).predict(latents, time, frames, (Pass(),), None)
    both = conditions(random_model, two, maps, speech).predict(latents, time, frames, (Pass(),), None)
    assert not torch.allclose(one, both, atol=1e-6)


@torch.no_grad()
def test_parts_that_stage_2_has_not_trained_cost_nothing_and_change_nothing(random_model, somebody, monkeypatch):
    maps, speech = parts(random_model, 4, somebody)
    latents, frames, time = torch.randn(4, 8, 32, 32), torch.arange(4), torch.tensor(500)
    animate = random_model.networks.animate_net
    last = [
        p
        for n, p in animate.named_parameters()
        if "temporal_transformer.proj_out." in n or ("audio" in n and "to_v" in n)
    ]
    before = [p.clone() for p in last]
    trained = conditions(random_model, somebody, maps, speech).predict(latents, time, frames, (Pass(),), None)
    try:
        for parameter in last:
            parameter.zero_()
        skipped = conditions(random_model, somebody, maps, speech).predict(latents, time, frames, (Pass(),), None)
        with monkeypatch.context() as patch:
            patch.setattr("portraittalk_core.conditioning._trained", lambda net, last: True)
            run = conditions(random_model, somebody, maps, speech).predict(latents, time, frames, (Pass(),), None)
    finally:
        for parameter, value in zip(last, before, strict=True):
            parameter.copy_(value)
    torch.testing.assert_close(skipped, run, rtol=0, atol=1e-4)
    assert not torch.allclose(skipped, trained, atol=1e-3)
