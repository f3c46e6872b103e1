"""Inputs that several nodes have."""

from __future__ import annotations

from comfy_api.latest import io


def dial(name: str, what: str) -> io.Float.Input:
    """Return the strength of a movement.

    Args:
        name: Of the input.
        what: It does, a sentence.
    """
    return io.Float.Input(name, default=1.0, min=0.0, max=4.0, step=0.05, tooltip=f"{what} 1 as usual, 0 not at all.")


def seed_input(tooltip: str) -> io.Int.Input:
    """Return a seed, which the page changes after every run unless it is told to keep it.

    Args:
        tooltip: What it decides.
    """
    return io.Int.Input("seed", default=0, min=0, max=0xFFFFFFFFFFFFFFFF, control_after_generate=True, tooltip=tooltip)
