"""Train the tiny text encoder: a prompt must tell every attribute and leave open what it does not mention.

"red shirt, blue background" must not become a red background. A pooled loss alone is slow to learn that, so each
phrase is also supervised at its last word, the first one at which a causal model can know it, and the end token
must hold the whole description. The readouts are thrown away; the tokens stay.
"""

from __future__ import annotations

import csv
import json
import logging
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from numpy.random import Generator
from torch import Tensor, nn

from ..checkpoints.writing import save_tensors
from ..motion.feelings import OFFSETS
from ..people.caption import Caption, Fragment, compose
from ..people.words import VALUES, meanings, vocabulary
from ..perception.text import EXPRESSION, TextEncoder
from .descent import Descent

logger = logging.getLogger(__name__)

CLASSES: dict[str, tuple[str, ...]] = {name: ("", *meanings(name)) for name in VALUES}
"""What the readouts tell apart, by attribute; class 0 is "not mentioned"."""

IGNORED = -100
_UNKNOWN = Fragment(" qwertz", {})


class Readout(nn.Module):
    """Classifies every attribute, from all tokens by learned queries and from single tokens."""

    def __init__(self, *, dim: int) -> None:
        """Build untrained readouts.

        Args:
            dim: Width of the text encoder's tokens.
        """
        super().__init__()
        self.queries = nn.Parameter(torch.randn(len(CLASSES), dim) * dim**-0.5)
        self.key = nn.Linear(dim, dim)
        self.pooled = nn.ModuleList(nn.Linear(dim, len(values)) for values in CLASSES.values())
        self.single = nn.ModuleList(nn.Linear(dim, len(values)) for values in CLASSES.values())

    def over(self, tokens: Float[Tensor, "b t d"]) -> list[Float[Tensor, "b classes"]]:
        """Return logits for each attribute from all tokens.

        Args:
            tokens: Of whole captions.
        """
        scores = torch.einsum("btd,ad->bat", self.key(tokens), self.queries) * tokens.shape[-1] ** -0.5
        found = scores.softmax(-1) @ tokens
        return [layer(found[:, i]) for i, layer in enumerate(self.pooled)]

    def at(self, tokens: Float[Tensor, "n d"]) -> list[Float[Tensor, "n classes"]]:
        """Return logits for each attribute from one token each.

        Args:
            tokens: One a row.
        """
        return [layer(tokens) for layer in self.single]


def random_caption(rng: Generator) -> Caption:
    """Draw tags, what to mention of them, and words for it; now and then with an unknown word in between.

    Args:
        rng: From which everything follows.
    """
    draws = rng.random(len(VALUES)).tolist()
    tags = {name: values[int(d * len(values))] for (name, values), d in zip(VALUES.items(), draws, strict=True)}
    if rng.random() < 0.7:
        tags["hat"] = "none"  # most hats hide the hair
    kind, share, unknown, where = rng.random(4).tolist()
    coins = rng.random(len(VALUES)).tolist()
    spoken = set(VALUES) if kind < 0.35 else {n for n, coin in zip(VALUES, coins, strict=True) if coin < share**1.5}
    made = compose(tags, rng, spoken)
    if unknown < 0.1:
        cut = int(where * (len(made.fragments) + 1))
        made = Caption((*made.fragments[:cut], _UNKNOWN, *made.fragments[cut:]))
    return made


def similar_batches(rng: Generator, batch: int, pool: int = 12) -> Iterator[list[Caption]]:
    """Yield batches of captions of about one length each, in random order: half the padding, half the time.

    Args:
        rng: From which everything follows.
        batch: Captions a batch.
        pool: Batches that are drawn and sorted together.
    """
    while True:
        captions = [random_caption(rng) for _ in range(batch * pool)]
        captions.sort(key=lambda made: made.text.count(" ") + made.text.count(","))
        for i in rng.permutation(pool).tolist():
            yield captions[i * batch : (i + 1) * batch]


def label(
    encoder: TextEncoder, captions: Sequence[Caption]
) -> tuple[Int[Tensor, "b t"], Int[Tensor, "b attributes"], Int[Tensor, "n 2"], Int[Tensor, "n attributes"]]:
    """Say what is known at which token.

    Positions are the last token of each phrase and the end token; classes are `IGNORED` where a phrase is silent.

    Args:
        encoder: Whose tokens they are.
        captions: To be labelled.

    Returns:
        Token ids, classes of each caption, and (row, position) with the classes known at that token.
    """
    ids = encoder.tokenize([c.text for c in captions])
    whole = torch.tensor([_classes(c.spoken, 0) for c in captions])
    places: list[tuple[int, int]] = []
    known: list[list[int]] = []
    for row, made in enumerate(captions):
        position = 0
        for fragment in made.fragments:
            position += len(fragment.text.replace(",", " , ").replace("-", " ").split())
            if fragment.spoken and position < ids.shape[1] - 1:
                places.append((row, position))
                known.append(_classes(fragment.spoken, IGNORED))
        places.append((row, min(position + 1, ids.shape[1] - 1)))
        known.append(whole[row].tolist())
    return ids, whole, torch.tensor(places), torch.tensor(known)


