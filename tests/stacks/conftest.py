"""Small and full-sized U-Nets with random weights, as the tests of public files have them."""

from ..checkpoints.conftest import noise, sd15_unet, tiny_unet

__all__ = ["noise", "sd15_unet", "tiny_unet"]
