"""Take a voice out of music, with the networks that `audio-separator` runs, where it is installed.

The package (MIT, https://github.com/nomadkaraoke/python-audio-separator) fetches the network that it is asked for, into
the folder of `AUDIO_SEPARATOR_MODEL_DIR`. Version 0.47 was run with a network of our own that halves what it is given.
"""

from __future__ import annotations

import logging
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from ..errors import BadMedia, MissingExtra
from ..media.audio import read_sound
from ..types import Sound

SEPARATOR = "UVR-MDX-NET-Voc_FT.onnx"
"""The network that takes voices out, as `audio-separator --list_models` names it, fetched once."""

_RATE = 44_100
_LONGEST_REASON = 200


def check_separator() -> None:
    """Make sure that voices can be separated, before anything slow.

    Raises:
        MissingExtra: Without the package.
    """
    if find_spec("audio_separator") is None:
        raise MissingExtra("Taking a voice out of music needs audio-separator: pip install 'audio-separator[cpu]'")


def separate_voice(sound: Sound, network: str = SEPARATOR, models: Path | None = None) -> Sound:
    """Return what is spoken or sung in a recording, without what sounds beside it.

    Args:
        sound: A recording.
        network: Of `audio-separator`.
        models: Folder of its networks; None is the one of its own.

    Returns:
        As long and of the same rate, one channel.

    Raises:
        MissingExtra: Without the package.
        BadMedia: Where it cannot do it, as when its network is neither here nor can be fetched.
    """
    check_separator()
    import librosa
    from audio_separator.separator import Separator  # pyright: ignore[reportMissingImports]
    from scipy.io import wavfile

    options: dict[str, Any] = {} if models is None else {"model_file_dir": str(models)}
    with tempfile.TemporaryDirectory() as folder:
        mixed = Path(folder) / "mixed.wav"
        heard = sound.samples if len(sound.samples) <= 2 else sound.samples.mean(0, keepdim=True)
        wavfile.write(mixed, sound.sample_rate, heard.T.contiguous().numpy())
        try:
            options |= {"output_dir": folder, "output_single_stem": "Vocals", "sample_rate": _RATE}
            separator: Any = Separator(log_level=logging.ERROR, **options)
            separator.load_model(model_filename=network)
            (name,) = separator.separate(str(mixed))
        except Exception as error:  # ONNX Runtime and damaged lists of networks raise errors of no common class
            raise BadMedia(
                f"The voice could not be separated with {network} ({_why(error)}). Leave --separate-voice out, or let "
                f"the package fetch its network first: audio-separator --download_model_only -m {network}"
            ) from error
        voice = read_sound(Path(folder) / name)
    samples = voice.samples.mean(0).numpy()
    if voice.sample_rate != sound.sample_rate:
        samples = librosa.resample(samples, orig_sr=voice.sample_rate, target_sr=sound.sample_rate)
    samples = librosa.util.fix_length(samples, size=sound.samples.shape[1])
    return Sound(torch.from_numpy(samples)[None], sound.sample_rate)


def _why(error: Exception) -> str:
    """Return what happened in few words: a network that fails says all its addresses and retries."""
    if isinstance(error, ConnectionError) or "Connection" in type(error).__name__:
        return "its network is not here, and nothing can be fetched"
    return " ".join(str(error).split())[:_LONGEST_REASON] or type(error).__name__
