"""Names for the attention places of a U-Net, computed from its shape and never typed by hand.

A `Site` is where a branch may act. The same site has one address in a diffusers `UNet2DConditionModel` and
another in ComfyUI's `UNetModel`; the hosts translate, the networks only see sites.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Stage = Literal["down", "mid", "up"]


@dataclass(frozen=True, order=True)
class Site:
    """One layer of a U-Net: the `layer`-th (ResNet + optional transformer) of the `block`-th block of a stage.

    Blocks and layers count from 0 in the order in which the U-Net runs them. The mid block is
    `Site("mid", 0, 0)`.
    """

    stage: Stage
    block: int
    layer: int

    def __str__(self) -> str:
        return f"{self.stage}.{self.block}.{self.layer}"


@dataclass(frozen=True)
class UNetShape:
    """What the sites need to know of a U-Net; the field names and meanings are those of diffusers.

    channels: `block_out_channels`; layers: `layers_per_block`; attention: for each down block, whether its layers
    carry a transformer (up blocks mirror it); cross_dim: width of the text tokens; heads: attention heads at
    every site (SD1.5: 8).
    """

    channels: tuple[int, ...]
    layers: int
    attention: tuple[bool, ...]
    cross_dim: int
    heads: int = 8

    def width(self, site: Site) -> int:
        """Return the channel count of the feature map at `site`."""
        if site.stage == "mid":
            return self.channels[-1]
        return self.channels[site.block] if site.stage == "down" else self.channels[-1 - site.block]

    def input_width(self, site: Site) -> int:
        """Return the channel count of the running map that enters the layer at `site`, before any skip is joined."""
        if site.stage == "mid":
            return self.channels[-1]
        if site.layer:
            return self.width(site)
        if site.stage == "down":
            return self.channels[max(site.block - 1, 0)]
        return self.channels[-max(site.block, 1)]

    def layer_sites(self) -> list[Site]:
        """Return every layer's site in running order: down, mid, up."""
        down = [Site("down", b, i) for b in range(len(self.channels)) for i in range(self.layers)]
        up = [Site("up", b, i) for b in range(len(self.channels)) for i in range(self.layers + 1)]
        return [*down, Site("mid", 0, 0), *up]

    def attention_sites(self) -> list[Site]:
        """Return the sites that carry a transformer, in running order."""
        return [s for s in self.layer_sites() if self._attends(s)]

    def adapter_sites(self) -> list[Site]:
        """Return the attention sites in the order of the public IP-Adapter files: down, up, mid.

        That is the order of diffusers' `unet.attn_processors`; the k-th entry's cross-attention has the number
        `2 * k + 1` in those files.
        """
        sites = self.attention_sites()
        return [s for s in sites if s.stage != "mid"] + [s for s in sites if s.stage == "mid"]

    def skip_sites(self) -> list[Site]:
        """Return the layers on the way up in the order in which the skips they join are made on the way down.

        The first skip is the first feature map, then come every layer's and every downsampler's result; each layer
        on the way up joins the latest that is left. That is the order of a ControlNet's residuals.
        """
        return [site for site in self.layer_sites() if site.stage == "up"][::-1]

    def skip_width(self, site: Site) -> int:
        """Return the channel count of the skip that the layer at `site`, on the way up, joins."""
        made = [self.channels[0]]
        for level, width in enumerate(self.channels):
            made += [width] * (self.layers + (level + 1 < len(self.channels)))
        return made[self.skip_sites().index(site)]

    def _attends(self, site: Site) -> bool:
        if site.stage == "mid":
            return True
        return self.attention[site.block] if site.stage == "down" else self.attention[-1 - site.block]
