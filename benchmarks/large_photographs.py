"""How sharp is a moving head in a large photograph, beside the photograph, and what does its fine detail cost?

    python -m benchmarks.large_photographs PHOTOGRAPH ...

The head turns by 1 to 5 degrees, and its mouth opens. Sharpness is that of `real_people`, inside the face, over that of
the photograph at rest; seconds are the processor's, a frame. Both with the square moved at 1024 pixels and enlarged,
and with what the photograph has besides.

With `--audio` the command line makes a video, too, as long as 1 s and as long as 4 s of the recording: the seconds by
the clock that the longer one takes more, over the 3 that it lasts longer, what it needs besides, imports and all, and
the most memory of the longer one (Linux and macOS).
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import soundfile
import torch
from jaxtyping import Float
from torch import Tensor

from portraittalk_core.media.audio import read_sound
from portraittalk_core.media.image import from_bytes, read_image
from portraittalk_core.media.paste_back import LONGEST_SIDE, paste_back
from portraittalk_core.motion.arkit import blendshapes
from portraittalk_core.pipeline import PortraitTalk
from portraittalk_core.stacks.prompts import PromptTrack
from portraittalk_core.types import CropPlace, FaceMotion

from .parts.program import command_line, say
from .parts.real.material import cut
from .parts.real.scores import face_sharpness

FPS = 25.0
YAWS = (0.02, 0.03, 0.04, 0.05, 0.06, 0.08)
"""Of the head, radians; the mouth is open in the second half."""

OPEN = 0.35
"""The jaw, of ARKit's range."""

SECONDS = (1.0, 4.0)
"""Of the videos that the command line makes."""


@torch.inference_mode()
def main() -> None:
    """Write a row for each photograph."""
    parser = command_line("large_photographs", __doc__)
    parser.add_argument("photographs", type=Path, nargs="+")
    parser.add_argument("--audio", type=Path, help="a recording of at least 4 s: the command line makes videos, too")
    given = parser.parse_args()
    if given.audio is not None:
        say("| photograph | seconds a second, by the clock | besides, s | peak memory, GB |\n|---|---|---|---|")
        for path in given.photographs:
            say(_made(path, given.audio))
        say()
    model = PortraitTalk.load("tiny")
    say("| photograph | square | sharpness: enlarged, fine | seconds a frame: enlarged, fine |\n|---|---|---|---|")
    for path in given.photographs:
        say(_row(model, path))


def _row(model: PortraitTalk, path: Path) -> str:
    stack = model.stack
    photograph = read_image(path, longest_side=LONGEST_SIDE)
    identity = stack.identify([photograph])
    place, count = identity.places[0], len(YAWS)
    pose = torch.zeros(count, 6)
    pose[:, 0], pose[:, 5] = torch.tensor(YAWS), 1
    shapes = blendshapes(jawOpen=OPEN) * (torch.arange(count) >= count / 2)[:, None]
    maps = stack.structure(FaceMotion(shapes, pose, FPS), identity)
    drawn = list(model.draw(identity, maps, None, PromptTrack("", (), FPS, count), seed=0))
    own = face_sharpness(photograph[None], _pixels(identity.landmarks[:1], place))
    sharpness: list[str] = []
    spent: list[str] = []
    for fine in (False, True):
        begun, found = time.process_time(), list[float]()
        composited = stack.composite(iter(drawn), identity, maps, fine=fine)
        for frames in paste_back(composited, photograph, place, levels=True):
            points = _pixels(maps.landmarks[len(found) : len(found) + len(frames.pixels)], place)
            found += (face_sharpness(from_bytes(frames.pixels), points) / own).tolist()
        spent.append(f"{(time.process_time() - begun) / count:.2f}")
        sharpness.append(f"{min(found):.2f} to {max(found):.2f}")
    return f"| {path.stem} | {place.side} | {', '.join(sharpness)} | {', '.join(spent)} |"


def _made(path: Path, audio: Path) -> str:
    """Return how long the command line takes."""
    short, long = SECONDS
    taken: list[float] = []
    peak = 0
    with tempfile.TemporaryDirectory() as folder:
        for seconds in SECONDS:
            sound, video = Path(folder, "sound.wav"), Path(folder, "video.mp4")
            heard = cut(read_sound(audio), seconds)
            soundfile.write(sound, heard.samples.T.numpy(), heard.sample_rate)
            words = ["generate", "--image", str(path), "--audio", str(sound), "-o", str(video), "--quiet"]
            begun = time.perf_counter()
            program = subprocess.Popen([sys.executable, "-m", "portraittalk_core", *words], stdout=subprocess.DEVNULL)
            _, status, usage = os.wait4(program.pid, 0)
            taken.append(time.perf_counter() - begun)
            peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
            program.returncode = os.waitstatus_to_exitcode(status)
            if program.returncode:
                raise SystemExit(f"{path}: the command line ended with {program.returncode}.")
    rate = (taken[1] - taken[0]) / (long - short)
    return f"| {path.stem} | {rate:.1f} | {taken[0] - rate * short:.1f} | {peak / 1e9:.1f} |"


def _pixels(landmarks: Float[Tensor, "n 478 2"], place: CropPlace) -> Float[Tensor, "n 478 2"]:
    return (landmarks.cpu() + 1) / 2 * place.side + landmarks.new_tensor([place.left, place.top]).cpu()


if __name__ == "__main__":
    main()
