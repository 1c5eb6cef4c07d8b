"""Core. How one area of settings is declared and read: a frozen class and its keys.

Each area has a module ``settings`` with its class and an ``AREA`` of keys;
``slapgrid.config`` composes them. A key stands in one area, and its row is what the
operators' page says of it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping

from attrs import fields, frozen

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\Z")
_SIZE = re.compile(r"(\d+)\s*([KMGT]?)B?\Z", re.IGNORECASE)
_SIZE_FACTORS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}
_WORDS = {
    **dict.fromkeys(("1", "true", "yes", "on"), True),
    **dict.fromkeys(("0", "false", "no", "off"), False),
}


class ConfigError(ValueError):
    """The settings cannot be used; the sentence names the key and what it needs."""


@frozen
class Kind:
    """What the value of a key must be, and how its text is read.

    ``read`` raises ``ValueError`` when the text is nothing of the kind.
    """

    what: str
    read: Callable[[str], object]


@frozen
class Key:
    """One line of ``slapos.cfg``: where it stands and which field it sets."""

    section: str
    name: str
    field: str
    kind: Kind
    meaning: str


@frozen
class Area:
    """The settings of one part of the agent and the keys that set them."""

    settings: type[object]
    keys: tuple[Key, ...]

    def read(self, values: Mapping[tuple[str, str], str]) -> object:
        """The settings, from texts by section and key; what is absent has defaults."""
        return self.settings(**read_fields(self.keys, values))

    def default(self, key: Key) -> object:
        """What holds when the key is absent."""
        return getattr(fields(self.settings), key.field).default  # type: ignore[arg-type]


def read_fields(
    keys: tuple[Key, ...], values: Mapping[tuple[str, str], str]
) -> dict[str, object]:
    """The fields that these texts set."""
    found = {}
    for key in keys:
        text = values.get((key.section, key.name))
        if text is None:
            continue
        try:
            found[key.field] = key.kind.read(text.strip())
        except ValueError as error:
            raise ConfigError(
                f"[{key.section}] {key.name} must be {key.kind.what}, not {text!r}"
            ) from error
    return found


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _size(text: str) -> int:
    found = _SIZE.match(text)
    if found is None:
        raise ValueError(text)
    return int(found[1]) * _SIZE_FACTORS[found[2].upper()]


def _flag(text: str) -> bool:
    try:
        return _WORDS[text.lower()]
    except KeyError as error:
        raise ValueError(text) from error


TEXT = Kind("a text", str)
NAME = Kind("a name", str)
PATH = Kind("a path", str)
ADDRESS = Kind("an address", str)
NUMBER = Kind("a number", int)
SECONDS = Kind("seconds", _number)
SIZE = Kind("a size", _size)
FLAG = Kind("true or false", _flag)
NEGATED_FLAG = Kind("true or false", lambda text: not _flag(text))
WORDS = Kind("words", lambda text: tuple(text.replace(",", " ").split()))
PATHS = Kind("paths", lambda text: tuple(text.split()))
URLS = Kind("URLs", lambda text: tuple(text.replace(",", " ").split()))


def _attribute_name(attribute: object) -> str:
    return str(getattr(attribute, "name", "value"))


def is_absolute(_: object, attribute: object, value: str) -> None:
    """Refuse what is no absolute path of a directory below the top."""
    if not value.startswith("/") or value == "/":
        name = _attribute_name(attribute)
        raise ConfigError(f"{name} must be an absolute path, not {value!r}")


def is_absolute_or_empty(_: object, attribute: object, value: str) -> None:
    """Refuse a relative path; nothing at all stands for none."""
    if value:
        is_absolute(_, attribute, value)


def is_plain_name(_: object, attribute: object, value: str) -> None:
    """Refuse what would be several words, or part of a path."""
    if not _NAME.match(value):
        name = _attribute_name(attribute)
        raise ConfigError(f"{name} must be a plain name, not {value!r}")


def is_positive(_: object, attribute: object, value: float) -> None:
    """Refuse nothing and less."""
    if value <= 0:
        raise ConfigError(f"{_attribute_name(attribute)} must be above 0")
