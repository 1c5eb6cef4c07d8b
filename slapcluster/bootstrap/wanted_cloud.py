"""Core. The cloud that is wanted, as its operator writes it.

A file is TOML::

    name = "cloud"                       # of the service that the master becomes

    [mini-master]                        # on this computer, until the cloud has its own
    listen = "[2001:db8:1::1]:5443"      # where all computers reach it

    [computers.paris-1]
    region = "paris"
    address = "2001:db8:1::1"            # where the others reach it
    command = ["ssh", "root@paris-1", "slapcluster"]
    settings = "/etc/opt/slapos/slapos.cfg"

    [computers.lyon-1]
    region = "lyon"

    [computers.tokyo-1]
    region = "tokyo"

A ``command`` is what runs ``slapcluster`` on that computer when it is typed here; where
there is none, a person is told what to type there. ``settings`` are those of its agent,
where they are not at the usual place.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from typing import Any

from attrs import frozen

from replication.quorum import REGION_COUNT_MIN
from replication.regions import NAME_RULE, REGION_COUNT_MAX
from slapcluster.first_settings import RELAY
from stunnel_conf.links import BadLinks, Endpoint, read_host, read_port

CLOUD_BYTES_MAX = 256 * 1024
"""A thousand computers with long commands; nobody writes more by hand."""

COMPUTER_COUNT_MAX = 1_000
"""Others join later: bootstrap follows each of these."""

WORD_COUNT_MAX = 64
"""Of a command; a longer one belongs into a script."""

_REGION = re.compile(r"[a-z](?:[a-z0-9-]{0,29}[a-z0-9])?")
_TITLE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")

_KEYS = {"name", "mini-master", "computers", "release", "neo-partitions"}
_MINI_MASTER_KEYS = {"listen"}
_COMPUTER_KEYS = {"region", "address", "command", "settings"}


class BadCloud(ValueError):
    """A file that describes no cloud; the sentence says what to write."""


@frozen
class WantedComputer:
    """A computer by its title; ``command`` runs ``slapcluster`` there, if it is known.

    ``address`` and ``settings`` are ``""`` where the file does not say.
    """

    title: str
    region: str
    command: tuple[str, ...] = ()
    address: str = ""
    settings: str = ""

    def words(self, *words: str) -> tuple[str, ...]:
        """Return what runs a verb of its agent there, such as ``join``."""
        given = ("--cfg", self.settings) if self.settings else ()
        return (*self.command, "node", *given, *words)


@frozen
class WantedCloud:
    """What bootstrap makes. ``host`` and ``port`` are those of the mini-master.

    ``release_url`` is ``""`` for the release that the mini-master serves.
    """

    name: str
    host: str
    port: int
    computers: tuple[WantedComputer, ...]
    release_url: str = ""
    neo_partition_count: int | None = None

    @property
    def regions(self) -> tuple[str, ...]:
        """Return the regions in the order of the file, which numbers them."""
        return tuple(dict.fromkeys(it.region for it in self.computers))

    @property
    def listen(self) -> Endpoint:
        """Return where the mini-master listens."""
        return Endpoint(self.host, self.port)

    @property
    def mini_master_url(self) -> str:
        return f"https://{self.listen}"


def release_url_of(fingerprint: str) -> str:
    """Return where each agent has a release of its masters: that one, for ever."""
    return f"http://{RELAY}/release/{fingerprint}/software/master-cluster/software.cfg"


def read_cloud(text: str) -> WantedCloud:
    """Read a file; ``BadCloud`` names the key at fault."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadCloud(f"it is no TOML: {error}") from error
    _check_keys(document, _KEYS, "")
    name = _matching(document, "name", _REGION, NAME_RULE)
    mini_master = _table(document, "mini-master")
    _check_keys(mini_master, _MINI_MASTER_KEYS, "mini-master.")
    host, port = _listen(mini_master.get("listen"))
    computers = _computers(_table(document, "computers"))
    cloud = WantedCloud(name, host, port, computers)
    _check_regions(cloud.regions)
    _check_addresses(computers)
    return WantedCloud(
        name,
        host,
        port,
        computers,
        _release_url(document.get("release")),
        _neo_partitions(document.get("neo-partitions")),
    )


