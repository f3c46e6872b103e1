"""How well the tiny model tells avatars from photographs, as Markdown.

    python -m benchmarks.out_of_domain --media FOLDER

Avatars are the 64 held-out people at rest and in the middle of speech, as rendered and as pictures come to a user:
coded, noisy, grey, dark, small, large, with a wide border. Photographs are the pictures of a folder and the first frame
of each second of its videos. The two readings are those of `portraittalk_core.perception.out_of_domain`.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from portraittalk_core.avatars.render import render
from portraittalk_core.errors import BadMedia
from portraittalk_core.evaluation.benchmark.variants import tiny_stack
from portraittalk_core.media.image import read_image, to_bytes
from portraittalk_core.media.video import read_video
from portraittalk_core.perception.out_of_domain import IN_DOMAIN_PSNR_DB, IN_DOMAIN_SCORE, reconstruction_db
from portraittalk_core.pipeline import PortraitTalk

from .parts.people import draw_subject
from .parts.program import ROOT, command_line

SPEAKING = (10, 20)
"""Frames of a held-out clip."""


def main() -> None:
    """Write the table."""
    parser = command_line("out_of_domain", __doc__)
    parser.add_argument("--people", type=int, default=64)
    parser.add_argument(
        "--media", type=Path, default=ROOT.parent / "shared" / "media", help="folder of photographs and videos"
    )
    given = parser.parse_args()
    stack = tiny_stack(PortraitTalk.load("tiny"))

    @torch.no_grad()
    def reconstruct(pixels: Tensor) -> Tensor:
        return torch.cat(list(stack.codec.decode(stack.codec.encode(pixels)))).cpu()

    def read(pixels: Tensor) -> tuple[float, float] | None:
        faces = stack.faces.find(pixels)
        if not faces:
            return None
        return faces[0].score, reconstruction_db(pixels, faces[0], stack.config.size, reconstruct)

    sys.stdout.write("| pictures | of them | taken for avatars | least score | most | least PSNR, dB | most |\n")
    sys.stdout.write("|---|---|---|---|---|---|---|\n")
    readings: dict[str, list[tuple[float, float] | None]] = {}
    for number in range(given.people):
        subject = draw_subject(number, SPEAKING[-1] + 1)
        for pixels in (subject.reference, *render(subject.rows[list(SPEAKING)])):
            for name, change in CHANGES.items():
                readings.setdefault(f"avatars, {name}", []).append(read(change(pixels)))
    for file in sorted(given.media.glob("*/*")):
        if file.parent.name in ("portraits", "clips"):
            rows = readings.setdefault(file.name, [])
            rows += [read(pixels) for pixels in _pictures(file)]
    for name, rows in readings.items():
        sys.stdout.write(_row(name, rows))


def _coded(pixels: Tensor) -> Tensor:
    file = io.BytesIO()
    Image.fromarray(to_bytes(pixels).permute(1, 2, 0).numpy()).save(file, "JPEG", quality=30)
    return torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1).float() / 127.5 - 1


def _resized(pixels: Tensor, scale: float) -> Tensor:
    return F.interpolate(pixels[None], scale_factor=scale, mode="bicubic", antialias=True)[0].clamp(-1, 1)


def _noisy(pixels: Tensor) -> Tensor:
    return (pixels + 0.05 * torch.randn(pixels.shape, generator=torch.Generator().manual_seed(1))).clamp(-1, 1)


CHANGES: dict[str, Callable[[Tensor], Tensor]] = {
    "as rendered": lambda pixels: pixels,
    "JPEG of quality 30": _coded,
    "noise of 0.05": _noisy,
    "grey": lambda pixels: pixels.mean(0, keepdim=True).expand(3, -1, -1),
    "half as bright": lambda pixels: (pixels + 1) / 2 - 1,
    "128 pixels": lambda pixels: _resized(pixels, 0.5),
    "768 pixels": lambda pixels: _resized(pixels, 3.0),
    "in a wide grey border": lambda pixels: F.pad(pixels, (200, 200, 60, 60), value=0.2),
}
"""What may have happened to a picture."""


def _pictures(file: Path) -> Iterator[Tensor]:
    if file.suffix == ".mp4":
        for part in read_video(file, chunk=25)[0]:
            yield part.pixels[0]
        return
    try:
        yield read_image(file)
    except BadMedia:
        return


def _row(name: str, rows: list[tuple[float, float] | None]) -> str:
    found = [row for row in rows if row is not None]
    taken = sum(score >= IN_DOMAIN_SCORE and psnr >= IN_DOMAIN_PSNR_DB for score, psnr in found)
    ends = [f"{end(column):.{digits}f}" for column, digits in zip(zip(*found), (3, 1)) for end in (min, max)]
    return f"| {name} | {len(rows)} | {taken} | {' | '.join(ends or ['no face', '', '', ''])} |\n"


if __name__ == "__main__":
    main()
