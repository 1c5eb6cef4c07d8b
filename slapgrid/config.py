"""Core. The agent's settings, read from the ``slapos.cfg`` that stock nodes use.

``Config`` has what the agent itself needs; each part of it has an area of its own, see
``slapgrid.settings``. The same file drives either agent: what a stock key is to us
stands in ``slapgrid.stock_keys``.
"""

from __future__ import annotations

import configparser
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from attrs import field, frozen

from runtime.holdings import ROOTS, Holding
from slap.replicas import REGION
from slapgrid.collecting import settings as collecting_settings
from slapgrid.format import settings as format_settings
from slapgrid.grants import settings as grant_settings
from slapgrid.instance import settings as instance_settings
from slapgrid.neighbours import settings as neighbour_settings
from slapgrid.promises import settings as promise_settings
from slapgrid.relaying import settings as relay_settings
from slapgrid.settings import (
    NAME,
    NUMBER,
    PATH,
    SECONDS,
    URLS,
    Area,
    ConfigError,
    Key,
    is_absolute,
    is_absolute_or_empty,
    is_plain_name,
    is_positive,
    read_fields,
)
from slapgrid.software import networkcache_settings
from slapgrid.software import settings as software_settings
from slapgrid.stock_keys import REFUSED, is_ignored
from slapgrid.supervision import settings as supervision_settings

POLL_SECONDS_DEFAULT = 60.0
#: Between two signs of life of a master that has no answer yet; see ``slap.liveness``.
SIGN_SECONDS_DEFAULT = 1
#: How often the states of programs are compared without asking the master.
RECHECK_SECONDS_DEFAULT = 3.0
#: A socket's path has 107 bytes; supervisord makes it under a name with its number.
INSTANCE_ROOT_BYTES_MAX = 107 - len("/sv.sock.4194304")


def is_region(_: object, __: object, value: str) -> None:
    """Refuse what no replica can say of itself."""
    if value and not REGION.fullmatch(value):
        raise ConfigError(f"region must be a plain name, not {value!r}")


@frozen
class Config:
    """One computer. An area of settings is a field."""

    computer_id: str = field(validator=is_plain_name)
    master_urls: tuple[str, ...]
    software_root: str = field(validator=is_absolute)
    instance_root: str = field(validator=is_absolute)
    poll_seconds: float = field(default=POLL_SECONDS_DEFAULT, validator=is_positive)
    recheck_seconds: float = field(
        default=RECHECK_SECONDS_DEFAULT, validator=is_positive
    )
    region: str = field(default="", validator=is_region)
    sign_seconds: int = field(default=SIGN_SECONDS_DEFAULT, validator=is_positive)
    key_file: str = field(default="", validator=is_absolute_or_empty)
    cert_file: str = field(default="", validator=is_absolute_or_empty)
    master_ca_file: str = field(default="", validator=is_absolute_or_empty)
    collecting: collecting_settings.CollectingSettings = field(
        factory=collecting_settings.CollectingSettings
    )
    format: format_settings.FormatSettings = field(
        factory=format_settings.FormatSettings
    )
    grants: grant_settings.GrantSettings = field(factory=grant_settings.GrantSettings)
    instance: instance_settings.InstanceSettings = field(
        factory=instance_settings.InstanceSettings
    )
    neighbours: neighbour_settings.NeighbourSettings = field(
        factory=neighbour_settings.NeighbourSettings
    )
    networkcache: networkcache_settings.NetworkcacheSettings = field(
        factory=networkcache_settings.NetworkcacheSettings
    )
    promises: promise_settings.PromiseSettings = field(
        factory=promise_settings.PromiseSettings
    )
    relaying: relay_settings.RelaySettings = field(factory=relay_settings.RelaySettings)
    software: software_settings.SoftwareSettings = field(
        factory=software_settings.SoftwareSettings
    )
    supervision: supervision_settings.SupervisionSettings = field(
        factory=supervision_settings.SupervisionSettings
    )

    def __attrs_post_init__(self) -> None:
        if not self.master_urls:
            raise ConfigError("master_url is missing: say where the master answers")
        for url in self.master_urls:
            if url.startswith("https://") and not self.master_ca_file:
                raise ConfigError(
                    f"master_url {url} needs master_ca_file, the root certificate of "
                    "the cloud, by which its masters are known"
                )
            if not url.startswith(("http://", "https://")):
                raise ConfigError(f"master_url must be an http URL, not {url!r}")
        if bool(self.key_file) != bool(self.cert_file) and self.master_ca_file:
            raise ConfigError("key_file and cert_file go together: give both or none")
        if len(self.instance_root.encode()) > INSTANCE_ROOT_BYTES_MAX:
            raise ConfigError(
                f"instance_root must have at most {INSTANCE_ROOT_BYTES_MAX} bytes, "
                "so that a socket fits below it"
            )

    @property
    def identity_directory(self) -> str:
        """Where the files of ``node join`` are, together; ``""`` where they are not.

        Only there the agent renews its certificate.
        """
        directory = self.cert_file.rpartition("/")[0]
        names = (Holding.OWN.chain_name, Holding.OWN.key_name, ROOTS)
        files = (self.cert_file, self.key_file, self.master_ca_file)
        is_whole = files == tuple(f"{directory}/{name}" for name in names)
        return directory if is_whole else ""


