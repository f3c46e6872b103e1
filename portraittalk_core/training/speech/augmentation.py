"""Make synthetic speech sound like recordings of anybody, anywhere.

A network that has only heard a synthesiser listens for the synthesiser. Everything here changes how the speech sounds
and nothing about when the mouth does what.
"""

from __future__ import annotations

import io
import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ...types import SPEECH_RATE


def uniform(low: float, high: float, generator: torch.Generator) -> float:
    """Return one number from [low, high).

    Args:
        low: Bound.
        high: Bound.
        generator: From which it is drawn.
    """
    return low + (high - low) * float(torch.rand((), generator=generator))


def _filter(sound: Float[Tensor, "n"], gain: Float[Tensor, "bins"]) -> Float[Tensor, "n"]:
    return torch.fft.irfft(torch.fft.rfft(sound) * gain, n=len(sound))


def _frequencies(count: int) -> Float[Tensor, "bins"]:
    return torch.fft.rfftfreq(count, 1 / SPEECH_RATE)


def equalise(sound: Float[Tensor, "n"], generator: torch.Generator) -> Float[Tensor, "n"]:
    """Filter with a random smooth curve of up to +-12 dB and a random tilt, as microphones and rooms do.

    Args:
        sound: At 16 kHz, as below.
        generator: Of the curve.
    """
    points = torch.randn(10, generator=generator) * uniform(0, 5, generator)
    points = points + torch.linspace(0, uniform(-12, 12, generator), 10)
    position = (torch.log2(_frequencies(len(sound)).clamp(min=60) / 60) / math.log2(8000 / 60) * 9).clamp(max=8.999)
    low = position.long()
    return _filter(sound, 10 ** (torch.lerp(points[low], points[low + 1], position - low) / 20))


def band_limit(sound: Float[Tensor, "n"], generator: torch.Generator) -> Float[Tensor, "n"]:
    """Keep only the band of a cheap microphone, a telephone or a lossy codec.

    Args:
        sound: At 16 kHz.
        generator: Of the band.
    """
    hertz = _frequencies(len(sound))
    low, high = uniform(0, 300, generator), uniform(2800, 8000, generator)
    return _filter(sound, torch.sigmoid((hertz - low) / 30) * torch.sigmoid((high - hertz) / 100))


def mu_law(sound: Float[Tensor, "n"]) -> Float[Tensor, "n"]:
    """Quantise to 8 bits on the logarithmic curve of ITU-T G.711.

    Args:
        sound: Of any level.
    """
    peak = sound.abs().max().clamp(min=1e-6)
    curve = torch.sign(sound) * torch.log1p(255 * (sound / peak).abs()) / math.log(256)
    curve = (curve * 127).round() / 127
    return peak * torch.sign(curve) * (256 ** curve.abs() - 1) / 255


def reverberate(sound: Float[Tensor, "n"], generator: torch.Generator) -> Float[Tensor, "n"]:
    """Add a room: noise that decays by 60 dB in 0.1 to 0.8 s, at a random level below the direct sound.

    Args:
        sound: At 16 kHz.
        generator: Of the room.
    """
    decay_s = uniform(0.1, 0.8, generator)
    time_s = torch.arange(int(decay_s * SPEECH_RATE)) / SPEECH_RATE
    room = torch.randn(len(time_s), generator=generator) * torch.exp(-6.9 * time_s / decay_s)
    room *= 10 ** (uniform(-16, -1, generator) / 20) / room.norm()
    room[0] = 1.0
    size = -(len(sound) + len(room)) // 8192 * -8192  # a length that the transform is quick at
    return torch.fft.irfft(torch.fft.rfft(sound, size) * torch.fft.rfft(room, size), n=size)[: len(sound)]


