"""The figures of a clip by group, with a line for each that cannot be had."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ...errors import BadInput, MissingExtra, PortraitTalkError
from ...metrics import functional as metrics
from ...metrics.networks import NEEDED
from ...metrics.sync import SyncNetwork, score_sync
from ...types import SPEECH_RATE
from .features import Features
from .figures import DRIFT
from .pictures import PictureFigures, pixels_of
from .tracks import Track

_DIGITS = 6


class ScoreSheet:
    """Takes the figures of one clip and collects what is to be said of them.

    Attributes:
        unscored: A line for each figure that cannot be had.
        notes: Lines to know when reading the figures.
        features: For figures of the whole set.
    """

    def __init__(self) -> None:
        self.unscored: list[str] = []
        self.notes: list[str] = []
        self.features: Features = {}

    def keep(self, taken: tuple[Features, list[str]]) -> None:
        """Keep features, and the lines about those that are missing.

        Args:
            taken: What `FeatureExtractor` returns.
        """
        self.features |= taken[0]
        self.unscored += taken[1]

    def value(self, score: Callable[[], float | None]) -> float | None:
        """Take one figure.

        Args:
            score: Computes it.

        Returns:
            The figure, rounded; None, with a line, where it cannot be had.
        """
        try:
            found = score()
        except (BadInput, MissingExtra) as error:
            self.unscored.append(one_line(error))
            return None
        return None if found is None else round(float(found), _DIGITS)

    def adfd_figures(self, track: Track, waveform: Float[Tensor, "n"], reference: Track | None) -> dict[str, Any]:
        """Take ADFD, its parts and the offset; with a reference also ADFD against it.

        Args:
            track: The face.
            waveform: The speech, mono at 16 kHz.
            reference: The true face; None where there is none.

        Returns:
            The figures by key; {} where nothing can be scored.
        """
        points = track.landmarks
        try:
            found = metrics.adfd(points, waveform, SPEECH_RATE, track.fps)
        except BadInput as error:
            self.unscored.append(one_line(error))
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
        self, track: Track, waveform: Float[Tensor, "n"], path: Path, chunk: int, network: SyncNetwork | None
    ) -> dict[str, Any]:
        """Take LSE.

        Args:
            track: The face.
            waveform: The speech, mono at 16 kHz.
            path: The video.
            chunk: Frames that are decoded together.
            network: SyncNet; None where the user has none.

        Returns:
            The figures by key; {} without the network or, with a line, for a clip under 100 frames.
        """
        if network is None:
            return {}
        boxes = metrics.face_boxes(track.landmarks)
        try:
            found = score_sync(pixels_of(path, chunk), boxes, track.fps, waveform, network)
        except BadInput as error:
            self.unscored.append(one_line(error))
            return {}
        scores = {"lse_c": round(found.lse_c, _DIGITS), "lse_d": round(found.lse_d, _DIGITS)}
        return {**scores, "lse_offset_frames": int(found.offset_frames)}

    def motion_figures(self, track: Track, waveform: Float[Tensor, "n"] | None) -> dict[str, Any]:
        """Take how eyes, head and resting lips move.

        Args:
            track: The face.
            waveform: The speech, mono at 16 kHz; None for a clip without sound, which has no silent lips.

        Returns:
            The figures by key.
        """
        points, fps = track.landmarks, track.fps
        figures = {
            "blinks_per_minute": self.value(lambda: metrics.blink_rate(points, fps)),
            "head_motion": self.value(lambda: metrics.head_motion_diversity(metrics.head_angles(points))),
        }
        if waveform is not None:
            silent = metrics.silent_frames(waveform, SPEECH_RATE, fps, len(points))
            figures["silent_lips"] = self.value(lambda: metrics.silent_lip_motion(points, silent))
        return figures

    def picture_figures(self, track: Track, pictures: PictureFigures) -> dict[str, Any]:
        """Take sharpness, flicker, drift and, where there was a reference, likeness of the pictures.

        Args:
            track: The face, with what was measured when it was followed.
            pictures: What was measured when the video was decoded again.

        Returns:
            The figures by key.
        """
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
                self.unscored.append(one_line(error))
        keys = {figure.key for figure in DRIFT}
        for what, values in drifts.items():
            found = {f"{what}_drift_{second:g}s": value for second, value in values.items()}
            figures |= {k: self.value(lambda v=v: v) for k, v in found.items() if k in keys}
        return figures

    def distances(self, track: Track, reference: Track, recognises: bool | None) -> dict[str, Any]:
        """Take how far the landmarks are from the reference's and how alike the faces are.

        Args:
            track: The face.
            reference: The true face.
            recognises: Whether the detector's embeddings are those that CSIM is defined on; None where CSIM was not
                asked for.

        Returns:
            The figures by key.
        """
        frames = min(len(track.landmarks), len(reference.landmarks))
        made, true = track.landmarks[:frames], reference.landmarks[:frames]
        if not same_size(track, reference):
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


def _mean_of_known(values: Float[Tensor, "n"]) -> float | None:
    known = values[torch.isfinite(values)]
    return float(known.mean()) if len(known) else None


def same_size(track: Track, reference: Track) -> bool:
    """Compare the size of two videos' pictures.

    Args:
        track: Of one video.
        reference: Of the other.

    Returns:
        Whether both are as wide and as high.
    """
    return (track.width, track.height) == (reference.width, reference.height)


def one_line(error: PortraitTalkError) -> str:
    """Join the lines of an error's message.

    Args:
        error: Any of ours.

    Returns:
        One line.
    """
    return " ".join(str(error).split())