#: By the field of ``Config``.
AREAS: Mapping[str, Area] = MappingProxyType(
    {
        "collecting": collecting_settings.AREA,
        "format": format_settings.AREA,
        "grants": grant_settings.AREA,
        "instance": instance_settings.AREA,
        "neighbours": neighbour_settings.AREA,
        "networkcache": networkcache_settings.AREA,
        "promises": promise_settings.AREA,
        "relaying": relay_settings.AREA,
        "software": software_settings.AREA,
        "supervision": supervision_settings.AREA,
    }
)
#: What the agent itself needs, whatever its parts do.
AGENT = Area(
    Config,
    (
        Key("slapos", "computer_id", "computer_id", NAME, "the computer's name"),
        Key(
            "slapos",
            "master_url",
            "master_urls",
            URLS,
            "where the master answers; of ours: several replicas, with blanks between",
        ),
        Key(
            "slapos",
            "region",
            "region",
            NAME,
            "of ours: where the computer stands; replicas there are asked first",
        ),
        Key(
            "slapos",
            "sign_interval",
            "sign_seconds",
            NUMBER,
            "of ours: how often a master that has no answer yet shows that it is there",
        ),
        Key("slapos", "software_root", "software_root", PATH, "where releases stand"),
        Key("slapos", "instance_root", "instance_root", PATH, "where partitions stand"),
        Key(
            "slapos",
            "key_file",
            "key_file",
            PATH,
            "the computer's key, shown to https masters; instances without one of their"
            " own are told it",
        ),
        Key(
            "slapos",
            "cert_file",
            "cert_file",
            PATH,
            "the computer's certificate; shown and told like its key, and read again"
            " when it changed",
        ),
        Key(
            "slapos",
            "master_ca_file",
            "master_ca_file",
            PATH,
            "the root certificate of the cloud, by which https masters are known",
        ),
        Key(
            "slapos",
            "poll_interval",
            "poll_seconds",
            SECONDS,
            "of ours: how often the master is asked that cannot tell of changes",
        ),
        Key(
            "slapos",
            "recheck_interval",
            "recheck_seconds",
            SECONDS,
            "of ours: how often programs are compared with what is wanted",
        ),
    ),
)
_MANDATORY = ("computer_id", "master_urls", "software_root", "instance_root")

NO_OVERRIDES: Mapping[str, str] = MappingProxyType({})


def every_key() -> Iterator[tuple[Area, Key]]:
    """All keys that are read, with their areas."""
    for area in (AGENT, *AREAS.values()):
        for key in area.keys:
            yield area, key


def read_config(text: str, overrides: Mapping[str, str] = NO_OVERRIDES) -> Config:
    """Read a ``slapos.cfg``; ``overrides`` are values by key that win over the file."""
    values = dict(_read_texts(text))
    for _, key in every_key():
        if key.name in overrides:
            values[key.section, key.name] = overrides[key.name]
    for place, sentence in REFUSED.items():
        if values.get(place, "").strip():
            raise ConfigError(f"[{place[0]}] {place[1]} cannot be used: {sentence}")
    own = read_fields(AGENT.keys, values)
    for key in AGENT.keys:
        if key.field in _MANDATORY and not own.get(key.field):
            raise ConfigError(f"[{key.section}] {key.name} is missing")
    areas = {name: area.read(values) for name, area in AREAS.items()}
    return Config(**own, **areas)  # type: ignore[arg-type] # keys pair fields and kinds


def find_unknown_keys(text: str) -> tuple[str, ...]:
    """The keys that neither agent has a use for, ``[section] key``: often misspelt."""
    known = {(key.section, key.name) for _, key in every_key()} | set(REFUSED)
    return tuple(
        f"[{section}] {name}"
        for section, name in _read_texts(text)
        if (section, name) not in known and not is_ignored(section, name)
    )


def _read_texts(text: str) -> Mapping[tuple[str, str], str]:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(text)
    except configparser.Error as error:
        raise ConfigError(f"not a configuration file: {error}") from error
    return {
        (section, name): value
        for section in parser.sections()
        for name, value in parser.items(section)
    }
