"""`portraittalk generate`: a portrait, a recording and a prompt become a video.

Everything that can be wrong with the input is found before any weights are loaded.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import logging
import os
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BadInput
from .batch import add_batch
from .cores import use_free_cores
from .info import ASSETS
from .moving import add_motion, check_motion, read_motion
from .texts import words
from .watching import add_watch, watcher

if TYPE_CHECKING:
    from torch import Tensor

    from ..motion.mesh_motion import MeshMaps
    from ..perception.mesh_identity import MeshIdentity
    from ..pipeline import PortraitTalk
    from ..types import Frames, Identity, Sound, StructureMaps

EPILOG = f"""examples, the first with what comes with the package:
  portraittalk generate --image "{ASSETS / "portrait.png"}" \\
      --audio "{ASSETS / "speech.wav"}" --prompt "a person with red hair" -o out.mp4
  portraittalk generate --image face.png --audio voice.wav --prompt "a person" \\
      --edit "2.0: a smiling person" --still-head --preview sheet.png -o out.mp4
  portraittalk generate --image group.jpg --face 2 --audio voice.wav --prompt "a smiling person" -o out.mp4

The video shows the whole picture of --image; all but the head stays as it is.
-o takes .mp4 (H.264 and the sound), .webp (animated, no sound) or a folder name ending in / (PNG pictures).
"""

PREVIEW_FRAMES, PREVIEW_SIDE = 8, 1024
SAMPLERS = ("ddim", "dpm++2m", "lcm", "tcd")
DIALS = ("lip", "head", "blink", "expression")


@dataclass(frozen=True)
class Job:
    """What `generate` was asked for, read and checked."""

    images: list[Tensor]
    sound: Sound
    """What the video holds."""
    voice: Sound
    """What is listened to: that, or the voice in it."""
    edits: list[tuple[float, str]]
    options: dict[str, Any]
    frame_count: int


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "generate",
        help="make a portrait speak a recording",
        description="Make a portrait speak a recording. The video lasts exactly as long as the recording.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
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
    add("--prompt", type=words, metavar="TEXT", help="what the video shows")
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
    add_batch(parser, run)


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
    size = "side of the square around the head: less is faster and softer (as in the photograph, at most 1024; sd15: "
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


def run(arguments: argparse.Namespace, load: Callable[..., PortraitTalk] | None = None) -> int:
    """Check everything, generate, write; `load` takes the place of `PortraitTalk.load`."""
    started = time.monotonic()
    job = prepare(arguments)
    use_free_cores()  # what was free while files were read
    from ..motion.motion_file import write_motion
    from ..pipeline import PortraitTalk

    model = (load or PortraitTalk.load)(arguments.model, **_model_options(arguments))
    on_structure = functools.partial(_write_landmarks, arguments.landmarks, model) if arguments.landmarks else None
    found: list[Identity | MeshIdentity] = []
    with _progress(arguments.quiet) as (on_step, on_written):
        chunks = model.generate(
            *(job.images, job.voice, arguments.prompt),
            edits=job.edits,
            on_step=on_step,
            on_preview=watcher(arguments, model),
            **job.options,
            on_structure=on_structure,
            on_identity=found.append,
            on_motion=functools.partial(write_motion, arguments.save_motion) if arguments.save_motion else None,
        )
        kept, size = _write(_framed(chunks, arguments.frame, job, found), arguments, job, on_written)
    if arguments.preview:
        _write_preview(arguments.preview, kept)
    print(
        f"{arguments.output}: {job.frame_count} frames of {size[1]} x {size[0]} at {arguments.fps:g} fps, "
        f"{job.sound.duration_s:.2f} s, made in {time.monotonic() - started:.1f} s"
    )
    return 0


def prepare(arguments: argparse.Namespace) -> Job:
    """Read and check everything that was asked for; raise a `PortraitTalkError` before anything slow begins."""
    from ..stacks.prompts import parse_edits

    edits = parse_edits(arguments.edit, "--edit")
    _check_model(arguments.model, arguments.device)
    check_motion(arguments)
    if arguments.overlap is not None and arguments.window is not None and arguments.overlap >= arguments.window:
        raise BadInput(
            f"`--overlap` must be shorter than `--window` ({arguments.window} frames), but got {arguments.overlap}. "
            f"Try {arguments.window // 4}."
        )
    _check_targets(arguments)
    if arguments.separate_voice:
        from ..perception.voice_separation import check_separator

        check_separator()
    from ..media.image import read_image
    from ..media.paste_back import LONGEST_SIDE
    from ..media.soundtrack import read_sound_for

    first, *others = arguments.image
    images = [read_image(first, longest_side=LONGEST_SIDE), *(read_image(path) for path in others)]
    sound = read_sound_for(arguments.audio, arguments.output)
    if edits and edits[-1][0] >= sound.duration_s:
        raise BadInput(
            f"`--edit` must begin before the sound ends ({sound.duration_s:.2f} s), but one begins at "
            f"{edits[-1][0]:g} s. Give an earlier time."
        )
    options = _arguments(arguments)
    if arguments.motion:
        options["motion"] = read_motion(arguments, sound.frame_count(arguments.fps))
    voice = sound
    if arguments.separate_voice:
        from ..perception.voice_separation import separate_voice

        voice = separate_voice(sound)
    return Job(images, sound, voice, edits, options, sound.frame_count(arguments.fps))


def _model_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the arguments of `PortraitTalk.load` that were given; models of public files know where they run."""
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


