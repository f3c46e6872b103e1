"""Phonemes move a mouth: what each looks like, and that m, b and p shut real lips."""

import pytest
import torch

from portraittalk_core.checkpoints.native import ASSETS, load_structure
from portraittalk_core.media.image import read_image
from portraittalk_core.motion.arkit import to_arkit
from portraittalk_core.motion.structure import structure_maps
from portraittalk_core.perception.face import FaceAnalyser
from portraittalk_core.perception.identity import identify
from portraittalk_core.topology import EYE_CORNERS, MEETING_LIPS
from portraittalk_core.types import MOUTH, FaceMotion
from portraittalk_core.voices.mouth_shapes import Phoneme, mouth_track

FPS = 25.0


def said(*symbols: str, each_s: float = 0.16) -> list[Phoneme]:
    """Return phonemes of one length, one after the other, between two pauses."""
    spoken = ["", "", *symbols, "", ""]
    return [Phoneme(symbol, k * each_s, (k + 1) * each_s) for k, symbol in enumerate(spoken)]


def middle(*symbols: str) -> dict[str, float]:
    """Return the mouth in the middle of the second of three sounds."""
    phonemes = said(*symbols)
    track = mouth_track(phonemes, 200.0, phonemes[-1].end_s)
    return dict(zip(MOUTH, track[round(200 * 3.5 * 0.16)].tolist()))


@pytest.mark.parametrize("lips", "mbp")
@pytest.mark.parametrize("vowel", "aiu")
def test_m_b_and_p_close_over_any_vowel(lips, vowel):
    mouth = middle(vowel, lips, vowel)
    assert mouth["jawOpen"] < 0.07 and mouth["mouthClose"] == pytest.approx(mouth["jawOpen"], abs=0.01)
    assert mouth["mouthPress"] > 0.2 and mouth["mouthLowerDown"] < 0.02 and mouth["mouthUpperUp"] < 0.02


@pytest.mark.parametrize("soft", ["pʲ", "bʲ", "mʲ", "mʲʲ"])
def test_soft_m_b_and_p_close_too(soft):
    assert middle("a", soft, "a")["mouthClose"] == pytest.approx(middle("a", soft[0], "a")["mouthClose"], abs=0.01)


def test_what_is_palatal_alone_has_a_mouth_of_its_own():
    assert middle("a", "ʲ", "a") == middle("a", "j", "a") != middle("a", "x", "a")


def test_lips_stay_round_while_they_are_shut():
    assert middle("u", "b", "u")["mouthPucker"] > 0.5 > 0.1 > middle("i", "b", "i")["mouthPucker"]


@pytest.mark.parametrize(
    ("sound", "name", "least", "other"),
    [
        ("f", "mouthRollLower", 0.7, "θ"),
        ("v", "mouthUpperUp", 0.5, "b"),
        ("w", "mouthPucker", 0.7, "s"),
        ("ʃ", "mouthFunnel", 0.1, "s"),
        ("ʃ", "mouthPucker", 0.3, "l"),
        ("θ", "mouthLowerDown", 0.15, "f"),
    ],
)
def test_each_viseme_has_a_look_of_its_own(sound, name, least, other):
    assert middle("ə", sound, "ə")[name] > least > middle("ə", other, "ə")[name] + 0.03


def test_vowels_differ_in_jaw_and_lips():
    a, i, u = (middle("t", vowel, "t") for vowel in "aiu")
    assert a["jawOpen"] > 0.4 > 0.3 > max(i["jawOpen"], u["jawOpen"])
    assert u["mouthPucker"] > 0.6 and i["mouthStretch"] > 0.3 and u["mouthStretch"] < 0.1


def test_a_pause_is_a_mouth_at_rest():
    phonemes = [Phoneme("a", 0, 0.3), Phoneme("", 0.3, 0.9), Phoneme("a", 0.9, 1.2)]
    track = mouth_track(phonemes, FPS, 1.2)
    assert track.shape == (30, len(MOUTH)) and not track[11:19].any() and track[4].max() > 0.4


@pytest.fixture(scope="module")
def face():
    """A real person who smiles with teeth, and what moves her points."""
    picture = read_image(ASSETS.parents[1] / "workflows" / "inputs" / "astronaut.jpg")
    return identify([picture], FaceAnalyser(ASSETS / "tiny" / "faces"), size=256)


def test_closures_close_the_lips_of_a_real_portrait(face):
    phonemes = said("a", "m", "a", "b", "o", "p", "i")
    track = mouth_track(phonemes, 50.0, phonemes[-1].end_s)
    pose = torch.zeros(len(track), 6)
    pose[:, 5] = 1
    motion = FaceMotion(to_arkit(dict(zip(MOUTH, track.unbind(1)))), pose, 50.0)
    points = structure_maps(motion, face, *load_structure(ASSETS / "tiny" / "structure.safetensors")).landmarks
    upper, lower = ([pair[k] for pair in MEETING_LIPS] for k in (0, 1))
    eyes = (points[:, EYE_CORNERS[3]] - points[:, EYE_CORNERS[0]]).norm(dim=1)
    gap = (points[:, lower, 1] - points[:, upper, 1]).amax(1) / eyes
    at = [round(50 * (k + 2.5) * 0.16) for k in range(7)]
    assert gap[[at[k] for k in (1, 3, 5)]].max() < 0.012
    assert gap[[at[k] for k in (0, 2, 4)]].min() > 0.08
