"""Recipe ``slapcluster:parameters``: what the master says of this instance.

Options:

``default.<key>``
    The value of a parameter that nobody gave.
``software-types``
    The types that the profile knows, ``default`` alone by default.

Exposed:

``configuration.<key>``
    A parameter, if an option can hold its name and value; all are in ``json``.
``json``
    All parameters, defaults included, as a JSON object.
``shared-instances``
    The instances hosted here, as a JSON list of objects with ``reference``, ``title``,
    ``software_type`` and ``parameters``, in the order of their references.
``ipv6``, ``ipv4``
    The lowest address of each kind; ``ipv4`` is empty when there is none.
``connection``
    How the instance calls the master, as a JSON object for programs of ours:
    ``server_urls``, with blanks between, ``computer_id``, ``partition_id``,
    ``key_file``, ``cert_file``, ``master_ca_file``.
``first-port``
    20000 + 10 times the number at the end of the partition's name: ten ports that no
    other partition of the computer uses, even when all have the same address.
``instance-title``, ``root-instance-title``, ``instance-guid``, ``instance-state``,
``slap-software-type``
    As their names say.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import cast

from slap import calls
from slap.model import Partition, PartitionInstance
from slapgrid.recipe import documents
from slapgrid.recipe.connection import SlapConnection, perform, read_connection
from slapgrid.recipe.section import Buildout, Options, Section

FIRST_PORT = 20000
"""Below the ports that Linux gives to clients (32768), above well-known services."""

PORTS_PER_PARTITION = 10

PORT_MAX = 32767

#: The former name of the type that a request without type asks for.
_DEFAULT_TYPES = frozenset({"default", "RootSoftwareInstance"})

_DEFAULTS = "default."


class Recipe:
    """Asks when the profile is read, because other sections read what it exposes."""

    def __init__(self, buildout: Buildout, name: str, options: Options) -> None:
        section = Section(name, options)
        connection = read_connection(buildout)
        answer = perform(section, connection, calls.get_partition(connection.partition))
        partition = cast("Partition", answer)
        instance = partition.instance
        if instance is None:
            sentence = f"{partition.key.partition_id} holds no instance"
            raise section.refusal("recipe", sentence)
        _check_type(section, instance.software_type)
        _expose_parameters(section, instance)
        _expose_place(section, partition)
        section.expose("connection", documents.encode(_describe(connection)))
        for option, text in {
            "instance-title": instance.title,
            "root-instance-title": instance.root_title,
            "instance-guid": instance.instance_guid,
            "instance-state": partition.requested_state.value,
            "slap-software-type": instance.software_type,
        }.items():
            section.expose(option, text)

    def install(self) -> list[str]:
        return []

    def update(self) -> None:
        """Nothing is on disk."""


def _describe(connection: SlapConnection) -> dict[str, str]:
    links = connection.links.links
    link = links[0]
    return {
        "server_urls": " ".join(it.url.geturl() for it in links),
        "computer_id": connection.partition.computer_id,
        "partition_id": connection.partition.partition_id,
        "key_file": link.key_path,
        "cert_file": link.certificate_path,
        "master_ca_file": link.roots_path,
    }


def _check_type(section: Section, software_type: str) -> None:
    option = "software-types"
    known = section.text(option, "default").split()
    is_default = software_type in _DEFAULT_TYPES and "default" in known
    if software_type not in known and not is_default:
        sentence = f"{software_type!r} is asked for and {', '.join(known)} exist"
        raise section.refusal(option, sentence)


def _expose_parameters(section: Section, instance: PartitionInstance) -> None:
    parameters = {**section.texts(_DEFAULTS), **instance.parameters}
    section.expose("json", documents.encode(parameters))
    shared = documents.encode_shared_instances(instance.shared_instances)
    section.expose("shared-instances", shared)
    for key, value in parameters.items():
        section.expose_foreign(f"configuration.{key}", value)


def _expose_place(section: Section, partition: Partition) -> None:
    addresses = [ip_address(it.address) for it in partition.addresses]
    ipv6 = _lowest(it for it in addresses if isinstance(it, IPv6Address))
    if not ipv6:
        sentence = f"{partition.key.partition_id} has no IPv6 address"
        raise section.refusal("ipv6", sentence)
    section.expose("ipv6", ipv6)
    ipv4 = _lowest(it for it in addresses if isinstance(it, IPv4Address))
    section.expose("ipv4", ipv4)
    port = first_port(partition.key.partition_id)
    if port + PORTS_PER_PARTITION - 1 > PORT_MAX:
        sentence = f"the number of {partition.key.partition_id} leaves no port"
        raise section.refusal("first-port", sentence)
    section.expose("first-port", str(port))


def _lowest(addresses: Iterable[IPv4Address | IPv6Address]) -> str:
    return min((str(it) for it in addresses), default="")


def first_port(partition_id: str) -> int:
    """Return the first of the ten ports of a partition."""
    digits = re.search(r"[0-9]*$", partition_id)
    number = int(digits[0]) if digits and digits[0] else 0
    return FIRST_PORT + PORTS_PER_PARTITION * number
