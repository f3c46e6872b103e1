"""Triton kernels for what torch does in many passes over memory, each with plain torch to fall back on.

A kernel runs where Triton is installed, the tensors lie on a GPU, and no gradient is wanted. The first time it meets a
kind of input its result is held against plain torch on that very input; one that fails to compile, raises or differs is
not used again, with one line in the log. `PORTRAITTALK_KERNELS=off` turns all of them off.
"""
