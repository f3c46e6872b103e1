"""Read configuration records from TOML files and plain values, all problems told at once, and turn them back.

A record is any frozen dataclass: `config` has those of models and of training, and recipes, catalogues and stack files
bring their own. So this module knows none of them. What a value may be beyond its type is checked where it is used.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from .errors import BadConfig

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pyright: ignore[reportMissingImports]

T = TypeVar("T")

RENAMED = {"text_scale": "cfg"}
"""Keys that older files have, and what they are called now."""


def from_mapping(cls: type[T], values: Mapping[str, Any], where: str = "configuration") -> T:
    """Build a configuration record from plain values, recursing into nested records.

    Args:
        cls: The record's class, a frozen dataclass.
        values: By field; what is not given keeps its default. Keys of older files (`RENAMED`) are read, whole numbers
            serve as floats, and lists as tuples.
        where: What the values come from, for the message.

    Returns:
        The record, its nested records built as well.

    Raises:
        BadConfig: Naming every unknown key and every value of the wrong type at once, so that a file is fixed in one
            go.
    """
    problems: list[str] = []
    made = _build(cls, values, "", problems)
    if problems:
        raise BadConfig(f"{where}: " + "; ".join(problems))
    return made


def _build(cls: type[T], values: Mapping[str, Any], prefix: str, problems: list[str]) -> T:
    known = get_type_hints(cls)
    fields: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        if key not in known:
            key = RENAMED.get(key, key)
        if key not in known:
            problems.append(f"unknown key `{name}` (known: {', '.join(known)})")
            continue
        fields[key] = _convert(known[key], value, name, problems)
    try:
        return cls(**fields)
    except TypeError as error:
        problems.append(str(error))
        return cls()


def _convert(kind: Any, value: Any, name: str, problems: list[str]) -> Any:
    if dataclasses.is_dataclass(kind):
        if isinstance(value, Mapping):
            return _build(kind, value, f"{name}.", problems)  # pyright: ignore[reportArgumentType]
        problems.append(f"`{name}` must be a table, but got {value!r}")
        return value
    if get_origin(kind) is tuple:
        if not isinstance(value, (list, tuple)):
            problems.append(f"`{name}` must be a list, but got {value!r}")
            return value
        return tuple(_convert(get_args(kind)[0], v, f"{name}[{k}]", problems) for k, v in enumerate(value))
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind in (int, float, str, bool) and not (
        isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
    ):
        problems.append(f"`{name}` must be {kind.__name__}, but got {value!r}")
    return value


def to_mapping(config: Any) -> dict[str, Any]:
    """Return a configuration record as plain values, ready for JSON; the inverse of `from_mapping`.

    Args:
        config: The record, a dataclass.
    """
    return dataclasses.asdict(config)


def read_toml(cls: type[T], path: str | Path, **overrides: Any) -> T:
    """Read a configuration record from a TOML file.

    Args:
        cls: The record's class.
        path: The file.
        **overrides: Fields that win over the file's; those that are None do not count.

    Returns:
        The record; fields that neither names keep their defaults.

    Raises:
        BadConfig: For a file that cannot be read, and as `from_mapping`.
    """
    values = toml_values(path)
    return from_mapping(cls, {**values, **{k: v for k, v in overrides.items() if v is not None}}, str(path))


def toml_values(path: str | Path) -> dict[str, Any]:
    """Return what a TOML file holds, as plain values.

    Args:
        path: The file, in UTF-8.

    Raises:
        BadConfig: For a file that cannot be read or is no TOML.
    """
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise BadConfig(f"{path}: cannot be read ({error.strerror}). Give the path of a TOML file.") from error
    except (ValueError, RecursionError) as error:
        raise BadConfig(f"{path}: is no TOML file ({error}). Fix it.") from error
