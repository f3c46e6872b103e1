"""Captions: what a command of the user says of a picture, or tags of what is measured, and of nothing else."""

from __future__ import annotations

import shlex
import subprocess
import tempfile
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from ..errors import BadInput, MissingExtra
from ..types import COEFFICIENTS
from .decoding import Picture

LONGEST_S = 300.0
"""Seconds that a captioning command may take for one picture."""

_PICTURE = "{picture}"
_TURNED, _NODDED, _TILTED = 15.0, 12.0, 10.0
_SMILE, _CLOSED_EYES, _FROWN = 0.35, 0.6, 0.4
_DARK, _BRIGHT, _GREY = 60.0, 180.0, 4.0


def check_command(command: str) -> None:
    """Make sure that a command can be run, before anything slow begins.

    Args:
        command: With {picture} for the file of a picture.

    Raises:
        BadInput: When it does not name the picture, or cannot be split into words.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise BadInput(
            f"`--caption` must be a command, but {command!r} is none ({error}). Check its quotes."
        ) from error
    if not any(_PICTURE in word for word in words):
        raise BadInput(f"`--caption` must name the picture as {_PICTURE}, but got {command!r}. Add it.")


def ask(command: str, jpeg: bytes) -> str:
    """Return what a command says of a picture: the first line that it prints.

    Args:
        command: As `check_command` accepts it; no shell is used.
        jpeg: The picture.

    Raises:
        MissingExtra: When the command cannot be started.
        BadInput: When it fails, takes too long or says nothing.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "picture.jpg"
        file.write_bytes(jpeg)
        words = [word.replace(_PICTURE, str(file)) for word in shlex.split(command)]
        try:
            run = subprocess.run(words, capture_output=True, text=True, timeout=LONGEST_S, check=False)
        except OSError as error:
            raise MissingExtra(f"`--caption` must name a command, but {words[0]} cannot be run ({error}).") from error
        except subprocess.TimeoutExpired as error:
            raise BadInput(f"`--caption` must answer within {LONGEST_S:g} s, but {words[0]} does not.") from error
    said = run.stdout.strip().splitlines()
    if run.returncode or not said:
        reason = run.stderr.strip().splitlines()[-1:] or ["it says nothing"]
        raise BadInput(f"`--caption` must answer with a line, but {words[0]} fails ({reason[0]}). Try it by hand.")
    return " ".join(said[0].split())


def tags(coefficients: Float[Tensor, "f 52"], pose: Float[Tensor, "f 6"], picture: Picture) -> dict[str, str]:
    """Name what the measurements show; what is usual is not named.

    Args:
        coefficients: Of the expression.
        pose: Of the head, columns of `types.POSE`.
        picture: The middle frame, RGB bytes.

    Returns:
        By kind (head, expression, light), words for a caption.
    """
    found: dict[str, str] = {}
    yaw, pitch, roll = (float(v) * 57.29578 for v in pose[:, :3].median(0).values)
    turns = [f"turned {'right' if yaw > 0 else 'left'}"] if abs(yaw) > _TURNED else []
    turns += [f"looking {'down' if pitch > 0 else 'up'}"] if abs(pitch) > _NODDED else []
    turns += ["tilted"] if abs(roll) > _TILTED else []
    found["head"] = "head " + " and ".join(turns) if turns else "seen from the front"

    def shown(*names: str) -> float:
        return float(coefficients[:, [COEFFICIENTS.index(name) for name in names]].mean(1).median())

    moods = ["smiling"] if shown("mouthSmileLeft", "mouthSmileRight") > _SMILE else []
    moods += ["frowning"] if shown("browDownLeft", "browDownRight") > _FROWN else []
    moods += ["eyes closed"] if shown("eyeBlinkLeft", "eyeBlinkRight") > _CLOSED_EYES else []
    if moods:
        found["expression"] = " and ".join(moods)
    levels = picture.reshape(-1, 3).astype("float32")
    luma = float((levels @ [0.299, 0.587, 0.114]).mean())
    light = ["dark"] if luma < _DARK else ["bright"] if luma > _BRIGHT else []
    light += ["black and white"] if float((levels.max(1) - levels.min(1)).mean()) < _GREY else []
    if light:
        found["light"] = f"{', '.join(light)} picture"
    return found


def caption_of(words: dict[str, str], speaks: bool, note: str = "") -> str:
    """Compose a caption of tags.

    Args:
        words: Of `tags`.
        speaks: Whether the person is heard to speak.
        note: What the data set says, such as an emotion.
    """
    said = "a person talking" if speaks else "a person"
    return ", ".join([said, *words.values(), *([note] if note else [])])
