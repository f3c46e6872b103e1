"""The scores as pure functions: tensors in, numbers out, nothing kept and nothing read from disk."""

from .adfd import AdfdScore, adfd
from .drift import colour_drift, identity_drift, sharpness_drift
from .identity import csim, e_fid, frechet_distance, frechet_note
from .image import flicker, lpips, mean_colour, psnr, sharpness, ssim, static_region
from .landmarks import blink_rate, f_lmd, head_angles, head_motion_diversity, m_lmd, silent_lip_motion
from .sync import SyncScore, sync_score
from .sync_input import crop_face, face_boxes, mfcc
from .voice import silent_frames

__all__ = [
    "AdfdScore",
    "SyncScore",
    "adfd",
    "blink_rate",
    "colour_drift",
    "crop_face",
    "csim",
    "e_fid",
    "f_lmd",
    "face_boxes",
    "flicker",
    "frechet_distance",
    "frechet_note",
    "head_angles",
    "head_motion_diversity",
    "identity_drift",
    "lpips",
    "m_lmd",
    "mean_colour",
    "mfcc",
    "psnr",
    "sharpness",
    "sharpness_drift",
    "silent_frames",
    "silent_lip_motion",
    "ssim",
    "static_region",
    "sync_score",
]
