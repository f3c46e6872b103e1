"""What is known of a photograph before it moves, kept as long as it is the same photograph."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from ..nets.dense_motion import DenseMotion
from ..types import Identity
from .layers import Layers
from .lips import LipEdges


@dataclass(frozen=True)
class Known:
    """A photograph that has been looked at."""

    portrait: Float[Tensor, "3 s s"]
    """It, in the size of the frames."""

    points: Float[Tensor, "1 478 2"]
    """Its points."""

    rest: DenseMotion
    """How it moves where nothing does: what the dense motion errs."""

    layers: Layers | None
    """The person and the place behind; None where nothing tells them apart."""

    lips: LipEdges | None
    """Where its lips end; None where nothing tells."""


class KnownKept:
    """What was seen of the last photograph.

    One thread may ask whether anything is drawn while another composites; the second waits for what the first looks at.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._of: tuple[object, ...] = (None,) * 4
        self._size: int | None = None
        self._known: Known | None = None

    def get(self, identity: Identity, size: int | None, parser: object, look: Callable[[], Known]) -> Known:
        """Return what is known of a photograph.

        Args:
            identity: Whose it is.
            size: Side of the frames in pixels, see `HeadWarp.composite`.
            parser: What tells apart what belongs to whom.
            look: Looks at it, where it is another than the last.
        """
        wanted = (identity.crops, identity.landmarks, identity.portrait, parser)
        with self._lock:
            same = self._size == size and all(a is b for a, b in zip(self._of, wanted, strict=True))
            if not same or self._known is None:
                self._of, self._size, self._known = wanted, size, look()
            return self._known

    def forget(self) -> None:
        """Let go of it: of a large photograph it is some hundred megabytes."""
        with self._lock:
            self._of, self._known = (None,) * 4, None
