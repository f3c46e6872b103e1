"""Every file of the shared media folder ends in a right result or in one clear line."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
import torch

from portraittalk_core.errors import BadMedia
from portraittalk_core.media.audio import read_sound, speech_waveform
from portraittalk_core.media.image import LONGEST_SIDE, read_image, to_bytes
from portraittalk_core.media.video import VideoWriter, probe, read_video

from .real_files import MEDIA

pytestmark = pytest.mark.skipif(
    not (MEDIA / "MANIFEST.json").exists(),
    reason=f"NOT TESTED on real media: there is no {MEDIA}; put the shared media folder beside the checkout",
)

BROKEN = {
    "x01_truncated.png": "damaged .*truncated",
    "x02_zero_byte.wav": "zero bytes",
    "x03_header_no_samples.wav": "no samples",
    "x04_text_named.png": "no known kind",
    "x05_1x1.png": "at least 32 x 32",
    "x06_no_audio.mp4": "must have a sound track",
    "x07_nan_float.wav": None,  # usable: its bad samples become silence
}

DURATIONS_S = {  # where they follow from what the manifest says
    "s01_en_male_stereo44k.wav": 11.0,
    "s07_en_male_mulaw8k.wav": 45047 / 8000,
    "s10_pure_silence_4s.wav": 4.0,
    "s11_truncated.wav": 3.1,
}


def listed(folder: str) -> list[str]:
    if not (MEDIA / "MANIFEST.json").exists():
        return []
    files = json.loads((MEDIA / "MANIFEST.json").read_text())["files"]
    return sorted(entry["file"] for entry in files if entry["file"].startswith(folder + "/"))


def entry(name: str) -> dict:
    return next(e for e in json.loads((MEDIA / "MANIFEST.json").read_text())["files"] if e["file"] == name)


@pytest.mark.parametrize("name", listed("broken"))
def test_broken(name, caplog):
    path = MEDIA / name
    rule = BROKEN[path.name]
    reader = read_image if path.suffix == ".png" else read_sound
    if rule is None:
        sound = reader(path)
        assert sound.samples.isfinite().all() and sound.duration_s == 3.0
        assert "402 of 48000 samples" in caplog.text
        return
    with pytest.raises(BadMedia, match=rule) as caught:
        reader(path)
    assert "\n" not in str(caught.value) and path.name in str(caught.value)


@pytest.mark.parametrize("name", listed("portraits"))
def test_portraits(name):
    pixels = read_image(MEDIA / name)
    assert pixels.dtype == torch.float32 and pixels.isfinite().all()
    assert pixels.min() >= -1 and pixels.max() <= 1 and pixels.std() > 0.1
    width, height = entry(name)["size"]
    if "exif6" in name:
        width, height = height, width
    scale = min(1.0, LONGEST_SIDE / max(width, height))
    assert pixels.shape == (3, round(height * scale), round(width * scale))


def test_alpha_ground_is_grey():
    assert to_bytes(read_image(MEDIA / "portraits/p10_woman_alpha.png"))[:, 0, 0].tolist() == [128] * 3


@pytest.mark.parametrize("name", listed("speech"))
def test_speech(name, caplog):
    with caplog.at_level(logging.WARNING):
        sound = read_sound(MEDIA / name)
    file = Path(name).name
    if file in DURATIONS_S:
        assert sound.duration_s == pytest.approx(DURATIONS_S[file], abs=0.001)
    assert len(sound.samples) == (2 if "stereo" in name else 1)
    assert ("silent" in caplog.text) == ("pure_silence" in name)
    assert ("cut short" in caplog.text) == ("truncated" in name)
    wave = speech_waveform(sound)
    assert wave.ndim == 1 and wave.isfinite().all() and wave.abs().max() <= 1
    assert len(wave) / 16000 == pytest.approx(sound.duration_s, abs=0.001)
    if "lead_silence" in name:
        assert wave[:31900].abs().max() < 1e-3 < wave[33000:].abs().max()


@pytest.mark.slow
@pytest.mark.parametrize("name", listed("speech"))
def test_speech_becomes_the_sound_of_a_video(name, tmp_path):
    sound = read_sound(MEDIA / name)
    with VideoWriter(tmp_path / "a.mp4", 25, (16, 16), sound) as writer:
        writer.append(torch.zeros(sound.frame_count(25), 3, 16, 16))
    info = probe(tmp_path / "a.mp4")
    assert info.frames == round(sound.duration_s * 25)
    assert info.sample_rate == sound.sample_rate and info.channels == len(sound.samples)
    heard = read_sound(tmp_path / "a.mp4")
    assert heard.duration_s == pytest.approx(sound.duration_s, abs=0.025)
    assert heard.duration_s >= sound.duration_s - 0.0011


@pytest.mark.parametrize("name", listed("clips") + listed("sync_controls"))
def test_clips(name):
    parts, fps, sound = read_video(MEDIA / name, chunk=8)
    pixels = torch.cat([part.pixels[:, :, ::4, ::4] for part in parts])
    assert fps == 25 and len(pixels) == probe(MEDIA / name).frames
    assert sound is not None and sound.duration_s == pytest.approx(len(pixels) / fps, abs=0.05)
    assert pixels.std() > 0.1
