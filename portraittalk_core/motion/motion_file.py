"""Read and write the motion of a face as a CSV file: that of Live Link Face, or of MediaPipe's blendshapes.

Columns are found by their names, whatever their order and the case of their letters; those that are missing are 0 and
those that are not known are passed over. Signs and units of the head: see `docs/howto/own_motion.md`.
"""

from __future__ import annotations

import csv
import logging
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import BadInput, BadMedia
from ..media.target import Partial, check_target, existing_file
from ..media.write_errors import write_failure
from ..types import COEFFICIENTS, FaceMotion
from .arkit import EYE_REACH, HEAD
from .resampling import at_times, frame_times

logger = logging.getLogger(__name__)

Kind = Literal["live-link", "mediapipe"]
"""Live Link Face's file, or one of MediaPipe's blendshapes."""

TIMECODE_BASE = 60
"""Frames a second that a timecode counts in where it does not tell: that of the app."""

_BASES = (TIMECODE_BASE, 24, 25, 30, 48, 50, 100, 120)
_TIMES = {"timestampms": 1e-3, "timems": 1e-3, "timestamp": 1.0, "timestamps": 1.0, "time": 1.0, "times": 1.0}
_EYES = ("LeftEyeYaw", "LeftEyePitch", "LeftEyeRoll", "RightEyeYaw", "RightEyePitch", "RightEyeRoll")
_NEAR = 0.1
"""How far a blendshape may lie outside 0 to 1: trackers overshoot."""

_DAY_S = 24 * 3600
_LONGEST_S = 6 * 3600


def read_motion(
    path: str | Path, fps: float = 25.0, frames: int | None = None, *, source_fps: float | None = None
) -> FaceMotion:
    """Read the motion of a face from a CSV file.

    Args:
        path: A file of Live Link Face or of MediaPipe's blendshapes, of any rate.
        fps: Frames a second of the result; the file is resampled linearly.
        frames: How many frames are wanted; a longer file is cut, a shorter one holds its last frame, with a warning. By
            default as many as the file lasts.
        source_fps: The file's rate where it has no times; by default `fps`.

    Returns:
        The motion, all 52 blendshapes of it; the head neither shifts nor changes its size.

    Raises:
        BadMedia: For a file that is missing, empty or damaged; the message names the line.
        BadInput: For a rate or a number of frames that is not positive.
    """
    if fps <= 0 or (frames is not None and frames < 1) or (source_fps is not None and source_fps <= 0):
        raise BadInput(f"`fps`, `frames` and `source_fps` must be above 0, but got {fps}, {frames} and {source_fps}.")
    found = existing_file(path, "motion file")
    try:
        with found.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _bad(path, f"is no CSV file ({' '.join(str(error).split())})") from error
    names = [_plain(name) for name in rows[0]] if rows else []
    columns = {name: column for column, name in reversed(list(enumerate(names)))}
    if not any(_plain(name) in columns for name in COEFFICIENTS):
        raise _bad(path, "has no column of a blendshape, such as jawOpen, in its first line")
    kept = [(line, row) for line, row in enumerate(rows[1:], 2) if not _empty(row, columns)]
    if not kept:
        raise _bad(path, "has no line of numbers")
    times = _times(path, kept, columns, source_fps or fps)
    shapes = _table(path, kept, columns, COEFFICIENTS)
    _warn_of_units(path, shapes)
    shapes = shapes.clamp(0, 1)
    if not any(_plain(name) in columns for name in COEFFICIENTS if name.startswith("eyeLook")):
        shapes = _look(shapes, _table(path, kept, columns, _EYES))
    head = _table(path, kept, columns, [f"Head{name}" for name in HEAD], HEAD)
    if bool((beyond := head.abs() > math.tau).any()):
        line = kept[int(beyond.any(1).nonzero()[0, 0])][0]
        raise _bad(path, f"must have the head's angles in radians, but has {head[beyond][0]:g} in line {line}")
    track = _resample(torch.cat([shapes, head], 1), times, fps, frames, str(path))
    place = track.new_tensor([0.0, 0.0, 1.0]).expand(len(track), 3)
    shapes, head = track.split([len(COEFFICIENTS), len(HEAD)], 1)
    return FaceMotion(shapes, torch.cat([head, place], 1), fps)


