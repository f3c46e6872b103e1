"""A model that is small enough for every test."""

SMALL = {
    "name": "small",
    "size": 64,
    "unet": {"latent_channels": 4, "channels": [32, 64], "attention": [True, True], "heads": 2},
    "schedule": {"prediction_type": "epsilon", "rescale_betas_zero_snr": False},
    "contour_size": 16,
    "structure_width": 16,
    "reference_layers": ["down.1.0"],
    "temporal_layers": ["mid.0.0", "up.1.1"],
}
"""Differs from tiny in everything that training was ever bound to."""
