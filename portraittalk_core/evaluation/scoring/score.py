"""Score one clip: a record of figures, and what the report shows of it. Whatever cannot be scored says why."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ...errors import BadInput, BadMedia, MissingExtra, PortraitTalkError
from ...media.audio import read_sound, speech_waveform
from ...media.video import probe, read_video
from ...metrics import functional as metrics
from ...metrics.networks import NEEDED
from ...metrics.sync import SyncNetwork, score_sync
from ...types import SPEECH_RATE, Sound
from ..data.expected import Expected
from .curves import curves
from .figures import DRIFT, FIGURES, GENERATION, SYNC
from .network_files import NetworkFiles
from .pictures import Pictures, look_again, pixels_of
from .set_metrics import Rows, RowTaker
from .tracks import Finder, Track, track_video

CHUNK = 8
"""Frames that are decoded together."""

_DIGITS = 6
_GENERATION = tuple(figure.key for figure in GENERATION)
_FULL_ONLY = ("ssim", "lpips", "csim", *(figure.key for figure in SYNC))
_NO_SOUND = "no sound: ADFD and silent lips are unscored. Give the speech with --audio."


@dataclass(frozen=True)
class Clip:
    """A video to score. label: its name in results and report; sound, reference: files that replace or complete it.

    facts: what is known of it already, by key of its record; expected: what its set's protocol says of it, see
    `expected.Expected`.
    """

    path: Path
    label: str
    sound: Path | None = None
    reference: Path | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    expected: Expected | None = None

    @property
    def signature(self) -> dict[str, str]:
        """Return size and time of every file that the scores depend on."""
        files = {"clip": self.path, "sound": self.sound, "reference": self.reference}
        return {name: _stamp(path) for name, path in files.items() if path is not None}


@dataclass(frozen=True)
class Scored:
    """A clip's record for results.json, what only the page shows (`illustrations`), and its rows (`whole_set`)."""

    record: dict[str, Any]
    shown: dict[str, Any]
    rows: Rows = field(default_factory=dict)


class Scorer:
    """Scores clips one after the other. The track of a reference is kept while clips share it.

    files: networks that the user brought; they count in the full suite only.
    """

    def __init__(self, finder: Finder, suite: str = "quick", files: NetworkFiles | None = None) -> None:
        self.finder = finder
        self.suite = suite
        self._files = files if files is not None and suite == "full" else NetworkFiles()
        self._taker = RowTaker(self._files)
        self._sync: SyncNetwork | None = None
        self._reference: tuple[Path, Track] | None = None

    def score(self, clip: Clip, on_frame: Callable[[int, int], None] | None = None) -> Scored:
        """Return the scores of a clip; what is wrong with its files becomes a line in them, never an exception.

        on_frame: called with the frames done and in all (0 where the file does not say).
        """
        sheet = _Sheet()
        record: dict[str, Any] = {"file": clip.label, **{figure.key: None for figure in FIGURES}}
        shown: dict[str, Any] = {}
        with _warnings_into(sheet.notes):
            try:
                shown = self._fill(clip, record, sheet, on_frame)
            except (BadMedia, BadInput) as error:
                sheet.unscored.append(_one_line(error))
        record |= clip.facts
        kept = {k: v for k, v in record.items() if self._asked_for(k, clip)}
        lines = {"unscored": list(dict.fromkeys(sheet.unscored)), "notes": list(dict.fromkeys(sheet.notes))}
        return Scored({**kept, **lines, "signature": clip.signature}, shown, sheet.rows)

    def _fill(
        self, clip: Clip, record: dict[str, Any], sheet: _Sheet, on_frame: Callable[[int, int], None] | None
    ) -> dict[str, Any]:
        """Write the figures into the record, step by step, so that what was found before an error stays."""
        info = probe(clip.path)
        if clip.expected is not None:
            sheet.notes += clip.expected.differences(info.fps, info.width, info.height)
        chunks, fps, own = read_video(clip.path, CHUNK)
        total = info.frames or round(info.duration_s * fps)
        track = track_video(chunks, fps, self.finder, on_frame and (lambda done: on_frame(done, total)))
        sound = own if clip.sound is None else read_sound(clip.sound)
        record |= _facts(track, sound, info.video_codec, info.audio_codec)
        if track.damage:
            sheet.notes.append(f"{track.damage} Scored the {len(track.landmarks)} frames before.")
        if track.crowded:
            sheet.notes.append(f"{track.crowded} frames show more than one face; the first one is followed")
        if track.unfamiliar:
            sheet.notes.append(
                f"in {track.unfamiliar} frames the detector is not sure of the face, so that its landmarks may be "
                "wrong: it knows rendered avatars. For people name another one with --faces"
            )
        if clip.reference is not None:
            sheet.take(self._taker.pictures(clip.path, clip.reference, track.fps))
        if not track.seen:
            sheet.unscored.append(f"no face found in {len(track.landmarks)} frames. {self.finder.hint}")
            record |= sheet.picture_figures(track, look_again(clip.path, track, CHUNK))
            return {}
        reference = self._reference_track(clip, track, sheet)
        waveform = None if sound is None else speech_waveform(sound)
        record |= sheet.motion_figures(track, waveform)
        if waveform is None:
            sheet.unscored.append(_NO_SOUND)
        else:
            record |= sheet.adfd_figures(track, waveform, reference)
            record |= sheet.sync_figures(track, waveform, clip.path, self._sync_network())
        if reference is not None:
            sheet.take(self._taker.expressions(track, reference))
            record |= sheet.distances(track, reference, self._recognises())
        compared = clip.reference if reference is not None and _same_size(track, reference) else None
        pictures = look_again(clip.path, track, CHUNK, compared, networks=self.suite == "full")
        record |= sheet.picture_figures(track, pictures)
        return {"strip": pictures.strip, **(curves(track, waveform) if waveform is not None else {})}

    def _sync_network(self) -> SyncNetwork | None:
        """Return SyncNet, opened once; None where the user has none, which the report's protocol says."""
        if self._sync is None and self._files.syncnet is not None:
            self._sync = self._files.sync_network()
        return self._sync

    def _recognises(self) -> bool | None:
        """Return whether the detector's embeddings are those that CSIM is defined on; None where nobody asked."""
        return bool(getattr(self.finder, "recognises", False)) if self.suite == "full" else None

    def _reference_track(self, clip: Clip, track: Track, sheet: _Sheet) -> Track | None:
        """Return the track of the reference; None, with a line that says why, where it cannot be used."""
        if clip.reference is None:
            return None
        try:
            if self._reference is None or self._reference[0] != clip.reference:
                chunks, fps, _ = read_video(clip.reference, CHUNK)
                self._reference = (clip.reference, track_video(chunks, fps, self.finder))
        except (BadMedia, BadInput) as error:
            sheet.unscored.append(f"reference: {_one_line(error)}")
            return None
        found = self._reference[1]
        if not found.seen:
            sheet.unscored.append(f"reference: no face found in {clip.reference.name}; nothing is compared with it")
        elif abs(found.fps - track.fps) > 0.01:
            sheet.unscored.append(
                f"reference: it must have the clip's {track.fps:g} frames a second, but has {found.fps:g}; nothing is "
                "compared with it"
            )
        else:
            return found
        return None

    def _asked_for(self, key: str, clip: Clip) -> bool:
        if key in _GENERATION:
            return key in clip.facts
        return self.suite == "full" or key not in _FULL_ONLY