def write_motion(path: str | Path, motion: FaceMotion, kind: Kind = "live-link") -> Path:
    """Write the motion of a face as a CSV file, whole or not at all.

    Args:
        path: Ends in .csv; an existing file is replaced.
        motion: How the face moves. The head's shift and size are not written: no column has them.
        kind: `live-link`: Timecode, BlendshapeCount, 52 blendshapes, the angles of head and eyes. `mediapipe`: the time
            in milliseconds, `_neutral` and the 51 blendshapes of MediaPipe (no tongue) in its order, the head's angles.

    Returns:
        The absolute path.

    Raises:
        BadMedia: When the file cannot be written.
        BadInput: For another kind.
    """
    if kind not in ("live-link", "mediapipe"):
        raise BadInput(f"`kind` must be live-link or mediapipe, but got {kind!r}. Try live-link.")
    target = check_target(path, (".csv",), folder=False)
    header, rows = (_live_link if kind == "live-link" else _mediapipe)(motion)
    try:
        with Partial(target) as partial, partial.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(header)
            writer.writerows(rows)
    except OSError as error:
        raise write_failure(path, error, "The motion") from error
    return target


def _live_link(motion: FaceMotion) -> tuple[list[str], list[list[str]]]:
    names = [f"{name[0].upper()}{name[1:]}" for name in COEFFICIENTS]
    header = ["Timecode", "BlendshapeCount", *names, *(f"Head{name.capitalize()}" for name in HEAD), *_EYES]
    column = dict(zip(COEFFICIENTS, motion.coefficients.double().unbind(1)))
    eyes: list[Tensor] = []
    for side, out, inwards in (("Left", 1, -1), ("Right", -1, 1)):  # positive is to the viewer's right
        across = out * column[f"eyeLookOut{side}"] + inwards * column[f"eyeLookIn{side}"]
        down = column[f"eyeLookDown{side}"] - column[f"eyeLookUp{side}"]
        eyes += [across * EYE_REACH, down * EYE_REACH, torch.zeros_like(down)]
    numbers = torch.cat(
        [motion.coefficients.double(), motion.pose.double()[:, : len(HEAD)], torch.stack(eyes, 1)], 1
    ).tolist()
    count = str(len(COEFFICIENTS) + len(HEAD) + len(_EYES))
    return header, [[_timecode(i / motion.fps), count, *map(_number, row)] for i, row in enumerate(numbers)]


def _mediapipe(motion: FaceMotion) -> tuple[list[str], list[list[str]]]:
    order = sorted(name for name in COEFFICIENTS if name != "tongueOut")
    shapes = motion.coefficients.double()[:, [COEFFICIENTS.index(name) for name in order]]
    numbers = torch.cat([shapes, motion.pose.double()[:, : len(HEAD)]], 1).tolist()
    header = ["timestamp_ms", "_neutral", *order, *HEAD]
    return header, [[_number(1000 * i / motion.fps), _number(0), *map(_number, row)] for i, row in enumerate(numbers)]


def _number(value: float) -> str:
    return f"{value:.7f}"


def _timecode(time_s: float) -> str:
    """Return hours:minutes:seconds:frames.thousandths, in frames of a sixtieth of a second as the app counts."""
    ticks = round(time_s * TIMECODE_BASE * 1000)
    seconds, rest = divmod(ticks, TIMECODE_BASE * 1000)
    minutes, hours = seconds // 60 % 60, seconds // 3600
    return f"{hours:02d}:{minutes:02d}:{seconds % 60:02d}:{rest // 1000:02d}.{rest % 1000:03d}"


def _plain(name: str) -> str:
    """Return a column's name without case, blanks and underscores: Apple's and MediaPipe's are the same then."""
    return re.sub(r"[\s_]", "", name).lower()


def _empty(row: list[str], columns: dict[str, int]) -> bool:
    """Return whether a line holds no face: blank, or with a count of 0, as the app writes where it lost the face."""
    count = columns.get("blendshapecount")
    return not any(cell.strip() for cell in row) or (
        count is not None and count < len(row) and row[count].strip() in ("0", "0.0")
    )


def _table(
    path: str | Path,
    rows: list[tuple[int, list[str]]],
    columns: dict[str, int],
    names: Sequence[str],
    others: Sequence[str] | None = None,
) -> Float[Tensor, "rows names"]:
    """Return the numbers of some columns, 0 where a column is missing under both of its names."""
    table = torch.zeros(len(rows), len(names))
    for place, name in enumerate(names):
        column = columns.get(_plain(name), columns.get(_plain((others or names)[place])))
        if column is not None:
            table[:, place] = torch.tensor([_read(path, line, row, column, name) for line, row in rows])
    return table


def _read(path: str | Path, line: int, row: list[str], column: int, name: str) -> float:
    try:
        value = float(row[column])
    except IndexError:
        raise _bad(path, f"is cut off in line {line}, before the column {name}") from None
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise _bad(path, f"must have a number as {name} in line {line}, but has {row[column][:20]!r}")
    return value


