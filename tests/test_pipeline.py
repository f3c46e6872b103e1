import math
from dataclasses import replace

import pytest
import torch

from portraittalk_core import pipeline
from portraittalk_core.checkpoints import native as weights
from portraittalk_core.errors import BadInput, NoFaceFound
from portraittalk_core.media.audio import read_sound
from portraittalk_core.motion.audio_to_motion import MotionDials
from portraittalk_core.pipeline import PortraitTalk
from portraittalk_core.stacks.options import SamplingOptions
from portraittalk_core.stacks.prompts import PromptTrack
from portraittalk_core.stacks.tiny import TinyStack
from portraittalk_core.types import COEFFICIENTS, SPEECH_RATE, FaceMotion, Sound

ONE_STEP = SamplingOptions(steps=1)


def hum(seconds: float, rate: int = SPEECH_RATE) -> Sound:
    time_s = torch.arange(int(seconds * rate)) / rate
    return Sound((0.3 * torch.sin(2 * math.pi * 180 * time_s) * torch.sin(2 * math.pi * 3 * time_s))[None], rate)


def frames_of(model, portrait, sound, sampling=None, **arguments):
    options = SamplingOptions(steps=1, **(sampling or {}))
    return torch.cat([f.pixels for f in model.generate([portrait[0]], sound, "a man", options=options, **arguments)])


@pytest.fixture
def one_after_the_other(monkeypatch):
    monkeypatch.setattr(pipeline, "ahead", lambda items: items)


def test_a_video_has_a_frame_for_every_moment_of_the_sound(random_model, portrait):
    sound = hum(0.2, 8000)
    seen = []
    frames = frames_of(random_model, portrait, sound, fps=30, on_step=lambda done, total: seen.append((done, total)))
    assert frames.shape == (6, 3, 256, 256) and frames.min() >= -1 and frames.max() <= 1
    assert seen == [(1, 1)]


@pytest.fixture(scope="module")
def spoken(random_model, portrait):
    """Two frames without a prompt, as they come."""
    return list(random_model.generate([portrait[0]], hum(0.08), options=ONE_STEP, seed=1))


def test_a_prompt_may_be_left_out_and_the_seed_decides_and_nothing_else(random_model, portrait, spoken):
    first = torch.cat([frames.pixels for frames in spoken])
    same, other = (
        torch.cat([f.pixels for f in random_model.generate([portrait[0]], hum(0.08), "", seed=s, options=ONE_STEP)])
        for s in (1, 2)
    )
    assert len(first) == 2 and torch.equal(first, same) and not torch.allclose(first, other)


@pytest.mark.slow
def test_streaming_one_window_equals_joint(random_model, portrait):
    joint, stream = (frames_of(random_model, portrait, hum(0.4), {"fusion": f}) for f in ("joint", "streaming"))
    torch.testing.assert_close(joint, stream, rtol=0, atol=1e-5)


@pytest.mark.slow
@pytest.mark.usefixtures("one_after_the_other")
def test_streaming_hands_out_frames_before_the_last_window_is_begun(random_model, portrait):
    steps = []
    chunks = random_model.generate(
        [portrait[0]],
        hum(1.0),
        "",
        options=SamplingOptions(steps=1, window=8, overlap=2, fusion="streaming"),
        on_step=lambda d, t: steps.append(d),
    )
    first = next(chunks)
    assert len(first.pixels) == 6 and steps == [1]
    assert not first.pixels.is_inference()  # or the caller could not change it in place
    assert 6 + sum(len(c.pixels) for c in chunks) == 25


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
def test_frames_that_are_made_ahead_are_the_same(random_model, portrait, monkeypatch):
    options = {"window": 4, "overlap": 2, "fusion": "streaming"}
    made = frames_of(random_model, portrait, hum(0.4), options)
    monkeypatch.setattr(pipeline, "ahead", lambda items: items)
    assert torch.equal(frames_of(random_model, portrait, hum(0.4), options), made)


