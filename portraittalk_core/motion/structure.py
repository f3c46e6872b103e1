"""Turn motion into structure maps for a face that was in no training set.

Two small networks know how a face moves: `FaceFitter` reads expression and head pose off landmarks, `FaceShaper`
moves the landmarks of the same face with another expression and pose. Between them lies one convention: head
coordinates, in which roll, position and size are undone; those three are applied by arithmetic and never learned.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..errors import BadInput
from ..types import COEFFICIENTS, LANDMARKS, POSE, FaceMotion, Identity, StructureMaps
from .geometry import STEADY, check_landmarks, placement

LOWEST = (0.0, 0.0, 0.0, 0.0, -0.5, -0.5, 0.0, 0.0, -1.0, -1.0)
"""Lower ends of the ranges of `COEFFICIENTS`; every upper end is 1."""

_POINTS = LANDMARKS * 2
_ANGLES = 3
_KNEE = 0.75
_FRONTAL_PULL = 0.85
_KEPT = tuple(COEFFICIENTS.index(name) for name in ("smile", "brow_raise", "brow_frown"))


class ResidualMLP(nn.Module):
    """A network from vectors to vectors with pre-normalised residual blocks; it starts as the zero function.

    Args:
        inputs: Width of what comes in.
        outputs: Width of what comes out.
        width: Of the blocks.
        blocks: How many.
    """

    def __init__(self, inputs: int, outputs: int, width: int, blocks: int) -> None:
        super().__init__()
        self.enter = nn.Linear(inputs, width)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))
            for _ in range(blocks)
        )
        self.leave = nn.Linear(width, outputs)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, x: Float[Tensor, "n inputs"]) -> Float[Tensor, "n outputs"]:
        """Return the vectors that belong to `x`."""
        hidden = self.enter(x)
        for block in self.blocks:
            hidden = hidden + block(hidden)
        return self.leave(nn.functional.gelu(hidden))


class FaceFitter(nn.Module):
    """A network that reads expression and head pose off landmarks.

    It sees the face with position, size and roll taken out, so those three follow every motion of the face exactly;
    what one picture cannot tell (a large head, or a near one?) is a constant for each face.

    Args:
        width: Of the residual blocks.
        blocks: How many.
    """

    mean: Tensor
    """Mean of the inputs; training sets it."""
    std: Tensor
    """Standard deviation of the inputs; training sets it."""

    def __init__(self, width: int = 256, blocks: int = 3) -> None:
        super().__init__()
        self.net = ResidualMLP(_POINTS, len(COEFFICIENTS) + len(POSE), width, blocks)
        self.register_buffer("mean", torch.zeros(_POINTS))
        self.register_buffer("std", torch.ones(_POINTS))

    def forward(self, landmarks: Float[Tensor, "n 70 2"]) -> tuple[Float[Tensor, "n 10"], Float[Tensor, "n 6"]]:
        """Return expression and pose of faces.

        Args:
            landmarks: In [-1, 1].

        Returns:
            Coefficients and pose, columns and units of `types.COEFFICIENTS` and `types.POSE`; coefficients may leave
            their range a little (`clamp_coefficients`).
        """
        centre, angle, size = face_frame(landmarks)
        seen = _turn(landmarks - centre[:, None], -angle) / size[:, None, None]
        read = self.net((seen.flatten(1) - self.mean) / self.std).float()
        coefficients, pose = read.split([len(COEFFICIENTS), len(POSE)], 1)
        yaw, pitch, roll, x, y, scale = pose.unbind(1)
        offset = _turn(torch.stack([x, y], 1)[:, None], angle)[:, 0] * size[:, None]
        where = torch.cat([centre + offset, (size * scale.exp())[:, None]], 1)
        return coefficients, torch.cat([torch.stack([yaw, pitch, roll + angle], 1), where], 1)


class FaceShaper(nn.Module):
    """A network that gives the landmarks of a face another expression and head pose.

    Args:
        width: Of the residual blocks.
        blocks: How many.
        yaw_limit: The largest angle to ask for, radians; `structure_maps` keeps to it.
        pitch_limit: The same for nodding.
        roll_limit: The same for tilting.
    """

    mean: Tensor
    """Mean of the landmarks in head coordinates; training sets it."""
    std: Tensor
    """Their standard deviation; training sets it."""

    def __init__(
        self,
        width: int = 384,
        blocks: int = 4,
        yaw_limit: float = 0.36,
        pitch_limit: float = 0.26,
        roll_limit: float = 0.21,
    ) -> None:
        super().__init__()
        self.limits = (yaw_limit, pitch_limit, roll_limit)
        self.net = ResidualMLP(_POINTS + 2 * (len(COEFFICIENTS) + _ANGLES + 1), _POINTS, width, blocks)
        self.register_buffer("mean", torch.zeros(_POINTS))
        self.register_buffer("std", torch.ones(_POINTS))

    def forward(
        self,
        reference: Float[Tensor, "n 70 2"],
        reference_coefficients: Float[Tensor, "n 10"],
        reference_pose: Float[Tensor, "n 6"],
        coefficients: Float[Tensor, "n 10"],
        pose: Float[Tensor, "n 6"],
    ) -> Float[Tensor, "n 70 2"]:
        """Return the landmarks of the same faces with what is wanted.

        Args:
            reference: Landmarks of unknown faces, in [-1, 1].
            reference_coefficients: What a `FaceFitter` reads off them.
            reference_pose: The same of the pose.
            coefficients: Those that are wanted.
            pose: The one that is wanted, relative to the fitted one: a fitter's constant error about a face then
                cancels.
        """
        head = to_head(reference, reference_pose).flatten(1)
        seen = [(head - self.mean) / self.std]
        for expression, where in ((reference_coefficients, reference_pose), (coefficients, pose)):
            seen += [2 * expression, 4 * where[:, :_ANGLES], 4 * (where[:, 5:] - 1)]
        moved = head + self.std * self.net(torch.cat(seen, 1)).float()
        return from_head(moved.view(-1, LANDMARKS, 2), pose)


def face_frame(
    landmarks: Float[Tensor, "n 70 2"],
) -> tuple[Float[Tensor, "n 2"], Float[Tensor, "n"], Float[Tensor, "n"]]:
    """Measure where a face lies without knowing it.

    Args:
        landmarks: In [-1, 1].

    Returns:
        Centre of its steady points, angle of the eye line in radians, and size: the points' root mean square distance
        from the centre.
    """
    steady = landmarks[:, list(STEADY)]
    centre = steady.mean(1)
    across = landmarks[:, [42, 45]].mean(1) - landmarks[:, [36, 39]].mean(1)
    size = (steady - centre[:, None]).square().sum(2).mean(1).clamp(min=1e-8).sqrt()
    return centre, torch.atan2(across[:, 1], across[:, 0]), size


def to_head(landmarks: Float[Tensor, "n 70 2"], pose: Float[Tensor, "n 6"]) -> Float[Tensor, "n 70 2"]:
    """Undo roll, position and size of a pose: picture coordinates to head coordinates.

    Args:
        landmarks: In [-1, 1].
        pose: Columns and units of `types.POSE`.
    """
    return _turn(landmarks - pose[:, None, 3:5], -pose[:, 2]) / pose[:, 5, None, None].clamp(min=1e-3)


def from_head(points: Float[Tensor, "n 70 2"], pose: Float[Tensor, "n 6"]) -> Float[Tensor, "n 70 2"]:
    """Apply size, roll and position of a pose: head coordinates to picture coordinates; undoes `to_head`."""
    return _turn(points * pose[:, 5, None, None], pose[:, 2]) + pose[:, None, 3:5]


def clamp_coefficients(coefficients: Float[Tensor, "n 10"]) -> Float[Tensor, "n 10"]:
    """Bring coefficients into their ranges."""
    return torch.minimum(torch.maximum(coefficients, coefficients.new_tensor(LOWEST)), coefficients.new_ones(()))


@torch.no_grad()
def structure_maps(
    motion: FaceMotion,
    identity: Identity,
    fitter: FaceFitter,
    shaper: FaceShaper,
    keep_expression: float = 1.0,
) -> StructureMaps:
    """Draw a motion on a face: landmarks and head placement, one a frame.

    The pose of a motion holds offsets around rest: angles, x and y are added to the reference's own pose, whose angles
    are pulled a little towards frontal, and scale is a factor; angles bend softly at the shaper's limits. Coefficients
    are absolute, so that silence closes the mouth even if the reference shows it open; only smile and brows keep
    what the reference has of them, where the motion does not set its own.

    Args:
        motion: How the face moves.
        identity: Whose first reference is the face.
        fitter: Reads off the reference what it shows.
        shaper: Moves its landmarks.
        keep_expression: How much of the reference's smile and brows is kept, in [0, 1]; 0 is nothing.

    Raises:
        BadInput: When the motion is empty or has wrong columns, the landmarks are not finite `[n, 70, 2]`, or
            `keep_expression` is outside its range.
    """
    _check_motion(motion)
    check_landmarks(identity.landmarks, "identity.landmarks")
    if not 0 <= keep_expression <= 1:
        raise BadInput(f"`keep_expression` must be in [0, 1], but got {keep_expression}. Try 1.")
    device = next(shaper.parameters()).device
    reference = identity.landmarks[:1].to(device, torch.float32)
    has, rest = fitter(reference)
    has = clamp_coefficients(has)
    wanted = _baseline(motion.coefficients.to(reference), has, keep_expression)
    pose = _posed(motion.pose.to(reference), rest, shaper.limits)
    count = len(pose)
    shared = [value.expand(count, *value.shape[1:]) for value in (reference, has, rest)]
    landmarks = shaper(*shared, wanted, pose)
    return StructureMaps(landmarks, placement(reference, landmarks), motion.fps)


@torch.no_grad()
def fit_motion(
    landmarks: Float[Tensor, "frames 70 2"],
    fps: float,
    fitter: FaceFitter,
    rest: Float[Tensor, "6"] | None = None,
) -> FaceMotion:
    """Read the motion of one face off its landmarks over time: the inverse of `structure_maps`.

    Args:
        landmarks: In [-1, 1], a row a frame.
        fps: Frames a second.
        fitter: Reads expression and pose off them.
        rest: The pose that offsets are counted from, as the fitter gives it; None is the median over the frames.

    Raises:
        BadInput: When landmarks are empty, not finite or not `[frames, 70, 2]`, or `fps` is not positive.
    """
    check_landmarks(landmarks)
    if len(landmarks) == 0 or fps <= 0:
        raise BadInput(f"`landmarks` and `fps` must not be empty or 0, but got {len(landmarks)} frames at {fps} fps.")
    coefficients, pose = fitter(landmarks.to(next(fitter.parameters()).device, torch.float32))
    middle = pose.median(0).values if rest is None else rest.to(pose)
    offsets = torch.cat([pose[:, :5] - middle[:5], pose[:, 5:] / middle[5]], 1)
    return FaceMotion(clamp_coefficients(coefficients), offsets, fps)


def _turn(points: Float[Tensor, "n k 2"], angle: Float[Tensor, "n"]) -> Float[Tensor, "n k 2"]:
    cos, sin = angle.cos()[:, None], angle.sin()[:, None]
    x, y = points[..., 0], points[..., 1]
    return torch.stack([x * cos - y * sin, x * sin + y * cos], -1)


def _check_motion(motion: FaceMotion) -> None:
    for name, columns in (("coefficients", len(COEFFICIENTS)), ("pose", len(POSE))):
        value = getattr(motion, name)
        if value.ndim != 2 or value.shape[1] != columns or len(value) == 0:
            raise BadInput(f"`motion.{name}` must be [frames, {columns}] and not empty, but got {list(value.shape)}.")
    if len(motion.coefficients) != len(motion.pose):
        raise BadInput(
            f"`motion.pose` must have as many frames as `motion.coefficients` ({len(motion.coefficients)}), "
            f"but got {len(motion.pose)}."
        )
    if not bool((motion.pose[:, 5] > 0).all()):
        lowest = float(motion.pose[:, 5].min())
        raise BadInput(f"`motion.pose` must have a scale above 0, but got {lowest:g}. The head's rest is 1.")


def _baseline(asked: Float[Tensor, "frames 10"], has: Float[Tensor, "1 10"], keep: float) -> Float[Tensor, "frames 10"]:
    """Let the reference's smile and brows show through as far as the motion leaves them at 0."""
    kept = torch.zeros_like(has)
    kept[:, list(_KEPT)] = keep * has[:, list(_KEPT)]
    return clamp_coefficients(asked + kept * (1 - asked.abs()).clamp(min=0))


def _posed(
    offsets: Float[Tensor, "frames 6"], rest: Float[Tensor, "1 6"], limits: tuple[float, ...]
) -> Float[Tensor, "frames 6"]:
    angles = _bend(_FRONTAL_PULL * rest[:, :_ANGLES] + offsets[:, :_ANGLES], rest.new_tensor(limits))
    return torch.cat([angles, rest[:, 3:5] + offsets[:, 3:5], rest[:, 5:] * offsets[:, 5:]], 1)


def _bend(angles: Float[Tensor, "frames 3"], limits: Float[Tensor, "3"]) -> Float[Tensor, "frames 3"]:
    """Leave angles below the knee alone and press the rest under the limit without a corner."""
    knee = _KNEE * limits
    over = (angles.abs() - knee).clamp(min=0) / (limits - knee)
    return angles.sign() * (torch.minimum(angles.abs(), knee) + (limits - knee) * over.tanh())
