"""Train what listens: `train.train_speech`. The speech encoder, audio-to-motion and the prior."""
