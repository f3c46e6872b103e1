"""What `evaluate` measures: every figure with its name, which way is better, and how it is taken."""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from ...metrics.functional.drift import DRIFT_AT_S
from .network_files import NetworkFiles, unavailable

SUITES = ("quick", "full")
"""quick: what needs no further network; full: also what compares pictures and people with networks."""


@dataclass(frozen=True)
class Figure:
    """A figure of a clip or of a whole set."""

    key: str
    """In results.json."""

    title: str
    """In tables."""

    better: str
    """`higher`, `lower`, or "" where neither is better."""

    how: str
    """Its protocol: how it is taken, with unit or range."""

    decimals: int = 3
    """Decimals in tables."""


ADFD = (
    Figure("adfd", "ADFD", "higher", "geometric mean of the parts, our own definition: docs/adfd.md; 0 to 1"),
    Figure("spatial", "spatial", "higher", "articulation of lips and face against what the voice asks for; 0 to 1"),
    Figure("temporal", "temporal", "higher", "without jerk, jitter or freezing; 0 to 1"),
    Figure("audio", "audio", "higher", "windowed correlation of mouth and voice near the natural lag; 0 to 1"),
    Figure("stillness", "stillness", "higher", "the mouth rests while nobody speaks; 0 to 1"),
    Figure("offset_frames", "offset, frames", "", "by how much the sound is late (+) or early (-), whole frames", 0),
    Figure("offset_s", "offset, s", "", "the same in seconds, not rounded"),
)
"""ADFD, its parts, and the offset that it finds."""

MOTION = (
    Figure("blinks_per_minute", "blinks / min", "", "runs of at most 0.6 s of narrow eyes; people: 15 to 30", 1),
    Figure("head_motion", "head motion", "", "deviation of yaw, pitch and roll over time, mean of the three, radians"),
    Figure("silent_lips", "silent lips, %", "lower", "lips' stray in silence, % of the interocular distance", 2),
)
"""How eyes, head and resting lips move."""

PICTURE = (
    Figure("flicker", "flicker", "lower", "second difference over time where neither head nor body is, levels of 255"),
    Figure("sharpness", "sharpness", "", "variance of the Laplacian, mean of all frames; compare one size only", 1),
)
"""What the pictures look like."""

DRIFT = tuple(
    Figure(f"{what}_drift_{second:g}s", f"{title} at {second:g} s", better, f"{how}, the second from {second:g} s on")
    for what, title, better, how in (
        ("sharpness", "sharpness drift, %", "", "change of sharpness against second 0"),
        ("colour", "colour drift", "lower", "distance in L*a*b* of the mean colour from that of second 0"),
        ("identity", "identity drift", "higher", "cosine similarity of the face's embeddings to those of second 0"),
    )
    for second in DRIFT_AT_S
)
"""What changes over a long clip."""

REFERENCE = (
    Figure("adfd_with_truth", "ADFD, truth known", "higher", "ADFD against the reference's track, which would score 1"),
    Figure("f_lmd", "F-LMD, %", "lower", "distance of 68 landmarks, centres aligned, % of the interocular distance", 2),
    Figure("m_lmd", "M-LMD, %", "lower", "the same for the 20 points of the mouth", 2),
    Figure("psnr", "PSNR, dB", "higher", "of whole pictures, mean over frames, 100 where nothing differs", 2),
)
"""Against a reference."""

LIKENESS = (
    Figure(
        "face_likeness",
        "face likeness",
        "higher",
        "cosine similarity of the shipped face pack's embeddings to the reference's, frame by frame; "
        "the tiny model is conditioned on that network, so it is no judge from outside",
    ),
)
"""Identity against a reference, by the shipped face pack."""

GENERATION = (
    Figure("seconds_per_second", "s / s", "lower", "wall clock for a second of video, everything but loading", 2),
    Figure("peak_mib", "peak MiB", "lower", "most memory that the process (on a GPU: its tensors) held so far", 0),
)
"""Of clips that were made here."""

