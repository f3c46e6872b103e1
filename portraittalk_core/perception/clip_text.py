"""Read prompts with the CLIP text encoder of Stable Diffusion."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

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
        for prompt in prompts:
            count = len(self._tokenizer(prompt, add_special_tokens=False)["input_ids"])
            if count > CONTEXT - 2:
                logger.warning("The prompt has %d tokens, CLIP reads %d: the end is ignored.", count, CONTEXT - 2)
        ids = self._tokenizer(
            list(prompts), padding="max_length", truncation=True, max_length=CONTEXT, return_tensors="pt"
        )["input_ids"]
        return self._model(input_ids=ids.to(self._model.device)).last_hidden_state
