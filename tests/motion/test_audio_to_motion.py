import pytest
import torch

from portraittalk_core.checkpoints.native import ASSETS, load_motion, load_speech_encoder
from portraittalk_core.errors import BadInput, WeightsMismatch
from portraittalk_core.media.audio import read_sound, speech_waveform
from portraittalk_core.motion.arkit import SPOKEN, TO_ARKIT, blendshapes, to_arkit
from portraittalk_core.motion.audio_to_motion import (
    AudioToMotion,
    MotionDials,
    delay_rows,
    generate_motion,
    heard_mouth,
    silence_gate,
    silent_frames,
)
from portraittalk_core.types import COEFFICIENTS, MOUTH, POSE, SPEECH_RATE, Sound, SpeechFeatures

JAW, BLINK = COEFFICIENTS.index("jawOpen"), COEFFICIENTS.index("eyeBlinkLeft")
SPEECH = [COEFFICIENTS.index(name) for name in SPOKEN]


@pytest.fixture(scope="module")
def nets():
    return load_motion(ASSETS / "tiny" / "motion.safetensors")


def speech(frames=100, quiet=slice(40, 70)) -> SpeechFeatures:
    generator = torch.Generator().manual_seed(0)
    loudness = -20 + 5 * torch.randn(frames, generator=generator)
    loudness[quiet] = -95
    return SpeechFeatures(torch.randn(frames, 128, generator=generator), loudness, 25.0)


def move(nets, features, seed=0, **dials):
    return generate_motion(features, *nets, MotionDials(**dials), torch.Generator().manual_seed(seed))


def test_the_mouth_is_closed_from_the_first_frame_of_a_silence_until_it_opens_for_what_comes(nets):
    mouth = move(nets, speech(), expression=0.0).coefficients
    assert not mouth[40:65, SPEECH].any() and mouth[:36, SPEECH].any() and mouth[75:, SPEECH].any()
    silence_ends_it = move(nets, speech(quiet=slice(40, None)), expression=0.0).coefficients
    assert not silence_ends_it[40:, SPEECH].any()


def test_a_short_silence_stays_closed(nets):
    assert not move(nets, speech(quiet=slice(40, 48)), expression=0.0).coefficients[40:48, SPEECH].any()


def test_lips_that_are_shut_for_the_first_sound_do_not_part_before_it(nets):
    features = speech()
    a2m = AudioToMotion()
    shut = torch.zeros(100, len(MOUTH))
    a2m.hear = lambda _: (shut, None)
    jaw = heard_mouth(features, a2m)[65:70, MOUTH.index("jawOpen")]
    assert (jaw.diff() > 0).all() and jaw[0] > 0 and 0.1 < jaw[-1] <= 0.15
    shut[:, MOUTH.index("mouthRollUpper")] = 0.25
    assert not heard_mouth(features, a2m)[60:70, MOUTH.index("jawOpen")].any()


def test_a_short_gap_between_words_is_no_silence():
    loudness = torch.full((60,), -20.0)
    loudness[20:22] = -95
    loudness[40:50] = -95
    silent = silent_frames(loudness, 25)
    assert silent.nonzero().flatten().tolist() == list(range(40, 50))
    gate = silence_gate(loudness, 25)
    assert not gate[40:50].any() and gate[20] == 1 and 0 < gate[39] < 1 and gate[30] == gate[50] == 1


def test_pure_silence_keeps_the_mouth_closed_and_the_face_alive(nets):
    features = SpeechFeatures(torch.randn(250, 128), torch.full((250,), -100.0), 25.0)
    motion = move(nets, features)
    assert not motion.coefficients[:, JAW].any()
    assert motion.coefficients[:, BLINK].max() > 0.7 and motion.pose[:, 0].std() > 0.005


@pytest.fixture(scope="module")
def lips(nets):
    """The mouth of a recording: sound -> blendshapes of speech."""
    encoder = load_speech_encoder(ASSETS / "tiny" / "speech.safetensors")

    def moved(samples):
        sound = Sound(samples[None], SPEECH_RATE)
        features = encoder.encode(speech_waveform(sound), 25.0, sound.frame_count(25))
        return move(nets, features, expression=0.0).coefficients[:, SPEECH]

    return moved


@pytest.fixture(scope="module")
def spoken():
    return read_sound(ASSETS / "speech.wav").samples[0, : 2 * SPEECH_RATE]


