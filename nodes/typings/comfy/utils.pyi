from PIL.Image import Image
from torch import Tensor

PROGRESS_BAR_ENABLED: bool

class ProgressBar:
    def __init__(self, total: int) -> None: ...
    def update_absolute(
        self, value: int, total: int | None = None, preview: tuple[str, Image, int] | None = None
    ) -> None: ...

def load_torch_file(ckpt: str) -> dict[str, Tensor]: ...
