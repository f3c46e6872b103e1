"""Turn motion into structure maps for a face that was in no training set.

Two small networks know how a face moves: `FaceFitter` reads expression and head pose off landmarks, `FaceShaper`
moves the landmarks of the same face with another expression and pose, by a head in space that it fits to the face
(`head_model`). Between them lies one convention: head coordinates, in which roll, position and size are undone; those
three are applied by arithmetic and never learned.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..errors import BadInput
from ..perception.contact import keep_apart
from ..topology import MEETING_LIDS, MEETING_LIPS
from ..types import COEFFICIENTS, POSE, FaceMotion, Identity, StructureMaps
from .arkit import sides
from .components import Components, ResidualMLP
from .geometry import check_landmarks, eye_line, head_size, placement
from .head_model import ANGLES, HeadModel, Neck, turn
from .turning import posed

KEPT: tuple[tuple[float, tuple[str, ...]], ...] = (
    (1.0, ("mouthSmile", "mouthFrown", "cheekSquint", "noseSneer")),
    (1.0, ("mouthDimple",)),
    (1.0, ("browDown", "browInnerUp", "browOuterUp")),
    (1.0, ("eyeSquint", "eyeWide")),
    (1.0, ("eyeLookIn", "eyeLookOut")),
    (1.0, ("eyeLookUp", "eyeLookDown")),
    (0.25, ("eyeBlink",)),
    (0.15, ("mouthPucker", "mouthStretch", "mouthPress", "mouthRollLower", "mouthRollUpper", "mouthShrugLower")),
    (0.15, ("mouthShrugUpper", "mouthLeft", "mouthRight", "jawLeft", "jawRight", "jawForward", "cheekPuff")),
)
"""What the reference shows stays where the motion says nothing of it, up to how much: mood, brows, the set of the eyes,
where they look; lids that hang a little, but no blink; of the mouth only what belongs to its shape, nothing that opens
it. What a motion asks of one in a line takes the place of all in the line."""

OPPOSED: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = (
    (("mouthFrown",), ("mouthSmile", "cheekSquint", "mouthDimple")),
    (("mouthSmile",), ("mouthFrown",)),
    (("browDown",), ("browInnerUp", "browOuterUp")),
    (("browInnerUp", "browOuterUp"), ("browDown",)),
    (("eyeWide",), ("eyeSquint", "eyeBlink")),
)
"""Blendshapes that are asked for, and those which a face cannot have at the same time: nobody is sad with a smile."""

ROUNDED, SPREAD = ("mouthPucker", "mouthFunnel"), ("mouthSmile", "mouthDimple")
"""Blendshapes that make a mouth narrow, and those of a smile that give way to them while they last: nobody says *who*
with a wide mouth. In seven clips of people who smile MediaPipe reads 0.2 to 0.4 of it, and 0 while they round their
lips by 0.3 or more."""

_ROUND, _GIVES_WAY = 0.6, 0.8  # how round lips are when all that can has given way of a smile; its cheeks stay
_DRIFT, _MEANT = 0.1, 0.35  # of what is asked: faces drift as far by themselves; from there on it is a mood
_MEETINGS = (*MEETING_LIPS, *(pair for eye in MEETING_LIDS for pair in eye))
_UPPER, _LOWER = ([pair[k] for pair in _MEETINGS] for k in (0, 1))
_SURELY_SHUT = 0.004  # gap, in head coordinates, below which a pair of the fitted head is shut


class FaceFitter(nn.Module):
    """A network that reads expression and head pose off landmarks.

    It sees the face with position, size and roll taken out, so those three follow every motion of the face exactly;
    what one picture cannot tell (a large head, or a near one?) is a constant for each face. The pose's place and size
    are those of the head before it turned about its neck (`head_model.Neck`): a head that turns does not shift.

    Args:
        components: Of the landmarks, that it sees.
        width: Of the residual blocks.
        blocks: How many.
    """

    def __init__(self, components: int = 96, width: int = 256, blocks: int = 3) -> None:
        super().__init__()
        self.seen = Components(components)
        self.neck = Neck()
        self.net = ResidualMLP(components, len(COEFFICIENTS) + ANGLES, width, blocks)

    def forward(self, landmarks: Float[Tensor, "n 478 2"]) -> tuple[Float[Tensor, "n 52"], Float[Tensor, "n 6"]]:
        """Return expression and pose of faces.

        Args:
            landmarks: In [-1, 1].

        Returns:
            Coefficients and pose, columns and units of `types.COEFFICIENTS` and `types.POSE`; coefficients may leave
            their range a little (`clamp_coefficients`).
        """
        read = self.net(self.seen(upright(landmarks))).float()
        coefficients, angles = read.split([len(COEFFICIENTS), ANGLES], 1)
        lean = face_frame(landmarks)[1]
        angles = torch.stack([angles[:, 0], angles[:, 1], angles[:, 2] + lean], 1)
        return coefficients, head_pose(landmarks, angles, self.neck)


class FaceShaper(nn.Module):
    """A network that gives the landmarks of a face another expression and head pose.

    It fits a head in space to the face and adds to the landmarks by how much that head's points move, so that a face
    that does not move is itself. Lips and lids that meet on the fitted head meet on the face, whatever it showed.

    Args:
        components: Of the landmarks, that it sees.
        shapes: Directions in which the fitted heads differ.
        width: Of the residual blocks.
        blocks: How many.
        yaw_limit: The largest angle to ask for, radians; `structure_maps` keeps to it.
        pitch_limit: The same for nodding.
        roll_limit: The same for tilting.
    """

    def __init__(
        self,
        components: int = 96,
        shapes: int = 40,
        width: int = 256,
        blocks: int = 2,
        yaw_limit: float = 0.5,
        pitch_limit: float = 0.35,
        roll_limit: float = 0.3,
    ) -> None:
        super().__init__()
        self.limits = (yaw_limit, pitch_limit, roll_limit)
        self.seen = Components(components)
        self.neck = Neck()
        self.head = HeadModel(shapes)
        self.net = ResidualMLP(components + len(COEFFICIENTS) + ANGLES, self.head.code_size, width, blocks)

    def forward(
        self,
        reference: Float[Tensor, "#n 478 2"],
        reference_coefficients: Float[Tensor, "#n 52"],
        reference_pose: Float[Tensor, "#n 6"],
        coefficients: Float[Tensor, "n 52"],
        pose: Float[Tensor, "n 6"],
    ) -> Float[Tensor, "n 478 2"]:
        """Return the landmarks of the same faces with what is wanted.

        Args:
            reference: Landmarks of unknown faces, in [-1, 1]; one row is shared by all that is wanted.
            reference_coefficients: What a `FaceFitter` reads off them.
            reference_pose: The same of the pose.
            coefficients: Those that are wanted.
            pose: The one that is wanted, relative to the fitted one: a fitter's constant error about a face then
                cancels.
        """
        face, angles = to_head(reference, reference_pose), reference_pose[:, :ANGLES]
        code = self.net(torch.cat([self.seen(face), 2 * reference_coefficients, 4 * angles], 1)).float()
        was = self.head(code, reference_coefficients, angles)
        now = self.head(code.expand(len(pose), -1), coefficients, pose[:, :ANGLES])
        moved = face + now - was
        moved = torch.stack([moved[..., 0], moved[..., 1] + self._meet(face, was, now)], 2)
        return from_head(self._seat(keep_apart(moved), pose[:, :ANGLES]), pose)

    def _seat(self, points: Float[Tensor, "n 478 2"], angles: Float[Tensor, "n 3"]) -> Float[Tensor, "n 478 2"]:
        """Put faces where a neck carries them, so that a fitter reads the place and the size that were asked for."""
        (middle, size), (wanted, large) = head_size(points), self.neck(angles)
        return (points - middle[:, None]) * (large / size)[:, None, None] + wanted[:, None]

    def _meet(
        self, face: Float[Tensor, "#n 478 2"], was: Float[Tensor, "#n 478 2"], now: Float[Tensor, "n 478 2"]
    ) -> Float[Tensor, "n 478"]:
        """Return how far down each point goes so that lips and lids close as those of the fitted head do."""
        real, before, after = (points[:, _LOWER, 1] - points[:, _UPPER, 1] for points in (face, was, now))
        open_still = ((after - _SURELY_SHUT).clamp(min=0) / (before - _SURELY_SHUT).clamp(min=1e-3)).clamp(max=1)
        excess = (real - before) * (1 - open_still)
        return excess @ follow(self.head.mean).T


def follow(mean: Float[Tensor, "478 3"]) -> Float[Tensor, "478 pairs"]:
    """Return how far down each point goes when pairs that should meet are drawn together by a unit.

    Lips and what lies around them move as wholes, the upper a third of the way down, the lower the rest of it up; of
    the lids the upper comes down and what is above it follows less and less.

    Args:
        mean: A face at rest.
    """
    place = (mean[_UPPER] + mean[_LOWER])[:, :2] / 2
    apart = mean[:, None, :2] - place
    lips = torch.arange(len(_UPPER), device=mean.device) < len(MEETING_LIPS)
    reach_x, reach_y = torch.where(lips, 0.03, 0.012), torch.where(lips, 0.06, 0.03)
    near = torch.exp(-0.5 * (apart[..., 0] / reach_x).square())
    eyes = torch.where(lips, 0.0, 1 + (place[:, 0] > 0).float())
    for part in eyes.unique():
        near[:, eyes == part] /= near[:, eyes == part].sum(1, keepdim=True).clamp(min=1)
    down = torch.where(lips, 1 / 3, 0.9)
    weights = (
        torch.where(apart[..., 1] > 0, down - 1, down) * near * torch.exp(-0.5 * (apart[..., 1] / reach_y).square())
    )
    weights[_UPPER], weights[_LOWER] = torch.diag(down), torch.diag(down - 1)
    return weights


def face_frame(
    landmarks: Float[Tensor, "n 478 2"],
) -> tuple[Float[Tensor, "n 2"], Float[Tensor, "n"], Float[Tensor, "n"]]:
    """Measure where a face lies without knowing it.

    Args:
        landmarks: In [-1, 1].

    Returns:
        Centre of its steady points, angle of the eye line in radians, and size: the points' root mean square distance
        from the centre.
    """
    centre, size = head_size(landmarks)
    across = eye_line(landmarks)
    return centre, torch.atan2(across[:, 1], across[:, 0]), size


def head_pose(landmarks: Float[Tensor, "n 478 2"], angles: Float[Tensor, "n 3"], neck: Neck) -> Float[Tensor, "n 6"]:
    """Return the pose of faces whose angles are known.

    Args:
        landmarks: In [-1, 1].
        angles: Yaw, pitch and roll, radians.
        neck: What a turn does to place and size.
    """
    (centre, size), (shift, large) = head_size(landmarks), neck(angles)
    scale = size / large
    place = centre - turn(shift[:, None], angles[:, 2])[:, 0] * scale[:, None]
    return torch.cat([angles, place, scale[:, None]], 1)


def upright(landmarks: Float[Tensor, "n 478 2"]) -> Float[Tensor, "n 478 2"]:
    """Undo position, size and roll as `face_frame` measures them."""
    centre, angle, size = face_frame(landmarks)
    return turn(landmarks - centre[:, None], -angle) / size[:, None, None]


def to_head(landmarks: Float[Tensor, "n 478 2"], pose: Float[Tensor, "n 6"]) -> Float[Tensor, "n 478 2"]:
    """Undo roll, position and size of a pose: picture coordinates to head coordinates.

    Args:
        landmarks: In [-1, 1].
        pose: Columns and units of `types.POSE`.
    """
    return turn(landmarks - pose[:, None, 3:5], -pose[:, 2]) / pose[:, 5, None, None].clamp(min=1e-3)


def from_head(points: Float[Tensor, "n 478 2"], pose: Float[Tensor, "n 6"]) -> Float[Tensor, "n 478 2"]:
    """Apply size, roll and position of a pose: head coordinates to picture coordinates; undoes `to_head`."""
    return turn(points * pose[:, 5, None, None], pose[:, 2]) + pose[:, None, 3:5]


def clamp_coefficients(coefficients: Float[Tensor, "n 52"]) -> Float[Tensor, "n 52"]:
    """Bring coefficients into their range, [0, 1]."""
    return coefficients.clamp(0, 1)


@torch.no_grad()
def structure_maps(
    motion: FaceMotion,
    identity: Identity,
    fitter: FaceFitter,
    shaper: FaceShaper,
    keep_expression: float = 1.0,
) -> StructureMaps:
    """Draw a motion on a face: landmarks and head placement, one a frame.

    The pose of a motion holds offsets around rest: angles, x and y are added to the reference's own pose, and scale is
    a factor; angles bend softly at the shaper's limits, and sooner to the front of a face that is seen from aside (see
    `turning`). Coefficients are absolute, so that silence closes the mouth even if the reference shows it open; mood,
    brows and gaze keep what the reference has of them, where the motion does not set its own (`KEPT`).

    Args:
        motion: How the face moves.
        identity: Whose first reference is the face.
        fitter: Reads off the reference what it shows.
        shaper: Moves its landmarks.
        keep_expression: How much of the reference's own expression is kept, in [0, 1]; 0 is nothing.

    Raises:
        BadInput: When the motion is empty or has wrong columns, the landmarks are not finite `[n, 478, 2]`, or
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
    wanted = kept_expression(motion.coefficients.to(reference), has, keep_expression)
    pose = posed(motion.pose.to(reference), rest, shaper.limits)
    landmarks = shaper(reference, has, rest, wanted, pose)
    return StructureMaps(landmarks, placement(reference, landmarks), motion.fps)


