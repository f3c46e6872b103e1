"""Train the denoiser: banks of pictures and clips, the objective, the two stages."""
