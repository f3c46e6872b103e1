"""The words of commands."""

from __future__ import annotations


def command(folder, *more, output="out.mp4"):
    inputs = ["--image", f"{folder}/a.png", "--audio", f"{folder}/s.wav", "--prompt", "a person"]
    return ["generate", *inputs, "-o", f"{folder}/{output}", *more]
