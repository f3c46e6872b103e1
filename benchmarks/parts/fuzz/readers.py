"""Read a file of a kind with everything in the project that reads such files."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from portraittalk_core.checkpoints.detect import detect
from portraittalk_core.checkpoints.files import open_weights
from portraittalk_core.checkpoints.native import load_motion, load_text_encoder, load_vae, read_modules
from portraittalk_core.checkpoints.tokenizer import load_clip_tokenizer
from portraittalk_core.cli.info import describe_media, describe_weights
from portraittalk_core.cli.train import read_configs, read_model
from portraittalk_core.config import ModelConfig, TrainingConfig
from portraittalk_core.config_file import read_toml
from portraittalk_core.errors import PortraitTalkError
from portraittalk_core.evaluation.report.folder import read_results
from portraittalk_core.media.audio import read_sound, speech_waveform
from portraittalk_core.media.image import read_image
from portraittalk_core.media.provenance import read_provenance
from portraittalk_core.media.video import probe, read_video
from portraittalk_core.motion.motion_file import read_motion

Reader = Callable[[Path], Any]

_OWN: dict[str, Reader] = {"motion": load_motion, "vae": load_vae, "text": load_text_encoder}


def _video(path: Path) -> None:
    chunks, fps, sound = read_video(path, 8)
    count = 0
    for frames in chunks:
        count += len(frames.pixels)
        assert frames.pixels.isfinite().all() and frames.fps == fps
        if count > 3000:  # a clock that was damaged into minutes
            break
    assert sound is None or sound.samples.isfinite().all()


def _sound(path: Path) -> None:
    sound = read_sound(path)
    assert sound.samples.abs().max() <= 1 and sound.samples.isfinite().all()
    assert speech_waveform(sound).isfinite().all()


def _picture(path: Path) -> None:
    pixels = read_image(path)
    assert pixels.shape[0] == 3 and pixels.isfinite().all() and pixels.abs().max() <= 1


def _motion(path: Path) -> None:
    motion = read_motion(path, 25.0)
    assert motion.coefficients.isfinite().all() and motion.pose.isfinite().all()


def _recipe(path: Path) -> None:
    for stage in (1, 2):
        given = Namespace(config=str(path), stage=stage, minutes=None, seed=None, model=None)
        read_configs(given)
        read_model(given)


READERS: dict[str, tuple[Reader, ...]] = {
    "pictures": (_picture, read_provenance, describe_media),
    "sounds": (_sound, probe),
    "videos": (_video, _sound, probe, read_provenance, describe_media),
    "weights": (lambda path: open_weights(path).tensors(), detect, describe_weights, read_modules),
    "toml": (_recipe, lambda path: read_toml(TrainingConfig, path), lambda path: read_toml(ModelConfig, path)),
    "json": (read_results, load_clip_tokenizer),
    "csv": (_motion,),
}
"""What reads each kind; the first decides whether a file counts as read."""


def readers_of(path: Path, kind: str) -> Iterator[Reader]:
    """Yield what reads a file.

    Args:
        path: The file; a name that begins with that of a shipped network is read into it as well.
        kind: One of `seeds.KINDS`.
    """
    yield from READERS[kind]
    own = _OWN.get(path.name.partition(".")[0]) if kind == "weights" else None
    if own is not None:
        yield own


def read_all(path: Path, kind: str) -> list[str]:
    """Read a file in every way.

    Args:
        path: The file.
        kind: One of `seeds.KINDS`.

    Returns:
        For each way, "" where the file was read, else the one line that refuses it.

    Raises:
        Exception: Whatever is no refusal of the project's: a finding.
    """
    said: list[str] = []
    for reader in readers_of(path, kind):
        try:
            reader(path)
            said.append("")
        except PortraitTalkError as error:
            said.append(str(error))
    return said