def _check_model(name: str, device: str | None) -> None:
    from ..hosts.devices import open_device
    from ..presets import PRESETS

    if name not in PRESETS and not os.path.isdir(name):
        raise BadInput(f"`--model` must be {', '.join(PRESETS)} or a folder, but got {name!r}. Try tiny.")
    open_device("cpu" if device is None else device, "--device")


def _check_targets(arguments: argparse.Namespace) -> None:
    from ..media.target import PICTURE_SUFFIXES, check_target

    targets = [check_target(arguments.output)]
    for picture in filter(None, (arguments.preview, arguments.watch)):
        targets.append(check_target(picture, PICTURE_SUFFIXES, folder=False))
    if arguments.landmarks:
        targets.append(check_target(arguments.landmarks))
    if arguments.save_motion:
        targets.append(check_target(arguments.save_motion, (".csv",), folder=False))
    names = [os.path.realpath(path) for path in targets]
    sources = map(os.path.realpath, filter(None, (*arguments.image, arguments.audio, arguments.motion)))
    if len(set(names)) < len(names) or set(sources) & set(names):
        raise BadInput("Inputs and outputs must be different files, but two have the same name. Rename an output.")


def _arguments(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the arguments of `PortraitTalk.generate` that were given; the others keep the model's defaults."""
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


@contextmanager
def _progress(quiet: bool) -> Generator[Any, None, None]:
    """Show denoising steps with rate and time left, then frames; log lines go around the bar."""
    from tqdm import tqdm
    from tqdm.contrib.logging import logging_redirect_tqdm

    package = logging.getLogger(__name__.rpartition(".cli.")[0])
    with logging_redirect_tqdm([package]), tqdm(unit="step", disable=quiet, dynamic_ncols=True, leave=False) as bar:

        def on_step(done: int, total: int) -> None:
            if bar.total != total:
                bar.reset(total)
            bar.update(done - bar.n)

        def on_written(done: int, total: int) -> None:
            bar.set_postfix_str(f"{done} of {total} frames written")

        yield on_step, on_written


def _framed(
    chunks: Iterator[Frames], frame: str | None, job: Job, found: list[Identity | MeshIdentity]
) -> Iterator[Frames]:
    """Put frames back into the photograph, unless the square was asked for, or a model has drawn a whole portrait."""
    from ..media.paste_back import paste_back

    chunks = itertools.chain([next(chunks)], chunks)  # the first frame is made when the face has been found
    places = found[0].places if found else ()
    drawn = frame is None and bool(places) and places[0].whole and getattr(found[0], "portrait", None) is None
    if frame == "crop" or not places or drawn:
        yield from chunks
    else:
        yield from paste_back(chunks, job.images[0], places[0])


def _write(
    chunks: Iterator[Frames], arguments: argparse.Namespace, job: Job, on_written: Callable[[int, int], None]
) -> tuple[list[Tensor], tuple[int, int]]:
    """Write chunks as they come; return the frames of the preview and the size of a frame."""
    from ..media.provenance import Provenance
    from ..media.sequence import open_writer
    from ..media.target import VIDEO_SUFFIXES

    first = next(chunks)  # its size is the writer's
    size = (first.pixels.shape[-2], first.pixels.shape[-1])
    wanted = {round(i * (job.frame_count - 1) / (PREVIEW_FRAMES - 1)) for i in range(PREVIEW_FRAMES)}
    kept: list[Tensor] = []
    said = Provenance(first.model or Path(arguments.model).name)
    with open_writer(arguments.output, arguments.fps, size, job.sound, said) as writer:
        for chunk in itertools.chain([first], chunks):
            start = writer.frames_written
            kept += [_for_preview(frame) for i, frame in enumerate(chunk.pixels, start) if i in wanted]
            writer.append(chunk.pixels)
            on_written(writer.frames_written, job.frame_count)
    if arguments.output.lower().endswith(VIDEO_SUFFIXES):  # a video has even sides, pictures may have odd ones
        size = (size[0] + size[0] % 2, size[1] + size[1] % 2)
    return kept, size


def _for_preview(frame: Tensor) -> Tensor:
    from ..media.image import resize  # eight frames of a photograph's size would fill the memory

    height, width = frame.shape[-2:]
    share = PREVIEW_SIDE / max(height, width)
    return frame if share >= 1 else resize(frame, max(1, round(height * share)), max(1, round(width * share)))


def _write_preview(path: str, frames: list[Tensor]) -> None:
    import torch

    from ..media.image import contact_sheet, write_image

    write_image(path, contact_sheet(torch.stack(frames), columns=min(4, len(frames))))


def _write_landmarks(path: str, model: PortraitTalk, maps: StructureMaps | MeshMaps, size: int = 256) -> None:
    """Write the moving face as a video, drawn as the denoiser is shown it."""
    from ..media.sequence import open_writer

    with open_writer(path, maps.fps, (size, size)) as writer:
        for start in range(0, len(maps.landmarks), 32):
            part = replace(maps, landmarks=maps.landmarks[start : start + 32].cpu())
            writer.append(model.stack.draw(part, size) * 2 - 1)
