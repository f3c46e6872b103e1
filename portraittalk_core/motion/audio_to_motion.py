"""From speech to the motion of a face: what the sound determines, and around it what it does not.

The mouth is regressed from the speech features (`AudioToMotion`); head, blinks, brows and gaze are drawn from a learned
prior (`priors.MotionPrior`). `generate_motion` joins them, applies the user's dials and says all of it in ARKit's
blendshapes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from ..errors import BadInput
from ..perception.speech import speech_level
from ..types import MOUTH, POSE, FaceMotion, SpeechFeatures
from .arkit import blendshapes, to_arkit
from .closures import LASTS_S, PRESSED, held, shut_lips, surely_shut
from .priors import MotionPrior

ARTICULATION_DELAY_S = 0.02
"""By how much real mouths are later than the synthetic voices' that the network learned from.

Without it the jaw was ahead of the speaker by half a frame of 40 ms in the mean of six real clips, by 0 or 1 in each
(`benchmarks/real_speech.py`); jaws have mass, the synthetic voices' mouths have none.
"""

_STRENGTHS = {
    "jawOpen": 0.7, "mouthClose": 0.7, "mouthPucker": 1.2, "mouthLowerDown": 0.6, "mouthUpperUp": 1.5
}  # fmt: skip
"""What the network says too strongly or, sure of synthetic voices and less so of real ones, too weakly.

Told by how far points of six faces move that hear, beside how far they move in the clips themselves
(`benchmarks/real_speech.py`). With 0.85 for the jaw, 1.45 for pucker and 1 for lips the gap of the lips moved 1.38
times as far as the speakers', the lower lip 1.38 and the upper one 0.57; now it is 1.19, 1.10 and 0.75. r is what it
was. Lips close as far as the jaw is open.
"""

_CALM, _CALM_YAW = 0.5, 0.3
"""Of how far the process moves heads that the prior learned from, and of how far it turns them.

With 0.5 of both, heads turned by 2.2 degrees of yaw (deviation over 3.6 s) and nodded by 1.2. In six real clips people
turn by 0.2 to 0.5 where they read aloud and by 2.8 in an interview, and nod by 0.6 to 1.5: readers nod more than they
turn.
"""

_BELOW_SPEECH_DB = 30.0
_NOISE_MARGIN_DB = 4.0
_NEAREST_TO_SPEECH_DB = 20.0
_SHORTEST_SILENCE_S = 0.15
_LONGEST_CLICK_S = 0.12
_RAMP_S = 0.1
_LONG_SILENCE_S, _OPENING_S, _TAKING_OVER_S = 0.4, 0.2, 0.12
_READY = {"jawOpen": 0.15, "mouthLowerDown": 0.08, "mouthUpperUp": 0.03}


class AudioToMotion(nn.Module):
    """A network that reads the movements of a mouth off speech features: residual temporal convolutions and a sigmoid.

    Args:
        dim: Width of the speech features.
        width: Channels inside.
        depth: Residual blocks.
        kernel: Frames that a block sees.
        columns: What it says: blendshapes by name, those without a side for both.
        closures: Whether it says, too, how likely lips are shut.
    """

    def __init__(
        self,
        dim: int = 128,
        width: int = 96,
        depth: int = 3,
        kernel: int = 5,
        columns: Sequence[str] = MOUTH,
        closures: bool = False,
    ) -> None:
        super().__init__()
        self.config: dict[str, Any] = {"dim": dim, "width": width, "depth": depth, "kernel": kernel}
        self.config |= {"columns": list(columns)} | ({"closures": True} if closures else {})
        self.columns = tuple(columns)
        self.enter = nn.Linear(dim, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(depth))
        self.convolutions = nn.ModuleList(nn.Conv1d(width, width, kernel, padding="same") for _ in range(depth))
        self.leave = nn.Linear(width, len(columns))
        self.close = nn.Linear(width, 1) if closures else None

    def forward(self, hidden: Float[Tensor, "*b frames dim"]) -> Float[Tensor, "*b frames columns"]:
        """Return the blendshapes of `columns` in [0, 1] for every frame."""
        return self.hear(hidden)[0]

    def hear(
        self, hidden: Float[Tensor, "*b frames dim"]
    ) -> tuple[Float[Tensor, "*b frames columns"], Float[Tensor, "*b frames"] | None]:
        """Return the blendshapes, and the log-odds that lips are shut.

        Args:
            hidden: Speech features.

        Returns:
            Blendshapes of `columns` in [0, 1], and log-odds of an m, b or p; None where the network does not say them.
        """
        state = self.enter(hidden)
        for norm, convolution in zip(self.norms, self.convolutions, strict=True):
            state = state + functional.gelu(convolution(norm(state).transpose(-1, -2)).transpose(-1, -2))
        return self.leave(state).sigmoid(), None if self.close is None else self.close(state)[..., 0]


@dataclass(frozen=True)
class MotionDials:
    """Strengths of the parts of a motion, each in [0, 4]; 1 is as usual.

    Raises:
        BadInput: When a strength is outside its range.
    """

    lip: float = 1.0
    """Of the mouth's movements; above 1 the lips are not pressed more."""
    head: float = 1.0
    """Of the head's movements."""
    blink: float = 1.0
    """Of blinks: how far the lids close."""
    expression: float = 1.0
    """Of smile, raised brows and gaze."""
    still_head: bool = False
    """Whether the head keeps still, whatever `head` says."""

    def __post_init__(self) -> None:
        for name in (f.name for f in fields(self) if f.name != "still_head"):
            value = getattr(self, name)
            if not 0 <= value <= 4:
                raise BadInput(f"`{name}` must lie between 0 and 4, but got {value}. 1 is as usual.")


