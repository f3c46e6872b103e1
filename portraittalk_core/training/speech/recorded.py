"""Go on with what listens on recordings of people, beside the synthetic voices that it has learned from.

Two thirds of every batch are recorded. What is recorded is understood once (`voices.recorded`) and kept; utterances of
one speaker are joined into recordings of about nine seconds, as the synthetic ones are.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...checkpoints.native import load_motion, load_speech_encoder
from ...errors import BadInput
from ...motion.audio_to_motion import AudioToMotion
from ...types import SPEECH_RATE
from ...voices.flite import VOICES
from ...voices.mouth_shapes import Phoneme
from ...voices.recorded import Utterance, read_transcripts, understand
from ...voices.speech import HELD_OUT_VOICES, TRAIN_VOICES
from .augmentation import uniform
from .corpus import RECORDED, RECORDING_S, Recording, column_spread, make_batch, stored, stored_corpus, understood
from .losses import Pupil
from .scores import evaluate_speech
from .train import descend, save_listener

_EDGE_S = 0.15
_FADE = 160
_LEVEL = 0.1
_SHORTEST_S = 6.0


def train_on_recordings(
    out_dir: Path,
    start: Path,
    transcripts: Path,
    seed: int = 0,
    minutes: float = 40.0,
    steps: int = 1600,
    batch: int = 12,
    learning_rate: float = 1e-3,
    work_dir: Path = Path("runs/speech"),
) -> dict[str, float]:
    """Train encoder and audio-to-motion further; writes `speech.safetensors` and `motion.safetensors`.

    The prior stays. Calling again with the same arguments resumes.

    Args:
        out_dir: Where files go.
        start: Folder of both files as they are.
        transcripts: Table of the recordings, see `voices.recorded`.
        seed: Of corpora and batches.
        minutes: Of espeak-ng's speech; flite's comes on top, see `corpus.RECORDED`.
        steps: Of the training.
        batch: Crops a step, two thirds of them recorded.
        learning_rate: Highest.
        work_dir: Of the corpora, made once, the checkpoint and the curve `recorded.csv`.

    Returns:
        Scores on held-out synthetic voices, see `evaluate_speech`.
    """
    spoken = [
        *stored_corpus(work_dir / f"corpus_{seed}_{minutes:g}.pt", minutes, TRAIN_VOICES, seed),
        *stored_corpus(work_dir / f"recorded_{seed}_{minutes:g}.pt", minutes * RECORDED, VOICES, seed + 104_729),
    ]
    recorded = stored_recordings(work_dir / f"people_{seed}.pt", transcripts, seed)
    held_out = stored_corpus(work_dir / "held_out.pt", 3.0, HELD_OUT_VOICES, seed + 7919)
    encoder, (known, prior) = (
        load_speech_encoder(start / "speech.safetensors"),
        load_motion(start / "motion.safetensors"),
    )
    a2m = with_closures(known, seed)
    pupil = Pupil(encoder, a2m).requires_grad_(True)
    spread = column_spread(spoken)

    def loss(step: int) -> Tensor:
        pupil.train()
        shares = ((spoken, batch - 2 * batch // 3), (recorded, 2 * batch // 3))
        parts: list[Tensor] = []
        for number, (corpus, size) in enumerate(shares):
            generator = torch.Generator().manual_seed(seed * 1_000_003 + 7_000_003 * (number + 1) + step)
            crops = make_batch(corpus, size, generator)
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(2 * step + number)  # dropout draws from the global generator
                parts.append(pupil.loss(crops, spread) * size / batch)
        return torch.stack(parts).sum()

    path = work_dir / "recorded"
    descend(pupil, loss, lambda: evaluate_speech(encoder, a2m, held_out), learning_rate, steps, path)
    save_listener(out_dir, encoder, a2m, prior)
    return evaluate_speech(encoder, a2m, held_out)


def with_closures(a2m: AudioToMotion, seed: int) -> AudioToMotion:
    """Return audio-to-motion that says when lips are shut, too; what it has learned it keeps.

    Args:
        a2m: Of any version.
        seed: Of the weights that are new.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # module initialisers draw from the global generator; the fork puts it back
        grown = AudioToMotion(**a2m.config | dict[str, Any](closures=True))
    grown.load_state_dict(a2m.state_dict(), strict=False)
    return grown


def stored_recordings(path: Path, transcripts: Path, seed: int) -> list[Recording]:
    """Return the recordings kept in a file, made first if it is not there.

    Args:
        path: Of the file.
        transcripts: Table of what was recorded.
        seed: Of how utterances are joined.

    Raises:
        BadInput: When nothing in the table can be used.
    """

    def make() -> list[Recording]:
        made = [
            recording
            for lines in read_transcripts(transcripts).values()
            for recording in join_utterances(understand(lines), torch.Generator().manual_seed(seed))
        ]
        if not made:
            raise BadInput(
                f"The recordings of `{transcripts}` must hold speech that fits their texts and make up 6 s a speaker, "
                "but none do. Add recordings of 0.25 to 30 s."
            )
        return made

    return stored(path, make)


def join_utterances(utterances: list[Utterance], generator: torch.Generator) -> list[Recording]:
    """Join what one speaker says, in random order, with pauses of up to 0.7 s, into recordings of nine seconds or more.

    Silence around an utterance is cut to 0.15 s; all become as loud, to 2 dB. What is left over at the end is used if
    it lasts 6 s, as long as a crop played fast.

    Args:
        utterances: Of one speaker.
        generator: Of order, pauses and levels.
    """
    made: list[Recording] = []
    waiting = torch.randperm(len(utterances), generator=generator).tolist()[::-1]
    while waiting:
        pieces: list[Tensor] = []
        phonemes: list[Phoneme] = []
        now = 0.0
        while now < RECORDING_S and waiting:
            sound, spoken = _trimmed(utterances[waiting.pop()])
            sound = sound * (_LEVEL * 10 ** (uniform(-2, 2, generator) / 20) / sound.square().mean().sqrt().clamp(1e-4))
            silence = int((uniform(0, 0.7, generator) if pieces else uniform(0, 0.5, generator)) * SPEECH_RATE)
            pieces += [torch.zeros(silence), sound]
            start = now + silence / SPEECH_RATE
            phonemes.append(Phoneme("", now, start))
            phonemes += [Phoneme(p.symbol, start + p.start_s, start + p.end_s) for p in spoken]
            now = start + len(sound) / SPEECH_RATE
        if now >= _SHORTEST_S:
            made.append(understood(torch.cat(pieces), phonemes))
    return made


def _trimmed(utterance: Utterance) -> tuple[Tensor, list[Phoneme]]:
    """Return sound and phonemes with less silence around them, the sound's ends faded."""
    first, last = utterance.phonemes[0], utterance.phonemes[-1]
    length_s = len(utterance.waveform) / SPEECH_RATE
    begin = max(0.0, (0.0 if first.symbol else first.end_s) - _EDGE_S)
    end = min(length_s, (length_s if last.symbol else last.start_s) + _EDGE_S)
    sound = utterance.waveform[int(begin * SPEECH_RATE) : int(end * SPEECH_RATE)].clone()
    fade = torch.linspace(0, 1, min(_FADE, len(sound) // 4))
    sound[: len(fade)] *= fade
    sound[len(sound) - len(fade) :] *= fade.flip(0)
    inside = [p for p in utterance.phonemes if p.end_s > begin and p.start_s < end]
    return sound, [Phoneme(p.symbol, max(0.0, p.start_s - begin), min(end, p.end_s) - begin) for p in inside]
