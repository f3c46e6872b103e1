"""Training: one loop, a room for each network that is trained, and recipes that put them in order.

`recipe` trains a model's VAE and denoiser (`pictures`, `denoiser`), `text`, `faces`, `motion` and `speech` what goes
before them. Everything has a fixed seed and resumes where it stopped.
"""