class _Sheet:
    """Collects the lines of a clip while its figures are taken."""

    def __init__(self) -> None:
        self.unscored: list[str] = []
        self.notes: list[str] = []
        self.rows: Rows = {}

    def take(self, taken: tuple[Rows, list[str]]) -> None:
        """Keep rows for the figures of the whole set, and the lines about those that are missing."""
        self.rows |= taken[0]
        self.unscored += taken[1]

    def value(self, score: Callable[[], float | None]) -> float | None:
        """Return a figure, or None and a line where it cannot be had."""
        try:
            found = score()
        except (BadInput, MissingExtra) as error:
            self.unscored.append(_one_line(error))
            return None
        return None if found is None else round(float(found), _DIGITS)

    def adfd_figures(self, track: Track, waveform: Float[Tensor, "n"], reference: Track | None) -> dict[str, Any]:
        """Return ADFD, its parts and the offset; with a reference also ADFD against it."""
        points = track.landmarks
        try:
            found = metrics.adfd(points, waveform, SPEECH_RATE, track.fps)
        except BadInput as error:
            self.unscored.append(_one_line(error))
            return {}
        self.notes += [line for line in found.notes if "unscored" not in line]
        self.unscored += [line for line in found.notes if "unscored" in line]
        parts = {name: getattr(found, name) for name in ("spatial", "temporal", "audio", "stillness", "offset_s")}
        figures: dict[str, Any] = {k: None if v is None else round(v, _DIGITS) for k, v in parts.items()}
        figures["adfd"] = round(found.score, _DIGITS)
        figures["offset_frames"] = None if found.offset_frames is None else int(found.offset_frames)
        figures |= {"voiced_s": round(found.voiced_s, 2), "silent_s": round(found.silent_s, 2)}
        if reference is not None:
            true = reference.landmarks
            figures["adfd_with_truth"] = self.value(
                lambda: metrics.adfd(points, waveform, SPEECH_RATE, track.fps, true).score
            )
        return figures

    def sync_figures(
        self, track: Track, waveform: Float[Tensor, "n"], path: Path, network: SyncNetwork | None
    ) -> dict[str, Any]:
        """Return LSE, or nothing without its network or, with a line, for a clip under 100 frames."""
        if network is None:
            return {}
        boxes = metrics.face_boxes(track.landmarks)
        try:
            found = score_sync(pixels_of(path, CHUNK), boxes, track.fps, waveform, network)
        except BadInput as error:
            self.unscored.append(_one_line(error))
            return {}
        scores = {"lse_c": round(found.lse_c, _DIGITS), "lse_d": round(found.lse_d, _DIGITS)}
        return {**scores, "lse_offset_frames": int(found.offset_frames)}

    def motion_figures(self, track: Track, waveform: Float[Tensor, "n"] | None) -> dict[str, Any]:
        """Return how eyes, head and resting lips move."""
        points, fps = track.landmarks, track.fps
        figures = {
            "blinks_per_minute": self.value(lambda: metrics.blink_rate(points, fps)),
            "head_motion": self.value(lambda: metrics.head_motion_diversity(metrics.head_angles(points))),
        }
        if waveform is not None:
            silent = metrics.silent_frames(waveform, SPEECH_RATE, fps, len(points))
            figures["silent_lips"] = self.value(lambda: metrics.silent_lip_motion(points, silent))
        return figures

    def picture_figures(self, track: Track, pictures: Pictures) -> dict[str, Any]:
        """Return sharpness, flicker, drift and, where there was a reference, likeness of the pictures."""
        self.unscored += pictures.unscored
        figures = {name: self.value(lambda v=value: v) for name, value in pictures.figures.items()}
        figures["sharpness"] = self.value(lambda: float(track.sharpness.mean()))
        drifts: dict[str, dict[float, float | None]] = {}
        if len(track.sharpness) > 0.5 * track.fps:
            drifts["sharpness"] = metrics.sharpness_drift(track.sharpness, track.fps)
            drifts["colour"] = metrics.colour_drift(track.colour, track.fps)
        if track.embeddings is not None:
            try:
                drifts["identity"] = metrics.identity_drift(track.embeddings, track.fps)
            except BadInput as error:
                self.unscored.append(_one_line(error))
        keys = {figure.key for figure in DRIFT}
        for what, values in drifts.items():
            found = {f"{what}_drift_{second:g}s": value for second, value in values.items()}
            figures |= {k: self.value(lambda v=v: v) for k, v in found.items() if k in keys}
        return figures

    def distances(self, track: Track, reference: Track, recognises: bool | None) -> dict[str, Any]:
        """Return how far the landmarks are from the reference's and, where the detector recognises people, CSIM."""
        frames = min(len(track.landmarks), len(reference.landmarks))
        made, true = track.landmarks[:frames], reference.landmarks[:frames]
        if not _same_size(track, reference):
            self.unscored.append(
                f"PSNR: unscored, the reference must have the clip's size {track.width} x {track.height}, but has "
                f"{reference.width} x {reference.height}"
            )
        figures = {
            "f_lmd": self.value(lambda: metrics.f_lmd(made, true)),
            "m_lmd": self.value(lambda: metrics.m_lmd(made, true)),
        }
        mine, theirs = track.embeddings, reference.embeddings
        if mine is not None and theirs is not None and recognises is not True:
            alike = torch.cosine_similarity(mine[:frames], theirs[:frames], dim=-1)
            figures["face_likeness"] = self.value(lambda: _mean_of_known(alike))
        if recognises and mine is not None and theirs is not None:
            figures["csim"] = self.value(lambda: metrics.csim(mine, theirs))
        elif recognises is not None:
            needed = NEEDED["CSIM"]
            self.unscored.append(f"CSIM: unscored, it needs `{needed.file}`. Name {needed.source} with --faces.")
        return figures


