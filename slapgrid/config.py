"""Core. The agent's settings, read from the ``slapos.cfg`` that stock nodes use.

Keys of stock nodes that this agent has no use for are accepted and ignored, so that the
same file drives either.
"""

from __future__ import annotations

import configparser
import ipaddress
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeVar

from attrs import field, frozen

T = TypeVar("T")

POLL_SECONDS_DEFAULT = 60.0
#: How often the states of programs are compared without asking the master.
RECHECK_SECONDS_DEFAULT = 3.0
PROMISE_TIMEOUT_SECONDS_DEFAULT = 20.0
#: What stock nodes keep free: a build that fills a disk breaks every instance.
FREE_BYTES_MIN_DEFAULT = 1000 * 1024**2
#: As many as an IPv6 network of 16 bits less the reserved ones can serve.
PARTITION_COUNT_MAX = 16000
#: A socket's path has 107 bytes; supervisord makes it under a name with its number.
INSTANCE_ROOT_BYTES_MAX = 107 - len("/sv.sock.4194304")

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\Z")
_SIZE = re.compile(r"\s*(\d+)\s*([KMGT]?)B?\s*\Z", re.IGNORECASE)
_SIZE_FACTORS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}


class ConfigError(ValueError):
    """The settings cannot be used; the sentence names the key and what it needs."""


def _absolute(_: object, attribute: object, value: str) -> None:
    name = getattr(attribute, "name", "path")
    if not value.startswith("/") or value == "/":
        raise ConfigError(f"{name} must be an absolute path, not {value!r}")


def _plain_name(_: object, attribute: object, value: str) -> None:
    name = getattr(attribute, "name", "name")
    if not _NAME.match(value):
        raise ConfigError(f"{name} must be a plain name, not {value!r}")


def _positive(_: object, attribute: object, value: float) -> None:
    if value <= 0:
        raise ConfigError(f"{getattr(attribute, 'name', 'value')} must be above 0")


@frozen
class Config:
    """One computer. ``ipv6_network`` gives partition i the address i + 2 in it."""

    computer_id: str = field(validator=_plain_name)
    master_urls: tuple[str, ...]
    software_root: str = field(validator=_absolute)
    instance_root: str = field(validator=_absolute)
    partition_amount: int = 0
    partition_base_name: str = field(default="slappart", validator=_plain_name)
    user_base_name: str = field(default="slapuser", validator=_plain_name)
    software_user: str = field(default="slapsoft", validator=_plain_name)
    ipv6_network: ipaddress.IPv6Network | None = None
    ipv4_address: str = "127.0.0.1"
    poll_seconds: float = field(default=POLL_SECONDS_DEFAULT, validator=_positive)
    recheck_seconds: float = field(default=RECHECK_SECONDS_DEFAULT, validator=_positive)
    promise_timeout_seconds: float = field(
        default=PROMISE_TIMEOUT_SECONDS_DEFAULT, validator=_positive
    )
    partition_timeout_seconds: float | None = None
    periodicity_seconds: float = 86400.0
    software_free_bytes_min: int = FREE_BYTES_MIN_DEFAULT
    instance_free_bytes_min: int = FREE_BYTES_MIN_DEFAULT
    shared_part_directories: tuple[str, ...] = ()
    build_time_part_directories: tuple[str, ...] = ()
    key_file: str = ""
    cert_file: str = ""
    is_supervisord_started: bool = True

    def __attrs_post_init__(self) -> None:
        if not self.master_urls:
            raise ConfigError("master_url is missing: say where the master answers")
        for url in self.master_urls:
            if not url.startswith(("http://", "https://")):
                raise ConfigError(f"master_url must be an http URL, not {url!r}")
        if not 0 <= self.partition_amount <= PARTITION_COUNT_MAX:
            raise ConfigError(
                f"partition_amount must be 0 to {PARTITION_COUNT_MAX}, "
                f"not {self.partition_amount}"
            )
        if len(self.instance_root.encode()) > INSTANCE_ROOT_BYTES_MAX:
            raise ConfigError(
                f"instance_root must have at most {INSTANCE_ROOT_BYTES_MAX} bytes, "
                "so that a socket fits below it"
            )
        network = self.ipv6_network
        if network is not None and network.num_addresses < self.partition_amount + 2:
            raise ConfigError(
                f"ipv6_network {network} is too small for "
                f"{self.partition_amount} partitions"
            )

    @property
    def partition_ids(self) -> tuple[str, ...]:
        """The partitions that ``format`` makes."""
        return tuple(
            f"{self.partition_base_name}{index}"
            for index in range(self.partition_amount)
        )

    def partition_address(self, index: int) -> str:
        """The IPv6 address of a partition."""
        if self.ipv6_network is None:
            return "::1"
        return str(self.ipv6_network[index + 2])