def whisper(sound: Float[Tensor, "n"], generator: torch.Generator) -> Float[Tensor, "n"]:
    """Replace the voice by noise: keep the short-time spectrum's magnitude, draw its phase.

    Args:
        sound: At 16 kHz.
        generator: Of the phase.
    """
    size = 256
    window = torch.hann_window(size)
    spectrum = torch.stft(sound, size, size // 4, window=window, return_complex=True)
    phase = 2 * torch.pi * torch.rand(spectrum.shape, generator=generator)
    return torch.istft(torch.polar(spectrum.abs(), phase), size, size // 4, window=window, length=len(sound)) * 2


def coloured_noise(count: int, generator: torch.Generator) -> Float[Tensor, "n"]:
    """Return noise of unit variance with a random spectral slope, sometimes with a hum or a slow swell.

    Args:
        count: Of samples at 16 kHz.
        generator: From which it follows.
    """
    hertz = _frequencies(count).clamp(min=30)
    noise = _filter(torch.randn(count, generator=generator), hertz ** -uniform(0, 1.2, generator))
    time_s = torch.arange(count) / SPEECH_RATE
    noise = noise / noise.std()
    if uniform(0, 1, generator) < 0.25:
        noise = noise + torch.sin(2 * torch.pi * uniform(50, 400, generator) * time_s)
    if uniform(0, 1, generator) < 0.4:
        noise = noise * (1 + 0.8 * torch.sin(2 * torch.pi * uniform(0.1, 3, generator) * time_s))
    return noise / noise.std()


def music(count: int, generator: torch.Generator) -> Float[Tensor, "n"]:
    """Return music of unit variance: a beat, chords that decay, a tune that slides and trembles.

    Args:
        count: Of samples at 16 kHz.
        generator: From which it follows.
    """
    sound = torch.zeros(count)
    beat, root = int(SPEECH_RATE * uniform(0.18, 0.6, generator)), uniform(55, 150, generator)
    sung, drums = uniform(0, 1.5, generator), uniform(0, 1, generator)
    for begin in range(0, count, beat):
        time_s = torch.arange(min(2 * beat, count - begin)) / SPEECH_RATE
        fade = torch.exp(-time_s * uniform(2, 9, generator))
        for _ in range(3):
            hertz = root * 2 ** (int(torch.randint(0, 30, (), generator=generator)) / 12)
            bright, phase = uniform(0.5, 2, generator), hertz * time_s
            sound[begin : begin + len(time_s)] += fade * _harmonics(phase, bright, hertz)
        hertz = root * 2 ** (uniform(12, 36, generator) / 12)
        phase = hertz * time_s + 0.02 * hertz / 6 * torch.sin(2 * torch.pi * 6 * time_s)
        sound[begin : begin + len(time_s)] += (
            sung * torch.sin(torch.pi * time_s / time_s[-1:].clamp(min=1e-3)) * (_harmonics(phase, 1.0, hertz))
        )
        hit = torch.randn(len(time_s), generator=generator) * torch.exp(-time_s * uniform(15, 60, generator))
        sound[begin : begin + len(time_s)] += drums * 2 * hit
    return sound / sound.std().clamp(min=1e-6)


def _harmonics(phase: Float[Tensor, "n"], bright: float, hertz: float) -> Float[Tensor, "n"]:
    most = max(1, min(8, int(7500 / hertz)))
    numbers = torch.arange(1, most + 1)[:, None]
    return (torch.sin(2 * torch.pi * numbers * phase) / numbers**bright).sum(0)


def codec(sound: Float[Tensor, "n"], generator: torch.Generator) -> Float[Tensor, "n"]:
    """Degrade as lossy codecs do: what is weak beside its neighbours goes, the rest is rounded.

    Args:
        sound: At 16 kHz.
        generator: Of how much is kept.
    """
    size = 512
    window = torch.hann_window(size)
    spectrum = torch.stft(sound, size, size // 2, window=window, return_complex=True)
    level = spectrum.abs()
    around = torch.nn.functional.max_pool1d(level.T[None], 33, 1, 16)[0].T
    step = around * 10 ** (-uniform(6, 26, generator) / 20)
    kept = (level / step.clamp(min=1e-8)).round() * step
    return torch.istft(torch.polar(kept, spectrum.angle()), size, size // 2, window=window, length=len(sound))


def mp3(sound: Float[Tensor, "n"], generator: torch.Generator) -> Float[Tensor, "n"]:
    """Code as MP3 at 16 to 48 kbit/s and decode it, in time with what it was.

    Args:
        sound: At 16 kHz.
        generator: Of the rate.
    """
    import av

    peak = sound.abs().max().clamp(min=1e-6)
    samples = (sound / peak * 32000).short()[None].numpy()
    file = io.BytesIO()
    with av.open(file, "w", format="mp3") as written:
        stream = written.add_stream("libmp3lame", SPEECH_RATE, layout="mono")
        stream.bit_rate = 1000 * (16, 24, 32, 48)[int(torch.randint(4, (), generator=generator))]
        frame = av.AudioFrame.from_ndarray(samples, "s16p", "mono")
        frame.sample_rate = SPEECH_RATE
        written.mux([*stream.encode(frame), *stream.encode()])
    file.seek(0)
    with av.open(file) as read:
        decoded = np.concatenate([part.to_ndarray()[0] for part in read.decode(audio=0)])
    whole = torch.zeros_like(sound)
    count = min(len(sound), len(decoded))
    whole[:count] = torch.from_numpy(decoded[:count]) * peak * 32768 / 32000
    return whole


def _swell(count: int, generator: torch.Generator) -> Float[Tensor, "n"]:
    """Return a gain that wanders by a few decibels: a speaker who turns away or loses breath."""
    points = torch.randn(1, 1, 2 + count // SPEECH_RATE, generator=generator) * uniform(0, 4, generator)
    decibels = torch.nn.functional.interpolate(points, count, mode="linear", align_corners=True)
    return 10 ** (decibels[0, 0] / 20)


def augment(
    sound: Float[Tensor, "n"],
    generator: torch.Generator,
    babble: Float[Tensor, "n"] | None = None,
    loud: float = 0.0,
) -> Float[Tensor, "n"]:
    """Return a degraded copy of the same length and timing.

    Args:
        sound: At 16 kHz.
        generator: That decides how.
        babble: Other voices to mix in, fainter.
        loud: Chance that there is rain, wind or music nearly as loud as the speech, or louder; with it, half as often,
            the artefacts of a codec, and babble that is hardly fainter.
    """

    def chance(probability: float) -> bool:
        return uniform(0, 1, generator) < probability

    if chance(0.4):
        part = uniform(0.15, 1, generator)
        sound = (1 - part) * sound + part * whisper(sound, generator)
    if chance(0.4):
        sound = sound * _swell(len(sound), generator)
    if chance(0.85):
        sound = equalise(sound, generator)
    if chance(0.5):
        sound = reverberate(sound, generator)
    level = sound.std().clamp(min=1e-5)
    if babble is not None:
        faint = uniform(2 if loud else 10, 25, generator)
        sound = sound + babble * level / babble.std().clamp(min=1e-5) * 10 ** (-faint / 20)
    if chance(0.85):
        sound = sound + coloured_noise(len(sound), generator) * level * 10 ** (-uniform(3, 50, generator) / 20)
    if loud and chance(loud):
        other = music if chance(0.5) else coloured_noise
        sound = sound + other(len(sound), generator) * level * 10 ** (-uniform(-6, 15, generator) / 20)
    if loud and chance(loud / 2):
        sound = mp3(sound, generator) if chance(0.2) else codec(sound, generator)
    if chance(0.35):
        sound = band_limit(sound, generator)
    return mu_law(sound) if chance(0.1) else sound


def warp(
    sound: Float[Tensor, "n"], track: Float[Tensor, "m k"], factor: float
) -> tuple[Float[Tensor, "n2"], Float[Tensor, "m2 k"]]:
    """Play faster or slower: pitch and formants rise together, and the mouth keeps up.

    Args:
        sound: At 16 kHz.
        track: Of the mouth, at a rate that divides the sound's.
        factor: Of the speed.

    Returns:
        Sound and track, both shorter by the factor.
    """
    position = torch.arange(int((len(sound) - 1) / factor)) * factor
    low = position.long()
    faster = torch.lerp(sound[low], sound[(low + 1).clamp(max=len(sound) - 1)], position - low)
    rows = ((torch.arange(int(len(track) / factor)) + 0.5) * factor - 0.5).clamp(0, len(track) - 1)
    low = rows.long()
    return faster, torch.lerp(track[low], track[(low + 1).clamp(max=len(track) - 1)], (rows - low)[:, None])
