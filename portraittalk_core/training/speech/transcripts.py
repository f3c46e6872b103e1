"""Write the table of recordings that anybody can have: what `recorded.train_on_recordings` learned from.

    python -m portraittalk_core.training.speech.transcripts --out transcripts.tsv --stamps FOLDER ...

- `--prompts`: Asterisk's prompts at 16 kHz and the text that comes with them, `core-sounds-en.txt` or
  `core-sounds-ru.txt`: English (Debian's `asterisk-core-sounds-en-g722`; Allison Smith, CC BY-SA 3.0), Russian
  (`asterisk-core-sounds-ru-g722`; IvrvoiceRU, Maxim Topal, CC BY 3.0).
- `--digits`: the `recordings` of the Free Spoken Digit Dataset (CC BY-SA 4.0,
  https://github.com/Jakobovski/free-spoken-digit-dataset).
- `--hibari`: what a small neural voice says (PyPI's `hibari-tts`, Apache-2.0), made here.
- `--stamps`: Tux Paint's stamps (Debian's `tuxpaint-stamps-default`, GPL-2+), whose names volunteers read aloud.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import torch

from ...errors import BadInput
from ...voices.recorded import Transcript, write_transcripts
from .augmentation import uniform

LANGUAGES = ("be", "da", "es", "fr", "ro", "ru")
"""Of the stamps, those that are trained on; of the others `ca` sets thresholds, `bg` and `el` judge."""

HELD_OUT_SPEAKERS = ("george",)
"""Of the digits."""

_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_KEYS = {
    "en": str.maketrans({"#": " pound ", "*": " star ", "/": " "}),
    "ru": str.maketrans({"#": " решётка ", "*": " звёздочка ", "/": " "}),
}
_PROMPTS = {"en": ("allison", "en-us"), "ru": ("ivrvoice", "ru")}


def prompts(folder: Path, text: Path) -> list[Transcript]:
    """Return Asterisk's prompts; tones and silences are left out.

    Args:
        folder: In which the files of `text` are.
        text: Lines of "name: what is said"; its name ends with the language, or else that is English.
    """
    found: list[Transcript] = []
    language = text.stem.rpartition("-")[2]
    language = language if language in _PROMPTS else "en"
    for line in text.read_text(encoding="utf-8").splitlines():
        name, colon, said = line.partition(": ")
        file = folder / f"{name.removesuffix('.wav')}.g722"
        if colon and not line.startswith(";") and not re.search(r"[\[<]", said) and file.exists():
            found.append(Transcript(*_PROMPTS[language], file, said.translate(_KEYS[language])))
    return found


def digits(folder: Path) -> list[Transcript]:
    """Return the Free Spoken Digit Dataset, but for speakers that are held out.

    Args:
        folder: Of files such as `7_jackson_32.wav`.
    """
    named = [(file.stem.split("_"), file) for file in sorted(folder.glob("?_*_*.wav"))]
    return [
        Transcript(name[1], "en-us", file, _DIGITS[int(name[0])])
        for name, file in sorted(named, key=lambda pair: pair[0][1])
        if name[1] not in HELD_OUT_SPEAKERS
    ]


def stamps(folder: Path, languages: tuple[str, ...] = LANGUAGES) -> list[Transcript]:
    """Return the names of Tux Paint's stamps as they were read aloud.

    Args:
        folder: Of stamps, a text file with its translations beside each.
        languages: Each had one speaker.
    """
    found: list[Transcript] = []
    for language in languages:
        for file in sorted(folder.rglob(f"*_desc_{language}.ogg")):
            names = file.with_name(file.stem.removesuffix(f"_desc_{language}") + ".txt")
            text = names.read_text(encoding="utf-8", errors="ignore") if names.exists() else ""
            said = re.search(rf"^{language}\.utf8=(.*\S)", text, re.MULTILINE)
            if said:
                found.append(Transcript(f"stamps_{language}", language, file, said[1]))
    return found


def neural(folder: Path, minutes: float) -> list[Transcript]:
    """Let hibari speak, and return what it said.

    Args:
        folder: Where its files go; what is there is not made again.
        minutes: Of all together.

    Raises:
        MissingExtra: Without hibari.
    """
    from scipy.io import wavfile

    from ...voices import hibari

    folder.mkdir(parents=True, exist_ok=True)
    found: list[Transcript] = []
    total_s = 0.0
    while total_s < 60 * minutes:
        file = folder / f"{len(found):05d}.wav"
        generator = torch.Generator().manual_seed(len(found))
        said, speed = hibari.text(generator), uniform(0.75, 1.3, generator)
        if not file.exists():
            waveform = hibari.speak(said, speed, len(found))
            wavfile.write(file, hibari.SAMPLE_RATE, (waveform.clamp(-1, 1) * 32767).short().numpy())
        total_s += (file.stat().st_size - 44) / 2 / hibari.SAMPLE_RATE
        found.append(Transcript("hibari", "en-us", file, said))
    return found


def main(arguments: list[str] | None = None) -> None:
    """Write the table.

    Args:
        arguments: Of the command line.
    """
    parser = argparse.ArgumentParser(prog="transcripts", description=__doc__.splitlines()[0] if __doc__ else None)
    add = parser.add_argument
    files = ("FOLDER", "TEXT")
    add("--prompts", type=Path, nargs=2, metavar=files, action="append", help="Asterisk's prompts and what they say")
    add("--digits", type=Path, metavar="FOLDER", help="the Free Spoken Digit Dataset")
    add("--stamps", type=Path, metavar="FOLDER", help="Tux Paint's stamps")
    add("--languages", nargs="+", default=LANGUAGES, metavar="L", help=f"of the stamps ({' '.join(LANGUAGES)})")
    add(
        "--hibari", type=Path, metavar="FOLDER", help="where hibari, a neural voice, speaks to (pip install hibari-tts)"
    )
    add("--minutes", type=float, default=30.0, metavar="N", help="of hibari (30)")
    add("--out", type=Path, required=True, metavar="FILE")
    given = parser.parse_args(arguments)
    lines = [line for folder, text in given.prompts or () for line in prompts(folder, text)]
    lines += digits(given.digits) if given.digits else []
    lines += stamps(given.stamps, tuple(given.languages)) if given.stamps else []
    lines += neural(given.hibari, given.minutes) if given.hibari else []
    if not lines:
        raise BadInput(
            "`--prompts`, `--digits` and `--stamps` must name folders with recordings, but none were found. Unpack the "
            "packages first: dpkg -x FILE.deb FOLDER."
        )
    write_transcripts(given.out, [Transcript(x.speaker, x.voice, x.file.resolve(), x.text) for x in lines])


if __name__ == "__main__":
    main()
