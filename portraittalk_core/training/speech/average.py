"""Take the mean of two listeners, one of which went on from the other.

    python -m portraittalk_core.training.speech.average BEFORE AFTER --out FOLDER [--share 0.5]

What went on has learned new voices and forgotten some of what it knew; between the two lies one that does both better
(Wortsman et al., "Robust fine-tuning of zero-shot models", arXiv 2109.01903). What only the later one has is its own.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from safetensors import safe_open

from ...checkpoints.writing import save_tensors
from ...errors import BadInput

FILES = ("speech.safetensors", "motion.safetensors")


def average(before: Path, after: Path, out: Path, share: float = 0.5) -> None:
    """Write the mean of both files.

    Args:
        before: Folder of the listener that was gone on from.
        after: Folder of the one that it became; its configuration is kept.
        out: Where the files go.
        share: Of the later one, 0 to 1.

    Raises:
        BadInput: For another share, or listeners that do not fit each other.
    """
    if not 0 <= share <= 1:
        raise BadInput(f"`share` must lie between 0 and 1, but got {share}. Try 0.5.")
    for name in FILES:
        with safe_open(before / name, "pt") as first, safe_open(after / name, "pt") as second:
            was = {key: first.get_tensor(key).float() for key in first.keys()}  # noqa: SIM118
            now = {key: second.get_tensor(key).float() for key in second.keys()}  # noqa: SIM118
            told = second.metadata()
        if any(key not in now or now[key].shape != tensor.shape for key, tensor in was.items()):
            raise BadInput(f"`{after / name}` must have gone on from `{before / name}`, but their tensors differ.")
        mean = {key: tensor.lerp(was[key], 1 - share) if key in was else tensor for key, tensor in now.items()}
        out.mkdir(parents=True, exist_ok=True)
        save_tensors({key: tensor.half().contiguous() for key, tensor in mean.items()}, out / name, told)


def main(arguments: list[str] | None = None) -> None:
    """Write the mean.

    Args:
        arguments: Of the command line.
    """
    parser = argparse.ArgumentParser(prog="average", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("before", type=Path, metavar="BEFORE", help="folder of a listener")
    parser.add_argument("after", type=Path, metavar="AFTER", help="folder of what it became")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--share", type=float, default=0.5, metavar="X", help="of what it became (0.5)")
    given = parser.parse_args(arguments)
    average(given.before, given.after, given.out, given.share)


if __name__ == "__main__":
    main()
