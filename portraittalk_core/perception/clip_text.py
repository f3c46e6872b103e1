"""Read prompts with the CLIP text encoder of Stable Diffusion."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from .text import EXPRESSION

if TYPE_CHECKING:
    from transformers import CLIPTextModel

logger = logging.getLogger(__name__)

CONTEXT = 77
"""Tokens a prompt, start and end included."""


class ClipText:
    """The text tokens that SD1.5 was trained with: the last hidden states of CLIP after the final norm.

    Every prompt is 77 tokens: start, words, end, and ends up to there; what does not fit is cut off with a warning.

    Args:
        model: CLIP's text model; results are on its device.
        tokenizer: CLIP's tokenizer, of transformers.
    """

    def __init__(self, model: CLIPTextModel, tokenizer: Any) -> None:
        self._model, self._tokenizer = model, tokenizer

    @torch.no_grad()
    def encode(self, prompts: Sequence[str]) -> Float[Tensor, "b 77 768"]:
        """Return the text tokens of each prompt, on the model's device and in its dtype."""
        ids = _ids(self._tokenizer, prompts)
        return self._model(input_ids=ids.to(self._model.device)).last_hidden_state


class ClipTokens(nn.Module):
    """The same text encoder with the face of `perception.text.TextEncoder`, for models that are trained here on it.

    It knows every word and says nothing of expressions.

    Args:
        model: CLIP's text model, of transformers.
        tokenizer: CLIP's tokenizer.
    """

    def __init__(self, model: CLIPTextModel, tokenizer: Any) -> None:
        super().__init__()
        # The key names of public files, whether or not this transformers wraps the model once more.
        self.text_model: Any = getattr(model, "text_model", model)
        self.tokenizer = tokenizer
        self.dim, self.context = int(model.config.hidden_size), CONTEXT

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.text_model.final_layer_norm.weight.device

    def forward(self, ids: Int[Tensor, "b t"]) -> Float[Tensor, "b t d"]:
        """Return the text tokens of token ids."""
        return self.text_model(input_ids=ids).last_hidden_state

    def tokenize(self, prompts: Sequence[str]) -> Int[Tensor, "b t"]:
        """Return token ids [b, context]; what does not fit is cut off, with a warning in the log."""
        return _ids(self.tokenizer, prompts)

    @torch.no_grad()
    def encode(self, prompts: Sequence[str]) -> Float[Tensor, "b t d"]:
        """Return the text tokens of prompts, on the device of the weights."""
        return self(self.tokenize(prompts).to(self.device))

    def expression(self, tokens: Float[Tensor, "b t d"]) -> Float[Tensor, "b 3"]:
        """Return no offsets: nothing here has learned what prompts ask of a face's expression."""
        return tokens.new_zeros(len(tokens), len(EXPRESSION))

    def reset_positions(self) -> None:
        """Count positions anew, after the network was made without memory: the one buffer that no file holds."""
        embeddings = self.text_model.embeddings
        embeddings.position_ids = torch.arange(self.context, device=self.device)[None]


def _ids(tokenizer: Any, prompts: Sequence[str]) -> Int[Tensor, "b 77"]:
    """Return the token ids of prompts; those that are too long are named in a warning."""
    for prompt in prompts:
        count = len(tokenizer(prompt, add_special_tokens=False)["input_ids"])
        if count > CONTEXT - 2:
            logger.warning("The prompt has %d tokens, CLIP reads %d: the end is ignored.", count, CONTEXT - 2)
    return tokenizer(list(prompts), padding="max_length", truncation=True, max_length=CONTEXT, return_tensors="pt")[
        "input_ids"
    ]
