"""Train what listens: the speech encoder and audio-to-motion."""
