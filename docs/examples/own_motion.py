"""Move the face by numbers of your own: lips from the recording, the head from a formula.

Run it:

    python docs/examples/own_motion.py

A `FaceMotion` has a row a frame: ARKit's 52 blendshapes (`types.COEFFICIENTS`) and six numbers of the head's pose
(`types.POSE`: yaw, pitch and roll in radians, x, y, scale). They may come from anywhere: a formula, a file, a tracker.
"""

from __future__ import annotations

import argparse
import math

import torch

import portraittalk_core as pt

FPS = 25.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=2.0, help="how much of the recording is spoken")
    parser.add_argument("--steps", type=int, help="denoising steps; the model's own if left out")
    parser.add_argument("-o", "--output", default="own_motion.mp4")
    arguments = parser.parse_args()

    portrait, speech = pt.read_image(pt.ASSETS / "portrait.png"), pt.read_sound(pt.ASSETS / "speech.wav")
    speech = pt.Sound(speech.samples[:, : round(arguments.seconds * speech.sample_rate)], speech.sample_rate)

    model = pt.load("tiny")
    spoken = model.stack.move(model.stack.listen(speech, FPS))
    motion = pt.FaceMotion(spoken.coefficients, nod(len(spoken.pose)), FPS)
    frames = model.generate(
        [portrait],
        speech,
        "a person with red hair",
        fps=FPS,
        motion=motion,
        options=pt.SamplingOptions(steps=arguments.steps),
    )
    print(pt.write_video(arguments.output, frames, speech))


def nod(count: int) -> torch.Tensor:
    """Return the pose of a head that says yes once a second."""
    seconds = torch.arange(count) / FPS
    pose = torch.zeros(count, 6)
    pose[:, 1] = 0.12 * torch.sin(2 * math.pi * seconds)  # pitch
    pose[:, 5] = 1.0  # scale
    return pose


if __name__ == "__main__":
    main()
