"""The figures of real people and their bounds, from what the parts measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from .clips import ITSELF, PATHS, baselines, followed, wins
from .looking import IRIS_LIMIT
from .spoken import CLOSED

Figure = dict[str, Any]
"""`value`, how many (`n`), and where there are any: `ceiling`, the same reading of the true clips; `note`."""

FOLLOWED = {
    "jawOpen": 0.90,
    "yaw": 0.90,
    "pitch": 0.90,
    "roll": 0.90,
    "eyeBlink": 0.80,
    "mouthPucker": 0.60,
    "mouthFunnel": 0.60,
}
"""Least r of each quantity."""

ERRORS = ("psnr mouth", "psnr face", "ssim mouth", "ssim face")
"""In which ours must be better than every baseline."""

ENOUGH_CLIPS = 5
"""Clips in which it must, of six."""


def bounds() -> dict[str, tuple[str, float]]:
    """Return what each figure must reach, in the order of the table."""
    wanted: dict[str, tuple[str, float]] = {}
    for way in PATHS:
        wanted[f"{way}: face found, %"] = (">=", 99.0)
        wanted |= {f"{way}: {name} r": (">=", least) for name, least in FOLLOWED.items()}
        wanted |= {f"{way}: better than every baseline, {name}": (">=", ENOUGH_CLIPS) for name in ERRORS}
        wanted[f"{way}: sharpness, moving"] = (">=", 0.85)
        wanted[f"{way}: outside the head, of 255"] = ("<=", 2.0)
        wanted[f"{way}: iris within {IRIS_LIMIT:g} of Lab, % of frames"] = (">=", 100.0)
        wanted[f"{way}: both irises within {IRIS_LIMIT:g} of Lab, % of frames"] = (">=", 100.0)
        wanted[f"{way}: right photograph first, %"] = (">=", 100.0)
    return wanted | {
        "at rest: sharpness": (">=", 0.95),
        "at rest: detail, least r": (">=", 0.80),
        f"at rest: iris within {IRIS_LIMIT:g} of Lab, %": (">=", 100.0),
        "eight frames: face found, %": (">=", 99.0),
        "eight frames: right photograph first, %": (">=", 100.0),
        "sound: face found, %": (">=", 99.0),
        "sound: ADFD": (">=", 0.80),
        "sound: lips in silence, % of mouth width": ("<=", CLOSED),
        "60 s: identity": (">=", 0.98),
        "60 s: sharpness, %": ("|<=", 5.0),
        "60 s: colour, %": ("|<=", 1.0),
        "seconds per second": ("<=", 6.0),
    }


def of_clips(found: dict[str, Any]) -> dict[str, Figure]:
    """Return the figures of the clips.

    Args:
        found: Of `clips.measure`.
    """
    made = {name: row for name, row in found.items() if row["looks"]}
    if not made:
        return {}
    figures: dict[str, Figure] = {}
    for way in PATHS:
        seen = [row["looks"][way] for row in made.values()]
        true = [row["looks"]["true"] for row in made.values()]
        figures[f"{way}: face found, %"] = _share(seen, true, "found", "frames")
        for name in FOLLOWED:
            r, best = followed(made, way, name), followed(made, "true", name)
            note = f"mean of the clips {r['mean']:.2f}, least {r['least']:.2f}"
            figures[f"{way}: {name} r"] = _figure(r["value"], len(made), best["value"], note)
        for name in ERRORS:
            figures[f"{way}: better than every baseline, {name}"] = _figure(wins(made, way, name), len(found))
            if all(set(baselines(way, itself=True)) <= row["errors"].keys() for row in made.values()):
                figures[f"{way}: better than every baseline {ITSELF}, {name}"] = _figure(
                    wins(made, way, name, itself=True), len(found)
                )
        figures[f"{way}: sharpness, moving"] = _mean(seen, true, "sharpness moving")
        figures[f"{way}: outside the head, of 255"] = _mean(seen, true, "outside")
        figures[f"{way}: where nothing moves, deviation over time, of 255"] = _mean(seen, true, "restless")
        for name, key in (("iris", "iris"), ("both irises", "iris pair")):
            figures[f"{way}: {name} within {IRIS_LIMIT:g} of Lab, % of frames"] = _within(seen, true, key)
        figures[f"{way}: right photograph first, %"] = _share(seen, true, "right", "asked")
        figures[f"{way}: similarity to the photograph"] = _mean(seen, true, "likeness")
    return figures


def _figure(value: float, n: int, ceiling: float | None = None, note: str = "") -> Figure:
    return {"value": value, "n": n, "ceiling": ceiling, "note": note}


def _share(seen: list[Any], true: list[Any], part: str, whole: str) -> Figure:
    def share(rows: list[Any]) -> float:
        return 100 * sum(row.get(part, 0) for row in rows) / sum(row.get(whole, row["frames"]) for row in rows)

    return _figure(share(seen), len(seen), share(true))


def _known(rows: Iterable[Any], key: str) -> list[float]:
    return [row[key] for row in rows if row.get(key) is not None]


def _mean(seen: list[Any], true: list[Any], key: str) -> Figure:
    ours, best = _known(seen, key), _known(true, key)
    if not ours:
        return _figure(float("nan"), 0)
    note = f"{min(ours):.2f} to {max(ours):.2f}"
    return _figure(sum(ours) / len(ours), len(ours), sum(best) / len(best) if best else None, note)


def _within(seen: list[Any], true: list[Any] | None, key: str) -> Figure:
    ours, best = ([v for row in rows for v in row.get(key, [])] for rows in (seen, true or []))
    if not ours:
        return _figure(float("nan"), 0)
    note = f"median {sorted(ours)[len(ours) // 2]:.1f}, largest {max(ours):.1f}"
    share: Callable[[list[float]], float] = lambda v: 100 * sum(x <= IRIS_LIMIT for x in v) / len(v)  # noqa: E731
    return _figure(share(ours), len(seen), share(best) if best else None, note)


def of_sheet(found: dict[str, Any]) -> dict[str, Figure]:
    """Return the figures of the photographs at rest and in eight frames.

    Args:
        found: Of `sheet.measure`.
    """
    rows = list(found.values())
    if not rows:
        return {}
    least = min(found, key=lambda name: found[name]["detail"])
    iris = _within(rows, None, "iris")
    return {
        "at rest: sharpness": _mean(rows, [], "sharpness"),
        "at rest: detail, least r": _figure(found[least]["detail"], len(rows), note=f"of {least}"),
        "at rest: detail, mean r": _mean(rows, [], "detail"),
        f"at rest: iris within {IRIS_LIMIT:g} of Lab, %": iris,
        "at rest: deviation over time of the face, of 255": _mean(rows, [], "restless face"),
        "eight frames: face found, %": _figure(100 * sum(r["found"] for r in rows) / (8 * len(rows)), len(rows)),
        "eight frames: right photograph first, %": _figure(
            100 * sum(r["right"] for r in rows) / sum(r["asked"] for r in rows), len(rows)
        ),
    }


def of_sound(found: dict[str, Any]) -> dict[str, Figure]:
    """Return the figures of the photographs that speak by the sound alone.

    Args:
        found: Of `spoken.measure`.
    """
    rows = list(found.values())
    if not rows:
        return {}
    figures = {
        "sound: face found, %": _figure(
            100 * sum(r["found"] for r in rows) / sum(r["frames"] for r in rows), len(rows)
        ),
        "sound: ADFD": _mean(rows, [], "adfd"),
        "sound: lips in silence, % of mouth width": _mean(rows, [], "gap in silence"),
        "sound: widest lips, % of mouth width": _mean(rows, [], "widest"),
        "sound: frames that are denoised, %": _figure(
            100 * sum(r["denoised"] for r in rows) / sum(r["frames"] for r in rows), len(rows)
        ),
        "sound: r of the lips and the voice's level": _mean(rows, [], "r voice"),
        "sound: r of the lips and the jaw they are told": _mean(rows, [], "r jaw"),
    }
    parts = ("spatial", "temporal", "audio", "stillness")
    return figures | {f"sound: ADFD, {name}": _mean(rows, [], name) for name in parts}


def of_long(row: dict[str, Any]) -> dict[str, Figure]:
    """Return the figures of a minute.

    Args:
        row: Of `spoken.long`.
    """
    note = f"{row['seconds']:g} s of {row['portrait']}"
    figures = {
        "60 s: identity": row["identity"],
        "60 s: sharpness, %": row["sharpness"],
        "60 s: colour, %": row["colour"],
    }
    return {name: _figure(value, 1, note=note) for name, value in figures.items()}


def of_speed(row: dict[str, Any]) -> dict[str, Figure]:
    """Return the figures of speed.

    Args:
        row: Of `speed.measure`.
    """
    said = f"{row['threads']} threads, {row['seconds']:g} s of video, load before it {row['load']:.1f}"
    return {
        "seconds per second": _figure(row["total"], 1, note=f"frames of 256 px, {said}"),
        "seconds per second, own size": _figure(row["own size"], 1, note=f"frames of {row['side']} px, {said}"),
    }


def verdict(name: str, value: float) -> str:
    """Say whether a figure reaches its bound.

    Args:
        name: Of the figure.
        value: Its own; NaN misses.
    """
    rule, bound = bounds()[name]
    met = value >= bound if rule == ">=" else value <= bound if rule == "<=" else abs(value) <= bound
    return "met" if met else "**missed**"
