"""What AnimateNet's nodes do: the motion, and the windows in which a long video is denoised."""

from __future__ import annotations

from typing import Any

from ..portraittalk_core.diffusion.windows import plan_windows
from ..portraittalk_core.errors import BadInput
from .comfy_windows import add_windows
from .sockets import Model, Moving, Somebody


def animate_net(
    model: Model,
    motion: Any,
    speech: Any,
    somebody: Somebody,
    window: int,
    overlap: int,
    fusion: str,
    audio_scale: float,
    vae: Any = None,
) -> tuple[Model, dict[str, Any]]:
    """Return a MODEL that moves as told and the empty LATENT of the whole video.

    Raises `BadInput` for a motion of another speech, and as the model's `tell_motion`.
    """
    adapters = somebody.adapters
    count = _frames(adapters.opening(motion), motion, speech)
    # In joint fusion every window is kept, with and without the person; in streaming the running one.
    keep = 1 if fusion == "streaming" else 2 * len(plan_windows(count, window, overlap))
    moving = Moving(motion, speech, count, window, audio_scale, keep)
    told = adapters.tell_motion(model, moving, somebody.identity, vae)
    add_windows(told, window, overlap, fusion, adapters.flicker())
    return told, adapters.empty(count)


def _frames(opening: Any, motion: Any, speech: Any) -> int:
    count, wanted = len(opening), len(speech.hidden)
    if count != wanted or motion.fps != speech.fps:
        raise BadInput(
            f"`motion` must be of this speech, {wanted} frames at {speech.fps:g} fps, but has {count} at "
            f"{motion.fps:g}. Connect both to the same Encode Audio."
        )
    return count
