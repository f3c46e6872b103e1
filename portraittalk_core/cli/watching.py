"""`generate --watch`: a picture that shows, while a video is denoised, what it is becoming."""

from __future__ import annotations

import argparse
import logging
import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..errors import BadMedia

if TYPE_CHECKING:
    from torch import Tensor

    from ..pipeline import PortraitTalk

logger = logging.getLogger(__name__)

EVERY_S = 1.0
"""Least time between two pictures."""

SHARE = 0.05
"""Most of the time that pictures may take."""


def add_watch(parser: argparse.ArgumentParser) -> None:
    """Add the option.

    Args:
        parser: Of the command.
    """
    parser.add_argument(
        "--watch",
        metavar="FILE",
        help="keep a picture here of what a frame is becoming, while it is made (sd15: needs the file taesd)",
    )


class Watcher:
    """Writes a picture after a step, but not after each; one that cannot be written fails nothing."""

    def __init__(self, path: str, decode: Callable[[Tensor], Tensor]) -> None:
        """Write nothing yet.

        Args:
            path: Of the picture, which is replaced each time.
            decode: See `stacks.previews.quick_decoder`.
        """
        self._path, self._decode = path, decode
        self._next_s, self._failed = -math.inf, False

    def __call__(self, latents: Tensor) -> None:
        """Show the clean latents of a frame, if it is time.

        Args:
            latents: [c, h, w].
        """
        from ..media.image import write_image

        begun_s = time.monotonic()
        if self._failed or begun_s < self._next_s:
            return
        try:
            write_image(self._path, self._decode(latents))
        except BadMedia as error:
            self._failed = True
            logger.warning("%s There will be no more pictures of what is made.", error)
        ended_s = time.monotonic()
        self._next_s = ended_s + max(EVERY_S, (ended_s - begun_s) / SHARE)


def watcher(arguments: argparse.Namespace, model: PortraitTalk) -> Watcher | None:
    """Return what shows the latents of a video in the making; None where nobody asked.

    Args:
        arguments: Of `generate`.
        model: That makes it.

    Raises:
        WeightsMismatch: When a file that it needs is not here.
    """
    if not arguments.watch:
        return None
    from ..stacks.previews import quick_decoder

    return Watcher(arguments.watch, quick_decoder(model.stack, arguments.comfyui))
