"""The options of `portraittalk generate`: what can be asked for, and what that is called in Python."""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path
from typing import Any

from ..errors import BadInput
from .moving import add_motion
from .texts import words
from .watching import add_watch

PREVIEW_FRAMES = 8
"""Frames of the contact sheet that `--preview` writes."""

SAMPLERS = ("ddim", "dpm++2m", "lcm", "tcd")
"""Ways in which a step is taken."""

DIALS = ("lip", "head", "blink", "expression")
"""Movements whose strength can be set."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of one video.

    Args:
        parser: Of the command.
    """
    add = parser.add_argument
    add(
        "--image",
        action="append",
        metavar="FILE",
        help="a photograph of somebody; repeat for more of the same person, the first is the one that speaks",
    )
    add("--audio", metavar="FILE", help="the speech: any sound file, or a video's sound")
    add(
        "--separate-voice",
        action="store_true",
        help="move the mouth by the voice alone, taken out of music or noise (needs the package audio-separator)",
    )
    add(
        "--prompt",
        type=words,
        default="",
        metavar="TEXT",
        help="what the video shows; without one the photograph stays as it is (sd15 draws it all: say what there is)",
    )
    add("-o", "--output", metavar="FILE", help="out.mp4, out.webp or a folder ending in /")
    add(
        "--edit",
        type=words,
        action="append",
        default=[],
        metavar='"SECONDS: TEXT"',
        help="another prompt from that time on; repeat",
    )
    add("--negative", type=words, metavar="TEXT", help="what the video shall not show")
    add("--preview", metavar="FILE", help=f"also write a contact sheet of {PREVIEW_FRAMES} frames")
    add("--landmarks", metavar="FILE", help="also write a video of the landmarks that drive the face")
    add("--model", default="tiny", metavar="NAME", help="tiny, sd15-portraittalk, sd15-magictalk, or a folder (tiny)")
    add("--faces", metavar="FILE", help="tiny: what finds faces: MediaPipe's .task, or an insightface folder")
    add(
        "--part",
        action="append",
        default=[],
        metavar="PART=FILE",
        help="sd15: another file for a part, a path or a name of `portraittalk models list`; repeat",
    )
    add("--device", metavar="NAME", help="where networks run (public stacks: the accelerator, if any; else cpu)")
    add("--comfyui", type=Path, metavar="FOLDER", help="sd15: ComfyUI's folder, whose models are used")
    add("--low-memory", action="store_true", default=None, help="sd15: slower, in less memory")
    add("--fast", action="store_true", default=None, help="fewer steps and smaller parts: faster, not as good")
    add("--sampler", choices=SAMPLERS, help="how a step is taken; lcm and tcd are for few_steps parts (ddim)")
    _add_numbers(parser)
    add(
        "--fusion",
        choices=("joint", "streaming", "wrapped"),
        help="how long videos are made; streaming needs no more memory",
    )
    add(
        "--frame",
        choices=("photograph", "crop"),
        help="what the video shows: the whole photograph, or only the square around the head (photograph; a square "
        "portrait that sd15 takes whole stays as it draws it)",
    )
    add_motion(parser)
    add_watch(parser)
    add("--still-head", action="store_true", help="do not move the head")
    add("--quiet", action="store_true", help="no progress bar")


def _add_numbers(parser: argparse.ArgumentParser) -> None:
    def number(name: str, kind: type, low: float, high: float, text: str, default: Any = None, unit: str = "N") -> None:
        checked = _in_range(name, kind, low, high)
        parser.add_argument(name, type=checked, default=default, metavar=unit, help=text)

    number("--fps", float, 1, 120, "frames per second (25)", default=25.0)
    number("--steps", int, 1, 1000, "denoising steps")
    number(
        "--reuse", int, 1, 100, "run the whole U-Net every so many steps only, its outer layers in between (1: always)"
    )
    number("--cfg", float, 0, 30, "classifier-free guidance: how strictly the prompt is followed")
    parser.add_argument(
        "--guide-identity",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="let --cfg strengthen the likeness as well (no for tiny, yes for sd15)",
    )
    number("--identity-scale", float, 0, 10, "how strictly the face is kept (lambda_id, 1)")
    number("--audio-scale", float, 0, 10, "how strongly the sound acts on the denoiser itself (lambda_aud, 1)")
    number("--reference-scale", float, 0, 1, "how much of the reference picture ReferenceNet shows (1)")
    number("--seed", int, 0, 2**63 - 1, "another number, another head motion and noise (0)", default=0)
    size = "side of the square around the head: less is faster and softer (as in the photograph; sd15: "
    number("--size", int, 64, 2048, size + "as it is drawn, a multiple of 64, 512)", unit="PIXELS")
    number("--window", int, 1, 512, "frames that are denoised together")
    number("--overlap", int, 0, 511, "frames that neighbouring windows share")
    number("--face", int, 1, 1000, "whose face speaks, 1 the largest; the others stay still (1)", default=1)
    for dial in DIALS:
        number(f"--{dial}", float, 0, 4, f"strength of {dial} motion, 1 is as usual", default=1.0)


def _in_range(name: str, kind: type, low: float, high: float) -> Any:
    def checked(text: str) -> Any:
        rule = f"`{name}` must be {'a whole number' if kind is int else 'a number'} from {low:g} to {high:g}"
        try:
            value = kind(text)
        except ValueError as error:
            raise BadInput(f"{rule}, but got {text!r}. Give a number.") from error
        if not low <= value <= high:  # also catches nan
            raise BadInput(f"{rule}, but got {text}. Choose one in that range.")
        return value

    return checked


def model_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the arguments of `PortraitTalk.load` that were given; models of public files know where they run.

    Args:
        arguments: Of the command line.

    Raises:
        BadInput: For a part without a file.
    """
    from ..presets import PUBLIC

    parts = dict(text.partition("=")[::2] for text in arguments.part)
    bad = [text for text in arguments.part if not all(text.partition("="))]
    if bad:
        raise BadInput(f"`--part` must be PART=FILE, but got {bad[0]!r}. Try base=model.safetensors.")
    device = arguments.device
    if device is None and arguments.model in PUBLIC:
        from ..hosts.devices import default_device

        device = str(default_device())
    options = {
        "device": device,
        "parts": parts or None,
        "size": arguments.size if arguments.model in PUBLIC else None,
        "comfyui": arguments.comfyui,
        "low_memory": arguments.low_memory,
        "faces": arguments.faces,
        "fast": arguments.fast,
    }
    return {name: value for name, value in options.items() if value is not None}


def call_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the arguments of `PortraitTalk.generate` that were given; the others keep the model's defaults.

    Args:
        arguments: Of the command line.
    """
    from ..motion.audio_to_motion import MotionDials
    from ..stacks.options import SamplingOptions

    dials = {name: getattr(arguments, name) for name in DIALS}
    given: dict[str, Any] = {
        "negative": arguments.negative,
        "fps": arguments.fps,
        "seed": arguments.seed,
        "dials": MotionDials(**dials, still_head=arguments.still_head),
        "face": arguments.face,
        "size": arguments.size,
        "options": SamplingOptions(**{f.name: getattr(arguments, f.name) for f in fields(SamplingOptions)}),
    }
    return {name: value for name, value in given.items() if value is not None}
