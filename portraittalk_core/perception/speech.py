"""From speech to features: a wav2vec 2.0 encoder, at the rate of the video.

The network is transformers' `Wav2Vec2Model` and nothing else (Baevski et al., arXiv 2006.11477), so that a public
encoder and the tiny one are the same class with other numbers. What is ours is how a recording is fed to it: in
bounded memory, whatever its length.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from ..errors import BadInput
from ..types import SPEECH_RATE, SpeechFeatures

if TYPE_CHECKING:
    from transformers import Wav2Vec2Model

SILENCE_DB = -160.0
"""Loudness given to a frame of zeros: below the quietest speech by more than anything is compared with."""

_FAINTEST = 1e-7
_NOTHING_DB, _ROOM_DB, _STEADY_DB, _PEAK_DB = -99.0, -60.0, 6.0, 15.0

TINY_SPEECH: dict[str, Any] = {
    "hidden_size": 128,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 256,
    "conv_dim": [96, 96, 128],
    "conv_kernel": [400, 8, 4],
    "conv_stride": [40, 4, 2],
    "num_feat_extract_layers": 3,
    "conv_bias": True,
    "feat_extract_norm": "group",
    "do_stable_layer_norm": True,
    "num_conv_pos_embeddings": 32,
    "num_conv_pos_embedding_groups": 8,
    "layerdrop": 0.0,
    "hidden_dropout": 0.05,
    "activation_dropout": 0.0,
    "attention_dropout": 0.0,
    "feat_proj_dropout": 0.05,
    "mask_time_prob": 0.0,
    "vocab_size": 4,
}
"""The tiny encoder: 50 rows a second from a bank of 96 filters, as keywords of `Wav2Vec2Config`."""


def build_wav2vec2(**config: Any) -> Wav2Vec2Model:
    """Return a wav2vec 2.0 network with fresh weights.

    Args:
        **config: Keywords of transformers' `Wav2Vec2Config`; none give wav2vec2-base.
    """
    from transformers import Wav2Vec2Config, Wav2Vec2Model

    return Wav2Vec2Model(Wav2Vec2Config(**config))


@torch.no_grad()
def initialise_filters(model: Wav2Vec2Model) -> None:
    """Set the first convolution to pairs of Gabor filters whose centres are equally spaced on the mel scale.

    A network that starts from a filter bank needs minutes instead of hours; the filters remain trainable. Bandwidths
    grow with frequency as those of mel filters do (O'Shaughnessy's mel formula).

    Args:
        model: Gets the filters in place.
    """
    import librosa

    first: Any = model.feature_extractor.conv_layers[0]  # transformers leaves the layers untyped
    weight: Tensor = first.conv.weight
    count, _, length = weight.shape
    bands = (count + 1) // 2
    edges = torch.from_numpy(librosa.mel_frequencies(bands + 2, fmin=80.0, fmax=7200.0, htk=True)).float()
    centre, width = edges[1:-1], (edges[2:] - edges[:-2]) / 2
    time_s = (torch.arange(length) - (length - 1) / 2) / SPEECH_RATE
    sigma_s = (1 / (2 * torch.pi * width.clamp(min=60.0) * 0.6)).clamp(max=length / SPEECH_RATE / 5)
    envelope = torch.exp(-0.5 * (time_s / sigma_s[:, None]) ** 2)
    phase = 2 * torch.pi * centre[:, None] * time_s
    bank = torch.stack([envelope * phase.cos(), envelope * phase.sin()], 1).flatten(0, 1)[:count]
    weight.copy_((bank / bank.norm(dim=1, keepdim=True)).reshape(count, 1, length))


class SpeechEncoder(nn.Module):
    """A wav2vec 2.0 model that takes sound of any length and gives one row of features a video frame.

    Long recordings are encoded piece by piece, so that memory does not grow with length. Where the model's first layer
    normalises over time (`feat_extract_norm` "group"), its statistics are gathered over the whole recording first;
    pieces then differ from the whole only by what attention sees beyond the context.

    Args:
        model: The network.
        chunk_s: Length of a piece, seconds.
        context_s: Sound on either side of a piece that is encoded with it, seconds.
    """

    def __init__(self, model: Wav2Vec2Model, chunk_s: float = 8.0, context_s: float = 1.0) -> None:
        super().__init__()
        self.model = model
        self.chunk_s = chunk_s
        self.context_s = context_s
        self.stride = math.prod(model.config.conv_stride)
        receptive = 1
        for kernel, stride in zip(reversed(model.config.conv_kernel), reversed(model.config.conv_stride), strict=True):
            receptive = (receptive - 1) * stride + kernel
        self.pad = max(0, receptive - self.stride) // 2

    @property
    def dim(self) -> int:
        """Width of the features."""
        return self.model.config.hidden_size

    @property
    def config(self) -> dict[str, Any]:
        """Keywords for `build_wav2vec2` that make this model again."""
        from transformers import Wav2Vec2Config

        usual, ours = Wav2Vec2Config().to_dict(), self.model.config.to_dict()
        return {k: v for k, v in ours.items() if usual.get(k) != v and k not in ("architectures", "dtype")}

    def forward(self, speech: Float[Tensor, "b n"]) -> Float[Tensor, "b rows dim"]:
        """Encode whole recordings at once.

        Args:
            speech: Mono at 16 kHz, of any scale; normalised here to zero mean and unit variance.

        Returns:
            `n // stride` rows each; row j stands for the middle of its stride.
        """
        return self.model(functional.pad(_normalise(speech), (self.pad, self.pad))).last_hidden_state

    @torch.no_grad()
    def encode(self, speech: Float[Tensor, "n"], fps: float, frames: int | None = None) -> SpeechFeatures:
        """Encode a recording for a video.

        Args:
            speech: Mono float32 at 16 kHz.
            fps: Frames a second of the video.
            frames: Frames of the video; None is `round(n / 16000 * fps)`, at least one.

        Returns:
            Features and loudness of every frame, where `speech` lies; the former by linear interpolation at the middle
            of each.

        Raises:
            BadInput: When the recording is empty or holds NaN or infinite values, or `fps` is not positive.
        """
        if speech.ndim != 1 or not len(speech):
            raise BadInput(f"`speech` must be one channel of samples, but got shape {tuple(speech.shape)}.")
        if not torch.isfinite(speech).all():
            raise BadInput("`speech` must be finite, but holds NaN or infinite samples. Repair the recording.")
        if not fps > 0:
            raise BadInput(f"`fps` must be positive, but got {fps}. Try 25.")
        frames = max(1, round(len(speech) / SPEECH_RATE * fps)) if frames is None else frames
        loudness = loudness_track(speech, fps, frames)
        device = next(self.model.parameters()).device
        rows = self._rows(_normalise(speech[None])[0].to(device)).to(speech.device)
        hidden = resample_rows(rows, SPEECH_RATE / self.stride, fps, frames)
        return SpeechFeatures(hidden=hidden, loudness=loudness, fps=fps)

    def _rows(self, speech: Float[Tensor, "n"]) -> Float[Tensor, "rows dim"]:
        """Encode a normalised recording in chunks; a tail shorter than a stride is filled with zeros."""
        total = max(1, math.ceil(len(speech) / self.stride))
        padded = functional.pad(speech, (self.pad, self.pad + total * self.stride - len(speech)))
        chunk = max(1, int(self.chunk_s * SPEECH_RATE / self.stride))
        context = int(self.context_s * SPEECH_RATE / self.stride)
        if total <= chunk + 2 * context:
            return self.model(padded[None]).last_hidden_state[0]
        moments = self._moments(padded, chunk)
        pieces: list[Tensor] = []
        for first in range(0, total, chunk):
            last = min(first + chunk, total)
            left, right = max(0, first - context), min(total, last + context)
            piece = padded[left * self.stride : right * self.stride + 2 * self.pad]
            pieces.append(self._piece(piece, moments)[first - left : first - left + last - first])
        return torch.cat(pieces)

    def _moments(self, padded: Float[Tensor, "n"], chunk: int) -> tuple[Tensor, Tensor] | None:
        """Return mean and variance over the whole recording of each filter of the first layer."""
        if self.model.config.feat_extract_norm != "group":
            return None
        conv: Any = cast(Any, self.model.feature_extractor.conv_layers[0]).conv
        kernel, stride = conv.kernel_size[0], conv.stride[0]
        count = (len(padded) - kernel) // stride + 1
        step = chunk * self.stride // stride
        total = torch.zeros(2, conv.out_channels, dtype=torch.float64)
        for first in range(0, count, step):
            last = min(first + step, count)
            out = conv(padded[None, None, first * stride : (last - 1) * stride + kernel])[0].cpu().double()
            total += torch.stack([out.sum(1), out.square().sum(1)])
        mean, square = total / count
        device = padded.device
        return mean.float().to(device), (square - mean**2).clamp(min=0).float().to(device)

    def _piece(self, piece: Float[Tensor, "n"], moments: tuple[Tensor, Tensor] | None) -> Float[Tensor, "rows dim"]:
        if moments is None:
            return self.model(piece[None]).last_hidden_state[0]
        model: Any = self.model
        first, *others = model.feature_extractor.conv_layers
        mean, variance = (m[:, None] for m in moments)
        norm = first.layer_norm
        hidden = (first.conv(piece[None, None]) - mean) / (variance + norm.eps).sqrt()
        hidden = first.activation(hidden * norm.weight[:, None] + norm.bias[:, None])
        for layer in others:
            hidden = layer(hidden)
        hidden, _ = model.feature_projection(hidden.transpose(1, 2))
        return model.encoder(hidden).last_hidden_state[0]


def _normalise(speech: Float[Tensor, "b n"]) -> Float[Tensor, "b n"]:
    """Return recordings of zero mean and unit variance, however quiet they are; silence stays silence."""
    centred = speech - speech.mean(-1, keepdim=True)
    return centred / centred.square().mean(-1, keepdim=True).sqrt().clamp(min=_FAINTEST)


def loudness_track(speech: Float[Tensor, "n"], fps: float, frames: int) -> Float[Tensor, "frames"]:
    """Return how loud the speech is in each video frame.

    At rates that divide 16 kHz this is `librosa.feature.rms` (to 1e-5 dB). At others a frame is no whole number of
    samples long: librosa's hops, which are, would run 0.37 s away in ten minutes at 30 fps.

    Args:
        speech: Samples at 16 kHz.
        fps: Frames a second.
        frames: How many; those beyond the end of the speech are silent.

    Returns:
        The level of each frame's span, dB of full scale, `SILENCE_DB` or more; the last span may be shorter.
    """
    power = functional.pad(speech.double().square().cumsum(0), (1, 0))
    edges = (torch.arange(frames + 1, device=speech.device) * SPEECH_RATE / fps).round().long().clamp(max=len(speech))
    count = (edges[1:] - edges[:-1]).clamp(min=1)
    mean = (power[edges[1:]] - power[edges[:-1]]).clamp(min=0) / count
    return (10 * torch.log10(mean + 10 ** (SILENCE_DB / 10))).float()


def speech_level(loudness: Float[Tensor, "frames"]) -> Float[Tensor, ""] | None:
    """Return how loud the speech of a clip is: its 95th percentile, but at most 15 dB below its loudest frame.

    What is loud is loud against the clip itself, so that a recording that is turned down moves a face as before.

    Args:
        loudness: Level of each frame, dB of full scale.

    Returns:
        dB of full scale; None where nobody speaks: all frames are below -99 dB, or the clip is the steady noise of a
        quiet room, below -60 dB and within 6 dB throughout. Voices swell and fall by more.
    """
    low, high = loudness.quantile(0.05), loudness.quantile(0.95)
    loudest = loudness.max()
    if loudest < _NOTHING_DB or (loudest < _ROOM_DB and high - low < _STEADY_DB):
        return None
    return high.maximum(loudest - _PEAK_DB)


def resample_rows(
    rows: Float[Tensor, "*b rows dim"], rate: float, fps: float, frames: int
) -> Float[Tensor, "*b frames dim"]:
    """Interpolate rows linearly at another rate; each row is at the middle of its span.

    Args:
        rows: Of any width.
        rate: Rows a second.
        fps: Rows a second of the result.
        frames: How many rows the result has; beyond the ends the first and the last row are repeated.
    """
    position = ((torch.arange(frames, device=rows.device, dtype=torch.float64) + 0.5) / fps * rate - 0.5).clamp(
        0, rows.shape[-2] - 1
    )
    low = position.long()
    high = (low + 1).clamp(max=rows.shape[-2] - 1)
    return torch.lerp(rows[..., low, :], rows[..., high, :], (position - low).to(rows)[:, None])
