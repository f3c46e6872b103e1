"""Diffusion on video latents: schedules, guidance, samplers, windows and progressive latent fusion."""
