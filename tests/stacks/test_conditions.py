from functools import partial

import pytest
import torch

from portraittalk_core.errors import BadInput
from portraittalk_core.host import Pass
from portraittalk_core.motion.geometry import placement
from portraittalk_core.stacks.conditions import (
    AudioCondition,
    Conditions,
    IdentityCondition,
    ReferenceCondition,
    StructureCondition,
    TemporalCondition,
)
from portraittalk_core.stacks.denoiser import Denoiser
from portraittalk_core.stacks.prompts import PromptTrack
from portraittalk_core.types import Identity, SpeechFeatures, StructureMaps

BOTH = (Pass(), Pass(text=False, identity=False, audio=False))


def parts(model, frames, identity):
    generator = torch.Generator().manual_seed(0)
    drift = 0.01 * torch.randn(frames, 1, 2, generator=generator).cumsum(0)
    landmarks = identity.landmarks[:1] + drift
    maps = StructureMaps(landmarks, placement(identity.landmarks[:1], landmarks), 25.0)
    speech = SpeechFeatures(torch.randn(frames, 128, generator=generator), torch.zeros(frames), 25.0)
    return maps, speech


def denoiser(model, host, identity, maps, speech, keep=1) -> Denoiser:
    stack, adapters = model.stack, model.stack.adapters
    latents = torch.zeros(len(identity.crops), 8, 32, 32)
    moved = partial(stack.warp.warped, identity)
    warped = torch.randn(len(maps.landmarks), 8, 32, 32, generator=torch.Generator().manual_seed(3))
    condition = Conditions(
        [
            IdentityCondition(adapters, identity.embeddings),
            ReferenceCondition(adapters, latents, stack.text.encode([""])),
            TemporalCondition(adapters),
            StructureCondition(adapters, maps, latents[:1], moved, lambda rows, _: warped[rows], 64),
            AudioCondition(adapters, speech),
        ],
        keep,
    )
    prompts = PromptTrack("a man with red hair", [], 25, len(maps.landmarks))
    return Denoiser(host, condition, stack.encode_prompts(prompts))


@pytest.fixture
def host(random_model):
    with random_model.host.open() as host:
        yield host


@pytest.mark.slow
@torch.no_grad()
def test_a_window_sees_its_own_frames_whatever_was_denoised_before(random_model, host, avatar_identity):
    maps, speech = parts(random_model, 9, avatar_identity)
    latents = torch.randn(4, 8, 32, 32, generator=torch.Generator().manual_seed(1))
    frames, time = torch.arange(3, 7), torch.tensor(500)
    alone = denoiser(random_model, host, avatar_identity, maps, speech).predict(latents, time, frames, BOTH)
    used = denoiser(random_model, host, avatar_identity, maps, speech, keep=2)
    for start in (0, 1, 5):
        used.predict(latents, time, torch.arange(start, start + 4), BOTH)
    assert torch.equal(used.predict(latents, time, frames, BOTH), alone)
    assert alone.shape == (8, 8, 32, 32) and not torch.allclose(alone[:4], alone[4:])


@torch.no_grad()
def test_frames_that_windows_share_are_moved_and_encoded_once(random_model, avatar_identity):
    maps, _ = parts(random_model, 6, avatar_identity)
    moved, encoded = [], []

    def move(landmarks):
        moved.append(len(landmarks))
        return landmarks.new_zeros(len(landmarks), 3, 256, 256)

    def encode(frames, pictures):
        encoded.append(frames.tolist())
        return frames[:, None, None, None].float().expand(-1, 8, 32, 32)

    adapters, latents = random_model.stack.adapters, torch.zeros(1, 8, 32, 32)
    condition = StructureCondition(adapters, maps, latents, move, encode, 64)
    for start in (0, 2, 2):
        condition.branches(None, torch.arange(start, start + 4), False, torch.device("cpu"))
    assert moved == [4, 2] and encoded == [[0, 1, 2, 3], [4, 5]]
    condition.reset()
    condition.branches(None, torch.arange(2), False, torch.device("cpu"))
    assert moved == [4, 2, 2]
    assert not condition.couples_frames and TemporalCondition(adapters).couples_frames


