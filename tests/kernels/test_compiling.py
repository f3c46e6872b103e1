"""Kernels compile for real cards, which the interpreter does not show; no card is needed for that."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

CODE = """
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from portraittalk_core.kernels import attention, programs

def built(kernel, constants, floats, warps):
    names = kernel.arg_names
    def kind(name):
        if name in constants:
            return "constexpr"
        if name in floats:
            return "fp32"
        pointers = ("query", "out", "keys", "values", "packed", "shifts", "projected", "weight", "bias")
        return "*fp16" if name.rstrip("012") in pointers else "i32"
    source = ASTSource(
        kernel, {n: kind(n) for n in names}, {(names.index(k),): v for k, v in constants.items()}
    )
    made = triton.compile(source, target=GPUTarget("cuda", 80, 32), options={"num_warps": warps, "num_stages": 1})
    print(kernel.__name__, made.metadata.shared)

width = attention._power(40)
sizes = {f"KEYS{k}": attention._block(n, 40) for k, n in enumerate((77, 16, 4))}
built(
    programs.cross_attention,
    {"SETS": 3, "HEADS": 8, "DIM": 40, "WIDTH": width, "ROWS": 64, **sizes},
    ("scale", "strength0", "strength1", "strength2"), 4,
)
built(programs.frame_attention, {"HEADS": 8, "DIM": 40, "WIDTH": width, "FRAMES": 16}, ("scale",), 1)
built(programs.gated, {"BLOCK": 1024}, (), 4)
built(programs.group_norm, {"GROUPS": 32, "SILU": True, "BLOCK": 4096}, ("eps",), 8)
"""


@pytest.mark.slow
def test_kernels_compile_into_the_memory_of_every_card(tmp_path):
    pytest.importorskip(
        "triton", reason="Triton is not installed, which the kernels are written in: pip install triton"
    )
    told = {**os.environ, "TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(tmp_path)}
    ran = subprocess.run([sys.executable, "-c", CODE], cwd=ROOT, env=told, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-2000:]
    shared = {line.split()[0]: int(line.split()[1]) for line in ran.stdout.splitlines()}
    assert set(shared) == {"cross_attention", "frame_attention", "gated", "group_norm"}
    assert max(shared.values()) <= 48 << 10, "what every card has without being asked"
