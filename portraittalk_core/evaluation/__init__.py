"""Score videos of talking faces and show the scores: landmark tracks, one record a clip, the report."""
