"""Read a face in motion off its landmarks: one head is fitted to a whole video, moved in each frame as the frame shows.

A network that sees one frame (`structure.FaceFitter`) cannot tell what belongs to the face from what it does: whose
mouth is small may seem to pout. Here the head in space (`head_model.HeadModel`) that explains all frames is sought,
with few blendshapes at work in each: analysis by synthesis, as trackers of performances do (Weise et al., "Realtime
performance-based facial animation", 2011), by gradient descent.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import BadInput
from ..topology import EYES, INNER_LIPS, IRISES, OUTER_LIPS
from ..types import COEFFICIENTS, LANDMARKS, FaceMotion
from .geometry import check_landmarks
from .head_model import ANGLES, HeadModel
from .structure import FaceFitter, FaceShaper, clamp_coefficients, from_head, to_head

STEPS = 100
"""Of gradient descent, for the head and for each stretch of frames."""

SHOWING = 60
"""Frames that the head is found in, at most, evenly taken from all."""

SOUGHT_AT_ONCE = 250
"""Frames whose movements are sought together: what is kept of a long video does not grow."""

SPARSE = {"jaw": 1.0, "mouthFunnel": 4.0, "mouth": 1.0, "cheekPuff": 1.0, "tongue": 1.0}
"""How strongly blendshapes are drawn to 0, by how their names begin; `_GENTLY` is for all others. Around the mouth many
do nearly the same, and what few can explain few should; a funnel is rare. Eyes and brows have no such choice. The first
that fits counts."""

_GENTLY = 0.04
_GUESSED = "eyeLook"  # where eyes look is left as the fitter reads it, which has learned what noise does to irises
_USUAL = 0.15  # strength of a blendshape that costs as much as points that are `_OFF` away
_OFF = 0.02  # in head coordinates, in which the eyes are 0.56 apart
_OFFSET = 0.05  # by how much points of a face may lie elsewhere than on the fitted head, likewise
_HELD = 0.05  # weight of that, and of the first guess of the head
_RATE = 0.03
_FADES = 0.3  # share of the steps in which the rate falls to 0


@dataclass(frozen=True)
class TrackedHead:
    """Whose face is followed: what stays the same in all frames."""

    head: HeadModel
    """Moves heads."""

    code: Float[Tensor, "1 code"]
    """Of this head."""

    offset: Float[Tensor, "1 478 2"]
    """By how much its points lie elsewhere than the code says, in head coordinates."""

    def points(self, coefficients: Float[Tensor, "n 52"], pose: Float[Tensor, "n 6"]) -> Float[Tensor, "n 478 2"]:
        """Return where its points are seen.

        Args:
            coefficients: The expression.
            pose: See `types.POSE`.
        """
        seen = self.head(self.code.expand(len(pose), -1), coefficients, pose[:, :ANGLES])
        return from_head(seen + self.offset, pose)


def track_head(
    landmarks: Float[Tensor, "frames 478 2"], fps: float, fitter: FaceFitter, shaper: FaceShaper, steps: int = STEPS
) -> FaceMotion:
    """Read the motion of one face off its landmarks over time, more truly than `structure.fit_motion` does.

    Args:
        landmarks: In units in which the face has the usual size of a portrait, [-1, 1]; a row a frame.
        fps: Frames a second.
        fitter: Gives the first guess.
        shaper: Has the head.
        steps: Of gradient descent; 0 leaves the first guess.

    Returns:
        Blendshapes; the pose counts from its median over the frames.

    Raises:
        BadInput: When landmarks are empty, not finite or not `[frames, 478, 2]`, or `fps` is not positive.
    """
    check_landmarks(landmarks)
    if len(landmarks) == 0 or fps <= 0:
        raise BadInput(f"`landmarks` and `fps` must not be empty or 0, but got {len(landmarks)} frames at {fps} fps.")
    # A host may run everything in inference mode, in which nothing can be differentiated.
    with torch.inference_mode(False):
        points = landmarks.detach().cpu().float().clone()
        first = _guess(points, fitter)
        every = torch.linspace(0, len(points) - 1, min(len(points), SHOWING)).round().long()
        tracked = _find_head(points[every], (first[0][every], first[1][every]), shaper, steps)
        parts = [
            _follow(tracked, *(rows[start : start + SOUGHT_AT_ONCE] for rows in (points, *first)), steps=steps)
            for start in range(0, len(points), SOUGHT_AT_ONCE)
        ]
    coefficients, pose = (torch.cat(rows) for rows in zip(*parts, strict=True))
    middle = pose.median(0).values
    offsets = torch.cat([pose[:, :5] - middle[:5], pose[:, 5:] / middle[5]], 1)
    return FaceMotion(clamp_coefficients(coefficients), offsets, fps)


@torch.no_grad()
def _guess(points: Float[Tensor, "n 478 2"], fitter: FaceFitter) -> tuple[Float[Tensor, "n 52"], Float[Tensor, "n 6"]]:
    device = next(fitter.parameters()).device
    coefficients, pose = fitter(points.to(device))
    return clamp_coefficients(coefficients).cpu().clone(), pose.cpu().clone()


def _find_head(
    points: Float[Tensor, "n 478 2"],
    first: tuple[Float[Tensor, "n 52"], Float[Tensor, "n 6"]],
    shaper: FaceShaper,
    steps: int,
) -> TrackedHead:
    """Find the head that moves as the frames show."""
    coefficients, pose = first
    head = HeadModel(len(shaper.head.shapes))
    head.load_state_dict({name: value.detach().cpu() for name, value in shaper.head.state_dict().items()})
    device = next(shaper.parameters()).device
    with torch.no_grad():
        seen = shaper.seen(to_head(points, pose).to(device)).cpu()
        said = torch.cat([seen, 2 * coefficients, 4 * pose[:, :ANGLES]], 1)
        guess = shaper.net(said.to(device)).float().cpu().median(0, keepdim=True).values.clone()
    code, offset = guess.clone().requires_grad_(), torch.zeros(1, LANDMARKS, 2, requires_grad=True)
    moved = _sought(coefficients, pose)

    def held() -> Tensor:
        near = (offset / _OFFSET).square().mean() + (code - guess).square().mean()
        return _HELD * len(points) * near

    tracked = TrackedHead(head, code, offset)
    rates = [(moved[0], _RATE), (moved[1], _RATE / 4), (offset, _RATE / 8), (code, _RATE)]
    _descend(rates, lambda: _off(tracked, points, *moved) + held(), steps)
    return TrackedHead(head, code.detach(), offset.detach())


def _follow(
    tracked: TrackedHead,
    points: Float[Tensor, "n 478 2"],
    coefficients: Float[Tensor, "n 52"],
    pose: Float[Tensor, "n 6"],
    steps: int,
) -> tuple[Float[Tensor, "n 52"], Float[Tensor, "n 6"]]:
    """Find what a known head does in each frame."""
    moved = _sought(coefficients, pose)
    _descend([(moved[0], _RATE), (moved[1], _RATE / 4)], lambda: _off(tracked, points, *moved), steps)
    return moved[0].detach(), moved[1].detach()


def _sought(coefficients: Float[Tensor, "n 52"], pose: Float[Tensor, "n 6"]) -> tuple[Tensor, Tensor]:
    """Return copies that gradient descent changes, all but `_GUESSED`."""
    moved = coefficients.clone().requires_grad_(), pose.clone().requires_grad_()
    moved[0].register_hook(_constants()[2].mul)
    return moved


def _off(
    tracked: TrackedHead, points: Tensor, coefficients: Float[Tensor, "n 52"], pose: Float[Tensor, "n 6"]
) -> Float[Tensor, ""]:
    """Return how far points are from where they should be, and how much the face does for it; the sum over frames."""
    weights, pull, _ = _constants()
    inside = coefficients.clamp(0, 1)
    said = inside + 0.1 * (coefficients - inside)  # a little outside its range, so that it finds back
    apart = (tracked.points(said, pose) - points) / (_OFF * pose[:, 5, None, None].detach())
    return (apart.square().sum(2) * weights).mean(1).sum() + (said.abs() / _USUAL * pull).mean(1).sum()


def _descend(rates: Sequence[tuple[Tensor, float]], loss: Callable[[], Tensor], steps: int) -> None:
    """Change tensors, each at its rate, so that a loss gets small."""
    optimiser = torch.optim.Adam([{"params": [value], "lr": rate} for value, rate in rates], betas=(0.9, 0.95))
    for step in range(steps):
        for group, (_, rate) in zip(optimiser.param_groups, rates, strict=True):
            group["lr"] = rate * min(1.0, (steps - step) / (_FADES * steps))
        optimiser.zero_grad()
        with torch.enable_grad():
            loss().backward()
        optimiser.step()


@functools.cache
def _constants() -> tuple[Float[Tensor, "478"], Float[Tensor, "52"], Float[Tensor, "52"]]:
    """Return the weights of points, the pull of each blendshape to 0, and 1 for those that are sought.

    They are made where they are needed: those of a module that a host imports in inference mode could not be used.
    """
    weights = torch.ones(LANDMARKS)
    weights[[point for eye in EYES for point in eye]] = 3.0
    weights[[*OUTER_LIPS, *INNER_LIPS]] = 4.0
    weights[IRISES[0] :] = 3.0
    pull = [next((pull for begin, pull in SPARSE.items() if name.startswith(begin)), _GENTLY) for name in COEFFICIENTS]
    free = [float(not name.startswith(_GUESSED)) for name in COEFFICIENTS]
    return weights / weights.mean(), torch.tensor(pull), torch.tensor(free)
