"""Every photograph that can speak in eight frames: to be looked at, and what of its detail a frame at rest keeps."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from portraittalk_core.media.image import contact_sheet, resize, to_pil, write_image
from portraittalk_core.motion.structure import clamp_coefficients, structure_maps
from portraittalk_core.stacks.prompts import PromptTrack
from portraittalk_core.types import COEFFICIENTS, FaceMotion, StructureMaps

from ..program import say
from .boxes import oval
from .looking import plain, whose
from .making import PROMPT
from .material import cut, recordings
from .readings import read_frames
from .scores import detail, face_sharpness, iris_colours
from .session import Portrait, Session
from .spoken import FPS

REST = 8
"""Frames that hold still at first: what the photograph shows, again."""

SPOKEN_S = 2.0
"""Seconds of speech after them."""

TURN, NOD = 0.35, 0.2
"""Angles of the head in the frames that turn, radians."""

_RAMP, _BLINK = 6, 3
_SHOWN = 8  # frames of each portrait
CELL, PUBLIC_CELL = 320, 208
"""Sides of the pictures in the sheets, pixels."""

MOST_BYTES = 600_000
"""Of the sheet that is published."""


def measure(session: Session) -> dict[str, Any]:
    """Make the frames of every portrait that has none yet, read those at rest, and lay out the sheets.

    Args:
        session: What was asked for.

    Returns:
        By the portrait's name: `detail`, `sharpness`, `iris`, `iris pair`, `restless`, and whose face it is.
    """
    found: dict[str, Any] = {}
    rows: dict[str, Float[Tensor, "9 3 s s"]] = {}
    folder = session.folder / "sheet"
    folder.mkdir(parents=True, exist_ok=True)
    for portrait in session.portraits:
        name = portrait.photograph.name
        file = folder / f"{name}.json"
        if not file.exists():
            row, pictures = one(session, portrait)
            torch.save(pictures, file.with_suffix(".pt"))
            write_image(file.with_suffix(".png"), contact_sheet(_cells(pictures, CELL), columns=3))
            file.write_text(json.dumps(row))
        found[name] = json.loads(file.read_text())
        rows[name] = torch.load(file.with_suffix(".pt"))
        say(name, {k: v for k, v in found[name].items() if not isinstance(v, list)})
    if rows:
        cells = torch.cat([_cells(pictures, CELL) for pictures in rows.values()])
        write_image(folder / "sheet.png", contact_sheet(cells, columns=9))
    public = [rows[p.photograph.name] for p in session.portraits if p.public]
    if public:
        write_jpeg(session.page.with_suffix(".jpg"), torch.cat([_cells(row, PUBLIC_CELL) for row in public]))
    return found


def _cells(pictures: Float[Tensor, "n 3 s s"], size: int) -> Float[Tensor, "n 3 size size"]:
    return resize(pictures.float(), size, size)


def write_jpeg(
    target: Path, pictures: Float[Tensor, "n 3 s s"], most: int = MOST_BYTES, columns: int = 1 + _SHOWN
) -> None:
    """Write a sheet as good as its size allows.

    Args:
        target: A .jpg file.
        pictures: In [-1, 1].
        most: Bytes.
        columns: Pictures to a row.
    """
    sheet = to_pil(contact_sheet(pictures, columns=columns))
    for quality in range(92, 30, -4):
        held = io.BytesIO()
        sheet.save(held, format="JPEG", quality=quality, optimize=True)
        if held.tell() <= most:
            break
    target.write_bytes(held.getvalue())


def script(stack: Any, portrait: Portrait, sound: Any) -> tuple[FaceMotion, dict[str, int]]:
    """Write what a portrait does for the sheet: it holds still, speaks, blinks and turns its head both ways.

    Args:
        stack: Hears the sound.
        portrait: Holds still as its photograph shows it.
        sound: Is spoken.

    Returns:
        The motion without the first frames, which are the photograph's own, and in which frames of the whole the eyes
        are closed and the head is turned.
    """
    spoken = stack.move(stack.listen(sound, FPS))
    coefficients, pose = spoken.coefficients.clone(), spoken.pose.clone()
    end, head = coefficients[-1:], torch.tensor([[0.0, 0, 0, 0, 0, 1]])
    blink = [n for n, name in enumerate(COEFFICIENTS) if name.startswith("eyeBlink")]
    parts = [coefficients]
    poses = [pose, head.repeat(2 * _BLINK + 1, 1)]
    shut = end.repeat(2 * _BLINK + 1, 1)
    shut[:, blink] = (1 - (torch.arange(-_BLINK, _BLINK + 1).abs() / _BLINK))[:, None]
    parts.append(shut)
    marks = {"blink": REST + len(coefficients) + _BLINK}
    at = marks["blink"] + _BLINK + 1
    for name, yaw, pitch in (("right", TURN, 0.0), ("left", -TURN, NOD)):
        way = torch.linspace(0, 1, _RAMP)[:, None] * torch.tensor([[yaw, pitch, 0, 0, 0, 0]])
        poses.append(torch.cat([way, way.flip(0)]) + head)
        parts.append(end.repeat(2 * _RAMP, 1))
        marks[name] = at + _RAMP - 1
        at += 2 * _RAMP
    return FaceMotion(clamp_coefficients(torch.cat(parts)), torch.cat(poses), FPS), marks


def planned(stack: Any, portrait: Portrait, sound: Any) -> tuple[StructureMaps, dict[str, int]]:
    """Return the structure maps of a portrait's frames, and which of them are shown.

    Args:
        stack: Tiny.
        portrait: Who moves.
        sound: What is spoken.

    Returns:
        Maps, and the number of a frame by what it shows: `rest`, the widest mouths, `blink`, `right`, `left`.
    """
    identity = portrait.identity
    motion, marks = script(stack, portrait, sound)
    maps = stack.structure(motion, identity)
    has, _ = stack.fitter(identity.landmarks[:1])
    shown_already = clamp_coefficients(has.detach().cpu()).repeat(REST, 1)
    still = FaceMotion(shown_already, torch.tensor([[0.0, 0, 0, 0, 0, 1]]).repeat(REST, 1), FPS)
    rest = structure_maps(still, identity, stack.fitter, stack.shaper, keep_expression=0.0)
    both = [torch.cat([getattr(rest, name), getattr(maps, name)]) for name in ("landmarks", "placement")]
    jaw = motion.mouth_opening[: round(SPOKEN_S * FPS)]
    shown = {"rest": REST - 1, "silence": REST + int(jaw.argmin())}
    for number, frame in enumerate(widest(jaw, 3)):
        shown[f"speaks {number + 1}"] = REST + frame
    return StructureMaps(both[0], both[1], FPS), shown | marks


def widest(jaw: Float[Tensor, "f"], count: int, apart: int = 6) -> list[int]:
    """Return the frames in which the mouth is open widest, some frames apart.

    Args:
        jaw: How far it is open.
        count: How many.
        apart: Frames between two of them, at least.
    """
    left = jaw.clone()
    found: list[int] = []
    for _ in range(min(count, len(jaw))):
        frame = int(left.argmax())
        found.append(frame)
        left[max(0, frame - apart + 1) : frame + apart] = -1
    return sorted(found)


def one(session: Session, portrait: Portrait) -> tuple[dict[str, Any], Float[Tensor, "9 3 s s"]]:
    """Make a portrait's frames.

    Args:
        session: What was asked for.
        portrait: Who moves.

    Returns:
        What is read in those at rest, and the photograph's crop with the eight frames beside it.
    """
    stack = session.stack
    _, sound = next(recordings(session.given.speech, SPOKEN_S))
    maps, shown = planned(stack, portrait, cut(sound, SPOKEN_S))
    prompts = PromptTrack(PROMPT, (), FPS, len(maps.landmarks))
    drawn = session.model.draw(portrait.identity, maps, None, prompts, seed=0)
    frames = torch.cat([f.pixels for f in stack.composite(drawn, portrait.identity, maps)])
    row = at_rest(session, portrait, frames[:REST])
    chosen = frames[list(shown.values())]
    levels = ((chosen + 1) * 127.5).round().to(torch.uint8)
    row |= whose(stack, levels, portrait.photograph.name, session.gallery)
    row["found"] = int(read_frames(session.read, chosen).found.sum())
    size = chosen.shape[-1]
    return row, torch.cat([resize(portrait.photograph.crop[None], size, size), chosen])


def at_rest(session: Session, portrait: Portrait, frames: Float[Tensor, "f 3 s s"]) -> dict[str, Any]:
    """Compare frames that show what the photograph shows with it.

    Args:
        session: Has MediaPipe.
        portrait: With the photograph.
        frames: Made of it.

    Returns:
        `detail`, `sharpness`, irises and how restless the whole crop is.
    """
    size = frames.shape[-1]
    photograph = resize(portrait.photograph.crop[None], size, size)[0]
    points = portrait.photograph.points * (size / portrait.photograph.place.side)
    last = frames[-1]
    row: dict[str, Any] = {"detail": detail(last, photograph, oval(points, size, 1.3), points)}
    own = face_sharpness(photograph[None], points[None])[0]
    row["sharpness"] = float(face_sharpness(last[None], points[None])[0] / own)
    row["restless"] = float(frames.std(0, correction=0).mean() * 127.5)
    row["restless face"] = float(frames.std(0, correction=0).mean(0)[oval(points, size)].mean() * 127.5)
    colours = [iris_colours(picture, points) for picture in (last, photograph)]
    row["iris"] = [v for v in plain((colours[0] - colours[1]).norm(dim=1)) if v is not None]
    pair = (colours[0][0] - colours[0][1]) - (colours[1][0] - colours[1][1])
    row["iris pair"] = [v for v in plain(pair.norm()[None]) if v is not None]
    return row