def _warn_of_units(path: str | Path, shapes: Float[Tensor, "rows 52"]) -> None:
    """Say that values are cut, as all of a file in percent would be."""
    beyond = ((shapes - 0.5).abs() > 0.5 + _NEAR).any(0)
    if bool(beyond.any()):
        first = int(beyond.nonzero()[0, 0])
        column = shapes[:, first]
        worst = float(column[(column - 0.5).abs().argmax()])
        logger.warning(
            "`%s` has values of %d blendshapes outside 0 to 1 (%s: %g), which are cut there. Is it in percent?",
            *(path, int(beyond.sum()), COEFFICIENTS[first], worst),
        )


def _times(
    path: str | Path, rows: list[tuple[int, list[str]]], columns: dict[str, int], fps: float
) -> Float[Tensor, "rows"]:
    """Return the time of each line in seconds, from 0."""
    stamp = next((name for name in _TIMES if name in columns), None)
    if "timecode" in columns:
        place = columns["timecode"]
        times = _from_timecodes(path, [(line, row[place] if place < len(row) else "") for line, row in rows])
    elif stamp is not None:
        times = torch.tensor(
            [_read(path, line, row, columns[stamp], "time") * _TIMES[stamp] for line, row in rows], dtype=torch.float64
        )
    else:
        times = torch.arange(len(rows), dtype=torch.float64) / fps
    times = times - times[0]
    if bool((times.diff() < 0).any()):
        line = rows[int((times.diff() < 0).nonzero()[0, 0]) + 1][0]
        raise _bad(path, f"goes back in time in line {line}")
    if float(times[-1]) > _LONGEST_S:
        raise _bad(path, f"lasts {float(times[-1]):g} s, which is too long")
    return times


def _from_timecodes(path: str | Path, codes: list[tuple[int, str]]) -> Float[Tensor, "rows"]:
    """Read hours:minutes:seconds:frames; in how many frames a second counts is what makes the lines most even."""
    whole: list[float] = []
    parts: list[float] = []
    for line, code in codes:
        found = re.fullmatch(r"(\d+):(\d+):(\d+)[:;](\d+(?:\.\d+)?)", code.strip())
        if found is None:
            raise _bad(path, f"must have a timecode such as 00:00:01:12.000 in line {line}, but has {code[:20]!r}")
        hours, minutes, seconds, frame = found.groups()
        whole.append(int(hours) * 3600 + int(minutes) * 60 + int(seconds))
        parts.append(float(frame))
    seconds, frames = torch.tensor(whole, dtype=torch.float64), torch.tensor(parts, dtype=torch.float64)
    midnights = (seconds.diff(prepend=seconds[:1]) < -_DAY_S / 2).cumsum(0)  # a timecode is the time of the day
    seconds = seconds + midnights * _DAY_S
    bases = [base for base in _BASES if base > float(frames.max())] or [math.ceil(float(frames.max()) + 1e-6)]
    tried = [seconds + frames / base for base in bases]
    if len(codes) < 3:
        return tried[0]
    uneven = [float(times.diff().std() / times.diff().mean().clamp(min=1e-9)) for times in tried]
    best = min(range(len(bases)), key=lambda i: (uneven[i] > min(uneven) + 1e-3, i))
    return tried[best]


def _look(shapes: Float[Tensor, "rows 52"], eyes: Float[Tensor, "rows 6"]) -> Float[Tensor, "rows 52"]:
    """Take the gaze from the eyes' angles where a file has no blendshapes of it."""
    shapes = shapes.clone()
    for offset, side, outwards in ((0, "Left", 1), (3, "Right", -1)):
        across, down = outwards * eyes[:, offset] / EYE_REACH, eyes[:, offset + 1] / EYE_REACH
        for name, value in (("Out", across), ("In", -across), ("Down", down), ("Up", -down)):
            shapes[:, COEFFICIENTS.index(f"eyeLook{name}{side}")] = value.clamp(0, 1)
    return shapes


def _resample(
    track: Float[Tensor, "rows d"], times: Float[Tensor, "rows"], fps: float, frames: int | None, name: str
) -> Float[Tensor, "frames d"]:
    """Interpolate at the times of the frames; the last row lasts as long as rows do on average."""
    step = float(times[-1]) / (len(times) - 1) if len(times) > 1 else 1 / fps
    return at_times(track, times, frame_times(float(times[-1]) + step, fps, frames, name))


def _bad(path: str | Path, what: str) -> BadMedia:
    return BadMedia(f"The motion file `{path}` {what}. Export it again.")
