"""How ADFD answers to what it must notice and to what it must not: the tables of docs/adfd.md.

    python -m benchmarks.adfd_behaviour --media MEDIA --tracks runs/figures/tracks

MEDIA holds `clips/`, `sync_controls/`, `speech/` and MANIFEST.json; the tracks are what `benchmarks.mediapipe_tracks`
wrote with `--variants`. Seeds are fixed. Rendered people, whom nobody renders here, speak with the held-out voices of
espeak-ng; their landmarks are exact. Without real clips only they are measured. Scores go to `--scores`, from which
`--tables` writes the page without measuring again.
"""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import av
import numpy as np
import torch
from torch import Tensor

from portraittalk_core.evaluation.benchmark.people import rotation_of
from portraittalk_core.media.audio import read_sound, speech_waveform
from portraittalk_core.metrics.functional.adfd import adfd
from portraittalk_core.motion.arkit import to_arkit
from portraittalk_core.motion.priors import CHANNELS
from portraittalk_core.people.person import draw_person
from portraittalk_core.perception.speech import resample_rows
from portraittalk_core.training.motion.idle import idle_motion
from portraittalk_core.training.speech.corpus import TRACK_HZ, stored_corpus
from portraittalk_core.types import MOUTH, POSE, SPEECH_RATE
from portraittalk_core.voices.speech import HELD_OUT_VOICES

from .parts.adfd_tables import write_tables
from .parts.people import far_points
from .parts.program import DOCS, RUNS, command_line

SHIFTS = (1, 2, 4, 8)
"""By how many frames the sound is early or late."""

JITTER, SHAKE = (0.005, 0.01, 0.02), (0.01, 0.02)
"""Deviation of noise on each point, and on all points together, in distances of the eyes."""

REPEATS = 3
"""How often noise is drawn."""

RENDERED, OTHERS, SEED = 12, 6, 3_200_000_000
"""Clips of rendered people, other voices for each, and the seed of the first person."""

CODINGS = {"mp3 64k": ("mp3", "mp3", 64), "mp3 32k": ("mp3", "mp3", 32), "aac 64k": ("aac", "mp4", 64)}
"""By name: codec, container and kilobits a second."""


@dataclass(frozen=True)
class Clip:
    """A talking face."""

    group: str
    """`real` or `rendered`."""

    name: str
    """In the scores."""

    landmarks: Tensor
    """[frames, 70, 2], in any scale."""

    fps: float
    """Frames a second."""

    sound: Tensor
    """Its own, [samples] at 16 kHz."""


@dataclass(frozen=True)
class Row:
    """A scored version of a clip."""

    group: str
    """Of the clip."""

    name: str
    """Of the clip."""

    kind: str
    """What was done to it: `true` for nothing; `= ...` for what should not change the score."""

    variant: str
    """Which of several of the kind."""

    score: float
    """ADFD, 0 to 1."""

    spatial: float | None
    """A part of ADFD; None where it is unscored, like the next three."""

    temporal: float | None
    """A part of ADFD."""

    audio: float | None
    """A part of ADFD."""

    stillness: float | None
    """A part of ADFD."""

    silent_s: float
    """Seconds in which nobody speaks."""

    offset: float | None
    """By how many frames the sound was found to be late."""

    expected: float | None = None
    """By how many frames it was made late."""


@torch.inference_mode()
def main() -> None:
    """Measure, and write the tables."""
    parser = command_line("adfd_behaviour", __doc__)
    parser.add_argument("--media", type=Path)
    parser.add_argument("--tracks", type=Path, default=RUNS / "figures" / "tracks")
    parser.add_argument("--scores", type=Path, default=RUNS / "figures" / "adfd_scores.json")
    parser.add_argument("--page", type=Path, default=DOCS / "adfd.md")
    parser.add_argument("--tables", action="store_true", help="only write the page from the scores that are there")
    given = parser.parse_args()
    torch.set_num_threads(1)
    if not given.tables:
        rows = list(_measure(given.media, given.tracks))
        given.scores.parent.mkdir(parents=True, exist_ok=True)
        given.scores.write_text(json.dumps([asdict(row) for row in rows]))
    write_tables(given.page, json.loads(given.scores.read_text()))


