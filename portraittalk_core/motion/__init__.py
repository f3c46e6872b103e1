"""Turn records of speech into motion, and motion into the maps that the denoiser is shown."""
