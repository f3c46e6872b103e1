"""Speech whose phonemes, and so whose mouth, are known: training data for what listens.

`sentences` makes what is said, `speech` says it with espeak-ng, `recorded` and `alignment` find it in recordings of
people, `mouth_shapes` turns its phonemes into a mouth's movement.
"""
