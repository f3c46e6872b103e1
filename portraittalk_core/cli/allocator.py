"""Keep the memory of frames: the C library would give every large block back to the kernel, and ask for it anew.

The kernel clears each page that it gives. A frame of 1432 pixels a side is 25 MB, and a dozen such blocks are made on
the way to a finished one: in large photographs a fifth of the time went there. This is for a process of our own only.
"""

from __future__ import annotations

import ctypes
import os
import sys

_SETTINGS = ((-4, 0), (-1, 2**31 - 1), (-8, 1))
"""Of `mallopt` in glibc's malloc.h: M_MMAP_MAX, no block is mapped by itself; M_TRIM_THRESHOLD, what is free is kept;
M_ARENA_MAX, threads take from one heap, so that what one has freed another gets."""

_CHOSEN = ("MALLOC_", "GLIBC_TUNABLES", "LD_PRELOAD")  # beginnings of what users say about it


def keep_memory() -> bool:
    """Let this process keep what it has freed, unless the user has said otherwise; return whether it does.

    Does nothing where torch is loaded already, for then the process is another program's, nor where the C library is
    not GNU's.
    """
    if sys.platform != "linux" or "torch" in sys.modules or any(name.startswith(_CHOSEN) for name in os.environ):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and all([mallopt(*setting) for setting in _SETTINGS])