@pytest.mark.parametrize("decibels", [-10, -30, -50, -70])
def test_lips_are_the_same_at_any_level(lips, spoken, decibels):
    loud, quiet = lips(spoken), lips(spoken * 10 ** (decibels / 20))
    assert loud.max() > 0.3
    torch.testing.assert_close(quiet, loud, atol=1e-4, rtol=0)


def test_lips_are_the_same_in_the_sixteen_bits_of_a_quiet_file(lips, spoken):
    quiet = (spoken * 10 ** (-50 / 20) * 32768).round() / 32768
    torch.testing.assert_close(lips(quiet), lips(spoken), atol=0.05, rtol=0)


def test_an_offset_moves_no_lips_and_changes_no_speech(lips, spoken):
    silence, step = torch.full((32000,), 0.3), torch.zeros(32000)
    step[16000:] = 0.3
    assert not lips(silence).any() and not lips(step).any() and not lips(torch.zeros(32000)).any()
    torch.testing.assert_close(lips(spoken + 0.3), lips(spoken), atol=1e-4, rtol=0)


def test_a_quiet_room_and_a_click_move_no_lips(lips):
    room = 10 ** (-70 / 20) * torch.randn(32000, generator=torch.Generator().manual_seed(0))
    assert not lips(room).any()
    click = torch.zeros(32000)
    click[16000:17000] = 0.5 * torch.randn(1000, generator=torch.Generator().manual_seed(1))
    assert not lips(click).any()


def test_one_word_in_a_long_silence_is_spoken(lips, spoken):
    alone = torch.zeros(10 * SPEECH_RATE)
    alone[48000:54400] = spoken[8000:14400]
    mouth = lips(alone).amax(1)
    assert mouth[75:86].max() > 0.1 and not mouth[:68].any() and not mouth[95:].any()


def test_the_seed_decides_head_and_blinks_but_not_the_mouth(nets):
    one, same, other = (move(nets, speech(), seed) for seed in (1, 1, 2))
    assert torch.equal(one.pose, same.pose) and torch.equal(one.coefficients, same.coefficients)
    assert torch.equal(one.coefficients[:, JAW], other.coefficients[:, JAW])
    assert (one.pose[:, 0] - other.pose[:, 0]).abs().max() > 0.01


@pytest.mark.slow
def test_people_blink_as_often_as_people_do(nets):
    features = SpeechFeatures(torch.zeros(3000, 128), -20 + 8 * torch.sin(torch.arange(3000) / 3.0), 25.0)
    lid = move(nets, features).coefficients[:, BLINK] > 0.5
    blinks = int((lid[1:] & ~lid[:-1]).sum())
    assert 14 <= blinks <= 60  # in two minutes
    lengths = (~lid).nonzero().flatten().diff()
    assert lengths.max() <= 15  # no eye stays shut for more than 0.6 s


def test_heads_turn_as_those_of_people_who_speak_to_a_camera_do(nets):
    tracks = torch.stack([move(nets, speech(250, slice(0, 0)), seed).pose[:, POSE.index("yaw")] for seed in range(6)])
    degrees = torch.rad2deg(tracks)
    assert 0.8 < degrees.std(1).mean() < 2.8 and degrees.abs().max() < 7


def test_dials_scale_what_they_name(nets):
    plain = move(nets, speech())
    wide = move(nets, speech(), lip=0.5, head=2.0, blink=0.0)
    torch.testing.assert_close(wide.coefficients[:, JAW], 0.5 * plain.coefficients[:, JAW])
    torch.testing.assert_close(wide.pose[:, :5], 2 * plain.pose[:, :5])
    assert not wide.coefficients[:, BLINK].any()
    still = move(nets, speech(), still_head=True)
    assert not still.pose[:, : POSE.index("scale")].any() and (still.pose[:, POSE.index("scale")] == 1).all()


def test_an_expression_is_worn_throughout_and_unknown_ones_are_named(nets):
    features, generator = speech(), torch.Generator().manual_seed(0)
    plain = generate_motion(features, *nets, MotionDials(), torch.Generator().manual_seed(0))
    smiling = generate_motion(features, *nets, MotionDials(), generator, {"mouthSmile": 0.5})
    for side in ("Left", "Right"):
        assert (smiling.coefficients - plain.coefficients)[:, COEFFICIENTS.index(f"mouthSmile{side}")].min() > 0.3
    with pytest.raises(BadInput, match="but got 'grin'"):
        generate_motion(features, *nets, MotionDials(), generator, {"grin": 1.0})