def _measure(media: Path | None, tracks: Path) -> Iterator[Row]:
    groups = {"rendered": list(_rendered_clips())}
    strangers: dict[str, Tensor] = {}
    if media is not None:
        groups["real"] = list(_real_clips(media, tracks))
        strangers = {f.stem: speech_waveform(read_sound(f)) for f in sorted((media / "speech").glob("s0*"))}
    for group, clips in groups.items():
        for number, clip in enumerate(clips):
            generator = torch.Generator().manual_seed(SEED + 1000 * number)
            yield _scored(clip, "true", "")
            yield from _shifted(clip)
            yield from _broken_motion(clip, generator)
            yield from _silenced(clip)
            sounds = {other.name: other.sound for other in clips} | (strangers if group == "real" else {})
            yield from _with_other_sounds(clip, sounds, OTHERS if group == "rendered" else 99)
            yield from _coded(clip)
    if media is not None:
        yield from _retracked(groups["real"], tracks)
        yield from _sync_controls(media, groups["real"])


def _scored(clip: Clip, kind: str, variant: str, expected: float | None = None, **changed: object) -> Row:
    points, sound = changed.get("landmarks", clip.landmarks), changed.get("sound", clip.sound)
    fps = changed.get("fps", clip.fps)
    assert isinstance(points, Tensor) and isinstance(sound, Tensor) and isinstance(fps, float)
    found = adfd(points, sound, SPEECH_RATE, fps)
    offset = None if found.offset_s is None else found.offset_s * fps
    parts = (found.score, found.spatial, found.temporal, found.audio, found.stillness, found.silent_s)
    return Row(clip.group, clip.name, kind, variant, *parts, offset, expected)


def _rendered_clips() -> Iterator[Clip]:
    """Yield people of no training set who speak about ten seconds, with idle motion of the head and blinks."""
    corpus = stored_corpus(RUNS / "speech" / "held_out.pt", 3.0, HELD_OUT_VOICES, 7919)
    for number, recording in enumerate(corpus[:RENDERED]):
        generator = torch.Generator().manual_seed(SEED + number)
        sound, fps = recording.samples.float() / 32768, 25.0
        frames = int(len(sound) / SPEECH_RATE * fps)
        mouth = resample_rows(recording.track.float(), TRACK_HZ, fps, frames)
        idle = dict(zip(CHANNELS, idle_motion(1, frames, generator)[0][0].T, strict=True))
        words = dict(zip(MOUTH, mouth.T, strict=True)) | {n: v for n, v in idle.items() if n not in POSE}
        pose = torch.stack([idle.get(name, torch.zeros(frames)) for name in POSE], 1)
        points = far_points(draw_person(SEED + number), to_arkit(words), rotation_of(pose))
        yield Clip("rendered", f"person {number}", points, fps, sound)


def _real_clips(media: Path, tracks: Path) -> Iterator[Clip]:
    for file in sorted((media / "clips").glob("*.mp4")):
        points, fps = _read_track(tracks / f"{file.stem}.plain.npz")
        yield Clip("real", file.stem, points, fps, speech_waveform(read_sound(file)))


def _read_track(path: Path) -> tuple[Tensor, float]:
    with np.load(path) as stored:
        return torch.from_numpy(stored["landmarks"]).double(), float(stored["fps"])


def _late(sound: Tensor, by_s: float) -> Tensor:
    """Return the sound `by_s` seconds later (earlier if negative) and as long as it was, filled with zeros."""
    count = round(by_s * SPEECH_RATE)
    if count >= 0:
        return torch.cat([torch.zeros(count), sound[: len(sound) - count]])
    return torch.cat([sound[-count:], torch.zeros(-count)])


def _shifted(clip: Clip) -> Iterator[Row]:
    for frames in [*SHIFTS, *(-s for s in SHIFTS)]:
        moved = _late(clip.sound, frames / clip.fps)
        yield _scored(clip, f"sound shifted by {abs(frames)}", f"{frames:+d}", frames, sound=moved)


