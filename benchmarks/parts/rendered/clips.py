"""The clip of each person: does the picture follow the motion, how near is it to the truth, whose face is it?"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from portraittalk_core.motion.geometry import eye_opening, mouth_opening, placement, warp_picture
from portraittalk_core.stacks.tiny import TinyStack
from portraittalk_core.training.vae import score_vae
from portraittalk_core.types import COEFFICIENTS, LANDMARKS, POSE, FaceMotion, Identity, StructureMaps

from ..program import say
from ..real.boxes import in_crop, to_pixels
from ..real.looking import plain
from ..real.making import crops, moved_by_dense_motion
from ..real.readings import Read, Readings, read_frames
from ..real.scores import errors, face_sharpness
from .material import Truth
from .scores import correlation, sharpness
from .session import PROMPT, SIDE, Session, make

QUANTITIES = ("jaw", "yaw", "pitch", "roll", "blink")
"""What is read off pictures."""

BASELINES = ("still", "warp", "dense", "decoded")
"""What the finished frames are compared with: the portrait as it is, moved by smooth fields between the points, moved
by the dense motion, and what the denoiser drew."""

READ = ("jawOpen", "eyeBlink", "yaw", "pitch", "roll")
"""What MediaPipe reads of the same, in that order of importance."""

_EVERY = 6  # frames of which it is asked whose face it is
_STILL = 1e-4  # deviation over time, of [-1, 1], below which a true pixel stands still


def measure(session: Session) -> dict[str, Any]:
    """Measure the clip of every person.

    Args:
        session: What was asked for.

    Returns:
        By the person's number, see `one`.
    """
    found: dict[str, Any] = {}
    for number in range(session.given.people):
        name = f"clip_{number}_{session.given.frames}{'_mediapipe' if session.read else ''}"
        row = found[str(number)] = session.kept(name, lambda n=number: one(session, n))
        say(f"  person {number}:", {k: round(v, 2) for k, v in row["errors"]["ours"].items()})
    return found


def one(session: Session, number: int) -> dict[str, Any]:
    """Make and measure the clip of one person.

    Args:
        session: What was asked for.
        number: Of the person.

    Returns:
        `errors` of ours and of what is simpler; `followed` and `ceiling`, correlations with the commanded motion of
        ours and of the truth; embeddings; stillness, sharpness, and the VAE's own loss.
    """
    shown, stack = session.truth(number), session.stack
    identity = stack.identify([shown.portrait])
    maps = stack.structure(shown.motion, identity)
    made = make(session.model, identity, maps, PROMPT, seed=number)
    place = identity.places[0]
    true, points = true_frames(shown, identity)
    dense, _ = moved_by_dense_motion(stack, identity, maps)
    reference = identity.landmarks[:1]
    warp = torch.cat([warp_picture(identity.crops[:1], reference, part) for part in maps.landmarks.split(8)])
    variants = {
        "still": true[:1].expand_as(true),
        "warp": warp,
        "dense": dense,
        "decoded": made.decoded,
        "ours": made.finished,
    }
    row: dict[str, Any] = {"errors": {name: errors(frames, true, points) for name, frames in variants.items()}}
    asked = {name: column(shown.motion, name) for name in QUANTITIES}
    for name, frames in (("followed", made.finished), ("ceiling", true)):
        seen, faces = read(stack, frames)
        row[name] = {key: correlation(seen[key][1:], asked[key][1:]) for key in QUANTITIES}
        row[f"{name} found"] = faces / len(frames)
    still = (true.std(0).amax(0) < _STILL)[None].expand(3, -1, -1)
    row["stillness"] = float(made.finished.std(0)[still].mean() * 127.5) if bool(still.any()) else 0.0
    sharp = [face_sharpness(frames[1:], points[1:]).nanmean() for frames in (made.finished, made.decoded, true)]
    row["sharpness"], row["sharpness decoded"] = (float(value / sharp[2]) for value in sharp[:2])
    row["sharper"] = sharpness(made.finished) / sharpness(true)
    row["kept"] = [session.embed(frame) for frame in made.finished[::_EVERY]]
    row["true"] = [session.embed(frame) for frame in true[::_EVERY]]
    row["portrait"], row["enrolled"] = session.embed(shown.portrait), session.embed(shown.enrolment)
    row["place"] = [place.left, place.top, place.side]
    levels = ((true[:1] + 1) * 127.5).round().byte()
    row["vae"] = score_vae(stack.codec.vae, levels, in_crop(shown.points[:1], place))  # pyright: ignore[reportAttributeAccessIssue]
    if session.read is not None:
        row["mediapipe"] = {n: _looked(session.read, f) for n, f in (("ours", made.finished), ("true", true))}
    return row


def true_frames(shown: Truth, identity: Identity) -> tuple[Float[Tensor, "f 3 s s"], Float[Tensor, "f 478 2"]]:
    """Return a clip's true frames and points in the crop that the model sees, in pixels of it.

    Args:
        shown: The truth.
        identity: Says where the crop is.
    """
    place = identity.places[0]
    levels = ((shown.clip + 1) * 127.5).round().byte()
    return crops(levels, place, SIDE), to_pixels(in_crop(shown.points, place), SIDE)


def exact_maps(shown: Truth, identity: Identity) -> StructureMaps:
    """Return where the points truly are, instead of where the structure network puts them.

    Args:
        shown: The truth.
        identity: Of its portrait.
    """
    points = in_crop(shown.points, identity.places[0])
    return StructureMaps(points, placement(identity.landmarks[:1], points), shown.motion.fps)


def column(motion: FaceMotion, name: str) -> Float[Tensor, "f"]:
    """Take what a clip commands.

    Args:
        motion: Of the clip.
        name: Of `QUANTITIES`.
    """
    if name in POSE:
        return motion.pose[:, POSE.index(name)]
    return motion.coefficients[:, COEFFICIENTS.index({"jaw": "jawOpen", "blink": "eyeBlinkLeft"}[name])]


def read(stack: TinyStack, frames: Float[Tensor, "f 3 s s"]) -> tuple[dict[str, Float[Tensor, "f"]], int]:
    """Read mouth, head and eyes off pictures by the face pack; a frame without a face repeats the one before.

    Args:
        stack: Whose detector and fitter read.
        frames: In [-1, 1].

    Returns:
        By the names of `QUANTITIES`, angles in radians; and in how many frames there is a face.
    """
    points: list[Tensor] = []
    count = 0
    for frame in frames:
        faces = stack.faces.find(frame)
        before = points[-1] if points else torch.zeros(LANDMARKS, 2)
        points.append(faces[0].landmarks / frame.shape[-1] * 2 - 1 if faces else before)
        count += bool(faces)
    landmarks = torch.stack(points)
    _, pose = stack.fitter(landmarks)
    seen = {name: pose[:, POSE.index(name)] for name in ("yaw", "pitch", "roll")}
    return {"jaw": mouth_opening(landmarks), **seen, "blink": -eye_opening(landmarks)}, count


def _looked(reader: Read, frames: Float[Tensor, "f 3 s s"]) -> dict[str, Any]:
    readings: Readings = read_frames(reader, frames)
    tracks = {name: plain(readings.track(name)) for name in READ}
    return {"found": int(readings.found.sum()), "frames": len(frames), "tracks": tracks}
