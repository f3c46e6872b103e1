"""Make a portrait speak a recording.

Run it:

    python docs/examples/first_video.py
    python docs/examples/first_video.py --image face.png --audio your.wav --prompt "a person in green" -o out.mp4
"""

from __future__ import annotations

import argparse

import portraittalk_core as pt


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--image", default=str(pt.ASSETS / "portrait.png"))
    parser.add_argument("--audio", default=str(pt.ASSETS / "speech.wav"))
    parser.add_argument("--prompt", default="a smiling person")
    parser.add_argument("--seconds", type=float, default=2.0, help="how much of the recording is spoken")
    parser.add_argument("--steps", type=int, help="denoising steps; the model's own if left out")
    parser.add_argument("-o", "--output", default="first_video.mp4")
    arguments = parser.parse_args()

    portrait = pt.read_image(arguments.image)
    speech = pt.read_sound(arguments.audio)
    speech = pt.Sound(speech.samples[:, : round(arguments.seconds * speech.sample_rate)], speech.sample_rate)

    model = pt.load("tiny")
    options = pt.SamplingOptions(steps=arguments.steps)
    frames = model.generate([portrait], speech, arguments.prompt, options=options)
    print(pt.write_video(arguments.output, frames, speech))


if __name__ == "__main__":
    main()