_SYNC = "crops by our detector's boxes (not S3FD's) in pictures as decoded, 25 fps; clips of 100 frames or more"

NETWORKS = (
    Figure("ssim", "SSIM", "higher", "scikit-image, Gaussian window of sigma 1.5, mean over frames"),
    Figure("lpips", "LPIPS", "lower", "the lpips package, AlexNet, mean over frames"),
    Figure("csim", "CSIM", "higher", "cosine similarity of face embeddings, all frames of clip and reference"),
)
"""Against a reference, by networks; the full suite only."""

SYNC = (
    Figure("lse_c", "LSE-C", "higher", f"SyncNet v2: median minus smallest mean distance over 31 shifts, {_SYNC}"),
    Figure("lse_d", "LSE-D", "lower", f"SyncNet v2: smallest mean distance over 31 shifts, {_SYNC}"),
    Figure("lse_offset_frames", "LSE offset, frames", "", "SyncNet's shift, + where the sound is late, at 25 fps", 0),
)
"""With the user's SyncNet."""

FIGURES = (*ADFD, *MOTION, *PICTURE, *DRIFT, *REFERENCE, *LIKENESS, *NETWORKS, *SYNC, *GENERATION)
"""All figures of a clip, in the order of the tables."""

FID_EVERY = 5
"""Of so many neighbouring pictures FID takes one: the others hold little news."""

SET_FIGURES = (
    Figure(
        "fid",
        "FID",
        "lower",
        "Fréchet distance to the references of Inception's features (StyleGAN2-ADA's TorchScript), whole pictures, "
        f"every {FID_EVERY}th of each file",
    ),
    Figure(
        "fvd",
        "FVD",
        "lower",
        "Fréchet distance to the references of I3D's features (StyleGAN-V's TorchScript), whole pictures, all clips of "
        "16 frames that do not overlap, at the files' own rate",
    ),
    Figure(
        "e_fid",
        "E-FID",
        "lower",
        "Fréchet distance to the references of the 52 blendshapes that the tiny model's fitter, trained on rendered "
        "people, reads off the landmarks of every frame with a face; our definition, not comparable with papers'",
        decimals=4,
    ),
)
"""Figures of a whole set against its references."""

_PACKAGES = ("portraittalk", "torch", "numpy", "av", "insightface", "onnxruntime", "mediapipe", "scikit-image", "lpips")


def protocol(
    suite: str, finder: str, sound: str | None, reference: str | None, files: NetworkFiles | None = None
) -> dict[str, Any]:
    """Describe how the figures of a run are taken: what must be the same for two runs to be compared.

    Args:
        suite: One of `SUITES`.
        finder: Name of the detector.
        sound: What replaces the clips' own sound, as the user named it; None for their own.
        reference: The true videos, as the user named them; None for none.
        files: The networks that the user brought.

    Returns:
        JSON-like entries; those named `figures`, `unavailable` and `versions` are dictionaries, the others lines.
    """
    files = files or NetworkFiles()
    return json.loads(
        json.dumps(
            {
                "suite": suite,
                "faces": finder,
                "crop": "none: landmarks in the whole picture, head pose taken out where a figure says so",
                "frames": "all of each file, at its own rate and size; the frames used stand in each record",
                "sound": f"{sound}, whole" if sound else "that of each file, mixed to mono at 16 kHz",
                "reference": reference or "none",
                "intervals": "95 %, percentile bootstrap over clips, 2000 draws, seed 0; of figures of the whole set a "
                "jackknife that leaves out a tenth of the clips at a time",
                "figures": {figure.key: figure.how for figure in (*FIGURES, *SET_FIGURES)},
                **files.described(),
                "unavailable": unavailable(files.given) if suite == "full" else {},
                "versions": {"python": platform.python_version(), **_versions()},
            }
        )
    )


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
