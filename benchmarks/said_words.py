"""How far can the mouths that are taught follow real speakers? Pearson's r with the sounds known.

    python -m benchmarks.said_words --clips FOLDER --task FACE_LANDMARKER [--model FOLDER]

Names of GRID's clips spell what is said (Cooke, Barker, Cunningham and Shao, 2006). Four voices of flite and six of
espeak-ng said these sentences and were aligned to the recordings (dynamic time warping of cepstra); where most of them
agreed is where a sound begins, checked on spectrograms. What the mouth shapes make of these sounds, and what the
network hears, is compared with what MediaPipe reads in the pictures: in whole clips, and from 0.1 s before the first
sound to 0.1 s after the last. r is over all clips, each about its own mean. Needs mediapipe.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import torch
from jaxtyping import Bool
from torch import Tensor

from portraittalk_core.motion.arkit import to_arkit
from portraittalk_core.motion.audio_to_motion import ARTICULATION_DELAY_S, delay_rows
from portraittalk_core.types import MOUTH, SPEECH_RATE
from portraittalk_core.voices.mouth_shapes import Phoneme, mouth_track

from .parts.program import command_line
from .parts.real.listening import Listener, Spoken, spoken_clips
from .parts.real.scores import pooled
from .real_speech import Tracks, compared

SAID = {
    "bbaf2n": "b.88 ɪ.98 n1.08 b1.18 l1.24 u1.30 æ1.37 t1.42 ɛ1.46 f1.53 t1.61 u1.75 n1.85 aʊ1.92 -2.12",
    "lbbc2a": "l.46 eɪ.57 b.68 l.75 u.87 b.94 aɪ1.0 s1.14 i1.26 t1.39 u1.50 ə1.58 ɡ1.64 ɛ1.72 n1.87 -2.03",
    "lwbsza": "l.63 eɪ.74 w.83 aɪ.92 t1.07 b1.12 aɪ1.16 ɛ1.28 s1.39 z1.53 ɪ1.6 ɹ1.73 oʊ1.82 ə1.95 ɡ2 ɛ2.09 n2.21 -2.31",
    "lbax4n": "l.46 eɪ.60 b.70 l.78 u.89 æ1.04 t1.11 ɛ1.20 k1.30 s1.35 f1.42 ɔ1.50 n1.68 aʊ1.75 -2.04",
    "sbia1a": "s.49 ɛ.60 t.72 b.79 l.87 u.98 ɪ1.18 n1.30 eɪ1.43 w1.54 ʌ1.76 n1.84 ə1.90 ɡ1.95 ɛ2.05 n2.18 -2.31",
}
"""Sounds of each clip by the end of its name, each with the second at which it begins; a dash is silence."""

COMPARED = ("jawOpen", "gap of the lips", "width of the lips", "mouthPucker", "mouthFunnel")
"""Of `real_speech`'s tracks."""

_EDGE_S = 0.1


def spelled(name: str, length_s: float) -> list[Phoneme]:
    """Return what is said.

    Args:
        name: Of the clip, in `SAID`.
        length_s: Of its sound, seconds.
    """
    marks = [(s, float(t)) for s, t in re.findall(r"([^\s\d.]+)([\d.]+)", SAID[name])]
    ends = [*(begin for _, begin in marks[1:]), length_s]
    said = [
        Phoneme("" if symbol == "-" else symbol, begin, end) for (symbol, begin), end in zip(marks, ends, strict=True)
    ]
    return [Phoneme("", 0.0, said[0].start_s), *said]


def phonemes(clip: Spoken) -> list[Phoneme]:
    """Return what is said.

    Args:
        clip: One of `SAID`.
    """
    return spelled(clip.name.rpartition("_")[2], len(clip.waveform) / SPEECH_RATE)


@torch.inference_mode()
def main() -> None:
    """Write the table."""
    parser = command_line("said_words", __doc__)
    parser.add_argument("--clips", type=Path, required=True, help="folder of .mp4 files, some of them those of GRID")
    parser.add_argument("--task", type=Path, required=True, help="MediaPipe's face_landmarker_v2_with_blendshapes.task")
    parser.add_argument("--model", default="tiny", help="or a folder with speech.safetensors and motion.safetensors")
    parser.add_argument("--readings", type=Path, help="folder in which what MediaPipe reads is kept")
    given = parser.parse_args()
    listener = Listener.load(given.model)
    clips = [c for c in spoken_clips(given.clips, given.task, given.readings) if c.name.rpartition("_")[2] in SAID]
    lines = [f"| | {' | '.join(COMPARED)} | jawOpen of each |", "|---" * (len(COMPARED) + 2) + "|"]
    for what in ("sounds known", "heard"):
        found = [_tracks(listener if what == "heard" else None, clip) for clip in clips]
        for where, frames in (("whole clips", None), ("speech", [_speaks(clip) for clip in clips])):
            kept = found if frames is None else [_only(t, chosen) for t, chosen in zip(found, frames, strict=True)]
            scores = [f"{pooled([tracks[name] for tracks in kept]):.2f}" for name in COMPARED]
            each = " ".join(f"{pooled([tracks['jawOpen']]):.2f}" for tracks in kept)
            lines.append(f"| {what}, {where} | {' | '.join(scores)} | {each} |")
    sys.stdout.write("\n".join(lines) + "\n")


def _tracks(listener: Listener | None, clip: Spoken) -> Tracks:
    frames = len(clip.seen.found)
    if listener is not None:
        return compared(listener.hear(clip.waveform, clip.fps, frames), clip.seen.filled(), clip.fps)
    track = mouth_track(phonemes(clip), clip.fps, frames / clip.fps)
    late = delay_rows(track, ARTICULATION_DELAY_S * clip.fps)
    return compared(to_arkit(dict(zip(MOUTH, late.unbind(-1), strict=True))), clip.seen.filled(), clip.fps)


def _speaks(clip: Spoken) -> Bool[Tensor, "f"]:
    said = phonemes(clip)
    time_s = (torch.arange(len(clip.seen.found)) + 0.5) / clip.fps
    return (time_s > said[1].start_s - _EDGE_S) & (time_s < said[-1].start_s + _EDGE_S)


def _only(tracks: Tracks, frames: Bool[Tensor, "f"]) -> Tracks:
    return {name: (heard[frames], seen[frames]) for name, (heard, seen) in tracks.items()}


if __name__ == "__main__":
    main()
