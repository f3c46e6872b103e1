"""Recordings: any rate, any number of channels, damaged or not."""

from __future__ import annotations

import logging
import math
import tracemalloc
from fractions import Fraction

import av
import numpy as np
import pytest
import soundfile
import torch

from portraittalk_core.errors import BadMedia
from portraittalk_core.media import audio, sound_file
from portraittalk_core.media.audio import read_sound, speech_waveform
from portraittalk_core.types import Sound


def tone(rate: int, channels: int = 1, duration_s: float = 1.0, hertz: float = 220.0) -> np.ndarray:
    time = np.arange(round(rate * duration_s)) / rate
    return np.stack([0.5 * np.sin(2 * math.pi * hertz * time + c) for c in range(channels)], 1).astype(np.float32)


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (11000, 1), (16000, 1), (22050, 2), (44100, 2), (96000, 6)])
def test_any_rate_and_channels(tmp_path, rate, channels):
    soundfile.write(tmp_path / "a.wav", tone(rate, channels), rate)
    sound = read_sound(tmp_path / "a.wav")
    assert sound.samples.shape == (channels, rate) and sound.sample_rate == rate
    assert torch.allclose(sound.samples.T, torch.from_numpy(tone(rate, channels)), atol=1e-4)
    wave = speech_waveform(Sound(sound.samples[:1], rate))
    assert wave.dtype == torch.float32 and len(wave) == 16000
    middle = slice(2000, 14000)  # the filter rings at the ends
    assert torch.allclose(wave[middle], torch.from_numpy(tone(16000)[middle, 0]), atol=0.01)


@pytest.mark.parametrize(
    ("name", "subtype"), [("a.wav", "ULAW"), ("a.wav", "PCM_24"), ("a.flac", None), ("a.ogg", None), ("a.mp3", None)]
)
def test_codecs(tmp_path, name, subtype):
    soundfile.write(tmp_path / name, tone(16000), 16000, subtype=subtype)
    sound = read_sound(tmp_path / name)
    assert sound.duration_s == pytest.approx(1.0, abs=0.001)
    assert sound.samples[0, 2000:14000].std() == pytest.approx(0.5 / math.sqrt(2), rel=0.03)
    assert sound.path is not None


def test_opposite_channels_do_not_cancel():
    wave = torch.from_numpy(tone(16000)[:, 0])
    heard = speech_waveform(Sound(torch.stack([wave, -wave]), 16000))
    assert torch.allclose(heard[2000:14000], wave[2000:14000], atol=1e-3)


def test_an_offset_is_no_sound(tmp_path, caplog):
    soundfile.write(tmp_path / "a.wav", np.full(48000, 0.3), 48000)
    silence = read_sound(tmp_path / "a.wav")
    assert "is silent" in caplog.text and not speech_waveform(silence).any()
    wave = torch.from_numpy(tone(16000).T)
    plain, shifted = speech_waveform(Sound(wave, 16000)), speech_waveform(Sound(wave + 0.3, 16000))
    assert torch.allclose(plain, shifted, atol=1e-5)


def test_a_long_recording_is_filtered_in_pieces_that_join(monkeypatch):
    noise = torch.randn(1, 60_000, generator=torch.Generator().manual_seed(0)) / 10
    whole = speech_waveform(Sound(noise, 16000))
    monkeypatch.setattr(audio, "_PIECE", 16_001)
    assert torch.allclose(speech_waveform(Sound(noise, 16000)), whole, atol=1e-6)


def test_a_long_recording_is_in_memory_once(tmp_path, monkeypatch):
    monkeypatch.setattr("portraittalk_core.media.sound_file._PIECE_VALUES", 1 << 16)
    monkeypatch.setattr("portraittalk_core.media.audio._PIECE", 1 << 15)
    noise = np.random.default_rng(0).uniform(-1, 1, (480_001, 2)).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", noise, 48_000, subtype="FLOAT")
    read_sound(tmp_path / "a.wav")  # what is imported counts not
    tracemalloc.start()
    found = read_sound(tmp_path / "a.wav").samples
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.array_equal(found.numpy(), noise.T)
    assert peak < 2.3 * noise.nbytes  # pieces and what they are joined to, which takes their room bit by bit


@pytest.mark.parametrize("samples", [1, 2, 10])
def test_a_snippet_of_a_host_is_no_error(samples):
    assert len(speech_waveform(Sound(torch.rand(1, samples), 16000))) == samples


def test_not_numbers_become_silence(tmp_path, caplog):
    samples = tone(16000)[:, 0]
    samples[100:300] = np.nan
    samples[5000], samples[6000] = np.inf, -np.inf
    soundfile.write(tmp_path / "a.wav", samples, 16000, subtype="FLOAT")
    sound = read_sound(tmp_path / "a.wav")
    assert "202 of 16000 samples" in caplog.text
    assert sound.samples.isfinite().all() and (sound.samples[0, 100:300] == 0).all()
    assert torch.allclose(sound.samples[0, 300:5000], torch.from_numpy(samples[300:5000]))
    assert sound.path is None


def test_mostly_not_numbers_is_refused(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.full(16000, np.nan, np.float32), 16000, subtype="FLOAT")
    with pytest.raises(BadMedia, match="not numbers"):
        read_sound(tmp_path / "a.wav")


