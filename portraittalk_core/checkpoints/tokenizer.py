"""Load the tokenizer that SD1.5's text encoder was trained with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..errors import WeightsMismatch
from ..perception.clip_text import CONTEXT

_WORDS = 49408


def load_clip_tokenizer(path: Path | str) -> Any:
    """Load CLIP's tokenizer.

    Args:
        path: A `tokenizer.json`, or a folder with that, or with `vocab.json` and `merges.txt`.

    Returns:
        A tokenizer of transformers.

    Raises:
        WeightsMismatch: When the file or folder is none, or has other words than CLIP's.
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
