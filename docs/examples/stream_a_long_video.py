"""Make a long video whose memory does not grow: windows of frames stream, and each is written when it is final.

Run it:

    python docs/examples/stream_a_long_video.py --seconds 30
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator

import portraittalk_core as pt


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=8.0, help="length of the video; the recording is repeated")
    parser.add_argument("--steps", type=int, help="denoising steps; the model's own if left out")
    parser.add_argument("-o", "--output", default="long_video.mp4")
    arguments = parser.parse_args()

    portrait, once = pt.read_image(pt.ASSETS / "portrait.png"), pt.read_sound(pt.ASSETS / "speech.wav")
    samples = once.samples.repeat(1, int(arguments.seconds / once.duration_s) + 1)
    speech = pt.Sound(samples[:, : round(arguments.seconds * once.sample_rate)], once.sample_rate)

    # Videos above 20 s stream by themselves; shorter ones are fused jointly unless you say so.
    options = pt.SamplingOptions(fusion="streaming", steps=arguments.steps)
    frames = pt.load("tiny").generate([portrait], speech, "a person with red hair", options=options)
    print(pt.write_video(arguments.output, report(frames, speech.frame_count(25)), speech))


def report(chunks: Iterator[pt.Frames], total: int) -> Iterator[pt.Frames]:
    """Print what is final while it is handed on."""
    start, done = time.monotonic(), 0
    for chunk in chunks:
        done += len(chunk.pixels)
        print(f"{done} of {total} frames after {time.monotonic() - start:.0f} s", flush=True)
        yield chunk


if __name__ == "__main__":
    main()
