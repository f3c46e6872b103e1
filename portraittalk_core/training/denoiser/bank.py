"""What the denoiser learns from: rendered people, with the reference moved to every picture, encoded once.

Each picture of a person has one reference, the person's first picture. What the denoiser will be shown of it, moved by
the dense motion to the picture's points, is made here, so that a training step runs the denoiser alone. Pictures of one
person get the same exposure, contrast and colour at random: the renderer's camera is not the only one.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float32, Int
from torch import Tensor

from ...compositing.head_warp import HeadWarp, moved_picture
from ...errors import BadInput
from ...media.image import to_bytes
from ...nets.dense_motion import DenseMotion
from ..dense.data import photographic
from ..model import VAE_FACTOR
from ..people.bank import Bank, open_bank

logger = logging.getLogger(__name__)

RELIT = 2
"""The appearance that is for telling people apart only: its light differs from the reference's."""

_ALIKE, _OTHER = 0.35, 0.95
"""Mean differences of latents: nine tenths of what only moved differs less than the one, half of what the reference
does not show by 0.66, a tenth by more than 1.5."""

RESTING = "resting_"
"""How files begin of points with the mouth at rest and of references moved to them."""

Encode = Callable[[Float[Tensor, "b 3 h w"]], Float[Tensor, "b c h w"]]
Embed = Callable[[Float[Tensor, "b 3 h w"], Float[Tensor, "b 478 2"]], Float[Tensor, "b 512"]]


@dataclass(frozen=True)
class FrameEncoders:
    """What a bank keeps of a picture besides its pixels, and where it is made."""

    encode: Encode
    """Pictures in [-1, 1] to latents."""

    warp: HeadWarp
    """Moves the reference."""

    embed: Embed | None
    """Pictures in [-1, 1] and their landmarks to unit face embeddings; None leaves them zero."""

    device: torch.device | str
    """Where pictures are encoded."""


@dataclass(frozen=True)
class EncodedBank:
    """Encoded pictures; row i of every field is picture i, a person's pictures following one another."""

    person: Int[np.ndarray, "n"]
    """Seed of who is shown."""

    first: Int[np.ndarray, "n"]
    """The row of each picture's reference."""

    tags: list[dict[str, str]]
    """What a caption can say of each picture."""

    landmarks: Float[Tensor, "n 478 2"]
    """Exact, in [-1, 1]."""

    latents: Float[Tensor, "n c h w"]
    """Of the pictures at the size that is trained on, float16."""

    warped_latents: Float[Tensor, "n c h w"]
    """Of the references moved to each picture's points, float16."""

    embeddings: Float[Tensor, "n 512"]
    """Of the faces, unit length; zero where nobody was asked."""

    unseen: Float[Tensor, "n h w"]
    """Share of each cell of the latents that the reference does not show, or shows otherwise, in [0, 1]."""

    warped: np.ndarray
    """The moved references, uint8, [n, 3, size, size] at the model's own size; a file mapped into memory."""

    @classmethod
    def open(cls, folder: Path, size: int = 256, *, resting: bool = False) -> EncodedBank:
        """Read a bank that `encode_bank` finished.

        Args:
            folder: Where it lies.
            size: Side in pixels of the pictures whose latents are read.
            resting: Whether points have the mouth at rest, and references are moved to these.

        Raises:
            BadInput: When the bank holds no latents of that size.
        """
        if not (folder / f"latents_{size}.npy").exists():
            raise BadInput(f"{folder}: holds no latents of pictures of {size} pixels. Name another folder for them.")
        index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
        to = RESTING if resting else ""
        names = (f"{to}landmarks", f"latents_{size}", f"{to}warped_latents_{size}", "embeddings", "unseen")
        landmarks, latents, warped, embeddings, unseen = (torch.from_numpy(np.load(folder / f"{n}.npy")) for n in names)
        side = latents.shape[-1]
        return cls(
            person=np.array(index["person"]),
            first=np.array(index["first"]),
            tags=index["tags"],
            landmarks=landmarks,
            latents=latents,
            warped_latents=warped,
            embeddings=embeddings,
            unseen=F.interpolate(unseen[:, None].float(), (side, side), mode="area")[:, 0],
            warped=np.load(folder / f"{to}warped.npy", mmap_mode="r"),
        )

    def read_warped(self, rows: Int[Tensor, "k"], device: torch.device) -> Float[Tensor, "k 3 s s"]:
        """Return moved references in [-1, 1], eight times the side of the latents.

        Args:
            rows: Of the bank.
            device: Where they are wanted.
        """
        pixels = torch.from_numpy(self.warped[rows.cpu().numpy()]).to(device).float() / 127.5 - 1
        side = self.latents.shape[-1] * VAE_FACTOR
        return pixels if side == pixels.shape[-1] else F.interpolate(pixels, (side, side), mode="area")


