"""Pairs of pictures of one rendered person with the exact way of every pixel, made to look like photographs."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from ...nets.dense_motion import identity_grid
from ...topology import MIRROR
from ..people.bank import MAP_SIZE, Bank

OWN, WARPED, STILL = range(3)
"""Classes, in the order of `nets.dense_motion.SHARES`."""

_UNMOVED = 0.6 / MAP_SIZE
"""A cell that moved by less, in [-1, 1], counts as still: a third of a cell."""

_CLOTHES, _BACKGROUND = 6, 0

_LEAN = 0.06  # of [-1, 1]: by which people are moved as wholes, one standard deviation
_ZOOM = 1.35  # at most: heads of photographs are cut out more or less closely


@dataclass(frozen=True)
class MotionPairs:
    """References and targets of one step."""

    picture: Float[Tensor, "n 3 m m"]
    """The reference in [-1, 1]."""

    reference: Float[Tensor, "n 478 2"]
    """Its points, a little off, as a network finds them."""

    target: Float[Tensor, "n 478 2"]
    """The target's points likewise."""

    flow: Float[Tensor, "n 2 m m"]
    """Where each cell lies in the reference, in [-1, 1]."""

    owner: Int[Tensor, "n m m"]
    """Whose each cell is, an index into `SHARES`."""

    wanted: Float[Tensor, "n 3 m m"]
    """The target picture in [-1, 1]."""


class MotionStore:
    """The clips of a bank with their maps, in memory."""

    def __init__(self, bank: Bank, shards: int) -> None:
        """Read the maps.

        Args:
            bank: Of rendered people.
            shards: How many of its shards are read.
        """
        self.bank = bank
        self.clips: list[Int[np.ndarray, "frames"]] = []
        sources: list[np.ndarray] = []
        owners: list[np.ndarray] = []
        people_of: list[np.ndarray] = []
        self.at = np.full(len(bank), -1)
        count = 0
        for shard in range(shards):
            rows = np.nonzero((bank.shard == shard) & (bank.appearance == 0))[0]
            source, visible, segments = bank.maps(shard)
            inside = bank.row[rows]
            sources.append(source[inside])
            owners.append(_owners(source[inside], visible[inside], segments[inside]))
            people_of.append(segments[inside] != _BACKGROUND)
            self.at[rows] = count + np.arange(len(rows))
            count += len(rows)
            people = bank.person[rows]
            self.clips += [rows[people == seed] for seed in np.unique(people)]
        self.sources, self.owners = np.concatenate(sources), np.concatenate(owners)
        self.people = np.concatenate(people_of)

    def pairs(self, seed: int, step: int, count: int, rough: bool = True) -> MotionPairs:
        """Return a batch, decided by seed and step.

        Args:
            seed: Of the run.
            step: Of the run.
            count: Of pairs.
            rough: Whether people lean, pairs are mirrored and zoomed into, and pictures and points are disturbed as
                photographs and found points are.
        """
        rng = np.random.default_rng([seed, step])
        first, second = [], []
        for clip in rng.integers(len(self.clips), size=count):
            rows = self.clips[clip]
            first.append(rows[0])
            second.append(rows[0] if rng.random() < 0.04 else rows[1 + rng.integers(len(rows) - 1)])
        pixels = torch.from_numpy(np.stack([self.bank.picture(i) for i in (*first, *second)]))
        pictures = pixels.permute(0, 3, 1, 2).float() / 127.5 - 1
        pictures = functional.interpolate(pictures, (MAP_SIZE, MAP_SIZE), mode="area")
        reference, target = (torch.from_numpy(self.bank.landmarks[rows]) for rows in (first, second))
        pairs = MotionPairs(
            picture=pictures[:count],
            reference=reference,
            target=target,
            flow=torch.from_numpy(self.sources[self.at[second]].astype(np.float32)).permute(0, 3, 1, 2),
            owner=torch.from_numpy(self.owners[self.at[second]].astype(np.int64)),
            wanted=pictures[count:],
        )
        if not rough:
            return pairs
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        masks = [torch.from_numpy(self.people[self.at[rows]])[:, None].float() for rows in (first, second)]
        pairs = framed(leaned(pairs, masks[0], masks[1], generator), generator)
        reference, target = _found(pairs.reference, pairs.target, generator)
        return replace(pairs, picture=photographic(pairs.picture, generator), reference=reference, target=target)


def _owners(source: np.ndarray, visible: np.ndarray, segments: np.ndarray) -> np.ndarray:
    axis = (np.arange(MAP_SIZE, dtype=np.float32) * 2 + 1) / MAP_SIZE - 1
    away = np.maximum(abs(source[..., 0] - axis), abs(source[..., 1] - axis[:, None]))
    still = (segments == _BACKGROUND) | ((segments == _CLOTHES) & (away < _UNMOVED))
    return np.where(visible, np.where(still, STILL, WARPED), OWN).astype(np.uint8)


