"""The speech encoder that a denoiser's audio attention listens with: opened, named in a record, and found again.

Audio-to-motion belongs to the shipped encoder. The denoiser may listen with another: a file of this project's, or
wav2vec2-base-960h. Records know an encoder by its width and by what it makes of a sound that never changes, however its
file is called and wherever it lies. A large public file is named and stays where it is; a small one is copied.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import BadInput, WeightsMismatch
from ..perception.speech import SpeechEncoder
from ..types import SPEECH_RATE
from .catalogue import entries, find, search_folders
from .files import open_weights
from .native import ASSETS, load_speech_encoder
from .speech import load_wav2vec2

SHIPPED = "shipped"
"""What the shipped encoder is called where a file can be named."""

PUBLIC = "wav2vec2"
"""The public encoder's name in the catalogue."""

RECORD, COPY = "hearing.json", "hearing.safetensors"
"""Files of a folder: which encoder, and the encoder itself where it is small."""

_SHIPPED_FILE = ASSETS / "tiny" / "speech.safetensors"
_SHIPPED_NAME = "the shipped encoder"
_DIGITS, _APART, _LOUD = 3, 0.05, 0.25


@dataclass(frozen=True)
class Hearing:
    """A speech encoder and where it comes from."""

    encoder: SpeechEncoder
    """The network, float32, frozen."""

    file: Path
    """Its weights."""

    name: str
    """What records call it."""

    public: bool = False
    """Whether it is wav2vec2-base, whose file is named and not copied."""

    @property
    def is_shipped(self) -> bool:
        """Whether it is the encoder that audio-to-motion belongs to."""
        return self.file.resolve() == _SHIPPED_FILE.resolve()

    @property
    def width(self) -> int:
        """Width of its features."""
        return self.encoder.dim

    @property
    def record(self) -> dict[str, Any]:
        """What an index says of it; nothing of where its file lies."""
        sign = sign_of_speech(self.encoder)
        return {"made by": self.name, "width": self.width, "public": self.public, "sign": sign}


def open_hearing(given: Path | str | None = None) -> Hearing:
    """Open an encoder that is named.

    Args:
        given: A file of this project's; wav2vec2-base's, or its name `wav2vec2` where it is in the folders of models;
            None or `shipped` for the shipped one.

    Raises:
        BadInput: When `wav2vec2` is named and not there.
        WeightsMismatch: For files that are missing or hold something else.
    """
    if given is None or str(given) == SHIPPED:
        return Hearing(load_speech_encoder(_SHIPPED_FILE), _SHIPPED_FILE, _SHIPPED_NAME)
    if str(given) != PUBLIC or Path(given).is_file():
        return _opened(Path(given))
    if (place := public_file()) is None:
        raise BadInput(
            f"`{PUBLIC}` must be in a folder of models, but is not there. Fetch it: portraittalk models download "
            f"{PUBLIC}. Or name its file."
        )
    return _opened(place)


def public_file() -> Path | None:
    """Return where wav2vec2-base-960h lies on this machine; None where it does not."""
    return find(next(entry for entry in entries() if entry.name == PUBLIC), search_folders(None))


def _opened(path: Path) -> Hearing:
    if "config" in open_weights(path).metadata:
        return Hearing(load_speech_encoder(path), path, path.name)
    return Hearing(load_wav2vec2(path).encoder, path, path.name, public=True)


def find_hearing(record: Mapping[str, Any], where: Path | str, remedy: str) -> Hearing:
    """Find the encoder that a record is of.

    Args:
        record: Of `Hearing.record`, of an index or of a folder.
        where: What the record is in, for messages; in a folder a copy is looked for.
        remedy: What to do where the encoder is not here, for messages.

    Raises:
        WeightsMismatch: When it is not here, or only others are.
    """
    if record["made by"] == _SHIPPED_NAME:
        return open_hearing()
    wanted = f"{where}: must be heard with {record['made by']}, {len(record['sign'])} features wide"
    others = list[str]()
    for place in _places(record, Path(where)):
        hearing = open_hearing(place)
        if made_by_same(sign_of_speech(hearing.encoder), record["sign"]):
            return replace(hearing, name=record["made by"])
        others += [] if place is None else [str(place)]
    why = f"{', '.join(others)} hears otherwise" if others else "it is not here"
    raise WeightsMismatch(f"{wanted}, but {why}. {remedy}")


def _places(record: Mapping[str, Any], where: Path) -> Iterator[Path | None]:
    """Yield the files that a record may mean, the likeliest first; None is the shipped one."""
    named = [where / COPY, *([Path(record["path"])] if record.get("path") else [])]
    yield from (place for place in named if place.is_file())
    if record.get("public") and (place := public_file()) is not None:
        yield place
    yield None


def save_hearing(folder: Path, hearing: Hearing) -> None:
    """Write which encoder a folder listens with, whole or not at all.

    Args:
        folder: Of a model or of a run; made where it is not there.
        hearing: A public file's path is written; one of this project's is copied, but for the shipped one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    record = hearing.record
    if hearing.public:
        record["path"] = str(hearing.file.resolve())
    elif not hearing.is_shipped and hearing.file.resolve() != (folder / COPY).resolve():
        shutil.copyfile(hearing.file, folder / COPY)
    part = folder / f"{RECORD}.{os.getpid()}.part"
    part.write_text(json.dumps(record), encoding="utf-8")
    os.replace(part, folder / RECORD)


def load_hearing(folder: Path) -> Hearing | None:
    """Return the encoder that a folder listens with; None where it says nothing of one.

    Args:
        folder: In which `save_hearing` wrote.

    Raises:
        WeightsMismatch: When the record is damaged, or the encoder that it names is not here.
    """
    file = folder / RECORD
    if not file.is_file():
        return None
    try:
        record = dict(json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, TypeError, RecursionError) as error:
        raise WeightsMismatch(f"{file}: must name a speech encoder, but is damaged. Copy it anew.") from error
    if not {"made by", "sign"} <= record.keys():
        raise WeightsMismatch(f'{file}: must name a speech encoder, but lacks "made by" or "sign". Copy it anew.')
    fetch = f"Fetch it: portraittalk models download {PUBLIC}. Or" if record.get("public") else "Copy it there anew, or"
    return find_hearing(record, folder, f'{fetch} write where it lies as "path" into {RECORD}.')


@torch.no_grad()
def sign_of_speech(encoder: SpeechEncoder) -> list[float]:
    """Return what a speech encoder makes of a sound that never changes, the mean of half a second.

    Args:
        encoder: On the CPU or elsewhere.
    """
    time_s = torch.arange(SPEECH_RATE // 2) / SPEECH_RATE
    sound = (2 * torch.pi * (200 + 800 * time_s) * time_s).sin() * (20 * time_s).sin()
    return rounded(encoder.encode(sound, 25.0).hidden.mean(0))


def made_by_same(sign: Sequence[float], other: Sequence[float]) -> bool:
    """Say whether two signs are of one network, whose weights may have been halved in between.

    Args:
        sign: Of one.
        other: Of the other.
    """
    if len(sign) != len(other):
        return False
    level = float(np.sqrt(np.mean(np.square(other)))) if len(other) else 0.0
    return float(np.abs(np.subtract(sign, other)).max(initial=0.0)) < _APART * min(1.0, level / _LOUD)


def rounded(values: Tensor) -> list[float]:
    """Return values with as many digits as signs have.

    Args:
        values: Of any shape.
    """
    return [round(value, _DIGITS) for value in values.float().flatten().tolist()]
