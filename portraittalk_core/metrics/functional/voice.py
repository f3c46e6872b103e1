"""What the sound asks of a mouth: how loud speech is over time, and where nobody speaks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from ...errors import BadInput
from ...perception.speech import speech_level
from ...types import SPEECH_RATE
from .signals import GRID_HZ, smooth

PHONETIC_HZ = (1500.0, 4000.0)
"""The band of the second and third formant, whose level follows the lips best (Chandrasekaran et al. 2009)."""

SPEECH_HZ = (80.0, 7500.0)
"""The band in which speech is told from silence."""

SILENT_DB = -65.0
"""What stays below this level, dB of full scale, is silence; in a quiet recording what is 55 dB below its loudest."""

_DYNAMIC_DB, _VOICED_DB, _SILENCE_DB, _SURE_DB = 35.0, 25.0, 32.0, 8.0
_CLICK_S, _DEEPEST_DB, _QUIET_RANGE_DB = 0.04, 45.0, 55.0
_NEAR_S = 0.3
_SETTLE_S = 0.15
_SHORTEST_SILENCE_S = 0.1
_WINDOW_S = 0.025
_CHUNK = 6000
_FLOOR_DB = -120.0


def check_audio(audio: Float[Tensor, "n"], sample_rate: int) -> Float[Tensor, "n"]:
    """Return the samples in single precision on the CPU.

    Args:
        audio: One channel in [-1, 1], of any floating-point type.
        sample_rate: Hz, at least 4000.

    Raises:
        BadInput: For what is not one finite channel, or another rate.
    """
    if audio.ndim != 1 or not len(audio):
        raise BadInput(f"`audio` must be one channel of samples, but got shape {list(audio.shape)}. Mix it to mono.")
    if not audio.is_floating_point():
        raise BadInput(f"`audio` must be floating point in [-1, 1], but got {audio.dtype}. Divide by its full scale.")
    if not bool(torch.isfinite(audio).all()):
        raise BadInput("`audio` must be finite, but holds NaN or infinite samples. Repair the recording.")
    if not sample_rate >= 4000:
        raise BadInput(f"`sample_rate` must be 4000 Hz or more, but got {sample_rate}. Check the file's header.")
    return audio.detach().float().cpu()


def band_levels(
    audio: Float[Tensor, "n"], sample_rate: int, bands: tuple[tuple[float, float], ...]
) -> Float[Tensor, "t bands"]:
    """Return the level of each band at times 0, 1 / GRID_HZ, ..., in Hann windows of 25 ms.

    Args:
        audio: One channel in [-1, 1].
        sample_rate: Hz, at least 4000.
        bands: Lowest and highest frequency of each, Hz; those beyond half the sample rate are cut there.

    Returns:
        dB relative to a sine of full scale, not below -120; `floor(seconds * GRID_HZ) + 1` rows.

    Raises:
        BadInput: For what is not one finite channel, or another rate.
    """
    import librosa

    sound, rate = check_audio(audio, sample_rate).numpy(), sample_rate
    steps = int(len(sound) / rate * GRID_HZ) + 1
    if rate % GRID_HZ:  # librosa's windows begin at whole samples
        sound, rate = librosa.resample(sound, orig_sr=rate, target_sr=SPEECH_RATE, res_type="soxr_hq"), SPEECH_RATE
    window, hop = round(_WINDOW_S * rate), rate // GRID_HZ
    padded = np.pad(sound, (window // 2, window + hop))
    hertz = np.arange(window // 2 + 1) * (rate / window)
    pick = np.stack([(hertz >= low) & (hertz < high) for low, high in bands]).astype(np.float32)
    scale = 4 / float(librosa.filters.get_window("hann", window).sum()) ** 2 / 1.5  # a sine spreads over 1.5 bins
    levels: list[np.ndarray] = []
    for first in range(0, steps, _CHUNK):
        last = min(first + _CHUNK, steps) - 1
        part = padded[first * hop : last * hop + window]
        power = pick @ np.abs(librosa.stft(part, n_fft=window, hop_length=hop, center=False)) ** 2 * scale
        levels.append(10 * np.log10(power.T.astype(np.float64).clip(10 ** (_FLOOR_DB / 10))))
    return torch.from_numpy(np.concatenate(levels))


@dataclass(frozen=True)
class Voice:
    """What is heard, a row every 1 / GRID_HZ seconds."""

    level: Float[Tensor, "t"]
    """Of the phonetic band: 0 at 35 dB below the clip's loud speech (its 95th percentile), 1 at it, 1.5 at most."""

    voiced: Bool[Tensor, "t"]
    """Within 25 dB of loud speech."""

    silent: Float[Tensor, "t"]
    """How surely nobody speaks, from 0 at 28 dB below loud speech to 1 at 36 dB, the mouth having had 0.15 s to
    settle."""

    near_speech: Bool[Tensor, "t"]
    """Within 0.3 s of something voiced."""

    def cut(self, steps: int) -> Voice:
        """Return the first `steps` rows, all where there are fewer."""
        return Voice(*(getattr(self, name)[:steps] for name in ("level", "voiced", "silent", "near_speech")))


