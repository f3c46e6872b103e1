"""PortraitTalk: one portrait, one recording and a prompt become a video of that person speaking.

    import portraittalk_core as pt

    model = pt.load("tiny")
    portrait = pt.read_image(pt.ASSETS / "portrait.png")
    speech = pt.read_sound(pt.ASSETS / "speech.wav")
    frames = model.generate([portrait], speech, "a person with red hair")
    pt.write_video("out.mp4", frames, speech)

What `__all__` names is public and stable (docs/stability.md). It is loaded when it is first used, so that importing the
package costs nothing and needs no torch.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

    from .errors import (
        BadConfig,
        BadInput,
        BadMedia,
        MissingExtra,
        NoFaceFound,
        OutOfDomain,
        PortraitTalkError,
        SiteNotFound,
        UnsafeWeights,
        WeightsMismatch,
    )
    from .evaluation.videos import Evaluation, evaluate
    from .media.audio import read_sound
    from .media.image import read_image, write_image
    from .media.paste_back import paste_back
    from .media.sequence import write_video
    from .media.video import read_video
    from .metrics.functional.adfd import AdfdScore, adfd
    from .motion.audio_to_motion import MotionDials
    from .motion.motion_file import read_motion, write_motion
    from .pipeline import PortraitTalk
    from .stacks.driving import read_driving_video
    from .stacks.options import SamplingOptions
    from .types import CropPlace, FaceMotion, Frames, Identity, LatentVideo, Sound, SpeechFeatures, StructureMaps

__version__ = "0.1.0"

ASSETS = Path(__file__).resolve().parent / "assets"
"""The folder of the shipped files: the tiny model, `portrait.png` and `speech.wav` to begin with."""

__all__ = [
    "ASSETS",
    "AdfdScore",
    "BadConfig",
    "BadInput",
    "BadMedia",
    "CropPlace",
    "Evaluation",
    "FaceMotion",
    "Frames",
    "Identity",
    "LatentVideo",
    "MissingExtra",
    "MotionDials",
    "NoFaceFound",
    "OutOfDomain",
    "PortraitTalk",
    "PortraitTalkError",
    "SamplingOptions",
    "SiteNotFound",
    "Sound",
    "SpeechFeatures",
    "StructureMaps",
    "UnsafeWeights",
    "WeightsMismatch",
    "__version__",
    "adfd",
    "evaluate",
    "load",
    "paste_back",
    "read_driving_video",
    "read_image",
    "read_motion",
    "read_sound",
    "read_video",
    "write_image",
    "write_motion",
    "write_video",
]

_HOMES = {
    "errors": (
        "BadConfig",
        "BadInput",
        "BadMedia",
        "MissingExtra",
        "NoFaceFound",
        "OutOfDomain",
        "PortraitTalkError",
        "SiteNotFound",
        "UnsafeWeights",
        "WeightsMismatch",
    ),
    "evaluation.videos": ("Evaluation", "evaluate"),
    "media.audio": ("read_sound",),
    "media.image": ("read_image", "write_image"),
    "media.paste_back": ("paste_back",),
    "media.sequence": ("write_video",),
    "media.video": ("read_video",),
    "metrics.functional.adfd": ("AdfdScore", "adfd"),
    "motion.audio_to_motion": ("MotionDials",),
    "motion.motion_file": ("read_motion", "write_motion"),
    "pipeline": ("PortraitTalk",),
    "stacks.driving": ("read_driving_video",),
    "stacks.options": ("SamplingOptions",),
    "types": (
        "CropPlace",
        "FaceMotion",
        "Frames",
        "Identity",
        "LatentVideo",
        "Sound",
        "SpeechFeatures",
        "StructureMaps",
    ),
}
"""The module of each public name, for `__getattr__`; editors read the imports above, and a test compares the two."""

_MODULE_OF = {name: module for module, names in _HOMES.items() for name in names}


def load(name: str = "tiny", device: torch.device | str = "cpu", **options: Any) -> PortraitTalk:
    """Load a model: `PortraitTalk.load`, under a shorter name.

    Args:
        name: `tiny` (shipped), `sd15-portraittalk`, `sd15-magictalk`, or a folder of tiny's files.
        device: Where the networks run.
        options: What only models made of public files take; see `PortraitTalk.load`.

    Returns:
        The model. Its `generate` makes videos.

    Raises:
        BadInput: For an unknown name or option.
        WeightsMismatch: For files that do not fit.
        MissingExtra: Where a package is missing; the message names it.
    """
    return import_module(f"{__name__}.pipeline").PortraitTalk.load(name, device, **options)


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = value  # the next look is an ordinary one
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
