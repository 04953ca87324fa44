"""The words that the catalogue's names and titles, and the listeners' user names, are made of.

In go Faker's providers and the package's words.toml; out come the voices (languages and styles, each with its
word lists and patterns), the voices of each genre, and the parts of user names. Importing this module imports
Faker, which is slow (0.3 s): only building a catalogue does so, an opened one carries what is needed later.
"""

import re
import tomllib
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import import_module
from importlib.resources import files
from typing import Any

from faker.providers.color import Provider as ColorProvider

from loadgen.places import CITIES

Words = tuple[str, ...]
Pattern = tuple[float, str]
PURPOSES = ("names", "titles", "albums")

_USER_NAME_LOCALES = ("en_US", "en_GB", "es_ES", "fr_FR", "de_DE", "sv_SE", "it_IT", "pt_BR", "en_IN", "id_ID", "en_KE")
_SHADE = re.compile(
    r"(Dark|Dim|Light|Medium|Indian|Navajo|Burly|Lawn|Peach|Papaya|Sea)\b"
    r"|Peru|Tomato|Bisque|Gainsboro|Linen|Wheat|\S+ \S+ "
)
"""Colours with names for screens, not for songs."""
_MAX_PEOPLE = 1200  # first or last names per voice: enough variety, and a small pool of words


@dataclass(frozen=True, slots=True)
class Voice:
    """A language, or a style within one.

    Attributes:
        words: the word lists by the name of their slot.
        patterns: per purpose (names, titles, albums) the weighted patterns; weights are relative.
        title_case: whether {^slot} capitalises every word or only the first.
    """

    words: dict[str, Words]
    patterns: dict[str, tuple[Pattern, ...]]
    title_case: bool = False


@dataclass(frozen=True, slots=True)
class Genre:
    """A genre.

    Attributes:
        share: of the artists, relative.
        voices: the voices its artists have, with relative weights.
        since: the first year in which its artists may have released something.
        length: of its tracks, relative to the average.
    """

    share: float
    voices: dict[str, float]
    since: int
    length: float


def _distinct(words: Iterable[str]) -> Words:
    return tuple(dict.fromkeys(words))


def _person(locale: str) -> Any:
    return import_module(f"faker.providers.person.{locale}").Provider


def _listed(provider: Any, kind: str) -> Words:
    """A provider's own list `first_names` or `last_names`, or those of women and men together."""
    lists = {name: words for name, words in vars(provider).items() if isinstance(words, list | tuple | dict)}
    parts = [lists[kind]] if lists.get(kind) else [lists.get(f"{kind}_{sex}", ()) for sex in ("female", "male")]
    return _distinct(word.strip() for part in parts for word in part)


def _people(locales: list[str]) -> dict[str, Words]:
    found = {}
    for slot in ("first", "last"):
        lists = [_listed(_person(locale), f"{slot}_names") for locale in locales]
        merged = _distinct(word for words in lists if len(words) > 1 for word in words)
        found[slot] = merged[:: -(-len(merged) // _MAX_PEOPLE)]
    return found


def _japanese() -> dict[str, Words]:
    provider = _person("ja_JP")
    return {
        "first_roman": _distinct(provider.first_romanized_names),
        "last_roman": _distinct(provider.last_romanized_names),
        "first_kana": _distinct(provider.first_kana_names),
    }


def _shared_words() -> dict[str, Words]:
    spaced = (re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name) for name in ColorProvider.all_colors)
    colors = _distinct(name for name in spaced if not _SHADE.match(name))
    return {"color": colors, "city": _distinct(city.name for city in CITIES)}


def _plain(name: str) -> str:
    """The name in ASCII lower case; empty where that is not possible by dropping accents."""
    bare = "".join(c for c in unicodedata.normalize("NFKD", name.lower()) if not unicodedata.combining(c))
    return bare if re.fullmatch(r"[a-z]{2,12}", bare) else ""


def _user_names(kind: str) -> Words:
    lists = [_listed(_person(locale), kind) for locale in _USER_NAME_LOCALES]
    return tuple(name for name in _distinct(_plain(name) for words in lists for name in words[:250]) if name)


USER_FIRST_NAMES: Words = _user_names("first_names")
USER_LAST_NAMES: Words = _user_names("last_names")


def _voice(spec: dict[str, Any], base: Voice) -> Voice:
    words = dict(base.words)
    patterns = dict(base.patterns)
    for key, value in spec.items():
        if key == "people":
            words |= _people(value) | (_japanese() if "ja_JP" in value else {})
        elif key in PURPOSES:
            patterns[key] = tuple((float(weight), text) for weight, text in value)
        elif key not in ("like", "case"):
            words[key] = _distinct(word.strip() for word in value.split(", "))
    title_case = spec["case"] == "title" if "case" in spec else base.title_case
    return Voice(words, patterns, title_case)


def _genre(entry: dict[str, Any]) -> Genre:
    share, since, length = entry.pop("share"), entry.pop("since", 1955), entry.pop("length", 1.0)
    return Genre(share, entry, since, length)


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """All that words.toml says.

    Attributes:
        genres: by name, in the order of their codes.
        voices: by name.
        suffixes: what tells tracks of the same title apart, such as " (Live)".
        feat: what is appended for a guest, with the slot {artist}.
        albums: weighted endings of album names.
    """

    genres: dict[str, Genre]
    voices: dict[str, Voice]
    suffixes: Words
    feat: str
    albums: tuple[Pattern, ...]


def load_vocabulary() -> Vocabulary:
    """Read words.toml and fill in Faker's names."""
    text = files("loadgen.simulate").joinpath("words.toml").read_text(encoding="utf-8")
    spec = tomllib.loads(text)
    voices: dict[str, Voice] = {}
    for name, voice in spec["voices"].items():
        base = voices[voice["like"]] if "like" in voice else Voice(_shared_words(), {})
        voices[name] = _voice(voice, base)
    genres = {name: _genre(dict(entry)) for name, entry in spec["genres"].items()}
    extra = spec["versions"]
    endings = tuple((float(weight), ending) for weight, ending in extra["albums"])
    return Vocabulary(genres, voices, tuple(extra["suffixes"]), extra["feat"], endings)
