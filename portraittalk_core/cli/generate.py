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
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BadInput
from .allocator import keep_memory
from .batch import add_batch
from .cores import use_free_cores
from .info import ASSETS
from .moving import check_motion, read_motion
from .options import PREVIEW_FRAMES, add_options, call_options, model_options
from .watching import watcher

if TYPE_CHECKING:
    from torch import Tensor

    from ..motion.mesh_motion import MeshMaps
    from ..perception.mesh_identity import MeshIdentity
    from ..pipeline import PortraitTalk
    from ..types import Frames, Identity, Sound, StructureMaps

USAGE = """%(prog)s --image FILE --audio FILE [--prompt TEXT] -o FILE [options]
       %(prog)s --batch CSV [options]"""

EPILOG = f"""examples, the first with what comes with the package:
  portraittalk generate --image "{ASSETS / "portrait.png"}" \\
      --audio "{ASSETS / "speech.wav"}" --prompt "a person with red hair" -o out.mp4
  portraittalk generate --image face.png --audio voice.wav -o out.mp4
  portraittalk generate --image face.png --audio voice.wav --edit "2.0: a smiling person" \\
      --still-head --preview sheet.png -o out.mp4
  portraittalk generate --image group.jpg --face 2 --audio voice.wav --prompt "a smiling person" -o out.mp4

The video shows the whole picture of --image; all but the head stays as it is.
-o takes .mp4 (H.264 and the sound), .webp (animated, no sound) or a folder name ending in / (PNG pictures).
"""

PREVIEW_SIDE = 1024


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
        usage=USAGE,
        help="make a portrait speak a recording",
        description="Make a portrait speak a recording. The video lasts exactly as long as the recording.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_options(parser)
    add_batch(parser, run)


def run(arguments: argparse.Namespace, load: Callable[..., PortraitTalk] | None = None) -> int:
    """Check everything, generate, write; `load` takes the place of `PortraitTalk.load`."""
    started = time.monotonic()
    keep_memory()
    job = prepare(arguments)
    use_free_cores()  # what was free while files were read
    from ..motion.motion_file import write_motion
    from ..pipeline import PortraitTalk

    model = (load or PortraitTalk.load)(arguments.model, **model_options(arguments))
    on_structure = functools.partial(_write_landmarks, arguments.landmarks, model) if arguments.landmarks else None
    found: list[Identity | MeshIdentity] = []
    with _progress(arguments.quiet) as (on_step, on_written):
        chunks = model.generate(
            *(job.images, job.voice, arguments.prompt),
            edits=job.edits,
            on_step=on_step,
            on_preview=watcher(arguments, model),
            **job.options,
            fine=arguments.frame != "crop",
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
    options = call_options(arguments)
    if arguments.motion:
        options["motion"] = read_motion(arguments, sound.frame_count(arguments.fps))
    voice = sound
    if arguments.separate_voice:
        from ..perception.voice_separation import separate_voice

        voice = separate_voice(sound)
    return Job(images, sound, voice, edits, options, sound.frame_count(arguments.fps))


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
        yield from paste_back(chunks, job.images[0], places[0], levels=True)


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
    from ..media.image import from_bytes, resize

    if not frame.is_floating_point():
        frame = from_bytes(frame)
    height, width = frame.shape[-2:]  # eight frames of a photograph's size would fill the memory
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
