"""Find when each phoneme of a text is said in a recording of it.

One hidden Markov model a phoneme, left to right, a Gaussian a state, learned from all recordings of one speaker by
Viterbi training and from nothing else: what fits an unknown language as well as a known one, and what the voices of
Festival were labelled with (Rabiner, "A tutorial on hidden Markov models", 1989). Silences may stand between any two
words.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy import ndarray as Array
from torch import Tensor

from ..types import SPEECH_RATE
from .mouth_shapes import Phoneme

HOP_HZ = 100
"""Rows of cepstra a second, and so the grid of the times that are found."""

_STATES = 3
_WINDOW, _SIZE, _RANGE_DB, _LOWEST_HZ = 400, 512, 60.0, 60.0
_BANDS, _CEPSTRA = 40, 13
_ROUNDS = 8
_PRIOR = 8.0
_LEAST_VARIANCE = 0.05
_QUIET = 0.25
_SIDE_BY_SIDE = 32
_SIL = ""

Words = Sequence[Sequence[str]]
"""What is said: symbols of each word."""


@dataclass(frozen=True)
class Aligned:
    """A recording whose phonemes have times."""

    phonemes: list[Phoneme]
    """They cover it without gaps; pauses have empty symbols."""

    fit: float
    """Mean log-likelihood of a row inside speech, less what the speaker's rows have on average; low where something
    else is said."""


def cepstra(waveform: Float[Tensor, "n"]) -> Float[Tensor, "rows 39"]:
    """Return mel cepstra with their first and second differences, about the recording's own mean.

    Args:
        waveform: At 16 kHz, 0.1 s or more.
    """
    window = torch.hann_window(_WINDOW)
    spectrum = torch.stft(
        waveform,
        _SIZE,
        SPEECH_RATE // HOP_HZ,
        _WINDOW,
        window,
        pad_mode="constant",
        return_complex=True,
    )
    level = torch.log10((_mel_filters() @ spectrum.abs().square()).clamp(min=1e-10))
    level = level.clamp(min=float(level.max()) - _RANGE_DB / 10)
    angles = torch.pi / _BANDS * (torch.arange(_BANDS) + 0.5) * torch.arange(_CEPSTRA)[:, None]
    static = (2 / _BANDS) ** 0.5 * torch.cos(angles) @ level
    static[0] *= 0.5**0.5
    first = _slope(static)
    rows = torch.cat([static, first, _slope(first)]).T
    return rows - rows.mean(0)


def _slope(tracks: Float[Tensor, "k rows"]) -> Float[Tensor, "k rows"]:
    """Return the slopes of lines through five rows each."""
    padded = torch.nn.functional.pad(tracks[None], (2, 2), mode="replicate")[0].unfold(1, 5, 1)
    return padded @ (torch.arange(-2.0, 3.0) / 10)


@functools.cache
def _mel_filters() -> Float[Tensor, "bands bins"]:
    """Return triangles on Slaney's mel scale (straight up to 1 kHz, then logarithmic), each of unit area."""
    knee, octaves = 15.0, 27 / math.log(6.4)
    top = knee + octaves * math.log(SPEECH_RATE / 2 / 1000)
    mels = torch.linspace(_LOWEST_HZ * 3 / 200, top, _BANDS + 2, dtype=torch.float64)
    edges = torch.where(mels < knee, mels * 200 / 3, 1000 * torch.exp((mels - knee) / octaves))
    hertz = torch.fft.rfftfreq(_SIZE, 1 / SPEECH_RATE, dtype=torch.float64)
    below, above = edges[:-2, None], edges[2:, None]
    rise, fall = (hertz - below) / (edges[1:-1, None] - below), (above - hertz) / (above - edges[1:-1, None])
    return (torch.minimum(rise, fall).clamp(min=0) * 2 / (above - below)).float()


