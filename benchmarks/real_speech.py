"""Does audio-to-motion open the mouth when a real speaker does? Pearson's r and best lag for each clip.

    python -m benchmarks.real_speech CLIPS mouths.json

`mouths.json` is what `benchmarks.mediapipe_mouths` saw in the clips.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

from portraittalk_core.checkpoints.native import load_motion, load_speech_encoder, model_folder
from portraittalk_core.media.audio import read_sound, speech_waveform
from portraittalk_core.motion.audio_to_motion import MotionDials, generate_motion

from .parts.program import command_line
from .parts.rendered.scores import MOST_LAG, correlation


@torch.inference_mode()
def main() -> None:
    """Write the table."""
    parser = command_line("real_speech", __doc__)
    parser.add_argument("clips", type=Path)
    parser.add_argument("mouths", type=Path)
    given = parser.parse_args()
    encoder = load_speech_encoder(model_folder("tiny") / "speech.safetensors")
    a2m, prior = load_motion(model_folder("tiny") / "motion.safetensors")
    rows: list[tuple[str, float, int]] = []
    for name, seen in json.loads(given.mouths.read_text()).items():
        sound = read_sound(given.clips / name)
        true = torch.tensor([float("nan") if v is None else v for v in seen["opening"]])
        features = encoder.encode(speech_waveform(sound), seen["fps"], len(true))
        motion = generate_motion(features, a2m, prior, MotionDials(), torch.Generator().manual_seed(0))
        jaw = motion.mouth_opening
        rows.append((name, _at_lag(jaw, true, 0), _best_lag(jaw, true)))
    lines = [
        "| clip | r | best lag, frames |",
        "|---|---|---|",
        *(f"| {n} | {r:.2f} | {lag:+d} |" for n, r, lag in rows),
    ]
    mean = sum(r for _, r, _ in rows) / len(rows)
    worst = max((lag for *_, lag in rows), key=abs)
    sys.stdout.write("\n".join(lines) + f"\n| mean | {mean:.2f} | worst {worst:+d} |\n")


def _at_lag(jaw: torch.Tensor, true: torch.Tensor, lag: int) -> float:
    """Return r when the prediction is taken to be `lag` frames late; frames without a face do not count."""
    a, b = (jaw[lag:], true[: len(true) - lag]) if lag >= 0 else (jaw[:lag], true[-lag:])
    known = ~torch.isnan(b)
    return correlation(a[known], b[known])


def _best_lag(jaw: torch.Tensor, true: torch.Tensor) -> int:
    return max(range(-MOST_LAG, MOST_LAG + 1), key=lambda lag: _at_lag(jaw, true, lag))


if __name__ == "__main__":
    main()
