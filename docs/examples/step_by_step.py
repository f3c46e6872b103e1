"""Run every stage by itself, to look at, keep or replace what travels between them.

Run it:

    python docs/examples/step_by_step.py

`generate` does the same in one call. Another motion, a cache or a view of what is there goes between two stages.
"""

from __future__ import annotations

import argparse

import portraittalk_core as pt
from portraittalk_core.stacks.prompts import PromptTrack

FPS = 25.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=2.0, help="how much of the recording is spoken")
    parser.add_argument("--steps", type=int, help="denoising steps; the model's own if left out")
    parser.add_argument("-o", "--output", default="step_by_step.mp4")
    arguments = parser.parse_args()

    speech = pt.read_sound(pt.ASSETS / "speech.wav")
    speech = pt.Sound(speech.samples[:, : round(arguments.seconds * speech.sample_rate)], speech.sample_rate)
    # --8<-- [start:stages]
    model = pt.load("tiny")
    stack = model.stack

    identity = stack.identify([pt.read_image(pt.ASSETS / "portrait.png")])
    print("identity:", tuple(identity.embeddings.shape), "embeddings,", tuple(identity.crops.shape), "crops")
    features = stack.listen(speech, FPS)
    print("speech:", tuple(features.hidden.shape), "features")
    prompts = PromptTrack("a person with red hair", (), FPS, len(features.hidden))
    motion = stack.move(features, seed=0, expression=stack.expression(prompts))
    print("motion:", tuple(motion.coefficients.shape), "blendshapes,", tuple(motion.pose.shape), "poses")
    maps = stack.structure(motion, identity)
    print("structure:", tuple(maps.landmarks.shape), "landmarks")

    options = pt.SamplingOptions(steps=arguments.steps)
    latents = model.animate(identity, maps, features, prompts, options=options)
    frames = (frames for video in latents for frames in stack.decode(video))
    # --8<-- [end:stages]
    print(pt.write_video(arguments.output, frames, speech))


if __name__ == "__main__":
    main()