def _listen(value: object) -> tuple[str, int]:
    if not isinstance(value, str):
        raise BadCloud(
            "mini-master.listen: write where computers reach it, as in "
            '"[2001:db8:1::1]:5443"'
        )
    host, _, port = value.rpartition(":")
    try:
        return read_host(host), read_port(int(port) if port.isdecimal() else port)
    except BadLinks as error:
        raise BadCloud(f"mini-master.listen: {value!r}: {error}") from error


def _computers(documents: Mapping[str, Any]) -> tuple[WantedComputer, ...]:
    if len(documents) > COMPUTER_COUNT_MAX:
        raise BadCloud(
            f"computers: {len(documents)}; at most {COMPUTER_COUNT_MAX}, and others "
            "join later"
        )
    return tuple(_computer(title, it) for title, it in documents.items())


def _computer(title: str, document: object) -> WantedComputer:
    place = f"computers.{title}"
    if not _TITLE.fullmatch(title):
        raise BadCloud(f"{place}: 1 to 63 letters, digits, dots, hyphens, underscores")
    if not isinstance(document, Mapping):
        raise BadCloud(f'{place}: write a table, as in [{place}] with region = "paris"')
    _check_keys(document, _COMPUTER_KEYS, f"{place}.")
    region = _matching(document, "region", _REGION, NAME_RULE, place)
    words = document.get("command", [])
    if not isinstance(words, list) or not all(_is_word(it) for it in words):
        raise BadCloud(f"{place}.command: write the words of it as a list of texts")
    if len(words) > WORD_COUNT_MAX:
        raise BadCloud(f"{place}.command: over {WORD_COUNT_MAX} words: use a script")
    settings = document.get("settings", "")
    if settings and not (_is_word(settings) and settings.startswith("/")):
        raise BadCloud(f"{place}.settings: write an absolute path")
    address = document.get("address", "")
    try:
        host = read_host(address) if address else ""
    except BadLinks as error:
        raise BadCloud(f"{place}.address: {error}") from error
    return WantedComputer(title, region, tuple(words), host, settings)


def _is_word(value: object) -> bool:
    return isinstance(value, str) and bool(value) and "\0" not in value


def _check_regions(regions: tuple[str, ...]) -> None:
    count = len(regions)
    named = f" ({', '.join(regions)})" if regions else ""
    if count < REGION_COUNT_MIN or count % 2 == 0:
        raise BadCloud(
            f"computers: they are of {count} regions{named}; an odd number, "
            f"{REGION_COUNT_MIN} or more, so that most are left when one is lost"
        )
    if count > REGION_COUNT_MAX:
        raise BadCloud(f"computers: {count} regions; at most {REGION_COUNT_MAX}")


def _check_addresses(computers: Iterable[WantedComputer]) -> None:
    known: dict[str, str] = {}
    for it in computers:
        other = known.setdefault(it.address, it.title) if it.address else it.title
        if other != it.title:
            raise BadCloud(
                f"computers.{it.title}.address: {it.address} is that of {other}"
            )


def _release_url(value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, str) or not re.fullmatch(r"https?://[!-~]{1,400}", value):
        raise BadCloud("release: write the address of a software release")
    return value


def _neo_partitions(value: object) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise BadCloud("neo-partitions: write a whole number, 1 or more")
    return value


def _matching(
    document: Mapping[str, Any],
    key: str,
    pattern: re.Pattern[str],
    rule: str,
    place: str = "",
) -> str:
    path = f"{place}.{key}" if place else key
    value = document.get(key)
    if value is None:
        raise BadCloud(f"{path} is missing")
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise BadCloud(f"{path}: {value!r}: {rule}")
    return value


def _table(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = document.get(key, {})
    if not isinstance(value, Mapping):
        raise BadCloud(f"{key}: write a table, [{key}]")
    return value


def _check_keys(document: Mapping[str, Any], known: Iterable[str], place: str) -> None:
    for key in document:
        if key not in known:
            raise BadCloud(
                f"{place}{key}: no such key; {', '.join(sorted(known))} are known"
            )
