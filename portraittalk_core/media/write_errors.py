"""Say why a file could not be written, and what helps against that and nothing else."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from ..errors import BadMedia

GONE = (
    *("EIO", "ESTALE", "ENXIO", "ENODEV", "ETIMEDOUT", "EHOSTDOWN", "EHOSTUNREACH", "ENETDOWN", "ENETUNREACH"),
    *("ENETRESET", "ENOTCONN", "ECONNRESET", "ECONNABORTED", "ECONNREFUSED", "ESHUTDOWN", "EREMOTEIO", "ENOLINK"),
)
"""Names of the errors of disks and shares that are there no more."""

BUSY = ("EAGAIN", "EBUSY", "ETXTBSY", "EDEADLK", "ENOLCK", "EINPROGRESS", "EALREADY")
"""Names of the errors that pass: an NFS server that has just begun, a file that another program holds for a moment."""

_REMEDIES = (
    (("ENOSPC", "EDQUOT"), "Free some space and try again."),
    (("EFBIG",), "The disk takes no file of that size: write to another one."),
    (("EACCES", "EPERM", "EROFS"), "Choose a folder that can be written to."),
    (("ENOENT", "ENOTDIR"), "The folder is gone: create it again."),
    (("EISDIR", "ENOTEMPTY", "EEXIST"), "Something else has that name: choose another one."),
    (("ENAMETOOLONG",), "Choose a shorter name."),
    (("ELOOP",), "The link leads to itself: choose another name."),
    (("ESPIPE",), "The disk takes files from beginning to end only, which videos are not written in: use another one."),
    (("EMFILE", "ENFILE"), "Too many files are open: close some programs."),
    (("ENOMEM",), "Close other programs: the memory is full."),
    (BUSY, "The disk or the file is in use: try again in a minute."),
    (GONE, "The disk or the network failed: write to another one."),
)  # fmt: skip
_OTHERWISE = "This is no fault of the disk: try another kind of file, and report it with this line."


def write_failure(path: str | Path, error: Exception, what: str = "") -> BadMedia:
    """Return the error that tells a user why a file could not be written.

    Args:
        path: The file.
        error: What the system or FFmpeg raised.
        what: What messages call it, such as "The picture".
    """
    code = getattr(error, "errno", None)
    remedy = next((text for names, text in _REMEDIES if code in codes(names)), _OTHERWISE)
    if code == errno.ENOENT and os.path.isdir(os.path.dirname(os.path.abspath(path))):
        remedy = "What was written is gone: write to another disk."
    return BadMedia(f"{what} `{path}` cannot be written ({reason_of(error)}). {remedy}".strip())


def read_remedy(error: Exception) -> str:
    """Return what helps against a file that the system does not let be read.

    Args:
        error: What the system raised.
    """
    if getattr(error, "errno", None) in codes(GONE):
        return "The disk or the network failed: copy the file to another disk."
    if getattr(error, "errno", None) in codes(BUSY):
        return "The disk or the file is in use: try again in a minute."
    return "Check its name and permissions."


def reason_of(error: Exception) -> str:
    """Return what the system, FFmpeg or Python says of an error, without its number.

    Args:
        error: What was raised.
    """
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def codes(names: tuple[str, ...]) -> list[int]:
    """Return the numbers that this system gives to errors; not every system has every one.

    Args:
        names: As `errno` has them.
    """
    return [getattr(errno, name) for name in names if hasattr(errno, name)]
