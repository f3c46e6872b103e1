"""Where networks run unless the user says otherwise."""

from __future__ import annotations

import torch


def default_device() -> torch.device:
    """Return the accelerator that is here, the CPU where there is none."""
    # A build for an accelerator that is not here names it all the same, hence the first question.
    found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return found or torch.device("cpu")
