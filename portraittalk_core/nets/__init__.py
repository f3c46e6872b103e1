"""The networks: each turns conditions into branches and knows nothing of who runs the U-Net."""