def _number(text: str) -> float:
    return float(text)


def _count(text: str) -> int:
    return int(text)


def _size(text: str) -> int:
    found = _SIZE.match(text)
    if found is None:
        raise ValueError(text)
    return int(found[1]) * _SIZE_FACTORS[found[2].upper()]


def _paths(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _urls(text: str) -> tuple[str, ...]:
    return tuple(text.replace(",", " ").split())


def _network(text: str) -> ipaddress.IPv6Network | None:
    return ipaddress.IPv6Network(text) if text else None


def _denied(text: str) -> bool:
    return text.strip().lower() not in {"1", "true", "yes", "on"}


#: Section, key, field, what it must be, how it is read.
_KEYS: tuple[tuple[str, str, str, str, Callable[[str], object]], ...] = (
    ("slapos", "computer_id", "computer_id", "a name", str),
    ("slapos", "master_url", "master_urls", "URLs", _urls),
    ("slapos", "software_root", "software_root", "a path", str),
    ("slapos", "instance_root", "instance_root", "a path", str),
    ("slapos", "key_file", "key_file", "a path", str),
    ("slapos", "cert_file", "cert_file", "a path", str),
    ("slapos", "poll_interval", "poll_seconds", "seconds", _number),
    ("slapos", "recheck_interval", "recheck_seconds", "seconds", _number),
    ("slapos", "promise_timeout", "promise_timeout_seconds", "seconds", _number),
    ("slapos", "partition_timeout", "partition_timeout_seconds", "seconds", _number),
    ("slapos", "maximum_periodicity", "periodicity_seconds", "seconds", _number),
    ("slapos", "software_min_free_space", "software_free_bytes_min", "a size", _size),
    ("slapos", "instance_min_free_space", "instance_free_bytes_min", "a size", _size),
    ("slapos", "shared_part_list", "shared_part_directories", "paths", _paths),
    (
        "slapos",
        "build_time_part_list",
        "build_time_part_directories",
        "paths",
        _paths,
    ),
    (
        "slapos",
        "forbid_supervisord_automatic_launch",
        "is_supervisord_started",
        "true or false",
        _denied,
    ),
    ("slapformat", "partition_amount", "partition_amount", "a number", _count),
    ("slapformat", "partition_base_name", "partition_base_name", "a name", str),
    ("slapformat", "user_base_name", "user_base_name", "a name", str),
    ("slapformat", "software_user", "software_user", "a name", str),
    ("slapformat", "ipv6_network", "ipv6_network", "an IPv6 network", _network),
    ("slapformat", "ipv4_address", "ipv4_address", "an address", str),
)
_MANDATORY = ("computer_id", "master_urls", "software_root", "instance_root")

NO_OVERRIDES: Mapping[str, str] = MappingProxyType({})


def read_config(text: str, overrides: Mapping[str, str] = NO_OVERRIDES) -> Config:
    """Read a ``slapos.cfg``; ``overrides`` are values by key that win over the file."""
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(text)
    except configparser.Error as error:
        raise ConfigError(f"not a configuration file: {error}") from error
    values: dict[str, object] = {}
    for section, key, name, what, read in _KEYS:
        found = overrides.get(key, parser.get(section, key, fallback=None))
        if found is None:
            continue
        try:
            values[name] = read(found.strip())
        except ValueError as error:
            raise ConfigError(
                f"[{section}] {key} must be {what}, not {found!r}"
            ) from error
    for section, key, name, *_ in _KEYS:
        if name in _MANDATORY and not values.get(name):
            raise ConfigError(f"[{section}] {key} is missing")
    return Config(**values)  # type: ignore[arg-type] # _KEYS pairs fields and readers
