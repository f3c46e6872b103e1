"""The learned prior of what a face does while it speaks and the sound does not say.

A recurrent network gives, frame after frame, a mixture density over the next head movement, eye movement and blink,
given what came before and how lively the speech is (mixture density networks: Bishop 1994; with recurrence: Graves,
arXiv 1308.0850). Drawing from it frame by frame has no length limit and constant memory.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from ..perception.speech import resample_rows, speech_level
from .blinks import whole_blinks

CHANNELS = ("yaw", "pitch", "roll", "x", "y", "smile", "brow_raise", "gaze_x", "gaze_y", "blink")
"""Columns of a free motion. Angles in radians, x and y in picture widths, the others in words of
`arkit.TO_ARKIT`: smile and brow_raise in [-0.5, 1], gaze (right and down positive, as the viewer sees it) in [-1, 1],
blink in [0, 1]."""

GROUPS = (7, 2, 1)
"""Consecutive channels that are drawn together: head with expression, gaze, blink."""

RATE_HZ = 25.0
"""The prior's own frame rate; other rates are read off by interpolation."""

LOOK_AHEAD = (0, 2, 5, 10)
"""Frames ahead at which the prior hears the speech: people move with what they are about to stress."""

_RANGE_DB = 40.0
_LOG_2PI = 1.8378770664


@dataclass(frozen=True)
class PriorState:
    """Where a drawing stands."""

    hidden: Float[Tensor, "1 b width"]
    """The recurrent state."""
    frame: Float[Tensor, "b channels"]
    """The last frame, columns and units of `CHANNELS`."""
    change: Float[Tensor, "b channels"]
    """Its difference from the one before."""


def drawing_for(loudness: Float[Tensor, "frames"], seed: int) -> torch.Generator:
    """Return the source of a recording's motion: another recording's is another, also by the same seed.

    The densities know of speech only how lively it is. Drawn from one source, people who said different things turned
    their heads alike, frame by frame.

    Args:
        loudness: Level of each frame, dB of full scale.
        seed: The user's.
    """
    # Where each half is loudest is the same on all machines, which may differ in the last bits of the levels.
    mark = len(loudness)
    for half in loudness.chunk(2):
        mark = 1_000_003 * mark + int(half.argmax())
    return torch.Generator().manual_seed((seed + 0x9E3779B1 * mark) % 2**63)


def activity(loudness: Float[Tensor, "frames"]) -> Float[Tensor, "frames"]:
    """Return how lively the speech is.

    Args:
        loudness: Level of each frame, dB of full scale.

    Returns:
        1 at the clip's speech level, 0 from 40 dB below it, in [0, 1]; 0 throughout where nobody speaks. The speech
        level is that of `speech_level`.
    """
    top = speech_level(loudness)
    return torch.zeros_like(loudness) if top is None else ((loudness - top) / _RANGE_DB + 1).clamp(0, 1)