def silent_frames(loudness: Float[Tensor, "frames"], fps: float) -> Bool[Tensor, "frames"]:
    """Mark frames inside silences of at least 0.15 s.

    A frame is silent 30 dB below the clip's speech level, whatever that is. Where the clip's floor (5th percentile) is
    a steady noise above that, the threshold lies just over the floor, but never nearer than 20 dB to the speech: in
    worse noise what is silence is left to the network. A sound of 0.12 s or less does not end a silence: lips click,
    and so do codecs where a file begins and ends. A clip without speech (`speech_level`) is silent throughout.

    Args:
        loudness: Level of each frame, dB of full scale.
        fps: Frames a second.
    """
    speech = speech_level(loudness)
    if speech is None:
        return torch.ones_like(loudness, dtype=torch.bool)
    floor = loudness.quantile(0.05) + _NOISE_MARGIN_DB
    threshold = (speech - _BELOW_SPEECH_DB).maximum(floor.minimum(speech - _NEAREST_TO_SPEECH_DB))
    silent = _lasting(loudness < threshold, max(1, round(_SHORTEST_SILENCE_S * fps)))
    longest_click = int(_LONGEST_CLICK_S * fps + 1e-6)
    return silent if len(silent) <= longest_click else ~_lasting(~silent, longest_click + 1)


def _lasting(marked: Bool[Tensor, "frames"], least: int) -> Bool[Tensor, "frames"]:
    """Return the marks that stand in a run of at least `least`, or of the whole clip where that is shorter."""
    if len(marked) < least:
        return marked & marked.all()
    # Opening: a frame stays when some window of `least` marked frames covers it.
    windows = functional.pad(marked.unfold(0, least, 1).all(-1), (least - 1, least - 1))
    return windows.unfold(0, least, 1).any(-1)


def silence_gate(loudness: Float[Tensor, "frames"], fps: float) -> Float[Tensor, "frames"]:
    """Return what the mouth is multiplied with.

    Args:
        loudness: Level of each frame, dB of full scale.
        fps: Frames a second.

    Returns:
        0 in silences, 1 in speech. Where speech ends, a raised-cosine ramp of 0.1 s lies in it: mouths close with the
        voice, not after it. Where it begins there is none: mouths are open already, see `opening`.
    """
    silent = silent_frames(loudness, fps)
    reach = max(1, round(_RAMP_S * fps))
    gate = torch.ones_like(loudness)
    for step in range(reach, -1, -1):
        near = functional.pad(silent.to(gate), (0, step))[step:] > 0
        value = 0.5 - 0.5 * torch.cos(torch.tensor(torch.pi * step / (reach + 1)))
        gate = torch.where(near, value.to(gate), gate)
    return gate