def is_made(folder: Path) -> bool:
    """Say whether a bank is finished.

    Args:
        folder: Where it lies.
    """
    return (folder / "index.json").exists()


def encode_bank(
    folder: Path, people: Path, encoders: FrameEncoders, sizes: Sequence[int] = (128, 256), shards: range = range(90)
) -> None:
    """Encode the pictures of a bank of people, unless that was done already.

    Args:
        folder: Where the result will lie.
        people: Folder of the rendered people.
        encoders: Make latents, moved references and embeddings.
        sizes: Sides in pixels at which latents are made.
        shards: Of the people.
    """
    if not is_made(folder):
        encode_pictures(folder, open_bank(people, shards), encoders, sizes)


class BankFiles:
    """The files of a bank that is being encoded."""

    def __init__(self, folder: Path, count: int, size: int, sets: Sequence[str]) -> None:
        """Begin to write.

        Args:
            folder: Where the bank will lie.
            count: Of its pictures.
            size: Side of the moved references that are kept, pixels.
            sets: How the files begin of each set of points to which references are moved.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._size = folder, size
        shape = (count, 3, size, size)
        self._warped: dict[str, Any] = {
            name: np.lib.format.open_memmap(folder / f"{name}warped.npy", mode="w+", dtype=np.uint8, shape=shape)
            for name in sets
        }
        self.found: dict[str, list[Tensor]] = {}
        """Everything else, in parts whose rows follow one another, by the name of its file."""

    def put(self, rows: slice | Int[np.ndarray, "k"], moved: Mapping[str, Float[Tensor, "k 3 s s"]]) -> None:
        """Write moved references.

        Args:
            rows: Which pictures they belong to.
            moved: In [-1, 1], for each set of points.
        """
        for name, pictures in moved.items():
            self._warped[name][rows] = to_bytes(_sized(pictures, self._size)).cpu().numpy()

    def finish(self, person: Int[np.ndarray, "n"], first: Int[np.ndarray, "n"], tags: Sequence[dict[str, str]]) -> None:
        """Write the rest; the last file says that all are there.

        Args:
            person: See `EncodedBank`, as of the others.
            first: Rows of the references.
            tags: What captions can say.
        """
        for file in self._warped.values():
            file.flush()
        for name, parts in self.found.items():
            np.save(self._folder / f"{name}.npy", torch.cat(parts).cpu().numpy())
        index = {"person": person.tolist(), "first": first.tolist(), "tags": list(tags)}
        (self._folder / "index.json").write_text(json.dumps(index), encoding="utf-8")


@torch.no_grad()
def encode_pictures(
    folder: Path,
    bank: Bank,
    encoders: FrameEncoders,
    sizes: Sequence[int],
    resting: Float32[np.ndarray, "n 478 2"] | None = None,
) -> None:
    """Encode the pictures of an open bank; the last file that is written says that all are there.

    Args:
        folder: Where the result will lie.
        bank: Of people.
        encoders: Make latents, moved references and embeddings.
        sizes: Sides in pixels at which latents are made.
        resting: The points of all pictures with the mouth at rest, to which references are moved as well.
    """
    rows = np.nonzero(bank.appearance != RELIT)[0]
    points = {"": bank.landmarks} if resting is None else {"": bank.landmarks, RESTING: resting}
    made = BankFiles(folder, len(rows), max(sizes), list(points))
    found = made.found
    first = np.zeros(len(rows), np.int64)
    shard, seen = -1, np.zeros(0)
    for seed in np.unique(bank.person[rows]):
        where = np.nonzero(bank.person[rows] == seed)[0]
        mine = rows[where]
        first[where] = where[0]
        if int(bank.shard[mine[0]]) != shard:
            shard = int(bank.shard[mine[0]])
            seen = bank.maps(shard)[1]
        moved = _encode_person(bank, mine, points, encoders, sizes, found)
        made.put(where, moved)
        drawn, warped = (found[f"{name}_{max(sizes)}"][-1] for name in ("latents", "warped_latents"))
        edited = torch.from_numpy(bank.appearance[mine] != 0)
        unseen = torch.where(edited.view(-1, 1, 1), changed(drawn, warped), _unseen(bank, mine, seen, drawn.shape[-1]))
        found.setdefault("unseen", []).append(unseen)
        if seed % 64 == 0:
            logger.info("encoded %d of %d pictures", where[-1] + 1, len(rows))
    for name, values in points.items():
        found[f"{name}landmarks"] = [torch.from_numpy(values[rows])]
    made.finish(bank.person[rows], first, [bank.tags[i] for i in rows])


def _encode_person(
    bank: Bank,
    rows: Int[np.ndarray, "k"],
    points: Mapping[str, Float32[np.ndarray, "n 478 2"]],
    encoders: FrameEncoders,
    sizes: Sequence[int],
    found: dict[str, list[Tensor]],
) -> dict[str, Float[Tensor, "k 3 s s"]]:
    """Append what is made of a person's pictures to `found`; return the references moved to each set of points."""
    pixels = torch.from_numpy(np.stack([bank.picture(i) for i in rows]))
    pictures = pixels.permute(0, 3, 1, 2).float() / 127.5 - 1
    generator = torch.Generator().manual_seed(int(bank.person[rows[0]]))
    # All in the same way, and none grey: captions name colours.
    strip = photographic(torch.cat(list(pictures), 1)[None], generator, grain=False, grey=0.0)[0]
    pictures = torch.stack(strip.split(pictures.shape[-1], 1)).to(encoders.device)
    there = {name: torch.from_numpy(values[rows]).to(encoders.device) for name, values in points.items()}
    moved, _ = encode_moved(pictures, there, encoders, sizes, found)
    embedded = torch.zeros(len(rows), 512) if encoders.embed is None else encoders.embed(pictures, there[""]).cpu()
    found.setdefault("embeddings", []).append(embedded)
    return moved


