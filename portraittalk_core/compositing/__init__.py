"""Frames put together: pixels of the photograph where it shows them, drawn ones where it does not."""