def opening(loudness: Float[Tensor, "frames"], fps: float) -> Float[Tensor, "frames"]:
    """Return how far mouths are open for speech that is about to begin, 0 to 1.

    Nobody opens the mouth when the voice begins. In six clips of real people all six had it open before each phrase,
    for the breath, by half of what they open it to speak, and for 0.2 to 0.5 s. Here it opens within the last 0.2 s of
    a silence of 0.4 s or more, so that silence is a closed mouth, and what is said takes over in the first 0.12 s.

    Args:
        loudness: Level of each frame, dB of full scale.
        fps: Frames a second.
    """
    silent = silent_frames(loudness, fps)
    long = _lasting(silent, max(1, round(_LONG_SILENCE_S * fps)))
    begins = torch.zeros_like(loudness)
    begins[1:] = (long[:-1] & ~silent[1:]).to(begins)
    rise, fall = (max(1, round(length_s * fps)) for length_s in (_OPENING_S, _TAKING_OVER_S))
    steps = torch.arange(-rise, fall, device=loudness.device) + 0.5
    shape = 0.5 + 0.5 * torch.cos(torch.pi * steps / torch.where(steps < 0, rise, fall))
    around = functional.pad(begins, (fall - 1, rise)).unfold(0, rise + fall, 1)
    return (around * shape.flip(0)).amax(1)  # what begins `rise` frames later is the last of a window


def delay_rows(track: Float[Tensor, "frames d"], frames: float) -> Float[Tensor, "frames d"]:
    """Delay a track; it begins with its first row.

    Args:
        track: A row a frame.
        frames: By how many frames, 0 or more; parts of one are interpolated.
    """
    whole = int(frames)
    late = torch.cat([track[:1].expand(whole + 1, -1), track])[: len(track) + 1]
    return torch.lerp(late[1:], late[:-1], frames - whole)


def heard_mouth(
    features: SpeechFeatures, a2m: AudioToMotion, delay_s: float = ARTICULATION_DELAY_S, gated: bool = True
) -> Float[Tensor, "frames columns"]:
    """Return what a mouth does that says what is heard.

    Args:
        features: What is said.
        a2m: Reads the mouth off it.
        delay_s: By how much it is later than the network says, seconds.
        gated: Whether it is closed in silences, until it opens for what comes.

    Returns:
        Columns as in `a2m.columns`, 0 or more.
    """
    heard, log_odds = a2m.hear(features.hidden)
    heard = heard * heard.new_tensor([_STRENGTHS.get(name, 1.0) for name in a2m.columns])
    late = delay_s * features.fps
    sure = held(surely_shut(heard, a2m.columns, features.fps, log_odds), late, LASTS_S * features.fps)
    mouth = shut_lips(delay_rows(heard, late), a2m.columns, sure)
    if not gated:
        return mouth
    open_ = opening(features.loudness, features.fps)
    open_ = open_ * (1 - sure)  # the lips of a p are shut before it is heard
    ready = mouth.new_tensor([_READY.get(name, 0.0) for name in a2m.columns])
    return torch.maximum(mouth * silence_gate(features.loudness, features.fps)[:, None], open_[:, None] * ready)


@torch.no_grad()
def generate_motion(
    features: SpeechFeatures,
    a2m: AudioToMotion,
    prior: MotionPrior,
    dials: MotionDials,
    generator: torch.Generator,
    rest_expression: Mapping[str, float] | None = None,
) -> FaceMotion:
    """Return the motion of a face that speaks.

    Args:
        features: What is said.
        a2m: Reads the mouth off it.
        prior: Draws head, blinks, smile, brows and gaze.
        dials: Strengths of the parts.
        generator: Source of the drawing; the same state gives the same motion.
        rest_expression: Blendshapes that are added throughout, such as `{"mouthSmile": 0.6}`; a name without its side
            stands for both.

    Returns:
        Blendshapes, and a relative pose: angles in radians and x, y in picture widths around 0, scale 1.

    Raises:
        BadInput: When `rest_expression` has a name that ARKit does not have.
    """
    worn = blendshapes(**(rest_expression or {}))
    mouth = heard_mouth(features, a2m)
    strength = [min(dials.lip, 1.0) if name in PRESSED else dials.lip for name in a2m.columns]
    words = dict(zip(a2m.columns, (mouth * mouth.new_tensor(strength)).unbind(-1), strict=True))
    free = prior.generate(features.loudness, features.fps, generator)
    words |= {name: free[name] * dials.expression for name in ("smile", "brow_raise", "gaze_x", "gaze_y")}
    words["blink"] = (free["blink"] * dials.blink).clamp(max=1)
    coefficients = (to_arkit(words) + worn.to(mouth)).clamp(0, 1)
    zero = torch.zeros_like(features.loudness)
    turns = 0.0 if dials.still_head else dials.head
    calm = {"yaw": _CALM_YAW}
    pose = [free[name] * turns * calm.get(name, _CALM) if name in free else zero + 1.0 for name in POSE]
    return FaceMotion(coefficients, torch.stack(pose, -1), features.fps)
