"""Public weight files of the SD1.5 family: recognised by content, read exactly, every tensor accounted for."""
