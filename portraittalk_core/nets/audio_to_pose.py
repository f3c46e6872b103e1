"""From a recording to head movement: the network of AniPortrait's audio2pose."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import BadInput
from .audio_to_mesh import encode_at_rate, frame_count

if TYPE_CHECKING:
    from transformers import Wav2Vec2Model

MAX_FRAMES = 600
"""Frames of the longest recording that the network takes at once: 20 s at 30 frames a second."""

STYLES = 100
"""Ways to move that the network has learned."""

_HEADS, _LAYERS, _POSE = 8, 8, 6


class AudioToPose(nn.Module):
    """Draws a head movement for a recording, frame after frame, each from the ones before it.

    Structure and state-dict keys are those of the public file (github.com/Zejun-Yang/AniPortrait): a wav2vec 2.0
    encoder of its own, and a transformer decoder in which a frame sees the frames before it, nearer ones more (Press
    et al., arXiv 2108.12409), and of the sound exactly its own frame.

    Args:
        audio_encoder: With fresh weights.
        width: Of the decoder.
        fps: Frames a second; 30 for the public file.
    """

    def __init__(self, audio_encoder: Wav2Vec2Model, *, width: int = 512, fps: float = 30.0) -> None:
        super().__init__()
        self.fps = fps
        self.audio_encoder: Any = audio_encoder
        self.pose_map = nn.Linear(_POSE, width)
        self.in_fn = nn.Linear(audio_encoder.config.hidden_size, width)
        self.PPE = _Positions(width)  # the public name
        layer = nn.TransformerDecoderLayer(width, _HEADS, dim_feedforward=2 * width, batch_first=True)
        self.transformer_decoder = nn.TransformerDecoder(layer, num_layers=_LAYERS)
        self.pose_map_r = nn.Linear(width, _POSE)
        self.id_embed = nn.Embedding(STYLES, width)

    @torch.no_grad()
    def forward(self, speech: Float[Tensor, "b n"], style: int = 0) -> Float[Tensor, "b frames 6"]:
        """Return the movement for whole recordings of up to 20 s.

        Args:
            speech: Mono at 16 kHz, in any scale.
            style: Which of the 100 learned ways to move, from 0; the original draws it at random without a seed.

        Returns:
            Rotations about x, y and z in degrees, then translations, a row a frame.

        Raises:
            BadInput: For longer recordings and other styles.
        """
        frames = frame_count(speech.shape[-1], self.fps)
        if not 0 <= style < STYLES or frames > MAX_FRAMES:
            raise BadInput(
                f"`style` must lie between 0 and {STYLES - 1} and a recording give at most {MAX_FRAMES} frames, but "
                f"got {style} and {frames}. Use `move_head` for long recordings."
            )
        heard = self.in_fn(encode_at_rate(self.audio_encoder, speech, frames))
        moved = self.pose_map(heard.new_zeros(len(heard), 1, _POSE))
        chosen = self.id_embed(torch.tensor([style], device=heard.device))[:, None]
        seen = attention_bias(frames).to(heard)
        elsewhere = ~torch.eye(frames, dtype=torch.bool, device=heard.device)
        poses: list[Tensor] = []
        for count in range(1, frames + 1):
            out = self.transformer_decoder(
                self.PPE(moved) + chosen,
                heard,
                tgt_mask=seen[:, :count, :count].repeat(len(heard), 1, 1),
                memory_mask=elsewhere[:count],
            )
            poses.append(self.pose_map_r(out[:, -1:]))
            moved = torch.cat([moved, self.pose_map(poses[-1])], 1)
        return torch.cat(poses, 1)


class _Positions(nn.Module):
    """Adds the positions that the file holds."""

    pe: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("pe", torch.zeros(1, MAX_FRAMES, width))

    def forward(self, tokens: Float[Tensor, "b f c"]) -> Float[Tensor, "b f c"]:
        return tokens + self.pe[:, : tokens.shape[1]]


def attention_bias(frames: int) -> Float[Tensor, "heads frames frames"]:
    """Return what is added to the attention of frame i to frame j: -(i - j) / 2^(h + 1) at head h.

    It is minus infinity for later frames, which a frame never sees (Press et al., arXiv 2108.12409).

    Args:
        frames: How many there are.
    """
    apart = (torch.arange(frames)[:, None] - torch.arange(frames)[None]).float()
    slopes = 2.0 ** -torch.arange(1, _HEADS + 1).float()
    return (-slopes[:, None, None] * apart).masked_fill(apart < 0, -torch.inf)


def plan_pieces(samples: int, piece_samples: int) -> list[tuple[int, int]]:
    """Cut a recording into pieces, the last of which takes what is left over; shorter ones are one piece.

    The original loses the last piece when nothing is left over and fails below one piece; this does neither.

    Args:
        samples: Length of the recording.
        piece_samples: Length of a piece.

    Returns:
        First sample of each piece and the one after its last.
    """
    count = max(1, samples // piece_samples)
    starts = [k * piece_samples for k in range(count)]
    return list(zip(starts, [*starts[1:], samples], strict=True))


def move_head(net: AudioToPose, speech: Float[Tensor, "n"], style: int = 0) -> Float[Tensor, "frames 6"]:
    """Return a head movement for a recording of any length.

    As the original does it: pieces of 5 s, rotations halved, smoothed over seven frames.

    Args:
        net: Draws the movement.
        speech: Mono at 16 kHz, in any scale.
        style: Which of the 100 learned ways to move, from 0.

    Returns:
        Rotations about x, y and z in degrees, then translations, a row a frame.

    Raises:
        BadInput: For another style, or below 400 samples.
    """
    pieces = [net(speech[None, a:b], style)[0] for a, b in plan_pieces(len(speech), 80_000)]
    poses = torch.cat(pieces)
    poses[:, :3] *= 0.5
    return smooth(poses, 7)


def smooth(rows: Float[Tensor, "n d"], window: int) -> Float[Tensor, "n d"]:
    """Average each row with its neighbours, as many as there are within half a window on either side.

    Args:
        rows: In the order of time.
        window: Rows of a mean, an odd number.
    """
    half, ones = window // 2, torch.ones(1, 1, window).to(rows)
    sums = F.conv1d(rows.T[:, None], ones, padding=half)[:, 0].T
    counts = F.conv1d(torch.ones(1, 1, len(rows)).to(rows), ones, padding=half)[0].T
    return sums / counts