def _broken_motion(clip: Clip, generator: torch.Generator) -> Iterator[Row]:
    points = clip.landmarks
    size = float((points[:, 45] - points[:, 36]).norm(dim=-1).nanmean())
    for at in (0, len(points) // 3, 2 * len(points) // 3):
        yield _scored(clip, "frozen face", str(at), landmarks=points[at : at + 1].expand_as(points))
    half = len(points) // 2
    held = torch.cat([points[:half], points[half - 1 : half].expand(len(points) - half, -1, -1)])
    yield _scored(clip, "frozen half-way", "", landmarks=held)
    for repeat in range(REPEATS):
        order = torch.randperm(len(points), generator=generator)
        yield _scored(clip, "shuffled frames", str(repeat), landmarks=points[order])
        for sigma in JITTER:
            noise = torch.randn(points.shape, generator=generator, dtype=points.dtype) * sigma * size
            yield _scored(clip, f"jitter {100 * sigma:g} %", str(repeat), landmarks=points + noise)
        for sigma in SHAKE:
            noise = torch.randn((len(points), 1, 2), generator=generator, dtype=points.dtype) * sigma * size
            yield _scored(clip, f"head shaken {100 * sigma:g} %", str(repeat), landmarks=points + noise)


def _silenced(clip: Clip) -> Iterator[Row]:
    """Take the sound away while the mouth moves on: all of it, and a third in the middle of speech."""
    yield _scored(clip, "all sound muted", "", sound=torch.zeros_like(clip.sound))
    muted = clip.sound.clone()
    muted[len(muted) // 3 : 2 * len(muted) // 3] = 0
    yield _scored(clip, "a third muted", "", sound=muted)


def _with_other_sounds(clip: Clip, sounds: dict[str, Tensor], most: int) -> Iterator[Row]:
    """Pair the face with other people's speech, at least three quarters as long, cut to its length."""
    names = [name for name in sounds if name != clip.name and len(sounds[name]) >= 0.75 * len(clip.sound)]
    for name in names[:most]:
        yield _scored(clip, "another's voice", name, sound=sounds[name][: len(clip.sound)])


def _coded(clip: Clip) -> Iterator[Row]:
    """Code the sound with a loss; change size, place and tilt of the face, and how loud the sound is."""
    with tempfile.TemporaryDirectory() as folder:
        for name, (codec, container, kilobits) in CODINGS.items():
            path = Path(folder) / f"sound.{container}"
            path.write_bytes(_encode(clip.sound, codec, container, kilobits))
            yield _scored(clip, "= sound coded", name, sound=speech_waveform(read_sound(path)))
    yield _scored(clip, "= quieter by 12 dB", "", sound=clip.sound / 4)
    turn = torch.tensor([[0.98, 0.199], [-0.199, 0.98]], dtype=torch.float64)
    yield _scored(clip, "= scaled, moved and tilted", "", landmarks=clip.landmarks @ turn * 3 + 100)


def _encode(sound: Tensor, codec: str, container: str, kilobits: int) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream(codec, rate=44_100, layout="mono", bit_rate=1000 * kilobits)
        frame = av.AudioFrame.from_ndarray(sound.numpy()[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts = SPEECH_RATE, 0
        resampler = av.AudioResampler(format=stream.format.name, layout="mono", rate=44_100)
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            output.mux(stream.encode(part))
        output.mux(stream.encode(None))
    return file.getvalue()


def _retracked(clips: list[Clip], tracks: Path) -> Iterator[Row]:
    """Score tracks of the same clips found in pictures that were cropped, resized, brought to 30 fps or seen alone."""
    names = {"crop": "cropped", "half": "half size", "large": "1.5 times the size"}
    names |= {"repeat30": "30 fps, repeated frames", "blend30": "30 fps, blended frames"}
    names |= {"single": "tracked picture by picture"}
    for clip in clips:
        for variant, name in names.items():
            points, fps = _read_track(tracks / f"{clip.name}.{variant}.npz")
            yield _scored(clip, f"= {name}", variant, landmarks=points, fps=fps)


def _sync_controls(media: Path, clips: list[Clip]) -> Iterator[Row]:
    """Score files made with a known offset; their pictures are those of a clip named in the manifest."""
    manifest = json.loads((media / "MANIFEST.json").read_text())
    entries = manifest if isinstance(manifest, list) else manifest["files"]
    for entry in entries:
        path = media / str(entry.get("file", ""))
        if entry.get("kind") == "sync_control" and "true_offset_frames" in entry:
            source = next(clip for clip in clips if clip.name.split("_")[0] in entry["what"])
            sound = speech_waveform(read_sound(path))
            yield _scored(source, "sync control", path.stem, float(entry["true_offset_frames"]), sound=sound)


if __name__ == "__main__":
    main()
