"""Prepare one clip: look at it once to find and judge its stretches, and again to cut out what is kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import BadMedia, PortraitTalkError
from ..evaluation.scoring.tracks import Finder
from ..metrics.sync import SyncNetwork
from ..motion.structure import FaceFitter, clamp_coefficients
from ..types import CropPlace, Sound
from .cache import Cache
from .captions import ask, caption_of, tags
from .cuts import cuts_in, joined, scenedetect_cuts
from .decoding import Picture, frames_by_time, pixels_of, speech_of
from .framing import cut_picture, in_square, steady_place
from .measures import Drop, beyond, measured
from .records import Made, clip_name
from .samples import encoded, evenly, sample_files, strip_of
from .settings import FPS, Settings
from .shards import digest, pack
from .sources import Source
from .sync import judge
from .tracking import Look, Stretch, face_width, look, pieces, stretches

Embed = Callable[[Picture, Float[Tensor, "478 2"]], "Float[Tensor, '512'] | None"]
"""Embeds the face of a picture whose points are known, in pixels; None where it finds none."""


@dataclass(frozen=True)
class Tools:
    """What a preparation looks and listens with."""

    finder: Finder
    """Finds faces and places their points."""

    embed: Embed
    """Says who it is."""

    fitter: FaceFitter
    """Reads expression and pose off points."""

    network: SyncNetwork | None = None
    """SyncNet; None: ADFD judges."""

    cache: Cache | None = None
    """Makes latents and speech features ahead; None: training makes them."""

    separate: Callable[[Sound], Sound] | None = None
    """Takes voices out of music; None: sounds stay as they are."""


@dataclass
class _Kept:
    """A stretch that may be kept, and what is gathered of it while the clip is read again."""

    stretch: Stretch
    place: CropPlace
    points: Float[Tensor, "f 478 2"]
    motion: Float[Tensor, "f 58"]
    squares: list[Picture] = field(default_factory=list)


class ClipPreparer:
    """Makes samples of clips, one clip after the other.

    Args:
        settings: What to make.
        tools: What to look and listen with.
    """

    def __init__(self, settings: Settings, tools: Tools) -> None:
        self._settings, self._tools = settings, tools

    def __call__(self, source: Source, split: str) -> Made:
        """Prepare a clip. What is wrong with it becomes its record's business.

        Args:
            source: The clip.
            split: That it is of.
        """
        record: dict[str, Any] = {
            "label": source.label, "person": source.person, "split": split, "signature": source.signature,
        }  # fmt: skip
        record |= {"dataset": source.dataset, "seconds": 0.0, "samples": [], "dropped": []}
        try:
            seen = look(frames_by_time(source.path, FPS), FPS, self._tools.finder)
            speech = speech_of(source.path, source.sound, self._tools.separate)
        except BadMedia as error:
            return Made(record | {"dropped": [Drop(0, 0, "cannot be read").record | {"why": _line(error)}]})
        record["seconds"] = round(len(seen.frames) / FPS, 2)
        cuts = joined(cuts_in([frame.change for frame in seen.frames]), scenedetect_cuts(source.path, FPS))
        return self._made(source, record | {"cuts": cuts}, seen, speech)

    def _made(self, source: Source, record: dict[str, Any], seen: Look, speech: Tensor | None) -> Made:
        drops: list[Drop] = []
        kept = self._sorted_out(seen, record["cuts"], drops)
        pictures: list[bytes] = []
        samples: list[dict[str, Any]] = []
        strips: dict[str, list[Picture]] = {}
        awaited = list(kept)
        wanted = {drop.reason: _spread(drop) for drop in reversed(drops)}
        last = max([one.stretch.stop for one in kept] + [max(at) + 1 for at in wanted.values() if at], default=0)
        for number, (picture, _) in enumerate(islice(frames_by_time(source.path, FPS), last)):
            for reason, at in wanted.items():
                if number in at:
                    strips.setdefault(reason, []).append(picture)
            for one in list(awaited):
                if one.stretch.first <= number < one.stretch.stop:
                    one.squares.append(cut_picture(picture, one.place, self._settings.size))
                if number == one.stretch.stop - 1:
                    awaited.remove(one)
                    result = self._finished(source, record, one, speech)
                    if isinstance(result, Drop):
                        drops.append(result)
                        strips.setdefault(result.reason, one.squares[:: max(1, len(one.squares) // 6)])
                    else:
                        key = f"{clip_name(source.label)}_{len(samples):03d}"
                        pictures.append(pack(key, result[0]))
                        samples.append({"key": key, **result[1]})
                    one.squares = []
        offset = 0
        for entry, piece in zip(samples, pictures, strict=True):
            entry |= {"offset": offset, "bytes": len(piece), "sha256": digest(piece)}
            offset += len(piece)
        if seen.damage:
            end = len(seen.frames) / FPS
            drops.append(Drop(end, end, "damaged from here on"))
        dropped = [drop.record for drop in sorted(drops, key=lambda drop: drop.start_s)]
        files = {reason: strip_of(shown) for reason, shown in strips.items() if shown}
        return Made(record | {"samples": samples, "dropped": dropped}, tuple(pictures), files)

    def _sorted_out(self, seen: Look, cuts: list[int], drops: list[Drop]) -> list[_Kept]:
        """Return the stretches that keep every limit that can be asked before pictures are cut; note the others."""
        limits = self._settings.limits
        found = stretches(seen, cuts)
        drops += _faceless(found, len(seen.frames), limits.least_s)
        kept: list[_Kept] = []
        for whole in found:
            for part in pieces(whole, round(limits.longest_s * FPS)):
                if len(part) < limits.least_s * FPS:
                    seconds = len(part) / FPS
                    drops.append(Drop(part.first / FPS, part.stop / FPS, "too short", seconds, limits.least_s))
                    continue
                place = steady_place(part.points, seen.height, seen.width, self._settings.margin)
                points = in_square(part.points, place)
                motion = self._motion(points)
                values = measured(part, face_width(part.points), motion[:, -6:], place, None)
                drop = beyond(values, limits, part.first, part.stop)
                if drop is None:
                    kept.append(_Kept(part, place, points, motion))
                else:
                    drops.append(drop)
        return kept

    @torch.no_grad()
    def _motion(self, points: Float[Tensor, "f 478 2"]) -> Float[Tensor, "f 58"]:
        coefficients, pose = self._tools.fitter(points)
        return torch.cat([clamp_coefficients(coefficients), pose], 1).cpu()

    def _finished(
        self, source: Source, record: dict[str, Any], one: _Kept, speech: Tensor | None
    ) -> Drop | tuple[dict[str, bytes], dict[str, Any]]:
        """Return the files of a sample and what the record says of it, or why it is left out."""
        settings, part = self._settings, one.stretch
        rows, faces, likeness = self._who(one)
        values = measured(part, face_width(part.points), one.motion[:, -6:], one.place, likeness)
        drop = beyond(values, settings.limits, part.first, part.stop)
        if drop is not None:
            return drop
        crops = (pixels_of(square)[None] for square in one.squares)
        heard = judge(one.points, crops, settings.size, speech, part.first, settings.limits, self._tools.network)
        if heard.drop is not None:
            return heard.drop
        middle = one.squares[len(one.squares) // 2]
        words = tags(one.motion[:, :-6], one.motion[:, -6:], middle)
        caption = caption_of(words, bool(heard.facts), source.note)
        if settings.caption:
            caption = ask(settings.caption, encoded(middle, "jpg", 95))
        place = {"left": one.place.left, "top": one.place.top, "side": one.place.side}
        facts: dict[str, Any] = {
            "clip": source.label, "dataset": source.dataset, "person": source.person, "split": record["split"],
            "start_s": part.first / FPS, "frames": len(part), "fps": FPS, "size": settings.size, "square": place,
            "video": {"height": one.place.height, "width": one.place.width}, "filled_in": int((~part.seen).sum()),
            "embedded": rows, "sync": heard.facts, "tags": words, "caption": caption,
            "measures": {name: round(value, 4) for name, value in values.items()},
        }  # fmt: skip
        arrays = {"points": one.points, "motion": one.motion, "faces": faces}
        pictures = [encoded(square, settings.picture, settings.quality) for square in one.squares]
        found = sample_files(
            pictures, settings.picture, heard.sound, {k: v.float().numpy() for k, v in arrays.items()}, caption, facts
        )
        if self._tools.cache is not None:
            found |= self._tools.cache.files(one.squares, heard.sound)
        short = ("person", "split", "start_s", "frames", "caption", "sync", "measures")
        return found, {name: facts[name] for name in short}

    def _who(self, one: _Kept) -> tuple[list[int], Float[Tensor, "k 512"], float | None]:
        """Return which frames were embedded, their embeddings, and the least similarity to their mean."""
        size = self._settings.size
        rows, found = [], []
        for row in evenly(len(one.squares), self._settings.embeddings):
            embedding = self._tools.embed(one.squares[row], (one.points[row] + 1) * (size / 2))
            if embedding is not None:
                rows.append(row)
                found.append(embedding)
        if not found:
            return [], torch.zeros(0, 512), 0.0
        faces = torch.stack(found)
        mean = torch.nn.functional.normalize(faces.mean(0), dim=0)
        return rows, faces, float((faces @ mean).min())


def _line(error: PortraitTalkError) -> str:
    return " ".join(str(error).split())


def _faceless(found: list[Stretch], frames: int, least_s: float) -> list[Drop]:
    """Note where no face is followed, as far as it lasts long enough to have been worth something."""
    edges = [0, *(edge for one in found for edge in (one.first, one.stop)), frames]
    gaps = zip(edges[::2], edges[1::2], strict=True)
    return [Drop(a / FPS, b / FPS, "no face") for a, b in gaps if b - a >= least_s * FPS]


def _spread(drop: Drop) -> set[int]:
    """Return frames that show what was left out."""
    first, stop = round(drop.start_s * FPS), round(drop.end_s * FPS)
    return {first + row for row in evenly(stop - first, 6)} if stop > first else set()
