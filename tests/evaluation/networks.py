"""Stand-ins for the networks that users bring: they take what those take, and give something that can be foretold."""

import torch
from torch import nn


class Inception(nn.Module):
    """Gives random projections of a picture shrunk to 4 x 4."""

    def __init__(self, width: int = 2048):
        super().__init__()
        self.register_buffer("weight", torch.randn(48, width, generator=torch.Generator().manual_seed(0)))

    def forward(self, img: torch.Tensor, return_features: bool = False) -> torch.Tensor:
        assert return_features and img.dtype == torch.uint8 and img.ndim == 4
        return nn.functional.adaptive_avg_pool2d(img.float() / 255, [4, 4]).flatten(1) @ self.weight


class I3D(nn.Module):
    """Gives random projections of what a clip shrunk to a picture of 2 x 2 every second frame shows."""

    def __init__(self):
        super().__init__()
        self.register_buffer("weight", torch.randn(96, 400, generator=torch.Generator().manual_seed(0)))

    def forward(
        self, x: torch.Tensor, rescale: bool = False, resize: bool = False, return_features: bool = False
    ) -> torch.Tensor:
        assert rescale and resize and return_features and x.dtype == torch.uint8 and x.size(2) == 16
        return nn.functional.adaptive_avg_pool3d(x.float() / 255, [8, 2, 2]).flatten(1) @ self.weight


class Ears:
    """SyncNet's interface: embeds lips by their mean level and sound by its cepstra."""

    def lips(self, frames):
        assert frames.shape[1:] == (3, 224, 224)
        return torch.stack([part.mean((0, 2, 3)) for part in frames.unfold(0, 5, 1).movedim(-1, 1)])

    def sound(self, mfcc):
        assert mfcc.shape[1:] == (13, 20)
        return mfcc[:, :3].mean(2)


def saved(net, path):
    torch.jit.script(net).save(str(path))
    return path
