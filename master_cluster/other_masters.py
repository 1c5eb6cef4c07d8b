"""Shell. The sections of a ``slapos.cfg`` that name other masters.

``[multimaster/URL]`` has, as for the reference:

- ``software_release_list``: releases, one a line, whose requests go there;
- ``computer`` and ``partition``: as which partition to ask; without them, as a person;
- ``cert`` and ``key``: the client certificate of an ``https`` master.

We speak plain HTTP and leave TLS to stunnel, as between masters (architecture, D3): a
master named by ``https`` needs ``through``, the address of a local tunnel entry, which
holds the certificate and verifies the other side.
"""

from __future__ import annotations

import configparser
import ipaddress
from collections.abc import Mapping
from urllib.parse import urlsplit

from master_cluster.errors import Misconfigured
from master_cluster.forwarding import OtherMaster, comparable_url
from slap.model import PartitionKey

PREFIX = "multimaster/"

OTHER_MASTERS_MAX = 100
"""Each request looks through the releases of all."""


def read_other_masters(parser: configparser.ConfigParser) -> tuple[OtherMaster, ...]:
    """Return the masters of a configuration; ``Misconfigured`` names what is wrong."""
    found: dict[str, OtherMaster] = {}
    releases: dict[str, str] = {}
    for section in parser.sections():
        if not section.startswith(PREFIX):
            continue
        url = section.removeprefix(PREFIX).strip()
        master = _read_master(url, dict(parser.items(section)))
        if comparable_url(url) in found:
            raise Misconfigured(f"[{section}] names the same master as another section")
        found[comparable_url(url)] = master
        for release in master.software_release_urls:
            if release in releases:
                raise Misconfigured(
                    f"[{section}] {release} is in the list of {releases[release]}, too"
                )
            releases[release] = url
    if len(found) > OTHER_MASTERS_MAX:
        raise Misconfigured(f"more than {OTHER_MASTERS_MAX} other masters")
    return tuple(found.values())


def _read_master(url: str, keys: Mapping[str, str]) -> OtherMaster:
    section = f"[{PREFIX}{url}]"
    scheme = urlsplit(url).scheme
    if scheme not in {"http", "https"}:
        raise Misconfigured(f"{section} is no address with http:// or https://")
    through = keys.get("through", "").strip()
    if scheme == "https" and not through:
        raise Misconfigured(
            f"{section} speaks TLS, which this version does through stunnel alone"
            " (issue 8): give `through = http://127.0.0.1:PORT`, a tunnel entry with"
            " the certificate"
        )
    if scheme == "http" and (keys.get("cert") or keys.get("key")):
        raise Misconfigured(f"{section} has a certificate, and plain http shows none")
    reached_at = through or url
    _check_reached(section, reached_at)
    return OtherMaster(
        url=url,
        reached_at=reached_at,
        requester=_read_requester(section, keys),
        software_release_urls=tuple(
            line.strip()
            for line in keys.get("software_release_list", "").splitlines()
            if line.strip()
        ),
    )


def _check_reached(section: str, url: str) -> None:
    try:
        parts = urlsplit(url)
        ipaddress.ip_address(parts.hostname or "")
        is_port_known = parts.port != 0
    except ValueError as error:
        raise Misconfigured(
            f"{section}: {url} has no numeric address and port, such as"
            " http://127.0.0.1:5000 or http://[::1]:5000"
        ) from error
    if parts.scheme != "http" or not is_port_known or parts.query or parts.fragment:
        raise Misconfigured(f"{section}: {url} is no address of a master over http")


def _read_requester(section: str, keys: Mapping[str, str]) -> PartitionKey | None:
    computer_id = keys.get("computer", "").strip()
    partition_id = keys.get("partition", "").strip()
    if bool(computer_id) != bool(partition_id):
        raise Misconfigured(f"{section} needs both of computer and partition, or none")
    return PartitionKey(computer_id, partition_id) if computer_id else None