@torch.no_grad()
def test_an_unknown_sound_leaves_the_audio_branch_out(random_model, avatar_identity):
    """Frames are then those of stage 1, such as a look, which is drawn before anything is said."""
    adapters, (_, speech) = random_model.stack.adapters, parts(random_model, 2, avatar_identity)
    frames, device = torch.arange(2), torch.device("cpu")
    assert AudioCondition(adapters, None).branches(None, frames, False, device) == []
    assert len(AudioCondition(adapters, speech).branches(None, frames, False, device)) > 0


@torch.no_grad()
def test_a_reference_of_no_strength_is_not_even_looked_at(random_model, host, avatar_identity):
    text = random_model.stack.text.encode([""])

    def reference(scale):
        return ReferenceCondition(random_model.stack.adapters, torch.zeros(1, 8, 32, 32), text, scale)

    frames, device = torch.arange(2), torch.device("cpu")
    assert reference(0.0).branches(None, frames, True, device) == []
    assert len(reference(0.5).branches(host, frames, True, device)) > 0
    with pytest.raises(BadInput, match="`scale` must lie in"):
        reference(1.5).branches(host, frames, True, device)


@torch.no_grad()
def test_speech_beside_the_window_is_heard(random_model, host, avatar_identity):
    maps, speech = parts(random_model, 9, avatar_identity)
    latents = torch.zeros(2, 8, 32, 32)
    frames, time = torch.arange(4, 6), torch.tensor(500)
    before = denoiser(random_model, host, avatar_identity, maps, speech).predict(latents, time, frames, (Pass(),))
    louder = speech.hidden.clone()
    louder[3] += 5  # one frame before the window
    other = denoiser(random_model, host, avatar_identity, maps, SpeechFeatures(louder, speech.loudness, 25.0))
    after = other.predict(latents, time, frames, (Pass(),))
    assert not torch.allclose(before, after, atol=1e-6)
    far = speech.hidden.clone()
    far[0] += 5  # beyond what a frame hears
    unheard = denoiser(random_model, host, avatar_identity, maps, SpeechFeatures(far, speech.loudness, 25.0))
    assert torch.equal(unheard.predict(latents, time, frames, (Pass(),)), before)


@torch.no_grad()
def test_several_references_join_in(random_model, host, avatar_identity):
    maps, speech = parts(random_model, 2, avatar_identity)
    other = torch.nn.functional.normalize(torch.randn(1, 512, generator=torch.Generator().manual_seed(5)), dim=1)
    two = Identity(
        torch.cat([avatar_identity.embeddings, other]),
        avatar_identity.crops.repeat(2, 1, 1, 1),
        avatar_identity.landmarks.repeat(2, 1, 1),
    )
    latents, frames, time = torch.zeros(2, 8, 32, 32), torch.arange(2), torch.tensor(10)
    one = denoiser(random_model, host, avatar_identity, maps, speech).predict(latents, time, frames, (Pass(),))
    both = denoiser(random_model, host, two, maps, speech).predict(latents, time, frames, (Pass(),))
    assert not torch.allclose(one, both, atol=1e-6)


@pytest.mark.slow
@torch.no_grad()
def test_parts_that_stage_2_has_not_trained_cost_nothing_and_change_nothing(
    random_model, host, avatar_identity, monkeypatch
):
    maps, speech = parts(random_model, 4, avatar_identity)
    latents, frames, time = torch.randn(4, 8, 32, 32), torch.arange(4), torch.tensor(500)
    animate = random_model.stack.adapters.animate_net
    last = [
        p
        for n, p in animate.named_parameters()
        if "temporal_transformer.proj_out." in n or ("audio" in n and "to_v" in n)
    ]
    before = [p.clone() for p in last]
    trained = denoiser(random_model, host, avatar_identity, maps, speech).predict(latents, time, frames, (Pass(),))
    try:
        for parameter in last:
            parameter.zero_()
        skipped = denoiser(random_model, host, avatar_identity, maps, speech).predict(latents, time, frames, (Pass(),))
        with monkeypatch.context() as patch:
            patch.setattr("portraittalk_core.nets.adapters.has_learned", lambda net, last: True)
            run = denoiser(random_model, host, avatar_identity, maps, speech).predict(latents, time, frames, (Pass(),))
    finally:
        for parameter, value in zip(last, before, strict=True):
            parameter.copy_(value)
    torch.testing.assert_close(skipped, run, rtol=0, atol=1e-4)
    assert not torch.allclose(skipped, trained, atol=1e-3)
