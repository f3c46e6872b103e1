"""Read prompts with the CLIP text encoder of Stable Diffusion."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import WeightsMismatch

if TYPE_CHECKING:
    from transformers import CLIPTextModel

logger = logging.getLogger(__name__)

CONTEXT = 77
_WORDS = 49408


class ClipText:
    """Turns prompts into text tokens as SD1.5 was trained with: the last hidden states after the final norm.

    Every prompt is 77 tokens: start, words, end, and ends up to there; what does not fit is cut off with a warning.
    """

    def __init__(self, model: CLIPTextModel, tokenizer: Any) -> None:
        self._model, self._tokenizer = model, tokenizer

    @torch.no_grad()
    def encode(self, prompts: Sequence[str]) -> Float[Tensor, "b 77 768"]:
        """Return the tokens of each prompt, on the model's device."""
        for prompt in prompts:
            count = len(self._tokenizer(prompt, add_special_tokens=False)["input_ids"])
            if count > CONTEXT - 2:
                logger.warning("The prompt has %d tokens, CLIP reads %d: the end is ignored.", count, CONTEXT - 2)
        ids = self._tokenizer(
            list(prompts), padding="max_length", truncation=True, max_length=CONTEXT, return_tensors="pt"
        )["input_ids"]
        return self._model(input_ids=ids.to(self._model.device)).last_hidden_state


def load_clip_tokenizer(path: Path | str) -> Any:
    """Read CLIP's tokenizer: a `tokenizer.json`, or a folder with that, or with `vocab.json` and `merges.txt`.

    Raises `WeightsMismatch` for a file or folder that is none.
    """
    from transformers import CLIPTokenizer, PreTrainedTokenizerFast

    place = Path(path)
    file = place / "tokenizer.json" if place.is_dir() else place
    try:
        if file.is_file():
            made: Any = PreTrainedTokenizerFast(
                tokenizer_file=str(file),
                bos_token="<|startoftext|>",
                eos_token="<|endoftext|>",
                pad_token="<|endoftext|>",
                unk_token="<|endoftext|>",
                model_max_length=CONTEXT,
            )
        else:
            made = CLIPTokenizer.from_pretrained(str(place), local_files_only=True)
        count = len(made)
    except Exception as error:  # tokenizers raises bare `Exception` for broken files
        why = (str(error) or type(error).__name__).splitlines()[0]
        raise WeightsMismatch(f"{place}: is no CLIP tokenizer ({why}). Fetch clip-tokenizer.") from error
    if count != _WORDS:
        raise WeightsMismatch(f"{place}: must have the {_WORDS} words of CLIP, but has {count}. Fetch clip-tokenizer.")
    return made