def test_coefficients_stay_in_their_ranges(nets):
    motion = move(nets, speech(400), lip=4.0, head=4.0, blink=4.0, expression=4.0)
    assert motion.coefficients.shape == (400, 52)
    assert motion.coefficients.min() >= 0 and motion.coefficients.max() <= 1


@pytest.mark.parametrize(
    ("word", "value", "said"),
    [
        ("jawOpen", 0.5, {"jawOpen": 0.5}),
        ("mouthPress", 0.5, {"mouthPressLeft": 0.5, "mouthPressRight": 0.5}),
        ("blink", 1.0, {"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0}),
        ("gaze_x", 0.5, {"eyeLookOutLeft": 0.5, "eyeLookInRight": 0.5}),
        ("gaze_y", -0.5, {"eyeLookUpLeft": 0.5, "eyeLookUpRight": 0.5}),
        ("brow_raise", -0.5, {"browDownLeft": 0.3, "browDownRight": 0.3}),
        ("mouthPucker", 2.0, {"mouthPucker": 1.0}),
    ],
)
def test_each_word_means_what_the_table_says(word, value, said):
    row = to_arkit({word: torch.tensor([value])})[0].tolist()
    assert {name: number for name, number in zip(COEFFICIENTS, row) if number} == pytest.approx(said)


def test_words_add_up_and_unknown_ones_are_named():
    both = to_arkit({"mouthDimple": torch.tensor([0.4]), "smile": torch.tensor([0.5])})
    expected = blendshapes(mouthDimple=0.4) + 0.5 * blendshapes(**TO_ARKIT["smile"])
    torch.testing.assert_close(both[0], expected)
    with pytest.raises(BadInput, match="knows smile, .* and ARKit's blendshapes, but got grin"):
        to_arkit({"grin": torch.zeros(3)})


def test_the_mouth_of_speech_is_no_mood():
    assert {"jawOpen", "mouthPucker", "mouthClose", "tongueOut"} <= set(SPOKEN)
    assert all(name in SPOKEN or f"{name}Left" in SPOKEN for name in MOUTH)
    assert not {"mouthSmileLeft", "mouthFrownRight", "browInnerUp", "eyeBlinkLeft"} & set(SPOKEN)


def test_what_is_heard_has_names_of_its_own(nets):
    assert nets[0].columns == MOUTH
    jaw = AudioToMotion(columns=("jawOpen",))
    motion = generate_motion(speech(), jaw, nets[1], MotionDials(expression=0), torch.Generator().manual_seed(0))
    assert [n for n, c in zip(COEFFICIENTS, motion.coefficients.T) if n in SPOKEN and c.any()] == ["jawOpen"]


def test_a_stronger_mouth_opens_further_and_is_not_pressed_more(nets):
    plain, strong = (move(nets, speech(), lip=lip, expression=0.0).coefficients for lip in (1.0, 2.0))
    for name, factor in (("jawOpen", 2.0), ("mouthPressLeft", 1.0), ("mouthRollLower", 1.0)):
        column = COEFFICIENTS.index(name)
        torch.testing.assert_close(strong[:, column], (factor * plain[:, column]).clamp(max=1))


def test_wrong_dials_and_files_are_one_line():
    with pytest.raises(BadInput, match="`lip` must lie between 0 and 4, but got 5"):
        MotionDials(lip=5)
    with pytest.raises(WeightsMismatch, match="must be a motion file, but its configuration .*'audio_to_motion'"):
        load_motion(ASSETS / "tiny" / "structure.safetensors")


@pytest.mark.parametrize(
    ("frames", "expected"),
    [(0, [0, 1, 2, 3]), (1, [0, 0, 1, 2]), (0.5, [0, 0.5, 1.5, 2.5]), (1.25, [0, 0, 0.75, 1.75]), (9, [0, 0, 0, 0])],
)
def test_a_delayed_track_begins_with_its_first_row(frames, expected):
    assert delay_rows(torch.arange(4.0)[:, None], frames)[:, 0].tolist() == expected
