"""Train the dense motion: `train.train_dense_motion`. Flow and shares of rendered people are known exactly."""