def align(waveforms: Sequence[Float[Tensor, "n"]], said: Sequence[Words], rounds: int = _ROUNDS) -> list[Aligned]:
    """Align recordings of one speaker.

    Args:
        waveforms: At 16 kHz; some minutes of them together.
        said: In each of them.
        rounds: Of the training, 1 or more.

    Returns:
        One for each recording.
    """
    rows = [cepstra(waveform).numpy() for waveform in waveforms]
    spread = np.concatenate(rows).std(0) + 1e-6
    rows = [r / spread for r in rows]
    chains = [_Chain.of(words) for words in said]
    names = sorted({name for chain in chains for name in chain.names})
    numbers = {name: k for k, name in enumerate(names)}
    states = [np.array([numbers[name] for name in chain.names]) for chain in chains]
    paths = [_first_guess(r, chain) for r, chain in zip(rows, chains, strict=True)]
    scores: list[Array] = []
    for _ in range(rounds):
        model = _Gaussians.fitted(rows, [s[p] for s, p in zip(states, paths, strict=True)], len(names))
        scores = [model.scores(r, s) for r, s in zip(rows, states, strict=True)]
        paths = _best_paths(scores, [chain.optional for chain in chains])
    likely = [score[np.arange(len(p)), p] for score, p in zip(scores, paths, strict=True)]
    spoken = [~chain.silent[p] for chain, p in zip(chains, paths, strict=True)]
    usual = float(np.concatenate([x[s] for x, s in zip(likely, spoken, strict=True)]).mean())
    found: list[Aligned] = []
    for chain, path, x, s, waveform in zip(chains, paths, likely, spoken, waveforms, strict=True):
        fit = float(x[s].mean()) - usual if s.any() else -np.inf
        found.append(Aligned(_phonemes(chain, path, len(waveform) / SPEECH_RATE), fit))
    return found


@dataclass(frozen=True)
class _Chain:
    """The states of a recording, in order."""

    names: list[str]
    phoneme: Array
    """To which each belongs, [states]."""
    symbols: list[str]
    optional: Array
    """Which states may be left out, [states]."""
    silent: Array

    @classmethod
    def of(cls, words: Words) -> _Chain:
        symbols = [_SIL]
        for word in words:
            symbols += [*word, _SIL]
        names: list[str] = []
        owner: list[int] = []
        for k, symbol in enumerate(symbols):
            parts = [f"{symbol}{j}" for j in range(_STATES)] if symbol else [_SIL]
            names += parts
            owner += [k] * len(parts)
        silent = np.array([name == _SIL for name in names])
        return cls(names, np.array(owner), symbols, silent, silent)


def _first_guess(rows: Array, chain: _Chain) -> Int[Array, "rows"]:
    """Share the rows from the first loud one to the last among the phonemes, silences between words left out."""
    loud = rows[:, 0] > np.quantile(rows[:, 0], 0.05) + _QUIET * np.ptp(np.quantile(rows[:, 0], [0.05, 0.95]))
    begin, end = int(loud.argmax()), len(loud) - int(loud[::-1].argmax())
    spoken = np.flatnonzero(~chain.silent)
    path = np.zeros(len(rows), int)
    path[end:] = len(chain.names) - 1
    if len(spoken):
        path[begin:end] = spoken[np.linspace(0, len(spoken), end - begin, endpoint=False).astype(int)]
    return path


@dataclass(frozen=True)
class _Gaussians:
    mean: Array
    variance: Array

    @classmethod
    def fitted(cls, rows: list[Array], names: list[Array], count: int) -> _Gaussians:
        """Fit one to each state; rare ones stay near the mean of all."""
        seen, state = np.concatenate(rows), np.concatenate(names)
        many = np.bincount(state, minlength=count)[:, None]
        first, second = (_sums(values, state, count) for values in (seen, seen**2))
        whole, spread = seen.mean(0), seen.var(0)
        mean = (first + _PRIOR * whole) / (many + _PRIOR)
        square = (second + _PRIOR * (spread + whole**2)) / (many + _PRIOR)
        return cls(mean, np.maximum(square - mean**2, _LEAST_VARIANCE))

    def scores(self, rows: Array, states: Array) -> Float[Array, "rows states"]:
        """Return the log-likelihood of each row in each state."""
        kinds, where = np.unique(states, return_inverse=True)
        precise = 1 / self.variance[kinds]
        centre = self.mean[kinds]
        apart = rows**2 @ precise.T - 2 * rows @ (centre * precise).T + (centre**2 * precise).sum(1)
        return (-0.5 * (apart + np.log(self.variance[kinds]).sum(1)))[:, where]