def test_levels_beyond_full_scale_are_scaled_down(tmp_path, caplog):
    soundfile.write(tmp_path / "a.wav", tone(16000) * 32768, 16000, subtype="FLOAT")
    assert read_sound(tmp_path / "a.wav").samples.abs().max() == pytest.approx(1)
    assert "scaled down" in caplog.text


def test_silence_is_accepted_with_a_warning(tmp_path, caplog):
    soundfile.write(tmp_path / "a.wav", np.zeros(16000), 16000)
    sound = read_sound(tmp_path / "a.wav")
    assert "silent" in caplog.text and sound.duration_s == 1 and (speech_waveform(sound) == 0).all()


@pytest.mark.parametrize("name", ["a.wav", "a.aiff", "a.flac", "a.mp3"])
def test_truncated_files_give_what_they_hold(tmp_path, name, caplog):
    noise = np.random.default_rng(0).normal(0, 0.1, 32000)
    soundfile.write(tmp_path / name, noise, 16000)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[: len(whole) // 2 + 1])
    with caplog.at_level(logging.WARNING):
        sound = read_sound(tmp_path / name)
    assert 0.7 < sound.duration_s < 1.1
    assert "cut short" in caplog.text or "damaged" in caplog.text
    assert sound.path is None


def test_broken_files_end_in_one_line(tmp_path):
    soundfile.write(tmp_path / "header.wav", np.zeros(0), 16000)
    soundfile.write(tmp_path / "short.wav", np.zeros(200), 16000)
    (tmp_path / "zero.wav").write_bytes(b"")
    (tmp_path / "text.wav").write_bytes(b"not a sound at all\n" * 50)
    (tmp_path / "list.mp4").write_bytes(b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n")
    rules = {"header.wav": "no samples", "short.wav": "last 0.1 s", "zero.wav": "zero bytes"}
    rules |= {
        "text.wav": "cannot be read as sound",
        "list.mp4": "cannot be read|sound track",
        "none.wav": "there is no",
    }
    for name, rule in rules.items():
        with pytest.raises(BadMedia, match=rule) as caught:
            read_sound(tmp_path / name)
        assert name in str(caught.value) and "\n" not in str(caught.value)


def test_absurd_lengths_and_rates_are_refused(tmp_path, monkeypatch):
    soundfile.write(tmp_path / "a.wav", np.zeros(32000), 16000)
    with pytest.raises(BadMedia, match="at most 1 s, but lasts longer"):
        read_sound(tmp_path / "a.wav", max_duration_s=1)
    with monkeypatch.context() as less:
        less.setattr(sound_file, "MAX_VALUES", 31_999)
        with pytest.raises(BadMedia, match="at most 31999 samples, but its 1 channels hold more"):
            read_sound(tmp_path / "a.wav")
    soundfile.write(tmp_path / "b.wav", np.zeros(1000), 100)
    with pytest.raises(BadMedia, match="1 to 768 kHz"):
        read_sound(tmp_path / "b.wav")


def test_what_is_missing_in_the_middle_is_silence(tmp_path, caplog):
    """A packet that is lost costs its own sound: what follows stays where it was."""
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        track = container.add_stream("pcm_s16le", rate=16000, layout="mono")
        for start in (0, 24000):
            block = av.AudioFrame.from_ndarray(np.full((1, 16000), 8000, np.int16), format="s16", layout="mono")
            block.sample_rate, block.pts, block.time_base = 16000, start, Fraction(1, 16000)
            container.mux(track.encode(block))
        container.mux(track.encode(None))
    sound = read_sound(path)
    heard = sound.samples[0] > 0.1
    assert "no sound from 1.0" in caplog.text and sound.path is None
    assert len(heard) == pytest.approx(40000, abs=20)
    assert heard[:15900].all() and not heard[16500:23500].any() and heard[24100:39900].all()


def test_damage_costs_what_is_damaged(tmp_path, caplog):
    noise = np.random.default_rng(0).normal(0, 0.1, 80_000)
    soundfile.write(tmp_path / "a.flac", noise, 16000)
    data = bytearray((tmp_path / "a.flac").read_bytes())
    middle = len(data) // 2
    data[middle : middle + 9000] = bytes(9000)
    (tmp_path / "a.flac").write_bytes(data)
    heard = read_sound(tmp_path / "a.flac").samples[0]
    assert "no sound from" in caplog.text or "damaged" in caplog.text
    assert len(heard) == 80_000
    for part in (slice(0, 30_000), slice(60_000, 80_000)):
        assert torch.allclose(heard[part], torch.from_numpy(noise[part]).float(), atol=1e-4)


@pytest.mark.parametrize(("rate", "samples"), [(44100, 4411), (48000, 7), (22050, 4410), (8000, 1)])
def test_another_rate_is_librosas_to_the_bit(rate, samples):
    import librosa

    noise = np.random.default_rng(0).standard_normal(samples).astype(np.float32)
    wanted = librosa.resample(noise, orig_sr=rate, target_sr=audio.SPEECH_RATE, res_type="soxr_hq")
    assert np.array_equal(audio._resampled(noise, rate), wanted)


def test_silence_is_not_filtered(monkeypatch):
    monkeypatch.setattr("scipy.signal.sosfiltfilt", None)
    assert torch.equal(speech_waveform(Sound(torch.zeros(2, 480), 48_000)), torch.zeros(160))
