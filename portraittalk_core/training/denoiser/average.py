"""Average the weights of runs that began with the same ones, such as runs at two picture sizes.

Fine-tuned weights that started from one point lie in one valley more often than not, and their mean keeps what each
learned (model soups, Wortsman et al., arXiv 2203.05482).

    python -m portraittalk_core.training.denoiser.average RUN/model.safetensors ... --keep animate_net.audio. --out FILE
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file

from ...checkpoints.writing import save_tensors
from ...errors import BadInput


def average(files: Sequence[Path], out: Path, keep: str = "") -> None:
    """Write the mean of weights.

    Args:
        files: safetensors of the same tensors, two or more.
        out: The file; its folder is made.
        keep: How the names of the tensors begin that are written; all by default.

    Raises:
        BadInput: For fewer than two files, files of other tensors, or where none is kept.
    """
    if len(files) < 2:
        raise BadInput(f"`files` must be two or more, but got {len(files)}. Name the weights of each run.")
    first, *others = (load_file(file) for file in files)
    for file, tensors in zip(files[1:], others, strict=True):
        if tensors.keys() != first.keys() or any(tensors[name].shape != value.shape for name, value in first.items()):
            raise BadInput(f"{file}: holds other tensors than {files[0]}. Name runs of the same parts of one model.")
    mean = {
        name: torch.stack([value, *(tensors[name] for tensors in others)]).double().mean(0).to(value.dtype)
        for name, value in first.items()
        if name.startswith(keep)
    }
    if not mean:
        raise BadInput(
            f"{files[0]}: holds nothing that begins with {keep!r}, but {sorted(first)[0]!r}. Name a part of it."
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    save_tensors(mean, out)


def main() -> None:
    """Read the command line and average."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+", help="weights of the runs")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE")
    parser.add_argument("--keep", default="", metavar="PREFIX", help="of the tensors that are written (all)")
    given = parser.parse_args()
    average(given.files, given.out, given.keep)


if __name__ == "__main__":
    main()
