"""Score one clip: a record of figures, and what the report shows of it. Whatever cannot be scored says why."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...errors import BadInput, BadMedia
from ...media.audio import read_sound, speech_waveform
from ...media.video import probe, read_video
from ...metrics.sync import SyncNetwork
from ...types import Sound
from ..data.clips import Clip
from .curves import curves
from .features import FeatureExtractor, Features
from .figures import FIGURES, GENERATION, SYNC
from .network_files import NetworkFiles
from .pictures import measure_pictures
from .sheet import ScoreSheet, one_line, same_size
from .tracks import Finder, Track, track_video

CHUNK = 8
"""Frames that are decoded together."""

LEAST_SEEN = 0.5
"""Share of the frames in which a face must be found: what is read in fewer says nothing of the clip."""

_GENERATION = tuple(figure.key for figure in GENERATION)
_FULL_ONLY = ("ssim", "lpips", "csim", *(figure.key for figure in SYNC))
_NO_SOUND = "no sound: ADFD and silent lips are unscored. Give the speech with --audio."


@dataclass(frozen=True)
class Scored:
    """What comes of a clip."""

    record: dict[str, Any]
    """Its entry in results.json: figures by key, facts, the lines `unscored` and `notes`, and the clip's signature."""

    shown: dict[str, Any]
    """What only the page shows: `strip`, a JPEG as base64, and `curves.curves`."""

    features: Features = field(default_factory=dict)
    """For figures of the whole set."""


class Scorer:
    """Scores clips one after the other. The track of a reference is kept while clips share it.

    Args:
        finder: Finds the faces.
        suite: `quick` or `full`, see `figures.SUITES`.
        files: Networks that the user brought; they count in the full suite only.
    """

    def __init__(self, finder: Finder, suite: str = "quick", files: NetworkFiles | None = None) -> None:
        self.finder = finder
        self.suite = suite
        self._files = files if files is not None and suite == "full" else NetworkFiles()
        self._extractor = FeatureExtractor(self._files)
        self._sync: SyncNetwork | None = None
        self._reference: tuple[Path, Track] | None = None

    def score(self, clip: Clip, on_frame: Callable[[int, int], None] | None = None) -> Scored:
        """Score a clip; what is wrong with its files becomes a line of the scores, never an exception.

        Args:
            clip: The clip.
            on_frame: Called with the frames done and in all (0 where the file does not say).

        Returns:
            The scores; a figure that cannot be had is None.
        """
        sheet = ScoreSheet()
        record: dict[str, Any] = {"file": clip.label, **{figure.key: None for figure in FIGURES}}
        shown: dict[str, Any] = {}
        with _warnings_into(sheet.notes):
            try:
                shown = self._fill(clip, record, sheet, on_frame)
            except (BadMedia, BadInput) as error:
                sheet.unscored.append(one_line(error))
        record |= clip.facts
        kept = {k: v for k, v in record.items() if self._asked_for(k, clip)}
        lines = {"unscored": list(dict.fromkeys(sheet.unscored)), "notes": list(dict.fromkeys(sheet.notes))}
        return Scored({**kept, **lines, "signature": clip.signature}, shown, sheet.features)

    def _fill(
        self, clip: Clip, record: dict[str, Any], sheet: ScoreSheet, on_frame: Callable[[int, int], None] | None
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
        sheet.notes += _track_notes(track)
        if clip.reference is not None:
            sheet.keep(self._extractor.pictures(clip.path, clip.reference, track.fps))
        if track.seen < LEAST_SEEN * len(track.landmarks):
            frames = len(track.landmarks)
            few = f"a face was found in only {track.seen} of {frames} frames, too few to score it"
            found = few if track.seen else f"no face found in {frames} frames"
            sheet.unscored.append(f"{found}. {self.finder.hint}")
            record |= sheet.picture_figures(track, measure_pictures(clip.path, track, CHUNK))
            return {}
        reference = self._reference_track(clip, track, sheet)
        waveform = None if sound is None else speech_waveform(sound)
        record |= sheet.motion_figures(track, waveform)
        if waveform is None:
            sheet.unscored.append(_NO_SOUND)
        else:
            record |= sheet.adfd_figures(track, waveform, reference)
            record |= sheet.sync_figures(track, waveform, clip.path, CHUNK, self._sync_network())
        if reference is not None:
            sheet.keep(self._extractor.expressions(track, reference))
            record |= sheet.distances(track, reference, self._recognises())
        compared = clip.reference if reference is not None and same_size(track, reference) else None
        pictures = measure_pictures(clip.path, track, CHUNK, compared, networks=self.suite == "full")
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

    def _reference_track(self, clip: Clip, track: Track, sheet: ScoreSheet) -> Track | None:
        """Return the track of the reference; None, with a line that says why, where it cannot be used."""
        if clip.reference is None:
            return None
        try:
            if self._reference is None or self._reference[0] != clip.reference:
                chunks, fps, _ = read_video(clip.reference, CHUNK)
                self._reference = (clip.reference, track_video(chunks, fps, self.finder))
        except (BadMedia, BadInput) as error:
            sheet.unscored.append(f"reference: {one_line(error)}")
            return None
        found = self._reference[1]
        if found.seen < LEAST_SEEN * len(found.landmarks):
            sheet.unscored.append(
                f"reference: a face was found in {found.seen} of {len(found.landmarks)} frames of "
                f"{clip.reference.name}; nothing is compared with it"
            )
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


def _track_notes(track: Track) -> list[str]:
    notes: list[str] = []
    if track.damage:
        notes.append(f"{track.damage} Scored the {len(track.landmarks)} frames before.")
    if track.crowded:
        notes.append(f"{track.crowded} frames show more than one face; the first one is followed")
    if track.unsure:
        notes.append(
            f"in {track.unsure} frames the detector is not sure of the face, so that its landmarks may be "
            "wrong. Name another one with --faces"
        )
    return notes


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
