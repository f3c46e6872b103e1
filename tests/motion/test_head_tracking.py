"""One head is fitted to a video: what it does is told from what it is."""

import pytest
import torch

from portraittalk_core.checkpoints.native import ASSETS, load_structure
from portraittalk_core.errors import BadInput
from portraittalk_core.motion import head_tracking
from portraittalk_core.motion.arkit import blendshapes
from portraittalk_core.motion.head_tracking import track_head
from portraittalk_core.types import COEFFICIENTS

from .faces import AT_REST, faces

FRAMES = 12


@pytest.fixture(scope="module")
def nets():
    return load_structure(ASSETS / "tiny" / "structure.safetensors")


@pytest.fixture(scope="module")
def spoken(nets):
    """A face that opens its mouth, pouts, blinks and turns, as the shaper moves it: landmarks, blendshapes, pose."""
    fitter, shaper = nets
    phase = torch.linspace(0, 2 * torch.pi, FRAMES)[:, None]
    wave = 0.5 - 0.5 * phase.cos()
    said = wave * blendshapes(jawOpen=0.5) + wave.roll(4, 0) * blendshapes(mouthPucker=0.7)
    said = said + (torch.arange(FRAMES)[:, None] == 7) * blendshapes(eyeBlink=1.0)
    with torch.no_grad():
        has, rest = fitter(faces().view(AT_REST)[:1])
        pose = rest.repeat(FRAMES, 1)
        pose[:, 0] += 0.15 * phase[:, 0].sin()
        landmarks = shaper(faces().view(AT_REST)[:1], has.clamp(0, 1), rest, said, pose)
    return landmarks, said, pose


def correlation(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(torch.corrcoef(torch.stack([a, b]))[0, 1])


def test_what_the_face_does_is_read(nets, spoken):
    landmarks, said, pose = spoken
    found = track_head(landmarks, 25.0, *nets, steps=40)
    for name in ("jawOpen", "mouthPucker", "eyeBlinkLeft"):
        column = COEFFICIENTS.index(name)
        assert correlation(found.coefficients[:, column], said[:, column]) > 0.9, name
    assert correlation(found.pose[:, 0], pose[:, 0]) > 0.98
    assert found.fps == 25.0 and float(found.coefficients.min()) >= 0 and float(found.coefficients.max()) <= 1
    assert torch.equal(found.pose.median(0).values, torch.tensor([0.0, 0.0, 0.0, 0.0, 0.0, 1.0]))


def test_a_long_video_is_read_in_stretches(nets, spoken, monkeypatch):
    landmarks = spoken[0]
    whole = track_head(landmarks, 25.0, *nets, steps=3)
    monkeypatch.setattr(head_tracking, "SOUGHT_AT_ONCE", 5)
    parts = track_head(landmarks, 25.0, *nets, steps=3)
    assert parts.frame_count == FRAMES
    assert torch.allclose(parts.coefficients, whole.coefficients, atol=1e-4)


def test_a_host_in_inference_mode_is_served(nets, spoken):
    head_tracking._constants.cache_clear()
    with torch.inference_mode():
        found = track_head(
            spoken[0][:4].clone(), 25.0, *load_structure(ASSETS / "tiny" / "structure.safetensors"), steps=2
        )
    assert found.frame_count == 4


@pytest.mark.parametrize(("landmarks", "fps"), [(torch.zeros(0, 478, 2), 25.0), (torch.zeros(3, 478, 2), 0.0)])
def test_nothing_is_refused(nets, landmarks, fps):
    with pytest.raises(BadInput, match="must not be empty or 0"):
        track_head(landmarks, fps, *nets)
