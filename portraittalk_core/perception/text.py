"""Read prompts: a CLIP text model over a vocabulary of its own.

The network is transformers' `CLIPTextModel`, only narrower, so that every tool that runs CLIP runs it. What is
ours is the honesty about words: one that the model never met is named in a warning instead of being guessed at.
"""

from __future__ import annotations

import difflib
import logging
import re
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ..errors import BadInput

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

logger = logging.getLogger(__name__)

_SAY_NOTHING = frozenset(
    [
        *("as", "be", "being", "from", "into", "it", "its", "like", "of", "over", "so", "some"),
        *("that", "their", "them", "there", "they", "this", "under"),
    ]
)
"""Words that nobody misses."""

SPECIAL = ("<|startoftext|>", "<|endoftext|>", "<|unknown|>")
"""Start, end (which also pads, as in CLIP) and what an unknown word becomes; their ids are 0, 1, 2."""

EXPRESSION = ("smile", "brow_raise", "brow_frown")
"""The expression coefficients that a prompt can shift."""


def build_tokenizer(words: Sequence[str], context: int = 77) -> PreTrainedTokenizerFast:
    """Return a word-level tokenizer that behaves as CLIP's does: start, words, end, and ends up to `context` tokens.

    Words are put into lower case, hyphens split them, any other punctuation is a comma.

    Args:
        words: The vocabulary; special tokens and the comma come on top.
        context: Tokens a prompt.
    """
    import tokenizers
    from tokenizers import Regex, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    start, end, unknown = SPECIAL
    ids = {word: i for i, word in enumerate((*SPECIAL, ",", *words))}
    model = tokenizers.Tokenizer(tokenizers.models.WordLevel(ids, unk_token=unknown))
    model.normalizer = normalizers.Sequence(
        [
            normalizers.NFKC(),
            normalizers.Lowercase(),
            normalizers.Replace(Regex(r"['’]s\b"), ""),
            normalizers.Replace(Regex(r"[-_/'’\"“”]"), " "),
            normalizers.Replace(Regex(r"[^\w\s]+"), " , "),
        ]
    )
    model.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    model.post_processor = processors.TemplateProcessing(
        single=f"{start} $A {end}", special_tokens=[(start, ids[start]), (end, ids[end])]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=model,
        bos_token=start,
        eos_token=end,
        pad_token=end,
        unk_token=unknown,
        model_max_length=context,
    )


class ExpressionHead(nn.Module):
    """A network that reads from text tokens how far a prompt shifts the face's expression.

    One learned query looks over the tokens; two layers turn what it finds into offsets of `EXPRESSION`.

    Args:
        dim: Width of the tokens.
        hidden: Width between the two layers.
    """

    def __init__(self, *, dim: int, hidden: int = 64) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.randn(dim) * dim**-0.5)
        self.key = nn.Linear(dim, dim)
        self.layers = nn.Sequential(nn.Linear(dim, hidden), nn.SiLU(), nn.Linear(hidden, len(EXPRESSION)))

    def forward(self, tokens: Float[Tensor, "b t d"]) -> Float[Tensor, "b 3"]:
        """Return the offsets of `EXPRESSION` that each prompt asks for."""
        scores = self.key(tokens) @ self.query * tokens.shape[-1] ** -0.5
        return self.layers((scores.softmax(-1)[..., None] * tokens).sum(1))


def listed_words(words: Sequence[tuple[str, str | None]]) -> str:
    """Return unknown words for a message, each with the nearest that is known, if there is one."""
    return ", ".join(f'"{word}"' + (f' (did you mean "{near}"?)' if near else "") for word, near in words)


