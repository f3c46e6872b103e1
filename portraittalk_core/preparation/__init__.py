"""From a folder of talking clips to shards to train on: `portraittalk prepare`.

Each clip is decoded by its time stamps to 25 frames a second and 16 kHz, split at cuts and where its one face is lost,
judged, cut out square, measured and written; what is left out is written down with its reason. `shards` says what lies
in the tar files, which any reader of WebDataset reads.
"""
