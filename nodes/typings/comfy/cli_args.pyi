class _Args:
    force_fp32: bool
    fp32_unet: bool
    fp32_vae: bool

args: _Args