def text_loss(
    encoder: TextEncoder, readout: Readout, captions: Sequence[Caption], length: int | None = None
) -> tuple[Tensor, Float[Tensor, "attributes"]]:
    """Return the loss and, by attribute, the share of captions that the pooled readout classifies rightly.

    Args:
        encoder: Is trained.
        readout: Is trained with it.
        captions: A batch.
        length: Tokens to run; the model is causal, so that fewer than `context` differ only in padding. None runs all.
    """
    ids, whole, places, known = label(encoder, captions)
    needed = int(places[:, 1].max()) + 1
    tokens = encoder(ids[:, : max(needed, length or ids.shape[1])])
    pooled, single = readout.over(tokens), readout.at(tokens[places[:, 0], places[:, 1]])
    loss = sum(F.cross_entropy(logits, whole[:, i]) for i, logits in enumerate(pooled)) / len(pooled)
    near = [F.cross_entropy(s, known[:, i], reduction="sum", ignore_index=IGNORED) for i, s in enumerate(single)]
    loss = loss + torch.stack(near).sum() / (known != IGNORED).sum()
    feeling = whole[:, list(CLASSES).index("expression")]
    loss = loss + 2.0 * F.mse_loss(encoder.expression(tokens), _offsets()[feeling])
    right = torch.stack([(logits.argmax(-1) == whole[:, i]).float().mean() for i, logits in enumerate(pooled)])
    return torch.as_tensor(loss), right


@torch.no_grad()
def accuracy(encoder: TextEncoder, readout: Readout, count: int, rng: Generator) -> dict[str, float]:
    """Score on fresh captions at full length.

    Args:
        encoder: Trained.
        readout: Trained with it.
        count: Of captions, in batches of 64.
        rng: Of the captions.

    Returns:
        `loss`, `all`, and by attribute the share classified rightly.
    """
    batches = [[random_caption(rng) for _ in range(64)] for _ in range(max(1, count // 64))]
    results = [text_loss(encoder, readout, batch) for batch in batches]
    right = torch.stack([r for _, r in results]).mean(0)
    loss = float(torch.stack([value for value, _ in results]).mean())
    return {"loss": loss, "all": float(right.mean()), **dict(zip(CLASSES, right.tolist(), strict=True))}


def train_text(
    folder: Path,
    *,
    steps: int = 1200,
    batch: int = 64,
    rate: float = 1.5e-3,
    seed: int = 7,
    every: int = 100,
) -> TextEncoder:
    """Train from scratch and write `text.safetensors`, `tokenizer.json` and `text_curve.csv`.

    Held-out captions come from another seed. Five minutes on one CPU thread.

    Args:
        folder: Where files go.
        steps: Of the optimiser.
        batch: Captions a step.
        rate: Highest learning rate.
        seed: Of captions and first weights.
        every: Steps between lines of the curve.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # layers initialise from the global state, which is put back
        encoder = TextEncoder(words=vocabulary())
        readout = Readout(dim=encoder.dim)
    descent = Descent(nn.ModuleList([encoder, readout]), rate, steps, rising=0.08)
    started = time.monotonic()
    with (folder / "text_curve.csv").open("w", newline="", encoding="utf-8") as file:
        curve = csv.writer(file)
        curve.writerow(["step", "seconds", "loss", "accuracy", *CLASSES])
        batches = similar_batches(np.random.default_rng([seed, 0]), batch)
        for step in range(1, steps + 1):
            long = encoder.context if step % 12 == 0 else 4
            loss, _ = text_loss(encoder, readout, next(batches), long)
            descent.step(loss)
            if step % every == 0 or step == steps:
                found = accuracy(encoder, readout, 256, np.random.default_rng([seed, 1]))
                seconds = time.monotonic() - started
                values = [found["loss"], found["all"], *(found[name] for name in CLASSES)]
                curve.writerow([step, f"{seconds:.1f}", *(f"{v:.4f}" for v in values)])
                file.flush()
                logger.info("step %d, %.0f s, loss %.4f, right %.4f", step, seconds, found["loss"], found["all"])
    save_text(encoder, folder)
    return encoder


def save_text(encoder: TextEncoder, folder: Path) -> None:
    """Write `text.safetensors` (half precision, constructor's arguments in the metadata) and `tokenizer.json`.

    Args:
        encoder: Trained.
        folder: Where files go.
    """
    layers = len(encoder.text_model.encoder.layers)
    config = {"words": encoder.words, "dim": encoder.dim, "layers": layers, "context": encoder.context}
    attention = encoder.text_model.encoder.layers[0]
    config |= {"heads": attention.self_attn.num_heads, "inner": attention.mlp.fc1.out_features}
    state = {k: v.detach().half().contiguous() for k, v in encoder.state_dict().items() if v.is_floating_point()}
    save_tensors(state, str(folder / "text.safetensors"), metadata={"config": json.dumps(config)})
    encoder.tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"), pretty=False)


def _classes(spoken: dict[str, str], absent: int) -> list[int]:
    return [values.index(spoken[name]) if name in spoken else absent for name, values in CLASSES.items()]


def _offsets() -> Float[Tensor, "classes 3"]:
    return torch.tensor(
        [[OFFSETS.get(value, {}).get(name, 0.0) for name in EXPRESSION] for value in CLASSES["expression"]]
    )
