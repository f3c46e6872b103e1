"""Read what is typed as text: prompts are words, and names of files may be any bytes."""

from __future__ import annotations

from ..errors import BadInput


def words(given: str) -> str:
    """Return a prompt as it was typed, for the parser.

    Args:
        given: As Python reads the command line: bytes that are no text are lone surrogates.

    Raises:
        BadInput: When it is no text.
    """
    try:
        given.encode()
    except UnicodeEncodeError as error:
        raise BadInput(
            f"A prompt must be text, but {given!r:.60} has bytes that are none. Set the terminal to UTF-8."
        ) from error
    return given
