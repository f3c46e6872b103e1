"""Take a voice out of music, with the networks that `audio-separator` runs, where it is installed.

The package (MIT, https://github.com/nomadkaraoke/python-audio-separator) fetches the network that it is asked for.
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
        BadMedia: Where it cannot do it, as when its network is neither here nor to be fetched.
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
        except (OSError, RuntimeError, ValueError) as error:
            raise BadMedia(f"The voice could not be separated ({error}). Leave --separate-voice out.") from error
        voice = read_sound(Path(folder) / name)
    samples = voice.samples.mean(0).numpy()
    if voice.sample_rate != sound.sample_rate:
        samples = librosa.resample(samples, orig_sr=voice.sample_rate, target_sr=sound.sample_rate)
    samples = librosa.util.fix_length(samples, size=sound.samples.shape[1])
    return Sound(torch.from_numpy(samples)[None], sound.sample_rate)
