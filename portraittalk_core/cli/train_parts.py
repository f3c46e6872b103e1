"""The parts of the tiny model as `portraittalk train` trains them: what each is, what it needs, and in which order."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from ..errors import BadConfig, BadInput

_PLACES: dict[str, tuple[str, ...]] = {
    "people": ("people",),
    "clips": ("clips",),
    "speech": ("clips", "speech_clips.npz"),
    "text": ("text", "text.safetensors"),
    "faces": ("faces",),
    "warp": ("dense-motion", "dense_motion.safetensors"),
    "vae": ("vae", "vae.safetensors"),
}
"""Where the results of parts lie beside one another, by the option that names them instead."""

_SIGNS = {"people": "*.npz", "clips": "[0-9]*.npz", "faces": "*.onnx"}
"""What a folder holds once its part has been trained."""


@dataclass(frozen=True)
class Part:
    """One of the networks, or what they learn from."""

    help: str
    """A line that says what it is."""

    train: Callable[[argparse.Namespace, Path], bool]
    """Takes the command line and the folder; returns whether the part is finished."""

    options: frozenset[str] = frozenset()
    """The options of the command line that mean something to it, by name."""


def beside(arguments: argparse.Namespace, out: Path, name: str, *, needed: bool = False) -> Any:
    """Return what a part stands on: what the command line names, or what lies beside `--out`.

    Args:
        arguments: Of the command line.
        out: The part's folder.
        name: Of the option.
        needed: Whether nothing that is shipped takes its place.

    Returns:
        A path; None where there is nothing, so that what is shipped is taken.

    Raises:
        BadInput: When it is needed and there is nothing.
    """
    given = getattr(arguments, name)
    if given:
        return Path(given)
    if name == "speech" and arguments.clips:
        return Path(arguments.clips) / _PLACES["speech"][-1]
    place = out.resolve().parent.joinpath(*_PLACES[name])
    made = any(place.glob(_SIGNS[name])) if name in _SIGNS else place.exists()
    if needed and not made:
        part = "clips" if name == "speech" else name
        raise BadInput(
            f"`--{name}` is needed, for {place} is not there. Make it: portraittalk train --part {part} --out "
            f"{out.parent / part}."
        )
    return place if made else None


def recipe_path(config: str) -> Path:
    """Return where a recipe is; a bare name that is no file here is looked for among the shipped ones.

    Args:
        config: As the command line names it.
    """
    path = Path(config)
    shipped = Path(__file__).resolve().parent.parent / "training" / path.name
    return shipped if not path.is_file() and shipped.is_file() else path


def recipe_runs(values: Mapping[str, Any], path: Path) -> list[dict[str, Any]]:
    """Return the runs of a recipe.

    Args:
        values: Of its file.
        path: What messages call it.

    Raises:
        BadConfig: When they are no tables.
    """
    runs: Any = values.get("runs", [])
    if not isinstance(runs, list) or not all(isinstance(run, dict) for run in cast("list[Any]", runs)):
        raise BadConfig(f"{path}: `runs` must be tables, [[runs]], but is {str(runs)[:40]!r}. Fix it.")
    return cast("list[dict[str, Any]]", runs)


def _given(arguments: argparse.Namespace, *names: str) -> dict[str, Any]:
    """Return the options that were given, so that each part keeps its own defaults."""
    return {name: value for name in names if (value := getattr(arguments, name)) is not None}


def _textures(arguments: argparse.Namespace) -> Path | None:
    return Path(arguments.textures) if arguments.textures else None


def _draw_people(arguments: argparse.Namespace, out: Path) -> bool:
    from ..training.people.bank import draw_bank

    draw_bank(out, range(arguments.shards or 100), _textures(arguments), **_given(arguments, "seed"))
    return True


def _draw_clips(arguments: argparse.Namespace, out: Path) -> bool:
    from ..checkpoints.native import ASSETS
    from ..training.denoiser.clip_bank import draw_clips
    from ..training.denoiser.clips import load_speech_clips, write_speech_clips

    file = out / _PLACES["speech"][-1]
    encoder = out.resolve().parent / "speech" / "speech.safetensors"
    encoder = encoder if encoder.exists() else ASSETS / "tiny" / "speech.safetensors"
    if not file.exists():
        write_speech_clips(file, encoder, out / "work", 60.0, arguments.seed or 0)
    draw_clips(out, load_speech_clips(file), range(arguments.shards or 60), _textures(arguments))
    return True


def _train_text(arguments: argparse.Namespace, out: Path) -> bool:
    from ..training.text import train_text

    if not (out / "text.safetensors").exists():
        train_text(out, **_given(arguments, "seed"))
    return True


def _train_speech(arguments: argparse.Namespace, out: Path) -> bool:
    from ..checkpoints.native import ASSETS
    from ..training.speech.recorded import train_on_recordings
    from ..training.speech.train import train_speech

    start = Path(arguments.start) if arguments.start else None
    start = start.parent if start is not None and start.is_file() else start
    if arguments.recordings:
        shipped = ASSETS / "tiny"
        table = Path(arguments.recordings)
        train_on_recordings(out, start or shipped, table, work_dir=out / "work", **_given(arguments, "seed"))
        return True
    train_speech(out, start=start, work_dir=out / "work", **_given(arguments, "seed"))
    return True


def _train_mouth(arguments: argparse.Namespace, out: Path) -> bool:
    from ..checkpoints.native import ASSETS
    from ..training.speech.mouth import train_mouth

    start = Path(arguments.start) if arguments.start else ASSETS / "tiny"
    train_mouth(out, start.parent if start.is_file() else start, work_dir=out / "work", **_given(arguments, "seed"))
    return True


def _train_structure(arguments: argparse.Namespace, out: Path) -> bool:
    from ..training.motion.structure import train_structure

    train_structure(out, **_given(arguments, "minutes", "seed"))
    return True


def _train_faces(arguments: argparse.Namespace, out: Path) -> bool:
    from ..training.faces.train import train_faces

    bank = beside(arguments, out, "people", needed=True)
    return train_faces(out, bank=bank, work_dir=out / "work", **_given(arguments, "minutes", "seed"))


def _train_dense_motion(arguments: argparse.Namespace, out: Path) -> bool:
    from ..training.averaged import steps_done
    from ..training.dense.train import STEPS, train_dense_motion

    bank = beside(arguments, out, "people", needed=True)
    if steps_done(out) < STEPS:
        minutes = arguments.minutes or float("inf")
        train_dense_motion(bank, out, minutes, steps=STEPS, **_given(arguments, "seed"))
    return steps_done(out) >= STEPS


def _train_face_parsing(arguments: argparse.Namespace, out: Path) -> bool:
    """Draw people of its own, unless others are named, and train on them."""
    from ..training.averaged import steps_done
    from ..training.parsing.bank import SHARDS, draw_parsed_people
    from ..training.parsing.train import STEPS, train_parsing

    bank = Path(arguments.people) if arguments.people else out / "people"
    if not arguments.people:
        draw_parsed_people(bank, range(arguments.shards or SHARDS), _textures(arguments))
    if steps_done(out) < STEPS:
        files = {name: Path(value) for name, value in _given(arguments, "photographs", "start").items()}
        minutes = arguments.minutes or float("inf")
        train_parsing(bank, out, minutes, **files, **_given(arguments, "seed"))
    return steps_done(out) >= STEPS


def _train_vae(arguments: argparse.Namespace, out: Path) -> bool:
    from ..training.pictures import SCORES, train_pictures

    if (out / SCORES).exists():
        return True  # another run would make new latents, of which nothing trained on the old ones would know
    bank = beside(arguments, out, "people", needed=True)
    files = {name: Path(value) for name, value in _given(arguments, "photographs", "start").items()}
    train_pictures(bank, out, **files, **_given(arguments, "minutes", "seed"))
    return True


def _train_denoiser(arguments: argparse.Namespace, out: Path) -> bool:
    """Train the recipe with the command of its own, which can be several processes; then put a model together."""
    from ..training import recipe

    config = recipe_path(arguments.config or "tiny.toml")
    found = {name: beside(arguments, out, name) for name in ("vae", "text", "warp", "faces")}
    found |= {name: beside(arguments, out, name, needed=True) for name in ("people", "clips", "speech")}
    options = [f"--{name}={path}" for name, path in found.items() if path is not None]
    options += [f"--work={out}", f"--config={config}"]
    options += [f"--start={arguments.start}"] if arguments.start else []
    recipe.main([*options, *([f"--limit={arguments.minutes * 60}"] if arguments.minutes else [])])
    recipe.main([*options, f"--pack={out / 'model'}"])
    _complete(out / "model", out.resolve().parent)
    return recipe.is_finished(config, out)


def _complete(model: Path, root: Path) -> None:
    """Copy what else a model is made of: from the folders of the parts, else what is shipped."""
    from ..checkpoints.native import ASSETS

    shipped = ASSETS / "tiny"
    parts = {
        "text": ("text.safetensors", "tokenizer.json"),
        "speech": ("speech.safetensors", "motion.safetensors"),
        "structure": ("structure.safetensors",),
    }
    for part, names in parts.items():
        for name in names:
            own = root / part / name
            shutil.copyfile(own if own.exists() else shipped / name, model / name)
    faces = sorted((root / "faces").glob(_SIGNS["faces"])) or sorted((shipped / "faces").glob(_SIGNS["faces"]))
    (model / "faces").mkdir(parents=True, exist_ok=True)
    for file in faces:
        shutil.copyfile(file, model / "faces" / file.name)


_DRAWN = frozenset(("shards", "textures", "seed"))

PARTS: dict[str, Part] = {
    "people": Part("rendered people, from whom nearly all parts learn", _draw_people, _DRAWN),
    "text": Part("reads prompts: captions of people", _train_text, frozenset(("seed",))),
    "speech": Part(
        "hears speech, moves mouth and head: synthetic voices, recordings",
        _train_speech,
        frozenset(("seed", "start", "recordings")),
    ),
    "mouth": Part(
        "moves the mouth by what is heard already: synthetic voices", _train_mouth, frozenset(("seed", "start"))
    ),
    "structure": Part(
        "reads a face's points and moves them: people's geometry", _train_structure, frozenset(("minutes", "seed"))
    ),
    "faces": Part(
        "finds and recognises faces: people",
        _train_faces,
        frozenset(("minutes", "seed", "people")),
    ),
    "dense-motion": Part(
        "moves a photograph's pixels: people, whose every pixel's way is known",
        _train_dense_motion,
        frozenset(("minutes", "seed", "people")),
    ),
    "face-parsing": Part(
        "tells hair, skin, clothes and the place apart: people of its own",
        _train_face_parsing,
        frozenset(("minutes", "seed", "people", "photographs", "start", "shards", "textures")),
    ),
    "vae": Part(
        "pictures to latents and back: people, dead leaves, photographs",
        _train_vae,
        frozenset(("minutes", "seed", "people", "photographs", "start")),
    ),
    "clips": Part("people who speak, for the denoiser's second stage", _draw_clips, _DRAWN),
    "denoiser": Part(
        "draws what the photograph does not show: both stages of a recipe",
        _train_denoiser,
        frozenset(("config", "minutes", "people", "clips", "speech", "vae", "text", "warp", "faces", "start")),
    ),
}
"""In the order in which they are trained."""
