"""Read a table of jobs as spreadsheets save it: separated by commas, semicolons or tabs, in UTF-8 or UTF-16."""

from __future__ import annotations

import codecs
import csv
import io
from collections import Counter
from pathlib import Path

from ..errors import BadInput, BadMedia

SEPARATORS = ",;\t"
"""What spreadsheets put between cells; where a comma stands in numbers they take semicolons."""


def read_table(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Read the rows of a table with a header.

    Args:
        path: Of the file.

    Returns:
        The line on which each row ends, the header being 1, and its cells by column, without blanks around them; rows
        and columns that hold nothing are passed over.

    Raises:
        BadInput: For a column that is there twice, or cells beyond the columns.
        BadMedia: When there is no such file, or it is no table.
    """
    from ..media.target import existing_file

    text = _text(existing_file(path, "table of `--batch`"), path)
    try:
        lines = csv.reader(io.StringIO(text, newline=""), delimiter=_separator(text))
        full = [(lines.line_num, [cell.strip() for cell in cells]) for cells in lines if any(map(str.strip, cells))]
    except csv.Error as error:
        raise BadMedia(f"`--batch` must be a CSV file, but `{path}` is none ({error}). Save it as CSV.") from error
    if len(full) < 2:
        raise BadInput(f"`--batch` must have a header and rows, but `{path}` has none. Name columns: image,audio,…")
    (_, header), *rows = full
    for number, cells in rows:
        if any(cells[len(header) :]) or any(cell for name, cell in zip(header, cells) if not name):
            raise BadInput(
                f"`--batch` has a cell without a column in row {number}. Name its column, or put what holds a comma "
                "into quotation marks."
            )
    twice = [name for name, count in Counter(filter(None, header)).items() if count > 1]
    if twice:
        raise BadInput(f"`--batch` has the column {twice[0]!r} twice, and may say two things with it. Leave one out.")
    return [(number, {name: cell for name, cell in zip(header, cells) if name}) for number, cells in rows]


def _text(found: Path, path: Path) -> str:
    try:
        data = found.read_bytes()
    except OSError as error:
        raise BadMedia(f"`--batch` must be a CSV file, but `{path}` cannot be read ({error.strerror}).") from error
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))  # a spreadsheet's "Unicode text"
    try:
        return data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise BadMedia(
            f"`--batch` must be a CSV file in UTF-8, but line {line} of `{path}` is not. Save it as CSV UTF-8."
        ) from error


def _separator(text: str) -> str:
    header = text.lstrip().partition("\n")[0]
    return max(SEPARATORS, key=header.count)
