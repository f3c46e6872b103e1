"""Stream a video in a process of its own and write its peak memory in KiB: `python -m benchmarks.parts.stream S MODEL`.

Two denoising steps, for only the memory is asked for.
"""

from __future__ import annotations

import sys

import torch

from portraittalk_core.evaluation.benchmark.memory import process_peak_kib
from portraittalk_core.pipeline import PortraitTalk
from portraittalk_core.stacks.options import SamplingOptions
from portraittalk_core.types import SPEECH_RATE, Sound

from .people import FPS, draw_subject


def main(seconds: float, name: str) -> None:
    """Stream a video of noise.

    Args:
        seconds: Its length.
        name: Of the model.
    """
    model = PortraitTalk.load(name)
    generator = torch.Generator().manual_seed(0)
    sound = Sound(0.1 * torch.randn(1, int(seconds * SPEECH_RATE), generator=generator), SPEECH_RATE)
    options, count = SamplingOptions(fusion="streaming", steps=2), 0
    for chunk in model.generate([draw_subject(0, 1).reference], sound, "", options=options):
        count += len(chunk.pixels)
    assert count == round(seconds * FPS)
    sys.stdout.write(f"{process_peak_kib()}\n")


if __name__ == "__main__":
    main(float(sys.argv[1]), sys.argv[2])
