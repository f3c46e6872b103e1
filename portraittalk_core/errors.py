"""The errors a user can meet. Each message is one line: name, rule, value, remedy.

Everything that is the user's to fix derives from `PortraitTalkError`; the command line prints it as one
line and exits with code 2. Anything else is a defect of ours and keeps its traceback.
"""

from __future__ import annotations


class PortraitTalkError(Exception):
    """Base of every error that a user can fix."""


class BadMedia(PortraitTalkError):
    """A picture, sound or video file that cannot be read or written, or holds nothing usable."""


class NoFaceFound(PortraitTalkError):
    """No face was found in a picture, or the asked-for face number does not exist."""


class OutOfDomain(PortraitTalkError):
    """The face cannot be made to speak: it is turned away too far, or too small."""


class SiteNotFound(PortraitTalkError):
    """A branch names an attention place that the host's U-Net does not have or never visits."""


class WeightsMismatch(PortraitTalkError):
    """A weights file lacks tensors, has foreign ones, or tensors of another shape."""


class UnsafeWeights(PortraitTalkError):
    """A weights file is a pickle that would run code when it is loaded."""


class MissingExtra(PortraitTalkError):
    """An optional package or system tool is needed for this call; the message holds the command that installs it."""


class BadConfig(PortraitTalkError):
    """A configuration has unknown keys or values outside their range; all of them are listed at once."""


class BadInput(PortraitTalkError):
    """An argument is outside its range, or two arguments contradict each other."""