def leaned(
    pairs: MotionPairs,
    before: Float[Tensor, "n 1 m m"],
    after: Float[Tensor, "n 1 m m"],
    generator: torch.Generator,
) -> MotionPairs:
    """Move half of the people as wholes: the renderer's heads turn on bodies that never do.

    A head that goes up, down or aside takes neck and shoulders along, less the further down they are: at the lower edge
    of the picture they stay, for what is beyond it does.

    Args:
        pairs: Of a bank.
        before: Where the person is in the reference, 1 or 0.
        after: Where it is in the target.
        generator: Of the chance.

    Returns:
        The same pairs with other targets; `wanted` is left as it was, and with it nothing that moves can be compared.
    """
    n = len(pairs.flow)
    away = _LEAN * torch.randn(n, 2, generator=generator).clamp(-2, 2) * (torch.rand(n, 1, generator=generator) < 0.5)
    here = identity_grid(pairs.flow)
    chin = pairs.target[:, :, 1].amax(1).clamp(max=0.9)[:, None, None]
    down = ((here[:, 1] - chin) / (1 - chin)).clamp(0, 1)
    taken = 1 - down.square() * (3 - 2 * down)
    back = here - away[..., None, None] * taken[:, None]
    grid = back.permute(0, 2, 3, 1)

    def came(maps: Tensor) -> Tensor:
        return functional.grid_sample(maps, grid, mode="nearest", padding_mode="border", align_corners=False)

    is_person, was_person = came(after) > 0.5, before > 0.5
    flow = torch.where(is_person, came(pairs.flow - here) + back, here)
    owner = came(pairs.owner[:, None].float())
    moved = (flow - here).abs().amax(1, keepdim=True) >= _UNMOVED
    owner = torch.where((owner == STILL) & moved, WARPED, owner)
    owner = torch.where(is_person, owner, torch.where(was_person, OWN, STILL)).long()
    same = (away == 0).all(1)[:, None, None]
    return replace(
        pairs,
        target=pairs.target + away[:, None],
        flow=torch.where(same[:, None], pairs.flow, flow),
        owner=torch.where(same, pairs.owner, owner[:, 0]),
    )


def framed(pairs: MotionPairs, generator: torch.Generator) -> MotionPairs:
    """Mirror half of the pairs, and cut all out more closely, both pictures alike.

    Args:
        pairs: Of a bank.
        generator: Of the chance.

    Returns:
        The same people. What came from outside the new frame of the reference is `OWN`.
    """
    n = len(pairs.picture)
    scale = _ZOOM ** -torch.rand(n, 1, generator=generator)
    mirrored = torch.rand(n, generator=generator) < 0.5
    turn = torch.cat([torch.where(mirrored[:, None], -scale, scale), scale], 1)
    shift = (1 - scale) * (2 * torch.rand(n, 2, generator=generator) - 1)
    grid = identity_grid(pairs.picture).permute(0, 2, 3, 1) * turn[:, None, None] + shift[:, None, None]

    def cut(maps: Tensor, mode: str = "bilinear") -> Tensor:
        return functional.grid_sample(maps, grid, mode=mode, padding_mode="border", align_corners=False)

    def points(of: Float[Tensor, "n 478 2"]) -> Float[Tensor, "n 478 2"]:
        return (torch.where(mirrored[:, None, None], of[:, list(MIRROR)], of) - shift[:, None]) / turn[:, None]

    # A field jumps at edges of things, and what is between two of them belongs to neither: the nearest cell's motion.
    moved = cut(pairs.flow - identity_grid(pairs.flow), "nearest") + grid.permute(0, 3, 1, 2)
    flow = (moved - shift[..., None, None]) / turn[..., None, None]
    owner = cut(pairs.owner[:, None].float(), "nearest")[:, 0].long()
    seen = (flow.abs() <= 1).all(1)
    return MotionPairs(
        picture=cut(pairs.picture),
        reference=points(pairs.reference),
        target=points(pairs.target),
        flow=flow,
        owner=torch.where(seen, owner, OWN),
        wanted=cut(pairs.wanted),
    )


def photographic(
    pictures: Float[Tensor, "n 3 h w"], generator: torch.Generator, grain: bool = True, grey: float = 0.12
) -> Float[Tensor, "n 3 h w"]:
    """Vary exposure, contrast, colour, sharpness and grain, so that nothing hangs on the renderer's.

    Args:
        pictures: In [-1, 1].
        generator: Of the chance.
        grain: Whether noise is added.
        grey: Chance that a picture loses its colours.

    Returns:
        The same size and range.
    """
    n = len(pictures)

    def draw(*shape: int) -> Tensor:
        return torch.rand(n, *shape, 1, 1, generator=generator)

    colourless = pictures.mean(1, keepdim=True)
    saturation = torch.where(draw(1) < grey, 0.0, 0.5 + 0.9 * draw(1))
    out = colourless + saturation * (pictures - colourless)
    out = ((out + 1) / 2).clamp(1e-4, 1) ** (2 ** (1.4 * draw(1) - 0.7)) * 2 - 1
    out = out * (0.6 + 0.7 * draw(1)) + 0.3 * (draw(1) - 0.5) + 0.16 * (draw(3) - 0.5)
    soft = functional.avg_pool2d(functional.pad(out, (1, 1, 1, 1), mode="replicate"), 3, 1)
    out = torch.lerp(out, soft, (1.6 * draw(1) - 0.6).clamp(min=0))
    noise = torch.randn(out.shape, generator=generator) * 0.1 * draw(1) ** 3 if grain else 0.0
    return (out + noise).clamp(-1, 1)


def _found(
    reference: Float[Tensor, "n 478 2"], target: Float[Tensor, "n 478 2"], generator: torch.Generator
) -> tuple[Float[Tensor, "n 478 2"], Float[Tensor, "n 478 2"]]:
    """Move points as found points are off: mostly in the same way in both pictures, and smoothly."""
    n = len(reference)

    def field(points: Tensor, strength: Tensor) -> Tensor:
        coarse = torch.randn(n, 2, 7, 7, generator=generator) * strength
        return functional.grid_sample(coarse, points[:, None], align_corners=False, padding_mode="border")[:, :, 0].mT

    common = field(reference, 0.012 * torch.rand(n, 1, 1, 1, generator=generator))
    single = 0.005 * torch.rand(n, 1, 1, 1, generator=generator)
    grain = [torch.randn(reference.shape, generator=generator) * 0.003 for _ in range(2)]
    return reference + common + grain[0], target + common + field(target, single) + grain[1]