def _facts(track: Track, sound: Sound | None, video_codec: str, audio_codec: str) -> dict[str, Any]:
    """Return what the figures were taken from."""
    return {
        "frames": len(track.landmarks),
        "frames_with_face": track.seen,
        "fps": round(track.fps, 4),
        "width": track.width,
        "height": track.height,
        "sound_s": None if sound is None else round(sound.duration_s, 3),
        "video_codec": video_codec,
        "audio_codec": audio_codec,
    }


def _mean_of_known(values: Float[Tensor, "n"]) -> float | None:
    known = values[torch.isfinite(values)]
    return float(known.mean()) if len(known) else None


def _same_size(track: Track, reference: Track) -> bool:
    return (track.width, track.height) == (reference.width, reference.height)


def _stamp(path: Path) -> str:
    try:
        found = path.stat()
    except OSError:
        return "missing"
    return f"{found.st_size} bytes, {found.st_mtime_ns}"


def _one_line(error: PortraitTalkError) -> str:
    return " ".join(str(error).split())


@contextmanager
def _warnings_into(notes: list[str]) -> Generator[None, None, None]:
    """Turn what reading files warns of into notes of the clip, where it can be found again."""
    logger = logging.getLogger(__name__.rpartition(".evaluation.")[0] + ".media")
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: notes.append(record.getMessage())  # type: ignore[method-assign]
    propagates = logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield
    finally:
        logger.propagate = propagates
        logger.removeHandler(handler)
