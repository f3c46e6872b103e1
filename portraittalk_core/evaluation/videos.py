"""Score videos with one call: what `portraittalk evaluate` does, without its report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from .data.clips import find_clips
from .scoring.scorer import Scorer
from .scoring.summary import Mean, means
from .scoring.tracks import open_finder, usual_faces


@dataclass(frozen=True)
class Evaluation:
    """The scores of some videos."""

    videos: tuple[dict[str, Any], ...]
    """A record for each video: `file`, its figures by key (`adfd`, `spatial`, `offset_frames`, ...; None for what could
    not be scored), and the lines `unscored` and `notes` that say why. The same as in results.json of the command."""

    means: dict[str, Mean]
    """The mean of each figure that at least one video has, with its 95 % interval where there are several."""


def evaluate(
    videos: str | Path | Sequence[str | Path],
    *,
    audio: str | Path | None = None,
    reference: str | Path | None = None,
    faces: str | Path | None = None,
    suite: Literal["quick", "full"] = "quick",
) -> Evaluation:
    """Score how well faces in videos move with the voice.

    Reports, figures of a whole set (FID, FVD) and networks of others are for the command line: `portraittalk evaluate`.

    Args:
        videos: A video file, a folder of them, or several of either.
        audio: The sound instead of the videos' own: one file, or a folder with the videos' names.
        reference: The true videos: one file for all, or a folder with the videos' names.
        faces: What finds faces: the folder of an insightface pack, MediaPipe's face_landmarker.task, or `tiny`, the
            shipped face pack. Without it MediaPipe does where its file and its package are there, else the shipped one.
        suite: `full` adds what needs networks: face likeness, SSIM and LPIPS, where their packages are installed.

    Returns:
        A record for each video, and the means. What is wrong with a video becomes a line in its record.

    Raises:
        BadMedia: For a name that is not there.
        BadInput: Where no video is found, or `faces` is no detector.
        MissingExtra: For a .task file without mediapipe.
    """
    several = [videos] if isinstance(videos, (str, Path)) else videos
    names = {"audio": audio, "reference": reference}
    clips = find_clips(
        [str(video) for video in several], **{key: None if name is None else str(name) for key, name in names.items()}
    )
    scorer = Scorer(open_finder(usual_faces() if faces is None else faces), suite)
    records = tuple(scorer.score(clip).record for clip in clips)
    return Evaluation(records, means(records))
