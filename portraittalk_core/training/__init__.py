"""Training: data, losses, the loop and its stages. Scripts with fixed seeds; each resumes where it stopped."""