class TextEncoder(nn.Module):
    """A network that turns prompts into text tokens [b, context, dim] and into offsets of expression coefficients.

    Args:
        words: The vocabulary; special tokens and the comma come on top.
        dim: Width of the tokens.
        layers: Depth.
        heads: Attention heads.
        inner: Width of the feed-forward layers.
        context: Tokens a prompt (CLIP: 77).
    """

    def __init__(
        self,
        *,
        words: Sequence[str],
        dim: int = 128,
        layers: int = 3,
        heads: int = 4,
        inner: int = 384,
        context: int = 77,
    ) -> None:
        super().__init__()
        from transformers import CLIPTextConfig, CLIPTextModel

        self.words = tuple(words)
        self.words_of_others: frozenset[str] = frozenset()
        self.places: tuple[str, ...] = ()
        self.dim, self.context = dim, context
        self.tokenizer = build_tokenizer(self.words, context)
        model: Any = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=len(self.tokenizer),
                hidden_size=dim,
                num_hidden_layers=layers,
                num_attention_heads=heads,
                intermediate_size=inner,
                max_position_embeddings=context,
                hidden_act="quick_gelu",
                projection_dim=dim,
                bos_token_id=0,
                eos_token_id=1,
                pad_token_id=1,
            )
        )
        # The key names of public files, whether or not this transformers wraps the model once more.
        self.text_model: Any = getattr(model, "text_model", model)
        self.expression = ExpressionHead(dim=dim)

    def forward(self, ids: Int[Tensor, "b t"]) -> Float[Tensor, "b t d"]:
        """Return the text tokens of token ids.

        Args:
            ids: As `tokenize` gives them.

        Returns:
            The last hidden states, after the final norm; causal, padding is not masked (as in CLIP).
        """
        return self.text_model(input_ids=ids).last_hidden_state

    def tokenize(self, prompts: Sequence[str]) -> Int[Tensor, "b t"]:
        """Return token ids [b, context]; what does not fit is cut off, with a warning in the log."""
        self.warn_of_length(prompts)
        return self._ids(prompts)

    def _ids(self, prompts: Sequence[str]) -> Int[Tensor, "b t"]:
        encoded = self.tokenizer(
            list(prompts), padding="max_length", truncation=True, max_length=self.context, return_tensors="pt"
        )
        return encoded["input_ids"]  # pyright: ignore[reportReturnType]

    @torch.no_grad()
    def encode(self, prompts: Sequence[str]) -> Float[Tensor, "b t d"]:
        """Return the text tokens of prompts; words outside the vocabulary are named in one warning in the log.

        Args:
            prompts: Texts; the empty one is the unconditional one.

        Returns:
            Tokens [b, context, dim], on the device of the weights.

        Raises:
            BadInput: When the prompts are no list of strings.
        """
        given: Any = prompts  # from a caller that no type checker has seen
        if isinstance(given, str) or not all(isinstance(p, str) for p in given):
            raise BadInput(f"`prompts` must be a list of strings, but got {prompts!r:.60}. Wrap a single one in [].")
        self.warn_of_words(prompts)
        return self(self.tokenize(prompts).to(self.device))

    @torch.no_grad()
    def expression_of(self, prompt: str) -> dict[str, float]:
        """Return the offsets of `EXPRESSION` that a prompt asks for, by name: near 0 where it says nothing of them."""
        offsets = self.expression(self(self._ids([prompt]).to(self.device)))[0]
        return dict(zip(EXPRESSION, offsets.float().tolist(), strict=True))

    def unknown_words(self, prompt: str) -> list[str]:
        """Return the words and symbols (emoji) of a prompt that the model does not know, in order, each once."""
        normal = self.tokenizer.backend_tokenizer.normalizer.normalize_str(prompt)
        known = {*self.words, *self.words_of_others, *_SAY_NOTHING, ","}
        # The tokenizer takes a symbol for a comma.
        symbols = [letter for letter in prompt if unicodedata.category(letter) in ("So", "Sc", "Sk", "Co", "Cn")]
        return list(dict.fromkeys([*(word for word in normal.split() if word not in known), *symbols]))

    def nearest_word(self, word: str) -> str | None:
        """Return the known word that is spelt most like `word`, or None where nothing comes close."""
        close = difflib.get_close_matches(word.lower(), self.words, n=1, cutoff=0.75)
        return close[0] if close else None

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.expression.query.device

    def warn_of_length(self, prompts: Sequence[str]) -> None:
        """Say in the log which prompts are longer than what is read of them."""
        room = self.context - 2
        for count in (len(self.tokenizer.tokenize(prompt)) for prompt in prompts):
            if count > room:
                logger.warning(
                    "The prompt has %d words and commas, the model reads %d: the end is ignored.", count, room
                )

    def warn_of_words(self, prompts: Sequence[str]) -> None:
        """Name in one line of the log the words that the model does not know."""
        unknown = dict.fromkeys(word for prompt in prompts for word in self.unknown_words(prompt))
        if not unknown:
            return
        where = [word for word in unknown if any(_place_of(word, prompt) for prompt in prompts)]
        logger.warning(
            "The text model does not know %s and ignores it.%s",
            listed_words([(word, self.nearest_word(word)) for word in unknown]),
            f" Places that it knows: {', '.join(self.places)}." if where and self.places else "",
        )


def _place_of(word: str, prompt: str) -> bool:
    """Say whether a prompt speaks of a word as of a place."""
    before = r"\b(in|at|on|inside|outside|near|by|behind|against|front of)( (a|an|the|some))?( [\w-]+)?"
    return re.search(rf"{before} {re.escape(word)}\b", prompt.lower()) is not None
