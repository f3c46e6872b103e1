from collections.abc import Mapping, Sequence

class SDTokenizer:
    max_word_length: int

    def __init__(
        self,
        *,
        max_length: int,
        embedding_directory: object,
        embedding_size: int,
        tokenizer_class: object,
        tokenizer_data: Mapping[str, object],
    ) -> None: ...
    def tokenize_with_weights(
        self, text: str, return_word_ids: bool = False, **kwargs: object
    ) -> list[list[tuple[int, float]]]: ...

class SD1Tokenizer:
    def __init__(self, *args: object, **kwargs: object) -> None: ...

class SDClipModel:
    def __init__(self, *args: object, **kwargs: object) -> None: ...

class SD1ClipModel:
    def __init__(self, *args: object, **kwargs: object) -> None: ...

def escape_important(text: str) -> str: ...
def unescape_important(text: str) -> str: ...
def token_weights(string: str, current_weight: float) -> Sequence[tuple[str, float]]: ...
