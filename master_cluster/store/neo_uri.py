"""Core. What the URI of a NEO store says.

    neo:NAME@MASTER,MASTER[?near=...&translate=ANNOUNCED=REACHED,...&wait=SECONDS...]

Addresses are numeric, ``HOST:PORT`` or ``[IPv6]:PORT``: a name is never resolved.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from typing import TypeAlias
from urllib.parse import unquote

from attrs import evolve, frozen

from master_cluster.errors import Misconfigured

PORT_MAX = 65535
SECONDS_MAX = 3600
"""A call that waits for an hour has lost whoever asked."""

_NAME = re.compile(r"[\w.-]{1,100}", re.ASCII)


@frozen
class NeoPlace:
    """A neo_cluster, and how it is reached; addresses in NEO's form.

    ``near``: announced addresses of the storage nodes to read from. ``translations``:
    announced addresses with where to reach them instead. ``silence_seconds``: when a
    peer that says nothing is lost; NEO's default when it is ``None``. ``wait_seconds``:
    how long a call waits after the neo_cluster was lost; clients of the master have
    more patience than four.
    """

    name: str
    neo_masters: tuple[str, ...]
    near: tuple[str, ...] = ()
    translations: tuple[tuple[str, str], ...] = ()
    silence_seconds: int | None = None
    wait_seconds: float = 4.0
    ca: str | None = None
    cert: str | None = None
    key: str | None = None


def parse_neo_uri(uri: str) -> NeoPlace:
    """Read a URI; ``Misconfigured`` says what is wrong with it."""
    place, _, query = uri.removeprefix("neo:").partition("?")
    name, _, addresses = place.rpartition("@")
    if not _NAME.fullmatch(name):
        raise Misconfigured(
            f"{uri!r} names no NEO cluster: write neo:NAME@HOST:PORT, with several"
            " masters between commas"
        )
    parsed = NeoPlace(name, _addresses(addresses))
    seen = set()
    for pair in filter(None, query.split("&")):
        option, _, text = pair.partition("=")
        if option not in _OPTIONS:
            known = ", ".join(sorted(_OPTIONS))
            raise Misconfigured(f"a neo: store has no option {option!r}, but {known}")
        if option in seen:
            raise Misconfigured(f"the option {option} of the neo: store is given twice")
        seen.add(option)
        parsed = _OPTIONS[option](parsed, unquote(text))
    files = (parsed.ca, parsed.cert, parsed.key)
    if any(files) and not all(files):
        raise Misconfigured("TLS of a neo: store needs all of ca, cert and key")
    return parsed


def _addresses(text: str) -> tuple[str, ...]:
    return tuple(_address(it) for it in text.split(","))


def _address(text: str) -> str:
    host, _, port = text.rpartition(":")
    try:
        address = ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        address = None
    is_bracketed = host.startswith("[") and host.endswith("]")
    is_port = port.isascii() and port.isdecimal() and 0 < int(port) <= PORT_MAX
    if address is None or not is_port or is_bracketed is not (address.version == 6):  # noqa: PLR2004 - that of IPv6
        raise Misconfigured(
            f"{text!r} is no address of NEO: write a numeric one with a port, such as"
            " 127.0.0.1:2051 or [fd00::1]:2051"
        )
    return f"[{address}]:{port}" if is_bracketed else f"{address}:{port}"


def _with_near(place: NeoPlace, text: str) -> NeoPlace:
    return evolve(place, near=_addresses(text))


def _with_translations(place: NeoPlace, text: str) -> NeoPlace:
    pairs = []
    for pair in text.split(","):
        announced, separator, reached = pair.partition("=")
        if not separator:
            raise Misconfigured(f"{pair!r} is no translation: write ANNOUNCED=REACHED")
        pairs.append((_address(announced), _address(reached)))
    return evolve(place, translations=tuple(pairs))


def _with_silence(place: NeoPlace, text: str) -> NeoPlace:
    seconds = _seconds("silence", text)
    if seconds < 1 or seconds != int(seconds):
        raise Misconfigured(f"silence is {text!r}: write whole seconds, one or more")
    return evolve(place, silence_seconds=int(seconds))


def _with_wait(place: NeoPlace, text: str) -> NeoPlace:
    return evolve(place, wait_seconds=_seconds("wait", text))


def _seconds(option: str, text: str) -> float:
    if not re.fullmatch(r"[0-9]{1,9}([.][0-9]{1,9})?", text):
        raise Misconfigured(f"{option} is {text!r}: write seconds")
    seconds = float(text)
    if seconds > SECONDS_MAX:
        raise Misconfigured(f"{option} is {text}: more than {SECONDS_MAX} seconds")
    return seconds


_Option: TypeAlias = Callable[[NeoPlace, str], NeoPlace]

_OPTIONS: Mapping[str, _Option] = {
    "near": _with_near,
    "translate": _with_translations,
    "silence": _with_silence,
    "wait": _with_wait,
    "ca": lambda place, text: evolve(place, ca=text),
    "cert": lambda place, text: evolve(place, cert=text),
    "key": lambda place, text: evolve(place, key=text),
}
