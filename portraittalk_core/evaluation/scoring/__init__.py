"""Score clips: landmark tracks, figures, set metrics and their confidence."""
