"""The scores as pure functions: tensors in, numbers out, nothing kept and nothing read from disk."""

from .adfd import AdfdScore, adfd
from .drift import colour_drift, identity_drift, sharpness_drift
from .identity import csim, frechet_distance
from .image import fid, flicker, lpips, mean_colour, psnr, sharpness, ssim, static_region
from .landmarks import blink_rate, f_lmd, head_angles, head_motion_diversity, m_lmd, silent_lip_motion
from .sync import SyncScore, sync_score
from .voice import silent_frames

__all__ = [
    "AdfdScore",
    "SyncScore",
    "adfd",
    "blink_rate",
    "colour_drift",
    "csim",
    "f_lmd",
    "fid",
    "flicker",
    "frechet_distance",
    "head_angles",
    "head_motion_diversity",
    "identity_drift",
    "lpips",
    "m_lmd",
    "mean_colour",
    "psnr",
    "sharpness",
    "sharpness_drift",
    "silent_frames",
    "silent_lip_motion",
    "ssim",
    "static_region",
    "sync_score",
]