@pytest.mark.usefixtures("two_threads")
def test_videos_of_one_model_that_are_made_in_turn_are_the_same(random_model, portrait):
    """Each is denoised ahead in a thread of its own, by one U-Net; the motions of both are kept in one place."""
    options = SamplingOptions(steps=1, window=4, overlap=2, fusion="streaming")
    people = [[portrait[0]], [portrait[0].flip(2)]]

    def video(person):
        return (frames.pixels for frames in random_model.generate(person, hum(0.24), "a man", options=options))

    alone = [torch.cat(list(video(person))) for person in people]
    in_turn = [torch.cat(parts) for parts in zip(*zip(*map(video, people), strict=True), strict=True)]
    for made, expected in zip(in_turn, alone, strict=True):  # the motion of other numbers of frames rounds otherwise
        torch.testing.assert_close(made, expected, rtol=0, atol=1e-4)
    assert (in_turn[0] - in_turn[1]).abs().mean() > 0.1


@pytest.mark.parametrize("ahead", [False, True])
def test_an_interrupt_passes_through_and_leaves_the_unet_bare(random_model, portrait, request, ahead):
    if ahead:
        request.getfixturevalue("two_threads")
    args = (torch.randn(1, 8, 32, 32), torch.tensor(5), torch.randn(1, 77, 128))
    with torch.no_grad(), random_model.host.open() as host:
        before = host.unet(*args).sample

    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        frames_of(random_model, portrait, hum(0.08), on_step=stop)
    with torch.no_grad(), random_model.host.open() as host:
        assert torch.equal(host.unet(*args).sample, before)


def test_prompts_ask_the_face_for_an_expression(random_model):
    stack = random_model.stack
    features = stack.listen(hum(2.0))
    smile = COEFFICIENTS.index("mouthSmileLeft")
    plain = stack.move(features, seed=3)
    track = PromptTrack("a person", [(1.0, "a smiling person")], 25, 50)
    asked = stack.move(features, seed=3, expression=stack.expression(track))
    rise = (asked.coefficients - plain.coefficients)[:, smile]
    assert rise[:24].abs().max() < 0.15 and rise[35:].min() > 0.3
    still = stack.move(features, dials=MotionDials(still_head=True))
    assert not still.pose[:, :5].any()


@pytest.mark.slow
def test_a_given_motion_takes_the_place_of_the_sounds(random_model, portrait):
    sound, seen = hum(0.2), []
    stack = random_model.stack
    given = stack.move(stack.listen(sound), seed=9)
    given.coefficients[:, COEFFICIENTS.index("jawOpen")] = 0.8
    frames_of(random_model, portrait, sound, motion=given, on_structure=seen.append)
    wanted = stack.structure(given, stack.identify([portrait[0]]))
    assert torch.equal(seen[0].landmarks, wanted.landmarks)
    with pytest.raises(BadInput, match="`motion` must have the 10 frames at 25 fps"):
        random_model.generate([portrait[0]], hum(0.4), "", motion=given)


def test_wrong_arguments_are_one_line(random_model, portrait):
    with pytest.raises(BadInput, match="`window` must be at most 32"):
        frames_of(random_model, portrait, hum(0.2), {"window": 40})
    # Before anything slow: not even the pictures are looked at.
    for options, rule in (
        ({"window": 40}, "`window` must be at most 32"),
        ({"steps": 0}, "`steps` must lie between"),
        ({"steps": 51, "sampler": "lcm"}, "`steps` must lie between 1 and 50 for lcm"),
        ({"sampler": "euler"}, "`sampler` must be one of ddim, dpm"),
        ({"reuse": 0}, "`reuse` must be at least 1 step"),
    ):
        with pytest.raises(BadInput, match=rule):
            random_model.generate([], hum(0.2), "", options=SamplingOptions(**options))
    with pytest.raises(NoFaceFound, match="no face was found"):
        frames_of(random_model, (torch.zeros(3, 256, 256), None), hum(0.2))


