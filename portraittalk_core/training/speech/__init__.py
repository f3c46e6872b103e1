"""Train what listens: `train.train_speech` encoder, audio-to-motion, prior; `mouth.train_mouth` the second alone."""
