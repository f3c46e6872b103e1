"""Hold what a file has against what its layout says: every tensor has its place or is left out for a reason."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from ..errors import WeightsMismatch
from ..presets import sd15
from ..sites import UNetShape
from .files import Shape

logger = logging.getLogger(__name__)

_UNET = sd15().unet

SD15_SHAPE = UNetShape(_UNET.channels, _UNET.layers, _UNET.attention, _UNET.cross_dim, _UNET.heads)
"""The U-Net that all files of this room belong to."""

_LISTED = 10


@dataclass(frozen=True)
class Rule:
    """Tensors that are left out on purpose."""

    reason: str
    """Why, in words."""
    start: str = ""
    """What their names begin with."""
    end: str = ""
    """What their names end with."""

    def covers(self, name: str) -> bool:
        """Return whether a tensor of this name is left out."""
        return name.startswith(self.start) and name.endswith(self.end)


def account(
    path: Path | str,
    layout: str,
    expected: Mapping[str, Shape],
    found: Mapping[str, Shape],
    rules: Collection[Rule] = (),
) -> dict[str, str]:
    """Hold a file against its layout.

    Args:
        path: The file, for messages.
        layout: Which layout is expected, in words.
        expected: Shapes of the tensors that the layout has, by name.
        found: Shapes of those that the file has.
        rules: Which others may be left out, and why.

    Returns:
        The names that are left out, each with the reason; the log has them too.

    Raises:
        WeightsMismatch: When tensors are missing, of another shape, or neither in the layout nor left out by a rule;
            the message lists the first ten.
    """
    ignored: dict[str, str] = {}
    wrong = [f"{name} is missing (expected {list(shape)})" for name, shape in expected.items() if name not in found]
    wrong += [
        f"{name} is {list(found[name])} instead of {list(shape)}"
        for name, shape in expected.items()
        if name in found and found[name] != tuple(shape)
    ]
    for name in found:
        if name in expected:
            continue
        rule = next((rule for rule in rules if rule.covers(name)), None)
        if rule is None:
            wrong.append(f"{name} is foreign")
        else:
            ignored[name] = rule.reason
    if wrong:
        raise misfit(f"{path}: must hold the {len(expected)} tensors of {layout}", wrong)
    for reason in dict.fromkeys(ignored.values()):
        names = [name for name, why in ignored.items() if why == reason]
        logger.info("%s: %d tensors are not used (%s), first %s.", path, len(names), reason, names[0])
    return ignored


def misfit(rule: str, wrong: Sequence[str]) -> WeightsMismatch:
    """Return the error for a file with wrong tensors.

    Args:
        rule: The file's name and what it must hold.
        wrong: What is wrong with each tensor, in words; the first ten are listed.
    """
    more = f"; and {len(wrong) - _LISTED} more" if len(wrong) > _LISTED else ""
    return WeightsMismatch(f"{rule}, but {'; '.join(wrong[:_LISTED])}{more}. Fetch the file again or choose another.")


def shapes_of(tensors: Mapping[str, Tensor]) -> dict[str, Shape]:
    """Return the shape of each tensor by its name."""
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}
