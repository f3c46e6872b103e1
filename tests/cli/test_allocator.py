"""The command line keeps the memory of frames, in a process of its own only."""

import os
import subprocess
import sys

import pytest

from portraittalk_core.cli import allocator

LARGE_TWICE = """
import ctypes, resource
from portraittalk_core.cli.allocator import keep_memory

print(keep_memory())
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
def touched():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    block = libc.malloc(ctypes.c_size_t(64 << 20))
    ctypes.memset(ctypes.c_void_p(block), 1, 64 << 20)
    libc.free(block)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(touched(), touched())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator is Linux'")
@pytest.mark.parametrize("chosen", [{}, {"MALLOC_ARENA_MAX": "2"}])
def test_a_large_block_is_cleared_once(chosen):
    done = subprocess.run(
        [sys.executable, "-c", LARGE_TWICE], env={**os.environ, **chosen}, capture_output=True, text=True, check=True
    )
    kept, faults = done.stdout.splitlines()
    first, second = map(int, faults.split())
    assert kept == str(not chosen) and first > 1000
    assert (second < first / 10) == (not chosen), "what is freed is not given back"


def test_another_programs_memory_is_its_own():
    assert "torch" in sys.modules and not allocator.keep_memory()