def _sums(values: Array, state: Array, count: int) -> Array:
    found = np.zeros((count, values.shape[1]))
    np.add.at(found, state, values)
    return found


def _best_paths(scores: list[Float[Array, "rows states"]], optional: list[Array]) -> list[Int[Array, "rows"]]:
    """Return the likeliest paths, each from its first state, or the second, to the last, or the one before it.

    Recordings of like length go side by side, because a step of one alone is too little work for an array.
    """
    order = sorted(range(len(scores)), key=lambda k: scores[k].shape[0])
    paths: list[Array] = [np.empty(0, int)] * len(scores)
    for first in range(0, len(order), _SIDE_BY_SIDE):
        chosen = order[first : first + _SIDE_BY_SIDE]
        for k, path in zip(chosen, _together([scores[k] for k in chosen], [optional[k] for k in chosen]), strict=True):
            paths[k] = path
    return paths


def _together(scores: list[Array], optional: list[Array]) -> list[Array]:
    rows, states = (max(score.shape[axis] for score in scores) for axis in (0, 1))
    likely = np.full((rows, len(scores), states), -np.inf, np.float32)
    jump = np.full((len(scores), states), -np.inf, np.float32)
    for k, (score, may) in enumerate(zip(scores, optional, strict=True)):
        likely[: len(score), k, : score.shape[1]] = score
        jump[k, 2 : len(may)] = np.where(may[1:-1], 0.0, -np.inf)
    padded = np.full((len(scores), states + 2), -np.inf, np.float32)
    now = padded[:, 2:]
    for k, may in enumerate(optional):
        now[k, : 2 if may[0] else 1] = likely[0, k, : 2 if may[0] else 1]
    came = np.zeros((rows, len(scores), states), np.int8)
    ends = np.empty((len(scores), 2))
    lasts, sizes = np.array([len(s) - 1 for s in scores]), np.array([s.shape[1] for s in scores])
    for t in range(rows):
        if t:
            near, far = padded[:, 1:-1], padded[:, :-2] + jump
            step = (near > now).astype(np.int8)
            best = np.maximum(now, near)
            came[t] = np.where(far > best, 2, step)
            now[:] = np.maximum(best, far) + likely[t]
        for k in np.flatnonzero(lasts == t):
            ends[k] = now[k, sizes[k] - 2 : sizes[k]]
    found: list[Array] = []
    for k, may in enumerate(optional):
        at = sizes[k] - 1 - int(may[-1] and ends[k, 0] > ends[k, 1])
        path = np.empty(lasts[k] + 1, int)
        for t in range(lasts[k], -1, -1):
            path[t] = at
            at -= int(came[t, k, at])
        found.append(path)
    return found


def _phonemes(chain: _Chain, path: Int[Array, "rows"], duration_s: float) -> list[Phoneme]:
    """Return phonemes that cover the recording; a row stands for the time around its middle."""
    owner = chain.phoneme[path]
    firsts = np.flatnonzero(np.diff(owner, prepend=-1))
    starts = [0.0, *((firsts[1:] - 0.5) / HOP_HZ).tolist()]
    ends = [*starts[1:], duration_s]
    return [
        Phoneme(chain.symbols[owner[k]], begin, end)
        for k, begin, end in zip(firsts, starts, ends, strict=True)
        if end > begin
    ]
