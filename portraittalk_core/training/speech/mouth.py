"""Train audio-to-motion anew over a speech encoder that stays as it is.

What hears has learned once, and a denoiser may stand on what it says; what a mouth does with it can be taught again in
minutes, because degraded speech needs to be encoded only once and is then gone over several times. The prior is kept.
"""

from __future__ import annotations

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from ...checkpoints.native import load_motion, load_speech_encoder
from ...checkpoints.writing import save_state
from ...motion.audio_to_motion import AudioToMotion
from ...perception.speech import SpeechEncoder, resample_rows
from ...types import SPEECH_RATE
from ...voices.flite import VOICES
from ...voices.speech import HELD_OUT_VOICES, TRAIN_VOICES
from .corpus import RECORDED, Recording, column_spread, make_batch, stored_corpus
from .losses import mouth_loss
from .scores import FPS, evaluate_speech
from .train import descend, save_motion

Lesson = tuple[Float[Tensor, "b frames dim"], Float[Tensor, "b frames k"]]
"""What is heard, and the mouth."""

_DROPPED, _NOISE = 0.2, 0.3
"""Share of the features that a step does without, and noise in them, of their standard deviation: real voices differ
from synthetic ones in ways that no filter makes."""


def train_mouth(
    out_dir: Path,
    start: Path,
    seed: int = 0,
    minutes: float = 60.0,
    lessons: int = 500,
    batch: int = 12,
    steps: int = 1500,
    learning_rate: float = 1.5e-3,
    work_dir: Path = Path("runs/mouth"),
) -> dict[str, float]:
    """Train audio-to-motion; writes `motion.safetensors`, whose prior is that of `start`, bit for bit.

    Calling again with the same arguments resumes.

    Args:
        out_dir: Where the file goes.
        start: Folder of the speech encoder and of the motion whose prior is kept.
        seed: Of corpus, lessons and first weights.
        minutes: Of espeak-ng's speech; flite's comes on top, see `corpus.RECORDED`.
        lessons: Batches of degraded speech, each encoded once.
        batch: Crops in each.
        steps: Of the training, a lesson each, all lessons in turn.
        learning_rate: Highest.
        work_dir: Of corpora and lessons, made once, the checkpoint and the curve `mouth.csv`.

    Returns:
        Scores on held-out voices and sentences, see `evaluate_speech`.
    """
    encoder, prior = load_speech_encoder(start / "speech.safetensors"), load_motion(start / "motion.safetensors")[1]
    corpus = [
        *stored_corpus(work_dir / f"corpus_{seed}_{minutes:g}.pt", minutes, TRAIN_VOICES, seed),
        *stored_corpus(work_dir / f"recorded_{seed}_{minutes:g}.pt", minutes * RECORDED, VOICES, seed + 104_729),
    ]
    held_out = stored_corpus(work_dir / "held_out.pt", 3.0, HELD_OUT_VOICES, seed + 7919)
    taught = stored_lessons(work_dir / f"lessons_{seed}_{lessons}.pt", encoder, corpus, lessons, batch, seed)
    spread = column_spread(corpus)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # module initialisers draw from the global generator; the fork puts it back
        a2m = AudioToMotion(dim=encoder.dim, closures=True)

    def loss(step: int) -> Tensor:
        a2m.train()
        hidden, wanted = (part.float() for part in taught[step % len(taught)])
        hidden = _blurred(hidden, torch.Generator().manual_seed(seed * 7_368_787 + step))
        return mouth_loss(a2m, hidden, wanted, spread)

    descend(a2m, loss, lambda: evaluate_speech(encoder, a2m, held_out), learning_rate, steps, work_dir / "mouth")
    save_motion(out_dir, a2m, prior)
    return evaluate_speech(encoder, a2m, held_out)


def stored_lessons(
    path: Path, encoder: SpeechEncoder, corpus: list[Recording], count: int, batch: int, seed: int
) -> list[Lesson]:
    """Return the lessons kept in a file, made first if it is not there.

    Args:
        path: Of the file.
        encoder: Listens.
        corpus: From which crops are cut.
        count: Of the lessons.
        batch: Crops in each.
        seed: Of the crops and of how they are degraded.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        save_state([_lesson(encoder, corpus, batch, seed * 1_000_003 + number) for number in range(count)], path)
    return torch.load(path, weights_only=True)


@torch.no_grad()
def _lesson(encoder: SpeechEncoder, corpus: list[Recording], batch: int, seed: int) -> Lesson:
    encoder.eval()
    sound, mouth, _ = make_batch(corpus, batch, torch.Generator().manual_seed(seed))
    hidden = resample_rows(encoder(sound), SPEECH_RATE / encoder.stride, FPS, mouth.shape[1])
    return hidden.half(), mouth.half()


def _blurred(hidden: Float[Tensor, "b f d"], generator: torch.Generator) -> Float[Tensor, "b f d"]:
    kept = torch.rand(hidden.shape, generator=generator) >= _DROPPED
    noise = torch.randn(hidden.shape, generator=generator) * hidden.std() * _NOISE
    return hidden * kept / (1 - _DROPPED) + noise
