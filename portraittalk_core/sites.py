"""Names for the attention places of a U-Net, computed from its shape and never typed by hand.

A `Site` is where a branch may act. The same site has one address in a diffusers `UNet2DConditionModel` and
another in ComfyUI's `UNetModel`; the hosts translate, the networks only see sites.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Stage = Literal["down", "mid", "up"]
"""A third of a U-Net: the way down, the mid block, the way up."""


@dataclass(frozen=True, order=True)
class Site:
    """One layer of a U-Net, a ResNet and its transformer where it has one.

    Sites sort in the order in which the U-Net runs them. `str(site)` is the name in configurations: `down.1.0`.
    """

    stage: Stage
    """Where the layer's block is. The mid block has one site, `Site("mid", 0, 0)`."""

    block: int
    """Number of the block in its stage, from 0 in the order in which the U-Net runs them: `up.0` is the coarsest."""

    layer: int
    """Number of the layer in its block, from 0 in running order."""

    def __str__(self) -> str:
        return f"{self.stage}.{self.block}.{self.layer}"


@dataclass(frozen=True)
class UNetShape:
    """What the sites need to know of a U-Net of SD1.5's layout (`UNet2DConditionModel` of diffusers)."""

    channels: tuple[int, ...]
    """Channels of each level, fine to coarse: diffusers' `block_out_channels`. SD1.5: (320, 640, 1280, 1280)."""

    layers: int
    """Layers of a down block, diffusers' `layers_per_block`; up blocks have one more. SD1.5: 2."""

    attention: tuple[bool, ...]
    """For each down block, whether its layers have a transformer. Up blocks mirror it; the mid block always has one."""

    cross_dim: int
    """Width of the tokens that cross-attention reads: diffusers' `cross_attention_dim`. SD1.5: 768."""

    heads: int = 8
    """Attention heads at every site."""

    def width(self, site: Site) -> int:
        """Return how many channels the feature map that leaves the layer at `site` has."""
        if site.stage == "mid":
            return self.channels[-1]
        return self.channels[site.block] if site.stage == "down" else self.channels[-1 - site.block]

    def input_width(self, site: Site) -> int:
        """Return how many channels the running map that enters the layer at `site` has, before any skip is joined."""
        if site.stage == "mid":
            return self.channels[-1]
        if site.layer:
            return self.width(site)
        if site.stage == "down":
            return self.channels[max(site.block - 1, 0)]
        return self.channels[-max(site.block, 1)]

    def layer_sites(self) -> list[Site]:
        """Return every layer's site, in running order: down, mid, up."""
        down = [Site("down", b, i) for b in range(len(self.channels)) for i in range(self.layers)]
        up = [Site("up", b, i) for b in range(len(self.channels)) for i in range(self.layers + 1)]
        return [*down, Site("mid", 0, 0), *up]

    def attention_sites(self) -> list[Site]:
        """Return the sites that carry a transformer, in running order."""
        return [s for s in self.layer_sites() if self._attends(s)]

    def adapter_sites(self) -> list[Site]:
        """Return the attention sites in the order of the public IP-Adapter files: down, up, mid.

        It is the order of diffusers' `unet.attn_processors`. The cross-attention of entry k, counted from 0, has the
        number `2 * k + 1` in those files.
        """
        sites = self.attention_sites()
        return [s for s in sites if s.stage != "mid"] + [s for s in sites if s.stage == "mid"]

    def skip_sites(self) -> list[Site]:
        """Return the layers on the way up, in the order in which the skips that they join are made on the way down.

        The first skip is the first feature map, then come every layer's and every downsampler's result; each layer
        on the way up joins the latest that is left. That is the order of a ControlNet's residuals.
        """
        return [site for site in self.layer_sites() if site.stage == "up"][::-1]

    def skip_width(self, site: Site) -> int:
        """Return how many channels the skip has that the layer at `site`, on the way up, joins.

        Raises:
            ValueError: When `site` is not on the way up.
        """
        made = [self.channels[0]]
        for level, width in enumerate(self.channels):
            made += [width] * (self.layers + (level + 1 < len(self.channels)))
        return made[self.skip_sites().index(site)]

    def _attends(self, site: Site) -> bool:
        if site.stage == "mid":
            return True
        return self.attention[site.block] if site.stage == "down" else self.attention[-1 - site.block]
