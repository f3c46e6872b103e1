"""The noise schedules that the public files were made for. A mix of parts runs on the schedule of its temporal part."""

from __future__ import annotations

from ..config import ScheduleConfig

STABLE_DIFFUSION = ScheduleConfig()
"""SD1.5 itself and IP-Adapter FaceID's own demonstration."""

ANIMATEDIFF = ScheduleConfig(beta_schedule="linear")
"""AnimateDiff v1 to v3: noise prediction on linear betas."""

ANIPORTRAIT = ScheduleConfig(
    beta_schedule="linear",
    prediction_type="v_prediction",
    timestep_spacing="trailing",
    rescale_betas_zero_snr=True,
)
"""AniPortrait's inference. Its second stage was trained on scaled-linear betas; inference is linear all the same."""
