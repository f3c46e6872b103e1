"""What a large photograph shows beyond the size at which its head is moved: pores, lashes, single hairs.

A head is moved at a size that a processor can bear, and what is enlarged from there is soft beside the rest of the
photograph. The difference between the photograph and its smaller copy is all that is missing. It goes where the flow
says, wherever the moved picture is the photograph's own.
"""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from ..media.image import to_side
from ..media.resampling import bands, enlarged, interleaved, sampled
from ..nets.dense_motion import identity_grid
from .layers import Moved

_PLACE = 4.0  # times its share in a pixel, at most 1, that a pixel's detail is of the place as well
_CHANGED = (0.02, 0.08)  # of [-1, 1]: what a prompt changes by less keeps its detail, and by more has none


@dataclass(frozen=True)
class FineDetail:
    """What a photograph has beyond its smaller copy."""

    person: Float[Tensor, "3 l l"]
    """Of the person, with whom it moves."""

    place: Float[Tensor, "3 l l"]
    """Of the place, where it stays."""

    @classmethod
    def of(
        cls,
        photograph: Float[Tensor, "3 l l"],
        copy: Float[Tensor, "3 s s"],
        matte: Float[Tensor, "1 s s"],
        largest: int,
    ) -> FineDetail:
        """Return what a copy lacks.

        Args:
            photograph: In [-1, 1].
            copy: The same, smaller.
            matte: The share of the person in the copy's pixels.
            largest: Side that is enough, pixels.
        """
        side = min(photograph.shape[-1], largest)
        missing = to_side(photograph, side) - enlarged(copy[None], (side, side), cubic=True)[0]
        person = enlarged(matte[None], (side, side))[0]
        return cls(interleaved(missing * person), missing * (_PLACE * (1 - person)).clamp(max=1))

    def added(self, pictures: Float[Tensor, "n 3 s s"], moved: Moved) -> Float[Tensor, "n 3 l l"]:
        """Enlarge pictures, and add the detail where they show the photograph.

        Args:
            pictures: In [-1, 1]; where they differ from those of `moved`, prompts have changed them. Those themselves:
                nothing has.
            moved: Says where.
        """
        side = self.person.shape[-1]
        size = (side, side)
        flow = enlarged(moved.flow - identity_grid(moved.flow), size)
        shown = 1.0
        if pictures is not moved.pixels:
            low, high = _CHANGED
            changed = (pictures - moved.pixels).abs().amax(1, keepdim=True)
            shown = 1 - ((changed - low) / (high - low)).clamp(0, 1)
        own, still = (enlarged(share * shown, size) for share in (moved.own, 1 - moved.matte))
        made, here = enlarged(pictures, size, cubic=True), identity_grid(flow)
        for band in bands(*size):
            part = made[:, :, band]
            there = sampled(self.person[None], flow[:, :, band] + here[:, :, band])
            part.addcmul_(there, own[:, :, band]).addcmul_(self.place[None, :, band], still[:, :, band]).clamp_(-1, 1)
        return made
