"""What a preparation is told: the size of pictures, and the limits that decide what is kept."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import BadInput

FPS = 25.0
"""Frames a second of everything that is prepared, as SyncNet, HDTF's papers and this project's models have it."""


@dataclass(frozen=True)
class Limits:
    """What a stretch of a clip must be like to be kept. Where a number was measured, it says on what."""

    least_s: float = 1.0
    """Shortest stretch, seconds: stage 2 trains on up to 24 frames."""

    longest_s: float = 10.0
    """Longer stretches are cut into equal parts, so that a sample fits into memory."""

    width_px: float = 96.0
    """Least width of the face in the video, pixels, the median of the frames."""

    sharpness: float = 15.0
    """Least sharpness of the face, see `measures.face_sharpness`, which four in five frames must reach. Six real clips
    have 54 to 522; blurred by a Gaussian of a sixty-fourth of the face's width they have 7 to 14."""

    yaw_degrees: float = 50.0
    """How far the head may be turned to the side in nineteen of twenty frames, as the fitter reads it."""

    pitch_degrees: float = 35.0
    """The same for nodding."""

    roll_degrees: float = 35.0
    """The same for tilting."""

    outside: float = 0.25
    """Share of the square that may lie beyond the picture, where only its edge is repeated."""

    unsure: float = 0.1
    """Share of frames in which the detector may be unsure of the face."""

    rival: float = 0.05
    """Share of frames that may show another face at least half as wide."""

    repeated: float = 0.25
    """Share of frames that may repeat the one before: a source of 20 frames a second has 0.2, one that freezes more."""

    likeness: float = 0.5
    """Least similarity of each embedding to their mean. In six real clips the least is 0.74 with the pack in the box,
    but two of its people who look alike reach 0.79: a pack trained on real people tells more (`--identity`)."""

    sync_confidence: float = 3.0
    """Least LSE-C where SyncNet judges, the field's usual bound."""

    sync_audio: float = 0.5
    """Least `audio` of ADFD where it judges. Six real clips have 0.59 to 0.89; with one another's sounds 28 of 30 have
    less, though five of them say sentences of one rhythm."""

    sync_shift: int = 1
    """Frames by which the sound may be late or early where ADFD judges; what is off by more than one of them is moved.
    The default moves nothing: a frame is ADFD's own error, and in clips of three seconds a third of the foreign sounds
    above would pass if five were allowed. SyncNet's offset is taken out whatever this says."""

    silent: bool = False
    """Whether clips without sound, or in which nobody speaks, are kept: stage 1 can use them, stage 2 cannot."""


@dataclass(frozen=True)
class Settings:
    """What a preparation does. Another value means another folder: shards of two settings do not mix."""

    size: int = 512
    """Side of the pictures, pixels."""

    margin: float = 1.0
    """Side of the square over that which frames a head as the models know it."""

    picture: str = "jpg"
    """`jpg` or `webp`."""

    quality: int = 95
    """Of the pictures, 1 to 100."""

    embeddings: int = 5
    """Frames of a stretch that are asked for who it is, evenly spread."""

    faces: str | None = None
    """What places the points: a MediaPipe .task file; None for the pack in the box."""

    identity: str | None = None
    """Folder of the pack that embeds faces, in insightface's layout; None for the pack in the box."""

    syncnet: str | None = None
    """syncnet_v2.model; None: ADFD judges."""

    caption: str | None = None
    """A command whose output is the caption; {picture} stands for a picture's file. None: tags of what is measured."""

    latents: str | None = None
    """A VAE whose latents of every frame are kept, with features of the sound, see `cache.open_cache`; None: none."""

    speech: str | None = None
    """The speech encoder of these features, see `checkpoints.hearing.open_hearing`; None: the shipped one."""

    separate_voice: bool = False
    """Whether the voice is taken out of music before anything is heard in it, with `audio-separator`."""

    validation: float = 0.05
    """Share of people who are held out for validation."""

    limits: Limits = field(default_factory=Limits)
    """What is kept."""

    def __post_init__(self) -> None:
        """Check the values.

        Raises:
            BadInput: When one is outside its range.
        """
        rules = (
            ("size", self.size, 64 <= self.size <= 2048 and self.size % 8 == 0, "a multiple of 8 in 64...2048", "512"),
            ("margin", self.margin, 0.5 <= self.margin <= 3, "in 0.5...3", "1"),
            ("picture", self.picture, self.picture in ("jpg", "webp"), "jpg or webp", "jpg"),
            ("quality", self.quality, 1 <= self.quality <= 100, "in 1...100", "95"),
            ("embeddings", self.embeddings, 1 <= self.embeddings <= 32, "in 1...32", "5"),
            ("validation", self.validation, 0 <= self.validation < 1, "in 0...1, below 1", "0.05"),
            ("least-s", self.limits.least_s, 0.2 <= self.limits.least_s <= self.limits.longest_s, "0.2 or more", "1"),
        )
        for name, value, fits, rule, remedy in rules:
            if not fits:
                raise BadInput(f"`--{name}` must be {rule}, but got {value}. Try {remedy}.")
        if self.speech and not self.latents:
            raise BadInput("`--speech` makes features beside latents, but there is no --latents. Add it.")

    @property
    def record(self) -> dict[str, Any]:
        """The values as the index holds them; of files only the name, for they may be moved."""
        values = dataclasses.asdict(self)
        for name in ("faces", "identity", "syncnet", "latents", "speech"):
            values[name] = Path(values[name]).name if values[name] else None
        return values
