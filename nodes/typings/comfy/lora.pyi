from collections.abc import Mapping

from torch import Tensor

def load_lora(lora: Mapping[str, Tensor], to_load: Mapping[str, str]) -> dict[str, object]: ...
