"""Damage a file: the same damage for the same seed and number, on every machine."""

from __future__ import annotations

import random
import re

EDGES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 62, (1 << 64) - 1)
"""Numbers at which sizes, counts and offsets go wrong."""

NUMBERS = ("-1", "0", "1e309", "-1e-400", "nan", "inf", "99999999999999999999", "0x10", "1_000", "1.5.2", "true", "")
"""Texts in place of a number."""

PIECES = (*'\0\ufeff\u2028\n𝟙"[{=,;', "]]", "'''", "[[runs]]\n", "," * 300)
"""Texts that are put between others."""

TEXTS = ("toml", "json", "csv")
"""Kinds that are text; half of their mutations know that."""


def mutate(data: bytes, kind: str, others: list[bytes], seed: int, number: int) -> bytes:
    """Damage a file in one to four ways.

    Args:
        data: The file.
        kind: One of `seeds.KINDS`.
        others: Files of the same kind, pieces of which may be put in.
        seed: Of the run.
        number: Of the mutation.

    Returns:
        The damaged file.
    """
    rng = random.Random(f"{seed}/{kind}/{number}")
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 3, 4))):
        if kind in TEXTS and rng.random() < 0.5:
            changed = bytearray(_text(changed.decode("utf-8", "replace"), rng).encode("utf-8", "replace"))
        else:
            rng.choice(_DAMAGES)(changed, others, rng)
    return bytes(changed)


def _place(data: bytearray, rng: random.Random) -> int:
    """Choose a place: headers are where the meaning is, hence the beginning as often as the rest."""
    last = max(1, len(data))
    return rng.randrange(min(last, rng.choice((32, 256, 2048)))) if rng.random() < 0.6 else rng.randrange(last)


def _length(rng: random.Random) -> int:
    return min(1 << rng.randrange(1, 14), 8000)


def _flip(data: bytearray, _: list[bytes], rng: random.Random) -> None:
    for _ in range(rng.choice((1, 1, 2, 8, 40))):
        if data:
            data[_place(data, rng)] ^= 1 << rng.randrange(8)


def _edge(data: bytearray, _: list[bytes], rng: random.Random) -> None:
    size, order = rng.choice((1, 2, 4, 8)), rng.choice(("little", "big"))
    at = _place(data, rng)
    data[at : at + size] = (rng.choice(EDGES) & ((1 << 8 * size) - 1)).to_bytes(size, order)


def _cut(data: bytearray, _: list[bytes], rng: random.Random) -> None:
    del data[_place(data, rng) :]


def _delete(data: bytearray, _: list[bytes], rng: random.Random) -> None:
    at = _place(data, rng)
    del data[at : at + _length(rng)]


def _repeat(data: bytearray, _: list[bytes], rng: random.Random) -> None:
    at = _place(data, rng)
    data[at:at] = data[at : at + _length(rng)] * rng.choice((1, 1, 3, 20))


def _blank(data: bytearray, _: list[bytes], rng: random.Random) -> None:
    at, size = _place(data, rng), _length(rng)
    data[at : at + size] = bytes([rng.choice((0, 0xFF, 0x20))]) * len(data[at : at + size])


def _noise(data: bytearray, _: list[bytes], rng: random.Random) -> None:
    at = _place(data, rng)
    data[at : at + rng.choice((0, 4, 64))] = rng.randbytes(_length(rng))


def _splice(data: bytearray, others: list[bytes], rng: random.Random) -> None:
    other = rng.choice(others)
    start = rng.randrange(max(1, len(other)))
    at = _place(data, rng)
    data[at : at + _length(rng)] = other[start : start + _length(rng)]


def _swap(data: bytearray, _: list[bytes], rng: random.Random) -> None:
    one, two, size = _place(data, rng), _place(data, rng), rng.choice((4, 8, 64))
    first, second = data[one : one + size], data[two : two + size]
    if len(first) == len(second):
        data[one : one + size], data[two : two + size] = second, first


_DAMAGES = (_flip, _edge, _edge, _cut, _delete, _repeat, _blank, _noise, _splice, _swap)


def _text(text: str, rng: random.Random) -> str:
    how = rng.randrange(6)
    if how == 0:
        found = list(re.finditer(r"-?\d+(?:\.\d+)?", text))
        if found:
            one = rng.choice(found)
            return text[: one.start()] + rng.choice(NUMBERS) + text[one.end() :]
    if how == 1:
        words = list(re.finditer(r"\w+", text))
        if words:
            one, other = rng.choice(words), rng.choice(words)
            return text[: one.start()] + other[0] + text[one.end() :]
    at = rng.randrange(max(1, len(text)))
    if how == 2:
        return text[:at] + rng.choice(PIECES) + text[at:]
    lines = text.splitlines(keepends=True) or [""]
    line = rng.randrange(len(lines))
    if how == 3:
        return "".join(lines[:line] + lines[line + 1 :])
    if how == 4:
        return "".join([*lines[: line + 1], *[lines[line]] * rng.choice((1, 50)), *lines[line + 1 :]])
    return text.replace(rng.choice((",", ".", '"', "\n", "=", ":")), rng.choice((";", ",", "", "\r", "  ")))
