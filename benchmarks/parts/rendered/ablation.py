"""The ablation on rendered people: each variant on the same frames, people and edits."""

from __future__ import annotations

from typing import Any

import torch

from portraittalk_core.pipeline import PortraitTalk
from portraittalk_core.stacks.options import SamplingOptions
from portraittalk_core.types import Identity, StructureMaps

from ..program import say
from ..real.scores import errors
from .clips import exact_maps, true_frames
from .edited import edited
from .material import Truth
from .scores import edit_scores
from .session import PROMPT, Session, make
from .variants import VARIANTS, Variant

STEP = 3
"""Every how many frames of the clip are made."""

EDITS = ("background", "hair", "glasses", "beard")
"""Kinds of edits that every variant makes, at rest."""


def measure(session: Session) -> dict[str, Any]:
    """Measure every variant on every person.

    Args:
        session: What was asked for.

    Returns:
        By the variant's key and the person's number, see `one`.
    """
    found: dict[str, Any] = {}
    for number in range(min(session.given.ablation_people, session.given.people)):
        for variant in VARIANTS:
            name = f"ablation/{variant.key}_{number}_{session.given.frames}"
            row = session.kept(name, lambda n=number, v=variant: one(session, v, n))
            found.setdefault(variant.key, {})[str(number)] = row
        say(f"  person {number}:", {v.key: round(found[v.key][str(number)]["psnr face"], 2) for v in VARIANTS})
    return found


@torch.inference_mode()
def one(session: Session, variant: Variant, number: int) -> dict[str, Any]:
    """Measure one variant on one person.

    Args:
        session: What was asked for.
        variant: What is taken away.
        number: Of the person.

    Returns:
        `psnr mouth` and so on of the finished frames, `decoded psnr mouth` of what was drawn, similarity of the decoded
        face to the portrait, restlessness, and how far edits moved.
    """
    shown = session.truth(number)
    model = variant.change(session.model) if variant.change else session.model
    identity = session.stack.identify([shown.portrait])
    true, points = true_frames(shown, identity)
    rows = torch.arange(0, len(true), STEP)
    maps = _maps(session, variant, shown, identity)
    maps = StructureMaps(maps.landmarks[rows], maps.placement[rows], maps.fps)
    made = make(model, identity, maps, PROMPT, number, _in_every_frame(model, variant))
    found: dict[str, Any] = dict(errors(made.finished, true[rows], points[rows]))
    found |= {f"decoded {name}": value for name, value in errors(made.decoded, true[rows], points[rows]).items()}
    portrait = torch.tensor(session.embed(shown.portrait))
    for name, frames in (("", made.finished), ("decoded ", made.decoded)):
        found[f"{name}similarity"] = float(
            torch.tensor([session.embed(f) for f in frames[1::2]]).matmul(portrait).mean()
        )
    still = (true.std(0).amax(0) < 1e-4)[None].expand(3, -1, -1)
    found["stillness"] = float(made.finished.std(0)[still].mean() * 127.5) if bool(still.any()) else 0.0
    found["edits"] = _edits(session, variant, shown, identity)
    return found


def _in_every_frame(model: PortraitTalk, variant: Variant) -> SamplingOptions:
    """Return a variant's options, said so that nothing is left undrawn: what is taken away acts on what is drawn."""
    return variant.options or SamplingOptions(steps=model.stack.config.sampling.steps)


def _maps(session: Session, variant: Variant, shown: Truth, identity: Identity) -> StructureMaps:
    return exact_maps(shown, identity) if variant.exact else session.stack.structure(shown.motion, identity)


def _edits(session: Session, variant: Variant, shown: Truth, identity: Identity) -> dict[str, dict[str, Any]]:
    """Return the scores of each edit, finished and decoded."""
    if not variant.edits:
        return {}
    model = variant.change(session.model) if variant.change else session.model
    found: dict[str, dict[str, Any]] = {}
    for wanted in shown.edits:
        if wanted.edit.kind in EDITS:
            options = _in_every_frame(model, variant)
            made = edited(model, identity, wanted.edit.prompt, shown.subject.number, options, poses=1)
            scored = {
                name: edit_scores(frames[0], shown.before[0], wanted.after[0])
                for name, frames in (("finished", made.finished), ("decoded", made.decoded))
            }
            if None not in scored.values():
                found[wanted.edit.kind] = scored
    return found