class MotionPrior(nn.Module):
    """A recurrent network that draws head pose, smile, brows, gaze and blinks, conditioned on speech activity.

    Args:
        width: Of the recurrent state.
        mixtures: Components of each density.
        floor: The least standard deviation of a component, in units of a channel's usual change.
    """

    spread: Tensor
    """Usual size of each channel; training sets it."""
    step: Tensor
    """Usual change of each channel from frame to frame; training sets it."""

    def __init__(self, width: int = 96, mixtures: int = 4, floor: float = 0.05) -> None:
        super().__init__()
        self.config = {"width": width, "mixtures": mixtures, "floor": floor}
        self.mixtures = mixtures
        self.floor = floor
        channels = len(CHANNELS)
        self.register_buffer("spread", torch.ones(channels))
        self.register_buffer("step", torch.ones(channels))
        self.gru = nn.GRU(2 * channels + len(LOOK_AHEAD), width, batch_first=True)
        self.head = nn.Linear(width, sum(mixtures * (1 + 2 * size) for size in GROUPS))

    def forward(
        self,
        frames: Float[Tensor, "b t channels"],
        changes: Float[Tensor, "b t channels"],
        heard: Float[Tensor, "b t ahead"],
        hidden: Tensor | None = None,
    ) -> tuple[Float[Tensor, "b t params"], Tensor]:
        """Return the parameters of the densities of the next changes.

        Args:
            frames: The previous frames, units of `CHANNELS`.
            changes: Their differences from those before.
            heard: Speech activity in [0, 1] at `LOOK_AHEAD`.
            hidden: The recurrent state; None at the beginning.

        Returns:
            The parameters, which `densities` takes, and the new recurrent state.
        """
        known = torch.cat([frames / self.spread, changes / self.step, heard], -1)
        states, after = self.gru(known, hidden)
        params = self.head(states)
        # The head keeps its velocity by default: means of the first group count from the last change.
        size, start = GROUPS[0], self.mixtures
        keep = (changes / self.step)[..., :size].repeat(1, 1, self.mixtures)
        means = params[..., start : start + self.mixtures * size] + keep
        return torch.cat([params[..., :start], means, params[..., start + means.shape[-1] :]], -1), after

    def densities(self, params: Float[Tensor, "*b params"]) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Split parameters into log-weights [.., k], means and deviations [.., k, size] of each group."""
        found = []
        for block, size in zip(params.split([self.mixtures * (1 + 2 * s) for s in GROUPS], -1), GROUPS, strict=True):
            weight, mean, raw = block.split([self.mixtures, self.mixtures * size, self.mixtures * size], -1)
            shape = (*weight.shape, size)
            deviation = functional.softplus(raw.reshape(shape)) + self.floor
            found.append((weight.log_softmax(-1), mean.reshape(shape), deviation))
        return found

    def negative_log_likelihood(
        self, params: Float[Tensor, "b t params"], changes: Float[Tensor, "b t channels"]
    ) -> Float[Tensor, "b t"]:
        """Return how surprising changes are, in nats a frame.

        Args:
            params: Of the densities, as `forward` gives them.
            changes: What came, units of `CHANNELS`; the densities are over them in units of `step`.
        """
        total = torch.zeros(params.shape[:-1], device=params.device)
        groups = (changes / self.step).split(GROUPS, -1)
        for (weight, mean, deviation), change in zip(self.densities(params), groups, strict=True):
            error = (change[..., None, :] - mean) / deviation
            each = -(0.5 * error.square() + deviation.log() + 0.5 * _LOG_2PI).sum(-1)
            total = total - (weight + each).logsumexp(-1)
        return total

    def _draw(self, params: Float[Tensor, "b params"], generator: torch.Generator) -> Float[Tensor, "b channels"]:
        drawn = []
        for weight, mean, deviation in self.densities(params):
            pick = torch.multinomial(weight.exp(), 1, generator=generator)
            index = pick[..., None].expand(-1, 1, mean.shape[-1])
            noise = torch.randn(mean.shape[0], mean.shape[-1], generator=generator, device=mean.device)
            drawn.append(mean.gather(1, index)[:, 0] + noise * deviation.gather(1, index)[:, 0])
        return torch.cat(drawn, -1) * self.step

    @torch.no_grad()
    def sample(
        self, heard: Float[Tensor, "b t ahead"], generator: torch.Generator, state: PriorState | None = None
    ) -> tuple[Float[Tensor, "b t channels"], PriorState]:
        """Draw a stretch of motion at `RATE_HZ`.

        Args:
            heard: Speech activity in [0, 1] at `LOOK_AHEAD`.
            generator: Source of the drawing.
            state: What the stretch before returned; two stretches then equal one drawn at once. None at the beginning.

        Returns:
            Columns and units of `CHANNELS`, and the state for the next stretch.
        """
        if state is None:
            zero = heard.new_zeros(heard.shape[0], len(CHANNELS))
            state = PriorState(heard.new_zeros(1, heard.shape[0], self.gru.hidden_size), zero, zero)
        hidden, frame, change = state.hidden, state.frame, state.change
        low, high = self._limits(frame)
        motion = []
        for now in heard.unbind(1):
            params, hidden = self(frame[:, None], change[:, None], now[:, None], hidden)
            new = (frame + self._draw(params[:, 0], generator)).clamp(low, high)
            frame, change = new, new - frame
            motion.append(frame)
        return torch.stack(motion, 1), PriorState(hidden, frame, change)

    def _limits(self, frame: Tensor) -> tuple[Tensor, Tensor]:
        """Return the range of each channel: four times its usual size, and no further than it is defined."""
        high = (4 * self.spread).to(frame)
        low = -high
        blink, smile, brow = (CHANNELS.index(name) for name in ("blink", "smile", "brow_raise"))
        low[[smile, brow]] = low[[smile, brow]].clamp(min=-0.5)
        low[blink], high[blink] = 0.0, 1.0
        return low, high

    def generate(
        self, loudness: Float[Tensor, "frames"], fps: float, generator: torch.Generator
    ) -> dict[str, Float[Tensor, "frames"]]:
        """Draw a motion for a recording.

        Head and brows are smoothed over about 0.1 s, which hides that the draws of neighbouring frames differ.

        Args:
            loudness: Level of each frame, dB of full scale.
            fps: Frames a second.
            generator: Source of the drawing.

        Returns:
            A track a channel of `CHANNELS`, as long as `loudness`.
        """
        count = max(1, round(len(loudness) / fps * RATE_HZ))
        lively = resample_rows(activity(loudness)[:, None], fps, RATE_HZ, count)[:, 0]
        motion, _ = self.sample(look_ahead(lively)[None], generator)
        smooth = sum(GROUPS[:1])
        motion[..., :smooth] = _smooth(motion[..., :smooth])
        motion[0, :, -1] = whole_blinks(motion[0, :, -1], RATE_HZ, generator)
        tracks = resample_rows(motion[0], RATE_HZ, fps, len(loudness))
        return dict(zip(CHANNELS, tracks.unbind(-1), strict=True))


def look_ahead(lively: Float[Tensor, "*b frames"]) -> Float[Tensor, "*b frames ahead"]:
    """Return the activity at `LOOK_AHEAD` frames from each frame; the last value stands for what follows.

    Args:
        lively: Activity in [0, 1] at `RATE_HZ`.
    """
    count = lively.shape[-1]
    at = (torch.arange(count)[:, None] + torch.tensor(LOOK_AHEAD)).clamp(max=count - 1)
    return lively[..., at.to(lively.device)]


def _smooth(motion: Float[Tensor, "b frames c"]) -> Float[Tensor, "b frames c"]:
    kernel = torch.tensor([0.06, 0.24, 0.4, 0.24, 0.06]).to(motion)
    tracks = functional.pad(motion.transpose(1, 2), (2, 2), mode="replicate")
    return functional.conv1d(tracks.flatten(0, 1)[:, None], kernel[None, None])[:, 0].unflatten(0, tracks.shape[:2]).mT