@torch.no_grad()
def encode_moved(
    pictures: Float[Tensor, "k 3 s s"],
    there: Mapping[str, Float[Tensor, "k 478 2"]],
    encoders: FrameEncoders,
    sizes: Sequence[int],
    found: dict[str, list[Tensor]],
) -> tuple[dict[str, Float[Tensor, "k 3 s s"]], dict[str, DenseMotion]]:
    """Encode pictures of a person, and their first moved to the points of each; append latents to `found`.

    Args:
        pictures: In [-1, 1], the reference first, where they are encoded.
        there: Sets of points of all pictures by how their files begin; "" are the pictures' own.
        encoders: Make latents and moved references.
        sizes: Sides in pixels at which latents are made.
        found: Latents by the name of their file.

    Returns:
        The reference moved to each set of points, and how it was moved.
    """
    own = there[""]
    motions = {name: encoders.warp.motion(pictures[:1], own[:1], wanted) for name, wanted in there.items()}
    moved = {name: moved_picture(pictures[:1], motion) for name, motion in motions.items()}
    shown = {"latents": pictures, **{f"{name}warped_latents": value for name, value in moved.items()}}
    for size in sizes:
        for name, value in shown.items():
            found.setdefault(f"{name}_{size}", []).append(encoders.encode(_sized(value, size)).half().cpu())
    return moved, motions


def _sized(pictures: Float[Tensor, "k 3 a a"], size: int) -> Float[Tensor, "k 3 size size"]:
    return pictures if size == pictures.shape[-1] else F.interpolate(pictures, (size, size), mode="area")


def _unseen(bank: Bank, rows: Int[np.ndarray, "k"], visible: np.ndarray, side: int) -> Float[Tensor, "k side side"]:
    """Return how much of each cell the reference does not show, float16; other attributes have no maps."""
    unseen = torch.from_numpy(1 - visible[bank.row[rows]].astype(np.float32))[:, None]
    return F.interpolate(unseen, (side, side), mode="area")[:, 0].half()


def changed(latents: Float[Tensor, "k c h w"], warped: Float[Tensor, "k c h w"]) -> Float[Tensor, "k h w"]:
    """Return where pictures show something else than their moved references do, in [0, 1], float16.

    Args:
        latents: Of the pictures.
        warped: Of the moved references.
    """
    apart = (latents.float() - warped.float()).abs().mean(1)
    return ((apart - _ALIKE) / (_OTHER - _ALIKE)).clamp(0, 1).half()
