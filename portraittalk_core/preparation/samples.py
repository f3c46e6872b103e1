"""Make the files of a sample: what `shards` says lies in one."""

from __future__ import annotations

import io
import json
import wave
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import BadMedia
from ..types import SPEECH_RATE
from .decoding import Picture
from .shards import array_bytes

_FORMATS = {"jpg": cv2.IMWRITE_JPEG_QUALITY, "webp": cv2.IMWRITE_WEBP_QUALITY}
_STRIP, _STRIP_HEIGHT = 6, 96


def encoded(picture: Picture, kind: str, quality: int) -> bytes:
    """Encode a picture.

    Args:
        picture: RGB bytes.
        kind: jpg or webp.
        quality: 1 to 100.
    """
    flag = _FORMATS[kind]
    _, content = cv2.imencode(f".{kind}", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [flag, quality])
    return content.tobytes()


def decoded(content: bytes) -> Picture:
    """Undo `encoded`, as far as it can be.

    Args:
        content: Of a picture.

    Raises:
        BadMedia: When it is no picture.
    """
    levels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    if levels is None:
        raise BadMedia("A frame of a sample must be a picture, but cannot be decoded. Prepare its clip again.")
    return cv2.cvtColor(levels, cv2.COLOR_BGR2RGB)


def wave_bytes(sound: Float[Tensor, "n"]) -> bytes:
    """Return a sound at 16 kHz as a WAV file of 16 bits.

    Args:
        sound: In [-1, 1].
    """
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SPEECH_RATE)
        file.writeframes((sound.clamp(-1, 1) * 32767).round().to(torch.int16).numpy().tobytes())
    return out.getvalue()


def wave_samples(content: bytes) -> Float[Tensor, "n"]:
    """Undo `wave_bytes`.

    Args:
        content: Of the file.
    """
    with wave.open(io.BytesIO(content)) as file:
        levels = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    return torch.from_numpy(levels.astype(np.float32) / 32767)


def sample_files(
    pictures: Sequence[bytes],
    kind: str,
    sound: Float[Tensor, "n"] | None,
    arrays: Mapping[str, np.ndarray],
    caption: str,
    facts: Mapping[str, Any],
) -> dict[str, bytes]:
    """Return the files of a sample by ending.

    Args:
        pictures: Encoded, a frame each.
        kind: Of the pictures.
        sound: In time with them; None for none.
        arrays: points, motion and faces.
        caption: What can be said of it.
        facts: What is known of it.
    """
    files = {"json": (json.dumps(facts, ensure_ascii=False, sort_keys=True) + "\n").encode(), "txt": caption.encode()}
    files |= {f"{name}.npy": array_bytes(values) for name, values in arrays.items()}
    if sound is not None:
        files["wav"] = wave_bytes(sound)
    return files | {f"{number:04d}.{kind}": content for number, content in enumerate(pictures)}


def evenly(count: int, wanted: int) -> list[int]:
    """Return so many rows of a number, evenly spread, each once.

    Args:
        count: Rows there are.
        wanted: How many.
    """
    wanted = min(count, wanted)
    return [int((k + 0.5) * count / wanted) for k in range(wanted)]


def strip_of(pictures: Sequence[Picture]) -> bytes:
    """Return pictures side by side as a small JPEG.

    Args:
        pictures: Of one clip.
    """
    small = []
    for number in evenly(len(pictures), _STRIP):
        height, width = pictures[number].shape[:2]
        size = (max(1, round(width * _STRIP_HEIGHT / height)), _STRIP_HEIGHT)
        small.append(cv2.resize(pictures[number], size, interpolation=cv2.INTER_AREA))
    return encoded(np.concatenate(small, 1), "jpg", 80)
