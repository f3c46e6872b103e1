"""SyncNet: embeddings of lips and of sound that lie near each other where both belong to the same moment."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from ..errors import BadInput

EMBEDDED_FRAMES = 5
"""Frames of one embedding of lips: 0.2 s at 25 frames a second."""

SIDE = 224
"""Height and width of the pictures, pixels."""

_MFCC = (13, 20)


class SyncNet(nn.Module):
    """Embeds five pictures of a face, and the 0.2 s of sound beside them, in one space.

    Structure and state-dict keys are those of `syncnet_v2.model` (Chung & Zisserman, "Out of time", 2016;
    github.com/joonson/syncnet_python): an AlexNet-like tower each, whose first convolution of lips spans the five
    frames and whose others see one; then two linear layers. Its distances mean what LSE says with the published
    weights only.

    Args:
        width: Of the embeddings; 1024 in the public file.
    """

    def __init__(self, width: int = 1024) -> None:
        super().__init__()
        self.netcnnaud = nn.Sequential(
            *_block(nn.Conv2d(1, 64, 3, padding=1)),
            nn.Identity(),  # the public network pools by 1 here, which does nothing but count as a layer
            *_block(nn.Conv2d(64, 192, 3, padding=1)),
            nn.MaxPool2d(3, (1, 2)),
            *_block(nn.Conv2d(192, 384, 3, padding=1)),
            *_block(nn.Conv2d(384, 256, 3, padding=1)),
            *_block(nn.Conv2d(256, 256, 3, padding=1)),
            nn.MaxPool2d(3, 2),
            *_block(nn.Conv2d(256, 512, (5, 4))),
        )
        self.netfcaud = _last(width)
        self.netfclip = _last(width)
        self.netcnnlip = nn.Sequential(
            *_block(nn.Conv3d(3, 96, (EMBEDDED_FRAMES, 7, 7), (1, 2, 2))),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *_block(nn.Conv3d(96, 256, (1, 5, 5), (1, 2, 2), (0, 1, 1))),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
            *_block(nn.Conv3d(256, 256, (1, 3, 3), padding=(0, 1, 1))),
            *_block(nn.Conv3d(256, 256, (1, 3, 3), padding=(0, 1, 1))),
            *_block(nn.Conv3d(256, 256, (1, 3, 3), padding=(0, 1, 1))),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *_block(nn.Conv3d(256, 512, (1, 6, 6))),
        )

    def lips(self, frames: Float[Tensor, "t 3 224 224"]) -> Float[Tensor, "t_minus_4 width"]:
        """Embed the lips at every frame that four others follow, in one sweep over time.

        Only the first convolution looks across time, so the sweep gives what each group of five gives alone.

        Args:
            frames: **Blue, green, red**, 0 to 255, not normalised, as the public weights were trained.

        Returns:
            One embedding for each group of five neighbours.

        Raises:
            BadInput: For another shape or fewer than five frames.
        """
        if frames.ndim != 4 or frames.shape[1:] != (3, SIDE, SIDE) or len(frames) < EMBEDDED_FRAMES:
            raise BadInput(
                f"`frames` must be [{EMBEDDED_FRAMES} or more, 3, {SIDE}, {SIDE}], but got {list(frames.shape)}. "
                "Crop the face first."
            )
        seen = self.netcnnlip(frames.movedim(0, 1)[None])
        return self.netfclip(seen[0, :, :, 0, 0].T)

    def sound(self, mfcc: Float[Tensor, "n 13 20"]) -> Float[Tensor, "n width"]:
        """Embed windows of 0.2 s of sound.

        Args:
            mfcc: Twenty columns of cepstra each; see `metrics.functional.mfcc`.

        Raises:
            BadInput: For another shape.
        """
        if mfcc.ndim != 3 or mfcc.shape[1:] != _MFCC:
            raise BadInput(f"`mfcc` must be [n, 13, 20], but got {list(mfcc.shape)}. Cut windows of 20 columns.")
        return self.netfcaud(self.netcnnaud(mfcc[:, None]).flatten(1))


def _block(convolution: nn.Conv2d | nn.Conv3d) -> list[nn.Module]:
    norm = nn.BatchNorm2d if isinstance(convolution, nn.Conv2d) else nn.BatchNorm3d
    return [convolution, norm(convolution.out_channels), nn.ReLU()]


def _last(width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, width))
