"""Change how a person looks while they speak: each edit replaces the prompt from its time on.

Run it:

    python docs/examples/prompt_edits.py
"""

from __future__ import annotations

import argparse

import portraittalk_core as pt


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=3.0, help="how much of the recording is spoken")
    parser.add_argument("--steps", type=int, help="denoising steps; the model's own if left out")
    parser.add_argument("-o", "--output", default="prompt_edits.mp4")
    arguments = parser.parse_args()

    portrait, speech = pt.read_image(pt.ASSETS / "portrait.png"), pt.read_sound(pt.ASSETS / "speech.wav")
    speech = pt.Sound(speech.samples[:, : round(arguments.seconds * speech.sample_rate)], speech.sample_rate)

    # (seconds, prompt). An edit replaces the whole prompt: repeat what shall stay.
    edits = [
        (speech.duration_s / 3, "a person with red hair in front of a green background"),
        (speech.duration_s * 2 / 3, "a smiling person with red hair in front of a green background"),
    ]
    frames = pt.load("tiny").generate(
        [portrait],
        speech,
        "a person with brown hair",
        edits=edits,
        options=pt.SamplingOptions(steps=arguments.steps),
    )
    print(pt.write_video(arguments.output, frames, speech))


if __name__ == "__main__":
    main()