def voice_signals(audio: Float[Tensor, "n"], sample_rate: int) -> Voice:
    """Return the level of speech and where it is; nothing depends on how loud the recording is.

    In a recording with steady noise less than 28 dB below speech nothing is silent. A click shorter than 0.1 s does not
    end a silence: codecs and lips make them.

    Args:
        audio: One channel in [-1, 1].
        sample_rate: Hz, at least 4000.

    Raises:
        BadInput: For what is not one finite channel, or another rate.
    """
    phonetic, speech = band_levels(audio, sample_rate, (PHONETIC_HZ, SPEECH_HZ)).unbind(1)
    floor = _silence(speech)
    top, loud = torch.maximum(phonetic.quantile(0.95), floor), speech.quantile(0.95)
    level = ((phonetic - top) / _DYNAMIC_DB + 1).clamp(0, 1.5)
    voiced = (speech > loud - _VOICED_DB) & (speech > floor)
    # Held from below first, or the depth of a digital silence would reach into the speech beside it.
    slow = smooth(torch.maximum(speech, loud - _DEEPEST_DB)[:, None], _CLICK_S)[:, 0]
    below = torch.maximum(loud - _SILENCE_DB, floor) - slow
    quiet = (below / _SURE_DB + 0.5).clamp(0, 1)
    eroded = -_widen(-quiet, _SETTLE_S + _SHORTEST_SILENCE_S / 2)
    silent = _widen(eroded, _SHORTEST_SILENCE_S / 2) * ~voiced
    return Voice(level, voiced, silent, _widen(voiced.double(), _NEAR_S) > 0.5)


def _silence(speech: Float[Tensor, "t"]) -> Float[Tensor, ""]:
    """Return the level below which is silence; where nobody speaks it is not lowered to what is left."""
    fixed = speech.new_tensor(SILENT_DB)
    return fixed if speech_level(speech) is None else fixed.minimum(speech.max() - _QUIET_RANGE_DB)


def silent_frames(audio: Float[Tensor, "n"], sample_rate: int, fps: float, frames: int) -> Bool[Tensor, "f"]:
    """Return in which frames of a video surely nobody speaks, for `landmarks.silent_lip_motion`.

    Frames beyond the end of the sound are not silent: nothing is known of them.

    Args:
        audio: One channel in [-1, 1].
        sample_rate: Hz, at least 4000.
        fps: Frames a second of the video.
        frames: How many the video has.

    Raises:
        BadInput: For what is not one finite channel, or another rate.
    """
    silent = voice_signals(audio, sample_rate).silent > 0.5
    at = ((torch.arange(frames, dtype=torch.float64) + 0.5) / fps * GRID_HZ).round().long()
    return silent[at.clamp(max=len(silent) - 1)] & (at < len(silent))


def _widen(values: Float[Tensor, "t"], by_s: float) -> Float[Tensor, "t"]:
    """Return the largest value within `by_s` of each step; the ends of the recording count as more of the same."""
    reach = round(by_s * GRID_HZ)
    return functional.max_pool1d(values[None, None], 2 * reach + 1, 1, reach)[0, 0]
