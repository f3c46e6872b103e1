"""ADFD on real clips, their landmarks by MediaPipe as `benchmarks/mediapipe_tracks.py` takes them."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from portraittalk_core.media.audio import read_sound, speech_waveform
from portraittalk_core.metrics.functional.adfd import adfd

from ..real_files import MEDIA, TASK, WITH_MEDIAPIPE, WITH_PHOTOGRAPHS
from .conftest import RATE, late

pytestmark = [WITH_MEDIAPIPE, WITH_PHOTOGRAPHS]


@dataclass(frozen=True)
class Clip:
    name: str
    landmarks: Tensor
    fps: float
    sound: Tensor


VARIANTS = ("crop", "half", "large", "repeat30", "blend30")


@pytest.fixture(scope="module")
def track(tmp_path_factory) -> Callable[..., tuple[Tensor, float]]:
    from benchmarks.mediapipe_tracks import write_tracks

    folder = tmp_path_factory.mktemp("tracks")
    write_tracks(MEDIA / "clips", Path(TASK), folder, VARIANTS)

    def stored(name: str, variant: str = "plain") -> tuple[Tensor, float]:
        with np.load(folder / f"{name}.{variant}.npz") as file:
            return torch.from_numpy(file["landmarks"]), float(file["fps"])

    return stored


@pytest.fixture(scope="module")
def clips(track) -> list[Clip]:
    files = sorted((MEDIA / "clips").glob("*.mp4"))
    return [Clip(f.stem, *track(f.stem), speech_waveform(read_sound(f))) for f in files]


@pytest.fixture(scope="module")
def true(clips) -> list[float]:
    return [adfd(clip.landmarks, clip.sound, RATE, clip.fps).score for clip in clips]


def test_the_mean_falls_with_every_shift_of_the_sound(clips, true):
    for way in (-1, 1):
        means = [float(np.mean(true))]
        for frames in (1, 2, 4, 8):
            scores = [adfd(c.landmarks, late(c.sound, way * frames / c.fps), RATE, c.fps).score for c in clips]
            means.append(float(np.mean(scores)))
        assert all(a > b for a, b in pairwise(means)), (way, means)


def test_degraded_clips_lose_against_the_true_ones(clips, true):
    generator = torch.Generator().manual_seed(0)
    wins = []
    for number, (clip, best) in enumerate(zip(clips, true)):
        points = clip.landmarks
        eyes = float((points[:, 45] - points[:, 36]).norm(dim=-1).nanmean())
        muted = clip.sound.clone()
        muted[len(muted) // 3 : 2 * len(muted) // 3] = 0
        others = [clips[number - 1].sound, clips[number - 2].sound]
        bad = [
            (points[:1].expand_as(points), clip.sound),
            (points[torch.randperm(len(points), generator=generator)], clip.sound),
            (points + 0.01 * eyes * torch.randn(points.shape, generator=generator), clip.sound),
            (points, torch.zeros_like(clip.sound)),
            (points, muted),
            *((points, sound[: len(clip.sound)]) for sound in others),
        ]
        wins += [adfd(p, s, RATE, clip.fps).score < best for p, s in bad]
    assert np.mean(wins) >= 0.95


@pytest.mark.parametrize("variant", VARIANTS)
def test_crop_size_and_rate_change_little(clips, true, track, variant):
    changes = []
    for clip, score in zip(clips, true):
        points, fps = track(clip.name, variant)
        changes.append(adfd(points, clip.sound, RATE, fps).score / score - 1)
    assert abs(float(np.mean(changes))) < 0.02, changes


def test_sync_controls_are_read_within_a_frame(clips):
    entries = json.loads((MEDIA / "MANIFEST.json").read_text())
    entries = entries if isinstance(entries, list) else entries["files"]
    controls = [e for e in entries if e.get("kind") == "sync_control" and "true_offset_frames" in e]
    for entry in controls:
        clip = next((c for c in clips if c.name.split("_")[0] in entry["what"]), None)
        assert clip is not None, entry["file"]
        sound = speech_waveform(read_sound(MEDIA / entry["file"]))
        found = adfd(clip.landmarks, sound, RATE, clip.fps)
        assert abs((found.offset_frames or 0) - entry["true_offset_frames"]) <= 1, entry["file"]