def test_pictures_that_only_pass_through_the_vae_go_a_few_at_a_time(random_model, monkeypatch):
    pixels = torch.rand(10, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    encoded, codec = [], type(random_model.stack.codec)
    encode = codec.encode

    def noting(self, rows):
        encoded.append(len(rows))
        return encode(self, rows)

    monkeypatch.setattr(codec, "encode", noting)
    found = list(random_model.reconstruct(pixels, 30.0))
    assert encoded == [8, 2] and {part.fps for part in found} == {30.0}
    with torch.no_grad():
        vae = random_model.stack.codec.vae
        wanted = torch.cat([vae.decode(vae.encode(rows).latents).sample.clamp(-1, 1) for rows in pixels.split(8)])
    assert torch.equal(torch.cat([part.pixels for part in found]), wanted)


def test_the_shipped_recording_and_portrait_are_good_input(random_model):
    from portraittalk_core.media.image import read_image

    sound = read_sound(weights.ASSETS / "speech.wav")
    assert sound.frame_count(25) == 100 and sound.sample_rate == SPEECH_RATE
    identity = random_model.stack.identify([read_image(weights.ASSETS / "portrait.png")])
    assert identity.crops.shape == (1, 3, 256, 256) and identity.embeddings.norm() == pytest.approx(1, abs=1e-4)


@pytest.mark.slow
def test_a_motion_may_be_made_of_the_sounds(random_model, portrait):
    seen: list = []

    def still(spoken):
        seen.append(spoken)
        return FaceMotion(torch.zeros_like(spoken.coefficients), spoken.pose, spoken.fps)

    frames_of(random_model, portrait, hum(0.2), motion=still, on_motion=seen.append, on_identity=seen.append)
    identity, spoken, moved = seen
    assert identity.places[0].whole
    assert torch.equal(moved.pose, spoken.pose) and not moved.coefficients.any()


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("a man as a vampire", 'not know "vampire" and'),
        ("a man with dark skin", "colour of skin is left as it is"),
        ("a man with bushy eyebrows", "Eyebrows are left as they are"),
        ("a man with a green tie", "Ties are left as they are"),
        ("a man", None),
    ],
)
def test_what_no_word_of_a_prompt_can_do_is_said_before_the_first_frame(random_model, portrait, caplog, prompt, said):
    """Also where no prompt asks for another look, and nothing is denoised."""
    random_model.generate([portrait[0]], hum(0.08), prompt)
    assert said in caplog.text if said else not caplog.text


def test_frames_name_their_model(random_model, spoken):
    assert spoken[0].model == random_model.stack.config.name == "tiny"


@pytest.mark.usefixtures("one_after_the_other")
def test_frames_that_do_not_see_one_another_come_as_soon_as_they_are_made(random_model, portrait, monkeypatch):
    monkeypatch.setattr(type(random_model.stack.adapters), "temporal_branches", lambda self: [])
    steps = []
    chunks = random_model.generate(
        [portrait[0]],
        hum(0.24),
        "a man",
        options=SamplingOptions(steps=1, window=4, overlap=2),
        on_step=lambda done, total: steps.append((done, total)),
    )
    assert len(next(chunks).pixels) == 2 and steps == [(1, 2)], "unasked, for nothing is lost"
    assert sum(len(chunk.pixels) for chunk in chunks) == 4


@pytest.mark.slow
def test_what_no_prompt_changes_is_denoised_smaller(random_model, portrait, monkeypatch):
    """The video is as large as before; what a prompt makes of the photograph is denoised at its full size, once."""
    sides = []
    stack = random_model.stack
    smaller = replace(stack.config.sampling, plain_size=stack.config.size // 2, steps=1)
    model = PortraitTalk(replace(stack, config=replace(stack.config, sampling=smaller)), random_model.host)
    decode = TinyStack.decode
    monkeypatch.setattr(TinyStack, "decode", lambda s, video: sides.append(video.latents.shape[-1]) or decode(s, video))
    for prompt in ("a man", "a man with glasses"):
        video = model.generate([portrait[0]], hum(0.2), prompt)
        assert torch.cat([frames.pixels for frames in video]).shape == (5, 3, 256, 256)
    assert sides == [16, 32, 32, 16]


def test_a_stack_at_another_size_draws_lines_as_wide_in_pixels(random_model):
    stack = random_model.stack
    half = stack.at(stack.config.size // 2)
    assert half.config.contour_size == stack.config.contour_size // 2 and half.line_width == 2 * stack.line_width
    assert stack.at(stack.config.size) is stack and half.at(stack.config.size) == stack
