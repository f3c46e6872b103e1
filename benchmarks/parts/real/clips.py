"""Clips of real people: their first frame as the photograph, driven by the motion that MediaPipe reads in the rest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from portraittalk_core.compositing.head_warp import LARGEST
from portraittalk_core.errors import NoFaceFound
from portraittalk_core.media.image import contact_sheet, from_bytes, resize, to_bytes, write_image
from portraittalk_core.media.paste_back import paste_back
from portraittalk_core.motion.geometry import warp_picture
from portraittalk_core.types import Identity, StructureMaps

from ..program import say
from .boxes import in_crop, to_pixels
from .driven import by_blendshapes, by_points, heard
from .looking import Photograph, look, tensor
from .making import SIDE, chunks, crops, make, moved_by_dense_motion, through_mp4
from .material import Clip, clips, read_clip
from .readings import Readings, cached, read_frames
from .scores import QUANTITIES, correlation, errors, pooled
from .session import Session

PATHS = ("blendshapes", "points")
"""Ways to say the true motion: as the product is told of it, and by where the points are."""

BASELINES = ("still", "warp", "dense", "decoded")
"""What the finished video is compared with: the photograph as it is, moved by smooth fields between the points, moved
by the dense motion, and what the denoiser drew without the photograph. All of them are told the same motion; `warp` is
that of the true points, which stands in the table beside both ways."""

ITSELF = "of the photograph itself"
"""How a baseline is called that is done as ours is: it moves the photograph in its own resolution, resampled once."""

_COLUMNS = 8


def measure(session: Session) -> dict[str, Any]:
    """Measure every clip that is not measured yet.

    Args:
        session: What was asked for.

    Returns:
        By the clip's name: `errors` by variant, `looks` by path, and `true`, the same looks at the true clip.
    """
    found: dict[str, Any] = {}
    for path in clips(session.given.clips):
        if session.wanted(path.stem):
            file = session.folder / "clips" / f"{path.stem}_{session.given.frames}_{session.given.step}.json"
            if not file.exists():
                file.write_text(json.dumps(_tried(session, path, file.with_suffix(""))))
            row = found[path.stem] = json.loads(file.read_text())
            say(path.stem, row.get("left out", ""), {n: round(e["psnr mouth"], 2) for n, e in row["errors"].items()})
    return found


def _tried(session: Session, path: Path, target: Path) -> dict[str, Any]:
    """Measure a clip; where there is no face, say who finds none."""
    try:
        return one(session, path, target)
    except NoFaceFound as error:
        return {"left out": str(error), "errors": {}, "looks": {}}


def one(session: Session, path: Path, target: Path) -> dict[str, Any]:
    """Make and measure one clip.

    Args:
        session: What was asked for.
        path: Of the clip.
        target: Beginning of the files that are written.
    """
    clip = read_clip(path, session.given.frames, session.given.step)
    truth = true_readings(session, clip)
    stack = session.stack
    identity = stack.identify([clip.frame(0)])
    place = identity.places[0]
    corner = truth.points.new_tensor([place.left, place.top])
    photograph = Photograph(clip.name, clip.frame(0), place, truth.points[0] - corner)
    true = crops(clip.levels, place, SIDE)
    points = to_pixels(in_crop(truth.points, place), SIDE)
    _, shaped = by_blendshapes(stack, identity, truth, clip.fps)
    maps = {"blendshapes": shaped, "points": by_points(identity, truth, clip.fps)}
    row: dict[str, Any] = {"frames": len(true), "errors": {}, "looks": {}}

    def finished(name: str, frames: Float[Tensor, "f 3 s s"]) -> Float[Tensor, "f 3 s s"]:
        """Put frames into the photograph and encode them, as what they are compared with is."""
        video = paste_back(chunks(to_bytes(frames), clip.fps), photograph.pixels, place)
        return crops(through_mp4(video, target.with_name(f"{target.name}_{name}.mp4")), place, SIDE)

    row["errors"]["still"] = errors(finished("still", true[:1].expand(len(true), -1, -1, -1)), true, points)
    for name, way in (("warp", "points"), ("warp blendshapes", "blendshapes")):
        for called, picture in ((name, identity.crops[:1].cpu()), (f"{name} {ITSELF}", own_pixels(identity))):
            moved = _smoothly_moved(picture, identity, maps[way])
            row["errors"][called] = errors(finished(called.replace(" ", "_"), moved), true, points)
    pictures = {"true": true}
    features = heard(stack, clip.sound, clip.fps, len(true))
    for way in PATHS:
        dense, still = moved_by_dense_motion(stack, identity, maps[way])
        file = target.with_name(f"{target.name}_{way}.mp4")
        made = make(session.model, photograph.pixels, identity, maps[way], features, file)
        beside = {"dense": dense, "decoded": from_bytes(made.decoded)}
        shown = {"ours": crops(made.finished, place, SIDE)}
        shown |= {name: finished(f"{way}_{name}", frames) for name, frames in beside.items()}
        row["errors"] |= {f"{name} {way}": errors(frames, true, points) for name, frames in shown.items()}
        itself, _ = moved_by_dense_motion(stack, identity, maps[way], own_pixels(identity))
        row["errors"][f"dense {way} {ITSELF}"] = errors(finished(f"{way}_dense_itself", itself), true, points)
        row["looks"][way] = look(session.read, stack, made.finished, photograph, still, session.gallery)
        pictures |= {f"{name} {way}": frames for name, frames in shown.items()}
        say(clip.name, way, "made")
    again = through_mp4(chunks(clip.levels, clip.fps), target.with_name(f"{target.name}_true.mp4"))
    row["looks"]["true"] = look(session.read, stack, again, photograph, still, session.gallery)
    row["tracks"] = {name: [round(float(v), 5) for v in truth.track(name)] for name in QUANTITIES}
    write_image(target.with_suffix(".png"), _strip(pictures))
    return row


def true_readings(session: Session, clip: Clip) -> Readings:
    """Return what MediaPipe reads in a clip, each frame having the face of the one before where none is found.

    Args:
        session: Where readings are kept.
        clip: The clip.
    """
    name = f"{clip.name}_{len(clip.levels)}_{session.given.step}.npz"
    frames = (clip.frame(number) for number in range(len(clip.levels)))
    return cached(session.given.out / "truth" / name, lambda: read_frames(session.read, frames)).filled()


def own_pixels(identity: Identity) -> Float[Tensor, "1 3 s s"]:
    """Return the crop of the photograph in the resolution in which the product moves it.

    Args:
        identity: Of the photograph.
    """
    portrait = identity.crops[0] if identity.portrait is None else identity.portrait
    side = min(portrait.shape[-1], LARGEST)
    return (portrait if portrait.shape[-1] == side else resize(portrait, side, side))[None].cpu()


def _smoothly_moved(
    picture: Float[Tensor, "1 3 s s"], identity: Identity, maps: StructureMaps
) -> Float[Tensor, "f 3 s s"]:
    reference = identity.landmarks[:1].cpu()
    parts = maps.landmarks.cpu().split(8)
    return torch.cat([warp_picture(picture, reference, part) for part in parts])


def _strip(pictures: dict[str, Float[Tensor, "f 3 s s"]]) -> Float[Tensor, "3 h w"]:
    count = len(pictures["true"])
    rows = [round(k * (count - 1) / (_COLUMNS - 1)) for k in range(_COLUMNS)]
    return contact_sheet(torch.cat([frames[rows] for frames in pictures.values()]), columns=_COLUMNS)


def followed(found: dict[str, Any], way: str, name: str) -> dict[str, float]:
    """Compare what is read in the true clips with what is read in ours.

    Args:
        found: Of `measure`.
        way: Of `PATHS`, or `true`: what MediaPipe reads in the true clips, coded anew.
        name: Of `QUANTITIES`.

    Returns:
        `value`, r over all clips, each about its own mean; `mean` and `least` of the clips' own.
    """
    tracks = [(torch.tensor(row["tracks"][name]), tensor(row["looks"][way]["tracks"][name])) for row in found.values()]
    own = [correlation(*pair) for pair in tracks]
    return {"value": pooled(tracks), "mean": sum(own) / len(own), "least": min(own)}


def wins(found: dict[str, Any], way: str, score: str, itself: bool = False) -> int:
    """Count the clips in which the finished video is better than every baseline.

    Args:
        found: Of `measure`.
        way: Of `PATHS`.
        score: Such as `psnr mouth`.
        itself: Whether baselines move the photograph itself, as ours does.
    """
    return sum(
        all(row["errors"][f"ours {way}"][score] > row["errors"][other][score] for other in baselines(way, itself))
        for row in found.values()
    )


def baselines(way: str, itself: bool = False) -> list[str]:
    """Name the baselines of one way.

    Args:
        way: Of `PATHS`.
        itself: Whether those that move a picture move the photograph itself.
    """
    alone = ("still", "warp") if way == "points" else ("still",)
    names = [name if name in alone else f"{name} {way}" for name in BASELINES]
    moving = ("warp", "dense") if itself else ()
    return [f"{name} {ITSELF}" if name.startswith(moving) else name for name in names]
