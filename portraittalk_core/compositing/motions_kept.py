"""Motions that are asked for again: by the next window of the denoiser, and when frames are composited."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from ..nets.dense_motion import DenseMotion
from ..types import Identity

KEPT = 512
"""Frames whose motion is kept from the denoiser until they are composited: 20 s of video in 170 MB."""


class MotionsKept:
    """The motions of one person's latest frames, known by their points: the same points move in the same way.

    One thread may ask for the next frames while another composites the last.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._person: tuple[Tensor, Tensor, torch.device] | None = None
        self._rows: OrderedDict[bytes, DenseMotion] = OrderedDict()

    def get(
        self, identity: Identity, landmarks: Float[Tensor, "n 478 2"], make: Callable[[Tensor], DenseMotion], last: bool
    ) -> DenseMotion:
        """Return motions, and make those that are not kept.

        Args:
            identity: The person; another one's motions are forgotten.
            landmarks: Of each frame.
            make: Gives the motion of landmarks.
            last: Nobody asks for these frames again.
        """
        keys = [row.tobytes() for row in landmarks.detach().float().cpu().numpy()]
        with self._lock:
            self._know(identity, landmarks.device)
            known = {key: self._rows[key] for key in keys if key in self._rows}
        missing = [place for place, key in enumerate(keys) if key not in known]
        if missing:
            made = make(landmarks[missing])
            for row, place in enumerate(missing):
                known[keys[place]] = DenseMotion(made.flow[row].clone(), made.shares[row].clone())
        with self._lock:
            self._know(identity, landmarks.device)  # meanwhile it may have been another's turn
            for key in keys:
                if last:
                    self._rows.pop(key, None)
                else:
                    self._rows[key] = known[key]
                    self._rows.move_to_end(key)
            while len(self._rows) > KEPT:
                self._rows.popitem(last=False)
        rows = [known[key] for key in keys]
        return DenseMotion(torch.stack([row.flow for row in rows]), torch.stack([row.shares for row in rows]))

    def drop(self, landmarks: Float[Tensor, "n 478 2"]) -> None:
        """Forget motions that nobody asks for again.

        Args:
            landmarks: Of each frame.
        """
        with self._lock:
            for row in landmarks.detach().float().cpu().numpy():
                self._rows.pop(row.tobytes(), None)

    def _know(self, identity: Identity, device: torch.device) -> None:
        known = self._person
        same = known is not None and known[0] is identity.crops and known[1] is identity.landmarks
        if not (same and known is not None and known[2] == device):
            self._person = (identity.crops, identity.landmarks, device)
            self._rows.clear()