@torch.no_grad()
def fit_motion(
    landmarks: Float[Tensor, "frames 478 2"],
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
        BadInput: When landmarks are empty, not finite or not `[frames, 478, 2]`, or `fps` is not positive.
    """
    check_landmarks(landmarks)
    if len(landmarks) == 0 or fps <= 0:
        raise BadInput(f"`landmarks` and `fps` must not be empty or 0, but got {len(landmarks)} frames at {fps} fps.")
    coefficients, pose = fitter(landmarks.to(next(fitter.parameters()).device, torch.float32))
    middle = pose.median(0).values if rest is None else rest.to(pose)
    offsets = torch.cat([pose[:, :5] - middle[:5], pose[:, 5:] / middle[5]], 1)
    return FaceMotion(clamp_coefficients(coefficients), offsets, fps)


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


def kept_expression(
    asked: Float[Tensor, "frames 52"], has: Float[Tensor, "1 52"], keep: float = 1.0
) -> Float[Tensor, "frames 52"]:
    """Let the reference's own expression show through as far as the motion leaves it.

    Args:
        asked: What the motion says.
        has: What the reference shows.
        keep: How much of that may stay, in [0, 1].

    Returns:
        What the face is to do, see `KEPT`.
    """
    kept = torch.zeros_like(asked)
    for most, names in KEPT:
        rows = _columns(names)
        left = 1 - asked[:, rows].amax(1, keepdim=True).clamp(0, 1)
        kept[:, rows] = keep * has[:, rows].clamp(max=most) * left
    for mood, others in OPPOSED:
        meant = ((asked[:, _columns(mood)].amax(1, keepdim=True) - _DRIFT) / (_MEANT - _DRIFT)).clamp(0, 1)
        kept[:, _columns(others)] *= 1 - meant
    return clamp_coefficients(asked + beside_round_lips(kept, asked))


def beside_round_lips(
    worn: Float[Tensor, "#frames 52"], asked: Float[Tensor, "frames 52"]
) -> Float[Tensor, "frames 52"]:
    """Return what of an expression is left in a mouth that rounds its lips.

    Args:
        worn: The expression.
        asked: What the mouth does.
    """
    rounded = (asked[:, _columns(ROUNDED)].amax(1, keepdim=True) / _ROUND).clamp(0, 1)
    left = worn.expand_as(asked).clone()
    left[:, _columns(SPREAD)] *= 1 - _GIVES_WAY * rounded
    return left


def _columns(names: tuple[str, ...]) -> list[int]:
    return [COEFFICIENTS.index(full) for name in names for full in sides(name)]
