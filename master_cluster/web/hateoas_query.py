"""Core. The queries of hateoas that clients send, read into searches.

A query is conditions joined by ``AND``. The language of the reference has much more;
what is not sent by a client is refused with the reason, never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import quote, unquote

from attrs import evolve

from master_cluster.browsing import FOUND_COUNT_MAX, Kind, Location, Search
from slap.errors import BadRequest, NotFound
from slap.form import Form

PORTAL_TYPES: Mapping[Kind, str] = MappingProxyType(
    {
        Kind.TREE: "Instance Tree",
        Kind.INSTANCE: "Software Instance",
        Kind.COMPUTER: "Compute Node",
        Kind.INSTALLATION: "Software Installation",
    }
)
SHARED_PORTAL_TYPE = "Slave Instance"

_KINDS = {
    'portal_type:"Instance Tree"': Kind.TREE,
    'portal_type:"Compute Node"': Kind.COMPUTER,
    'portal_type:"Software Installation"': Kind.INSTALLATION,
    'portal_type:("Software Instance", "Slave Instance")': Kind.INSTANCE,
}
_VALIDATED = "validation_state:validated"

_FIELDS: Mapping[Kind, Mapping[str, str]] = {
    Kind.TREE: {"title": "title"},
    Kind.COMPUTER: {"title": "title", "reference": "computer_id"},
    Kind.INSTALLATION: {"default_aggregate_reference": "computer_id"},
    Kind.INSTANCE: {"default_specialise_title": "tree_title"},
}

_CONDITION = re.compile(
    r'([a-z_]+):(?:=?"[^"]*"|\("[^"]*"(?:, "[^"]*")*\)|[a-z]+)(?= AND |\Z)'
)
_EXACT = re.compile(r'([a-z_]+):="([^"]*)"')
_JOINT = " AND "

_MODULES: Mapping[Kind, str] = {
    Kind.TREE: "instance_tree_module",
    Kind.INSTANCE: "software_instance_module",
    Kind.COMPUTER: "compute_node_module",
    Kind.INSTALLATION: "software_installation_module",
}

_NUMBER = re.compile(r"[0-9]{1,9}")


def parse_query(query: str) -> Search:
    """Read a query; ``BadRequest`` says what is not understood in it."""
    conditions = list(_conditions(query))
    kinds = [_KINDS[it] for it in conditions if it in _KINDS]
    if len(kinds) != 1:
        raise BadRequest(f"query: wants one of {', '.join(_KINDS)}")
    (kind,) = kinds
    if conditions.count(_VALIDATED) != 1:
        raise BadRequest(f"query: wants {_VALIDATED}")
    named: dict[str, str] = {}
    for condition in conditions:
        if condition in _KINDS or condition == _VALIDATED:
            continue
        exact = _EXACT.fullmatch(condition)
        name = _FIELDS[kind].get(exact[1]) if exact else None
        if exact is None or name is None:
            raise BadRequest(f"query: {condition} is not answered for {kind.value}s")
        if name in named:
            raise BadRequest(f"query: {exact[1]} is given twice")
        named[name] = exact[2]
    if kind is Kind.INSTANCE and "tree_title" not in named:
        raise BadRequest("query: instances are found by default_specialise_title")
    return Search(
        kind,
        title=named.get("title"),
        computer_id=named.get("computer_id"),
        tree_title=named.get("tree_title"),
    )


def parse_search(form: Form) -> Search:
    """Read the fields of a search, its limit among them."""
    wanted = parse_query(form.text("query"))
    limit = form.text("limit", "")
    if not limit:
        return wanted
    if not _NUMBER.fullmatch(limit):
        raise BadRequest("limit: not a number")
    return evolve(wanted, found_count_max=min(int(limit), FOUND_COUNT_MAX))


def render_location(location: Location) -> str:
    """Return the relative URL of a thing."""
    parts = [_MODULES[location.kind], quote(location.name, safe="")]
    if location.kind is Kind.INSTALLATION:
        parts.append(quote(location.software_release_url, safe=""))
    return "/".join(parts)


def parse_location(relative_url: str) -> Location:
    """Read a relative URL that ``render_location`` wrote; else it is ``NotFound``."""
    module, *names = relative_url.split("/")
    for kind, name in _MODULES.items():
        if module == name and len(names) == 1 + (kind is Kind.INSTALLATION):
            return Location(kind, *map(unquote, names))
    raise NotFound(f"no document {relative_url!r}")


def _conditions(query: str) -> list[str]:
    conditions: list[str] = []
    position = 0
    while matched := _CONDITION.match(query, position):
        conditions.append(matched[0])
        position = matched.end()
        if position == len(query):
            return conditions
        position += len(_JOINT)
    raise BadRequest(f"query: not understood from {query[position:][:80]!r}")
