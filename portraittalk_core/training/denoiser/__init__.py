"""Train the denoiser in two stages: `stages.train_stage`. Banks of pictures and clips, draws, the objective, losses."""
