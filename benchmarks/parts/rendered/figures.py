"""The figures of rendered people and their bounds, from what the parts measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from ..real.looking import tensor
from ..real.scores import pooled
from .clips import BASELINES, QUANTITIES, READ
from .scores import top1
from .wanted import KINDS

Figure = dict[str, Any]
"""`value`, of how many (`n`), where there is one the `ceiling`, and `rows`: what it is the mean of."""

BOUNDS: dict[str, tuple[str, float]] = {
    "jaw r": (">=", 0.93),
    "yaw r": (">=", 0.93),
    "pitch r": (">=", 0.88),
    "roll r": (">=", 0.85),
    "blink r": (">=", 0.80),
    "sync r": (">=", 0.75),
    "sync lag, frames": ("|<=", 1.0),
    "silence, % of range": ("<=", 5.0),
    "identity top-1, same prompt": (">=", 0.97),
    "identity top-1, edited": (">=", 0.88),
    "edit background": (">=", 0.98),
    "edit hair": (">=", 0.92),
    "edit clothes": (">=", 0.85),
    "edit glasses": (">=", 0.80),
    "edit beard": (">=", 0.80),
    "edit smile": (">=", 0.80),
    "likeness, dB": (">=", 24.0),
    "VAE whole, dB": (">=", 33.0),
    "VAE face, dB": (">=", 30.0),
    "stillness, of 255": ("<=", 0.5),
    "drift: identity": (">=", 0.98),
    "drift: sharpness, %": ("|<=", 5.0),
    "drift: colour, %": ("|<=", 1.0),
    "memory 60 s / 10 s": ("<=", 1.2),
}
"""What each figure must reach, in the order of the table."""


def met(name: str, value: float) -> bool | None:
    """Say whether a figure reaches its bound.

    Args:
        name: Of the figure.
        value: Of it.

    Returns:
        None where it has no bound.
    """
    if name not in BOUNDS:
        return None
    rule, bound = BOUNDS[name]
    return value >= bound if rule == ">=" else value <= bound if rule == "<=" else abs(value) <= bound


def figures(results: dict[str, Any]) -> dict[str, Figure]:
    """Return all figures that were measured.

    Args:
        results: By the part's name, what it measured.
    """
    found: dict[str, Figure] = {}
    for part, of in _OF.items():
        if results.get(part):
            found |= of(results[part])
    if results.get("clips") and results.get("edits"):
        found |= _edited(results["clips"], results["edits"])
    return found


def _edited(clips: dict[str, Any], edits: dict[str, Any]) -> dict[str, Figure]:
    """Ask who an edited picture shows, among all people as they are enrolled."""
    people = [number for number in edits if number in clips]
    gallery = torch.tensor([clips[number]["enrolled"] for number in people])
    asked = [(k, edit) for k, n in enumerate(people) for edit in edits[n]["edits"].values() if edit["seen"]]
    own = [k for k, _ in asked]
    made, true = (torch.tensor([edit[name] for _, edit in asked]) for name in ("embedding", "true embedding"))
    portraits = torch.tensor([clips[people[k]]["portrait"] for k in own])
    alike = [(faces * portraits).sum(1).tolist() for faces in (made, true)]
    return {
        "identity top-1, edited": _first(made, true, own, gallery),
        "right portrait first, edited": _first(made, true, own, torch.tensor([clips[n]["portrait"] for n in people])),
        "similarity to the portrait, edited": mean(*alike),
    }


def _first(made: Tensor, true: Tensor, own: list[int], gallery: Tensor) -> Figure:
    return {"value": top1(made, own, gallery), "ceiling": top1(true, own, gallery), "n": len(own)}


def mean(rows: Iterable[float], ceiling: Iterable[float] | None = None) -> Figure:
    """Return the mean of rows as a figure.

    Args:
        rows: One a person.
        ceiling: The same of the truth.
    """
    held = list(rows)
    figure: Figure = {"value": sum(held) / len(held), "n": len(held), "rows": held}
    if ceiling is not None:
        best = list(ceiling)
        figure["ceiling"] = sum(best) / len(best)
    return figure


def of_clips(found: dict[str, Any]) -> dict[str, Figure]:
    """Return the figures of the clips.

    Args:
        found: Of `clips.measure`.
    """
    rows = list(found.values())
    figures_of = {
        f"{name} r": mean((r["followed"][name] for r in rows), (r["ceiling"][name] for r in rows))
        for name in QUANTITIES
    }
    figures_of["face found, share"] = mean((r["followed found"] for r in rows), (r["ceiling found"] for r in rows))
    figures_of["likeness, dB"] = mean(r["errors"]["ours"]["psnr whole"] for r in rows)
    figures_of["stillness, of 255"] = mean(r["stillness"] for r in rows)
    figures_of["sharpness of the face, of the truth's"] = mean(r["sharpness"] for r in rows)
    figures_of["sharpness of the decoded face, of the truth's"] = mean(r["sharpness decoded"] for r in rows)
    figures_of["VAE whole, dB"] = mean(r["vae"]["whole"] for r in rows)
    figures_of["VAE face, dB"] = mean(r["vae"]["face"] for r in rows)
    figures_of |= _identity(rows) | _mediapipe(rows)
    for name in (*BASELINES, "ours"):
        for score in rows[0]["errors"]["ours"]:
            figures_of[f"{name}: {score}"] = mean(r["errors"][name][score] for r in rows)
    return figures_of


def _identity(rows: list[Any]) -> dict[str, Figure]:
    gallery = torch.tensor([r["enrolled"] for r in rows])
    own = [k for k, r in enumerate(rows) for _ in r["kept"]]
    made, true = (torch.tensor([face for r in rows for face in r[name]]) for name in ("kept", "true"))
    portraits = torch.tensor([r["portrait"] for r in rows])
    alike = ((torch.tensor(r[name]) @ p for r, p in zip(rows, portraits, strict=True)) for name in ("kept", "true"))
    ours, best = ([float(row.mean()) for row in part] for part in alike)
    return {
        "identity top-1, same prompt": _first(made, true, own, gallery),
        "right portrait first": _first(made, true, own, portraits),
        "similarity to the portrait": mean(ours, best),
    }


def _mediapipe(rows: list[Any]) -> dict[str, Figure]:
    read = [r["mediapipe"] for r in rows if "mediapipe" in r]
    if not read:
        return {}
    found: dict[str, Figure] = {
        "MediaPipe: face found, share": mean(
            (r["ours"]["found"] / r["ours"]["frames"] for r in read),
            (r["true"]["found"] / r["true"]["frames"] for r in read),
        )
    }
    for name in READ:
        tracks = [(tensor(r["ours"]["tracks"][name]), tensor(r["true"]["tracks"][name])) for r in read]
        found[f"MediaPipe: {name}, ours against the true clip, r"] = {"value": pooled(tracks), "n": len(tracks)}
    return found


def of_edits(found: dict[str, Any]) -> dict[str, Figure]:
    """Return the figures of the edits.

    Args:
        found: Of `edited.measure`.
    """
    figures_of: dict[str, Figure] = {}
    for kind in KINDS:
        rows = [r["edits"][kind] for r in found.values() if kind in r["edits"]]
        rows = [r for r in rows if r["seen"]]
        if not rows:
            continue
        obeyed = (float(r["finished obeyed"]) for r in rows)
        figures_of[f"edit {kind}"] = mean(obeyed, (float(r["truth obeyed"]) for r in rows))
        figures_of[f"edit {kind}: decoded obeys"] = mean(float(r["decoded obeyed"]) for r in rows)
        for variant in ("finished", "decoded", "plain"):
            for score in ("moved", "error", "colour", "colour before", "rest", "share"):
                figures_of[f"edit {kind}: {variant} {score}"] = mean(_over_poses(r[variant], score) for r in rows)
    for name in ("empty", "a person", "caption"):
        for against in ("truth", "empty", "decoded"):
            figures_of[f"unchanged, {name}: {against}"] = mean(r["unchanged"][name][against] for r in found.values())
    return figures_of


def _over_poses(rows: list[dict[str, float]], score: str) -> float:
    return sum(row[score] for row in rows) / len(rows)


def of_long(found: dict[str, Any]) -> dict[str, Figure]:
    """Return the figures of the long clip.

    Args:
        found: Of `long.measure`.
    """
    return {
        "drift: identity": {"value": found["identity"], "n": 1},
        "drift: sharpness, %": {"value": found["sharpness"], "n": 1},
        "drift: colour, %": {"value": found["colour"], "n": 1},
        "drift: mean difference, of 255": {"value": found["apart"], "n": 1},
    }


def of_sound(found: dict[str, Any]) -> dict[str, Figure]:
    """Return the figures of what is heard.

    Args:
        found: Of `sound.measure`.
    """
    heard, quiet = found["sync"], found["silence"]
    if not heard["r"]:
        return {}
    lags = torch.tensor(heard["lag"]).float()
    return {
        "sync r": mean(heard["r"]),
        "sync lag, frames": {"value": float(lags.median()), "n": len(lags)},
        "silence, % of range": mean(quiet["share"], quiet["ceiling"]),
    }


def of_memory(found: dict[str, Any]) -> dict[str, Figure]:
    """Return the memory of a long video over that of a short one.

    Args:
        found: Of `sound.memory`.
    """
    return {"memory 60 s / 10 s": {"value": found["long"] / found["short"], "n": 1}}


_OF: dict[str, Callable[[dict[str, Any]], dict[str, Figure]]] = {
    "clips": of_clips,
    "edits": of_edits,
    "long": of_long,
    "sound": of_sound,
    "memory": of_memory,
}
