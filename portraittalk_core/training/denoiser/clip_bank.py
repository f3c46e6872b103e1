"""Clips of people who speak: what stage 2 learns motion from.

Each clip has a reference picture of its person (half of them in another appearance), consecutive frames at 25 a second,
and the speech features that belong to them. Everything is there twice: as it is, and with the mouth at rest, so that
speech alone says what the mouth does.

    python -m portraittalk_core.training.denoiser.clip_bank --out runs/clips --speech runs/speech_clips.npz --part 0/2
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import Dataset

from ...errors import BadInput
from ..people.bank import Bank, begin_drawing, draw_bank, drawing_parser, open_bank
from .bank import EncodedBank, FrameEncoders, encode_pictures, is_made
from .clips import SpeechClips, load_speech_clips, spoken_shots
from .pairs import Batch, Draw, Tokenize, caption_of

FRAMES = 24
"""Frames of a stored clip; training takes a random stretch of it."""

PEOPLE_A_SHARD = 8
"""Clips of a shard, one a person."""

FIRST_SEED = 200_000
"""Of the people in clips, who are in no bank of single pictures."""


def draw_clips(folder: Path, speech: SpeechClips, shards: range, textures: Path | None = None) -> None:
    """Draw the shards of clips that are missing.

    Args:
        folder: Where the bank lies.
        speech: What is said.
        shards: Their numbers, which decide people and speech.
        textures: Folder of MakeHuman's textures, or None for painted skin alone.
    """
    shots = functools.partial(spoken_shots, clips=speech, frames=FRAMES)
    draw_bank(folder, shards, textures, FIRST_SEED, shots=shots, people=PEOPLE_A_SHARD)


@dataclass(frozen=True)
class ClipBank:
    """Encoded clips, with what is said in them; of each clip the reference, then `FRAMES` frames."""

    bank: EncodedBank
    """As they are."""

    resting: EncodedBank
    """The same, but points have the mouth at rest, and references are moved to these."""

    features: Float[Tensor, "clips frames d"]
    """Of the speech, a row a frame, `FRAMES` rows a clip."""


def encode_clips(
    folder: Path, people: Path, speech_file: Path, encoders: FrameEncoders, sizes: Sequence[int] = (128, 256)
) -> None:
    """Encode all clips of a folder, unless that was done already.

    Args:
        folder: Where the result will lie.
        people: Folder of clips, as `draw_clips` fills it.
        speech_file: What is said in them, as `clips.save_speech_clips` wrote it.
        encoders: Make latents, moved references and embeddings.
        sizes: Sides in pixels at which latents are made.

    Raises:
        BadInput: When the folder holds no clips, or clips of other speech.
    """
    if is_made(folder):
        return
    bank = open_bank(people)
    features = _features(bank, load_speech_clips(speech_file), speech_file)
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "features.npy", features)
    encode_pictures(folder, bank, encoders, sizes, bank.at_rest())


def _features(bank: Bank, speech: SpeechClips, file: Path) -> Float[np.ndarray, "clips frames d"]:
    """Return the features of what is said in every clip; the encoder may be another than when the clips were drawn."""
    heard, spoken = bank.fact("heard"), bank.fact("spoken")
    rows = heard[heard >= 0]
    clips, left = divmod(len(bank), FRAMES + 1)
    if left or len(rows) != clips * FRAMES:
        raise BadInput(f"{bank.folder}: must hold clips of {FRAMES} frames. Draw it with `python -m {__spec__.name}`.")
    if rows.max() >= len(speech.mouth) or not np.array_equal(speech.mouth.numpy()[rows], spoken[heard >= 0]):
        raise BadInput(f"{file}: is other speech than {bank.folder} was drawn with. Name that one, or draw anew.")
    return speech.features.numpy()[rows].reshape(clips, FRAMES, -1)


def open_clip_bank(folder: Path, size: int = 256) -> ClipBank:
    """Read what `encode_clips` finished.

    Args:
        folder: Where it lies.
        size: Side in pixels of the pictures whose latents are read.

    Raises:
        BadInput: When the bank holds no latents of that size.
    """
    features = torch.from_numpy(np.load(folder / "features.npy"))
    return ClipBank(EncodedBank.open(folder, size), EncodedBank.open(folder, size, resting=True), features)


class ClipDraws(Dataset[Draw]):
    """Draws of stretches of clips: item k is the draw of step k, as in `PairDraws`; targets are their first frames."""

    def __init__(
        self,
        bank: EncodedBank,
        tokenize: Tokenize,
        *,
        seed: int,
        clips: int,
        frames: int,
        drop_text: float = 0.1,
        drop_identity: float = 0.1,
        drop_reference: float = 0.1,
        drop_audio: float = 0.1,
        drop_mouth: float = 0.15,
        other_audio: float = 0.0,
    ) -> None:
        """Set what is drawn.

        Args:
            bank: Of clips.
            tokenize: Of the text encoder.
            seed: From which, with k, everything follows.
            clips: A step.
            frames: Of each, at most `FRAMES`.
            drop_text: Chance that a clip loses its caption.
            drop_identity: Chance that it loses the face embedding.
            drop_reference: Chance that it loses the reference picture.
            drop_audio: Chance that it loses its speech.
            drop_mouth: Chance that structure shows its mouth at rest, so that only speech says what it does. Never
                together with a lost speech.
            other_audio: Chance that a clip whose mouth is shown hears what the next one of the step says.

        Raises:
            BadInput: When stretches are to be longer than clips, or other speech is wanted of a single one.
        """
        if other_audio and clips < 2:
            raise BadInput(
                f"`other_audio` needs `refs` of 2 or more, but got {clips}: one clip has no other beside it."
            )
        if frames > FRAMES:
            raise BadInput(f"`clip` must be at most {FRAMES} frames, as clips are stored, but got {frames}.")
        self._tags, self._tokenize = bank.tags, tokenize
        self._seed, self._clips, self._frames = seed, clips, frames
        self._drops = torch.tensor([drop_text, drop_identity, drop_reference, drop_audio])
        self._drop_mouth, self._other_audio = drop_mouth, other_audio
        self._count = len(bank.tags) // (FRAMES + 1)

    def __getitem__(self, step: int) -> Draw:
        generator = torch.Generator().manual_seed((self._seed << 40) + step)
        clips = torch.randint(self._count, (self._clips,), generator=generator)
        shift = torch.randint(FRAMES - self._frames + 1, (self._clips,), generator=generator)
        references = clips * (FRAMES + 1)
        targets = references + 1 + shift
        draw = torch.rand(5, self._clips, generator=generator)
        no_text, no_identity, no_reference, no_audio = draw[:4] < self._drops[:, None]
        captions = [
            "" if quiet else caption_of(self._tags[r], self._tags[t], alone, generator)
            for r, t, alone, quiet in zip(
                references.tolist(), targets.tolist(), no_reference.tolist(), no_text.tolist(), strict=True
            )
        ]
        no_mouth = (draw[4] < self._drop_mouth) & ~no_audio
        other = (torch.rand(self._clips, generator=generator) < self._other_audio) & ~no_mouth
        owner, ids = torch.arange(self._clips), self._tokenize(captions)
        return Draw(references, targets, owner, ids, no_identity, no_reference, no_audio, no_mouth, other)


class ClipStore:
    """A clip bank on the device that trains, from which a draw becomes a batch of whole stretches."""

    def __init__(self, clips: ClipBank, frames: int, device: torch.device) -> None:
        """Put a bank on a device; its pictures stay where they are.

        Args:
            clips: What is drawn from.
            frames: Of a stretch.
            device: That trains.
        """
        bank, resting = clips.bank, clips.resting
        self._latents, self._landmarks = bank.latents.to(device), bank.landmarks.to(device)
        self._warped, self._unseen = bank.warped_latents.to(device), bank.unseen.to(device)
        self._rest, self._warped_rest = resting.landmarks.to(device), resting.warped_latents.to(device)
        self._embeddings, self._features = bank.embeddings.to(device), clips.features.to(device)
        self._frames, self._device, self._clips = frames, device, clips

    def gather(self, draw: Draw) -> Batch:
        """Return the frames of a draw, clip after clip, float32.

        Where the mouth is withheld, everything that shows it has it at rest: the points, and the moved reference.

        Args:
            draw: Of `ClipDraws`.
        """
        d = draw.to(self._device)
        ramp = torch.arange(self._frames, device=self._device)
        rows = (d.targets[:, None] + ramp).flatten()
        clip, shift = d.references // (FRAMES + 1), d.targets - d.references - 1
        spoken = self._features[clip[:, None], shift[:, None] + ramp].float()
        heard = _either(d.other_audio, spoken.roll(1, 0), spoken)
        features = heard * ~d.no_audio[:, None, None]

        def each(value: Tensor) -> Tensor:
            return value.repeat_interleave(self._frames, 0)

        withheld = each(d.no_mouth)
        return Batch(
            reference_latents=self._latents[d.references].float(),
            reference_landmarks=self._landmarks[d.references],
            warped_pictures=self._pictures(rows, withheld),
            warped_latents=_either(withheld, self._warped_rest[rows], self._warped[rows]).float(),
            latents=self._latents[rows].float(),
            landmarks=self._landmarks[rows],
            shown=_either(withheld, self._rest[rows], self._landmarks[rows]),
            owner=each(d.owner),
            ids=each(d.ids),
            embeddings=each((self._embeddings[d.references] * ~d.no_identity[:, None])[:, None]),
            present=each(~d.no_reference),
            unseen=self._unseen[rows],
            features=features,
            clip=self._frames,
        )

    def _pictures(self, rows: Tensor, withheld: Tensor) -> Float[Tensor, "n 3 s s"]:
        """Read the moved references of rows, each from the one bank or the other."""
        found = [
            bank.read_warped(rows[chosen], self._device)
            for bank, chosen in ((self._clips.bank, ~withheld), (self._clips.resting, withheld))
        ]
        order = torch.cat([(~withheld).nonzero()[:, 0], withheld.nonzero()[:, 0]])
        return torch.cat(found)[order.argsort()]


def _either(which: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Return the rows of `first` where `which` says so, else those of `second`."""
    return torch.where(which.view(-1, *(1,) * (first.ndim - 1)), first, second)


def main() -> None:
    """Read the command line and draw."""
    parser = drawing_parser(__doc__, 60, f"{PEOPLE_A_SHARD} clips")
    parser.add_argument(
        "--speech", type=Path, required=True, help="speech features; training.denoiser.clips makes them"
    )
    given = parser.parse_args()
    draw_clips(given.out, load_speech_clips(given.speech), begin_drawing(given), given.textures)


if __name__ == "__main__":
    main()
