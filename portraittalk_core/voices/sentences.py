"""Make sentences to be spoken, from a small grammar with a vocabulary of its own."""

from __future__ import annotations

import torch

_ENGLISH: dict[str, tuple[str, ...]] = {
    "who": (
        "my brother", "the old baker", "a quiet woman", "our neighbour", "the captain", "Emma", "Robert", "the teacher",
        "every child", "a young farmer", "the mayor", "nobody here", "the girl upstairs", "they", "we", "people",
    ),
    "did": (
        "bought", "found", "painted", "forgot about", "always wanted", "carried", "looked for", "talked about",
        "moved", "broke", "could fix", "would never open", "might remember", "was proud of", "threw away", "pushed",
    ),
    "what": (
        "a wooden boat", "the big blue map", "five purple apples", "the morning paper", "a small fire", "two white mice",
        "an empty box", "the first of May", "some warm bread", "the whole village", "a broken window", "the other shoe",
        "a cup of coffee", "the best of them", "that awful noise", "four heavy books", "the telephone", "a rough road",
    ),
    "where": (
        "behind the house", "at the river", "in front of the bank", "near Oxford", "under the bridge", "above the shop",
        "by the open door", "on the way home", "far from the sea", "between the trees", "", "",
    ),
    "when": (
        "yesterday", "before noon", "after the rain", "every Thursday", "in the summer", "when it was dark", "again",
        "for the first time", "at half past nine", "without a word", "", "",
    ),
    "letter": tuple("ABCDEFGHIJKLMNOPQRSTUVXYZ"),
    "digit": ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "forty"),
    "now": ("please", "now", "again", "soon", "today"),
    "verb": ("take", "open", "move", "find", "read", "bring", "lift", "leave", "show"),
    "colour": ("red", "blue", "green", "white", "brown", "yellow", "black"),
}  # fmt: skip
_ENGLISH_RULES = (
    "who did what where when",
    "when who did what",
    "who did what and who did what where",
    "verb what where now",
    "verb colour letter digit now",
    "letter letter digit digit colour",
    "digit digit digit now",
)
_WORDS: dict[str, tuple[str, ...]] = {
    "de": tuple(
        [
            "der",
            "die",
            "das",
            "Haus",
            "Brücke",
            "Abend",
            "Mutter",
            "kaufte",
            "einen",
            "warmen",
            "Apfel",
            "über",
            "läuft",
            "schöne",
            "Bäume",
            "und",
            "wir",
            "haben",
            "gestern",
            "vier",
            "Bücher",
            "gefunden",
            "am",
            "Fluss",
            "mit",
            "meinem",
            "Bruder",
            "früh",
            "Pferd",
            "pfeift",
            "Wasser",
            "möchte",
        ]
    ),
    "fr": tuple(
        [
            "le",
            "petit",
            "bateau",
            "bleu",
            "une",
            "femme",
            "mange",
            "du",
            "pain",
            "avec",
            "mon",
            "frère",
            "dans",
            "la",
            "rue",
            "beaucoup",
            "pomme",
            "rouge",
            "matin",
            "nous",
            "avons",
            "ouvert",
            "fenêtre",
            "jeune",
            "homme",
            "deux",
            "feuilles",
            "peur",
            "vouloir",
            "un",
            "bon",
            "vin",
        ]
    ),
    "es": tuple(
        [
            "la",
            "casa",
            "vieja",
            "un",
            "barco",
            "verde",
            "mi",
            "hermano",
            "compró",
            "pan",
            "por",
            "la",
            "mañana",
            "hablamos",
            "mucho",
            "agua",
            "pueblo",
            "siempre",
            "abrimos",
            "ventana",
            "perro",
            "blanco",
            "cuatro",
            "libros",
            "bajo",
            "el",
            "puente",
            "feliz",
        ]
    ),
    "it": tuple(
        [
            "la",
            "barca",
            "bianca",
            "mio",
            "fratello",
            "mangia",
            "pane",
            "una",
            "donna",
            "parla",
            "piano",
            "ogni",
            "mattina",
            "abbiamo",
            "aperto",
            "finestra",
            "quattro",
            "libri",
            "sopra",
            "il",
            "ponte",
            "bella",
            "acqua",
            "uomo",
            "vecchio",
            "piove",
        ]
    ),
    "nl": tuple(
        [
            "het",
            "oude",
            "huis",
            "mijn",
            "broer",
            "koopt",
            "brood",
            "wij",
            "lopen",
            "over",
            "de",
            "brug",
            "mooie",
            "bomen",
            "vier",
            "boeken",
            "water",
        ]
    ),
    "pt-br": tuple(
        [
            "a",
            "casa",
            "velha",
            "meu",
            "irmão",
            "comprou",
            "pão",
            "uma",
            "mulher",
            "fala",
            "muito",
            "água",
            "bonita",
            "ponte",
            "livros",
            "azul",
        ]
    ),
    "sv": tuple(
        [
            "det",
            "gamla",
            "huset",
            "min",
            "bror",
            "köper",
            "bröd",
            "vi",
            "går",
            "över",
            "bron",
            "fyra",
            "böcker",
            "vatten",
            "vacker",
            "många",
            "träd",
        ]
    ),
    "pl": tuple(
        [
            "stary",
            "dom",
            "mój",
            "brat",
            "kupił",
            "chleb",
            "woda",
            "piękny",
            "most",
            "cztery",
            "książki",
            "wieczorem",
            "mówimy",
            "dużo",
        ]
    ),
    "ca": tuple(
        [
            "la",
            "casa",
            "vella",
            "el",
            "meu",
            "germà",
            "menja",
            "pa",
            "una",
            "dona",
            "parla",
            "molt",
            "aigua",
            "quatre",
            "llibres",
            "pont",
            "obert",
        ]
    ),
    "ro": tuple(
        [
            "casa",
            "veche",
            "fratele",
            "meu",
            "mănâncă",
            "pâine",
            "o",
            "femeie",
            "vorbește",
            "mult",
            "apă",
            "patru",
            "cărți",
            "podul",
            "frumos",
        ]
    ),
}


def _pick(options: tuple[str, ...], generator: torch.Generator) -> str:
    return options[int(torch.randint(len(options), (), generator=generator))]


def sentence(language: str, generator: torch.Generator) -> str:
    """Return one sentence.

    Args:
        language: As espeak-ng names it; one that has no vocabulary here gets English.
        generator: Draws the words.
    """
    words = _WORDS.get(language)
    if words is None:
        slots = _pick(_ENGLISH_RULES, generator).split()
        return " ".join(w for s in slots if (w := _pick(_ENGLISH.get(s, (s,)), generator))) + "."
    count = 4 + int(torch.randint(7, (), generator=generator))
    return " ".join(_pick(words, generator) for _ in range(count)) + "."
