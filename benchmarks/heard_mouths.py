"""What ADFD loses to hearing, and what to the picture: a table of docs/ablation.md.

    python -m benchmarks.heard_mouths

People and sentences of the people benchmark as exact landmarks, no picture: with the true mouth, with the one that
audio-to-motion hears, as it comes and with other delays, and with a mouth at rest. What a model's videos score below
the row *as it comes* is lost by the picture and by reading landmarks off it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from portraittalk_core.evaluation.benchmark.people import FPS, PersonCase, Take, draw_person, draw_take
from portraittalk_core.evaluation.benchmark.variants import tiny_stack
from portraittalk_core.metrics.functional import adfd
from portraittalk_core.metrics.functional.adfd import AdfdScore
from portraittalk_core.motion.arkit import to_arkit, with_mouth
from portraittalk_core.motion.audio_to_motion import ARTICULATION_DELAY_S, heard_mouth
from portraittalk_core.pipeline import PortraitTalk
from portraittalk_core.stacks.tiny import TinyStack
from portraittalk_core.types import MOUTH

from .parts.adfd_tables import PARTS
from .parts.people import far_points
from .parts.program import command_line

_SCORES = ("score", *PARTS, "offset_s")


def main() -> None:
    """Write the table."""
    parser = command_line("heard_mouths", __doc__)
    parser.add_argument("--people", type=int, default=16)
    given = parser.parse_args()
    stack = tiny_stack(PortraitTalk.load("tiny"))
    scores: dict[str, list[AdfdScore]] = {}
    for number in range(2 * given.people):
        take = draw_take(PersonCase(number // 2, number % 2))
        drawn = draw_person(number // 2).drawn
        for name, shapes in _tracks(stack, take):
            points = far_points(drawn, shapes, take.rotation[: len(shapes)])
            scored = adfd(points, take.sound.samples[0], take.sound.sample_rate, FPS)
            scores.setdefault(name, []).append(scored)
    lines = ["| mouth | clips | ADFD | " + " | ".join(_SCORES[1:]) + " |", "|---" * (len(_SCORES) + 2) + "|"]
    for name, found in scores.items():
        means = (sum(float(getattr(s, part) or 0) for s in found) / len(found) for part in _SCORES)
        lines.append(f"| {name} | {len(found)} | " + " | ".join(f"{mean:.3f}" for mean in means) + " |")
    sys.stdout.write("\n".join(lines) + "\n")


def _tracks(stack: TinyStack, take: Take) -> Iterator[tuple[str, Float[Tensor, "frames 52"]]]:
    """Yield the blendshapes of a clip, by what moves the mouth."""
    features = stack.listen(take.sound, FPS)
    count = min(len(take.blendshapes), len(features.hidden))
    late_ms = round(1000 * ARTICULATION_DELAY_S)
    yield "true", take.blendshapes[:count]
    for name, delay_s in (
        (f"heard, {late_ms} ms late, as it comes", ARTICULATION_DELAY_S),
        (f"heard, {2 * late_ms} ms late", 2 * ARTICULATION_DELAY_S),
        ("heard, not late", 0.0),
    ):
        with torch.no_grad():
            yield name, _with(take, heard_mouth(features, stack.audio_to_motion, delay_s))
    yield "at rest", _with(take, torch.zeros(count, len(MOUTH)))


def _with(take: Take, mouth: Float[Tensor, "frames k"]) -> Float[Tensor, "frames 52"]:
    count = min(len(take.blendshapes), len(mouth))
    motion = take.motion
    kept = replace(motion, coefficients=motion.coefficients[:count], pose=motion.pose[:count])
    shapes = to_arkit(dict(zip(MOUTH, mouth[:count].unbind(-1), strict=True)))
    return with_mouth(kept, replace(kept, coefficients=shapes)).coefficients


if __name__ == "__main__":
    main()
