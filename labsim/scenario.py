"""Core. Scenarios: what is built, what is asked of it, what breaks, and for how long.

A scenario is a TOML file, see docs/protocols/scenarios.md. Each of its tables is one of
the values below; a key is a field. What a key may be stands in ``LIMITS`` and in the
values themselves.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, TypeVar

import attrs
from attrs import evolve, field, frozen

from labsim.faults.package import FaultProfile
from labsim.faults.table import PACKAGES
from labsim.lines import line_in_toml
from labsim.refusals import (
    BadInput,
    Limits,
    check_known,
    check_range,
    fields_within,
)
from labsim.schedule import SECONDS_MAX
from labsim.topology import Topology, build_topology
from labsim.workloads.fleets import FLEETS, Fleet

T = TypeVar("T")

LIMITS: Limits = MappingProxyType(
    {
        # A poll of a day is no poll; below a second a round takes longer than that.
        "poll_seconds": (1, 86400),
        "recheck_seconds": (1, 86400),
        # Whole seconds; a caller that wants one more seldom has no use for it.
        "sign_seconds": (1, 300),
        "build_seconds": (0, 86400),
        "failing_builds": (0, 0.9),
        "people": (1, 100),
        # Calls a minute of all clients together; a master answers some hundred.
        "requests": (0, 10_000),
        "updates": (0, 10_000),
        "destructions": (0, 10_000),
        "questions": (0, 10_000),
        "shared_instances": (0, 10_000),
        "supplies": (0, 10_000),
        "usage_documents": (0, 10_000),
        "operator_commands": (0, 10_000),
        "beginning_seconds": (1, 86400),
        # A simulated month.
        "fault_seconds": (0, 31 * 86400),
        "settle_seconds": (1, 86400),
        "healed_seconds": (1, 86400),
    }
)


_within = fields_within(LIMITS)


@frozen
class Agents:
    """How computers are set; a fraction of their builds fails before the world settles.

    Their polls wait for changes at the master: ``poll_seconds`` bounds what is missed.
    """

    poll_seconds: float = _within(60.0)
    recheck_seconds: float = _within(60.0)
    # Each sign of life is an event: those of a thousand computers cost more than they.
    sign_seconds: int = _within(30)
    build_seconds: float = _within(30.0)
    failing_builds: float = _within(0.0)


@frozen
class Workload:
    """Who asks, and how many calls of each kind they begin in a minute, together."""

    people: int = _within(3)
    requests: float = _within(0.0)
    updates: float = _within(0.0)
    destructions: float = _within(0.0)
    questions: float = _within(0.0)
    shared_instances: float = _within(0.0)
    supplies: float = _within(0.0)
    usage_documents: float = _within(0.0)
    operator_commands: float = _within(0.0)


@frozen
class Durations:
    """Of the phases: all is requested at first; things break; all is whole again.

    In the last one everything must be as it was wanted; it ends when that is so.
    """

    beginning_seconds: float = _within(300.0)
    fault_seconds: float = _within(1800.0)
    settle_seconds: float = _within(1800.0)

    @property
    def healed_at(self) -> float:
        return self.beginning_seconds + self.fault_seconds


@frozen
class Recovery:
    """How soon a change that is asked for has to be acknowledged again.

    ``healed_seconds`` is after the healing, ``fault_seconds`` after the beginning of a
    fault that is alone, by its kind; a kind that is not there has no bound.
    """

    healed_seconds: float = _within(86400.0)
    fault_seconds: dict[str, float] = field(factory=dict, converter=dict)

    def __attrs_post_init__(self) -> None:
        for kind, seconds in self.fault_seconds.items():
            check_range(f"fault_seconds of {kind!r}", seconds, 1, SECONDS_MAX)


MEMORY = "memory"
NEO = "neo"

LINKED_NEO = "linked neo"

STORES = (MEMORY, NEO, LINKED_NEO)
"""Where masters keep what they are told: beside all hosts and never broken, or in a
neo_cluster, of which each region has a neo_master and a storage node; linked, what goes
from one region to another goes through a stunnel of each."""

ROLES_BY_STORE: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        MEMORY: (),
        NEO: ("neo_masters", "storage_nodes"),
        LINKED_NEO: ("neo_masters", "storage_nodes", "stunnels"),
    }
)
"""What a region has for the store."""


@frozen
class Scenario:
    """What a seed turns into a run."""

    title: str
    store: str = STORES[0]
    fleet: Fleet = field(factory=Fleet)
    agents: Agents = field(factory=Agents)
    workload: Workload = field(factory=Workload)
    faults: FaultProfile = field(factory=FaultProfile)
    durations: Durations = field(factory=Durations)
    recovery: Recovery = field(factory=Recovery)

    def __attrs_post_init__(self) -> None:
        check_known("store", (self.store,), STORES)
        check_known("kinds", self.faults.kinds, PACKAGES)
        check_known("fault_seconds", self.recovery.fault_seconds, PACKAGES)

    @property
    def topology(self) -> Topology:
        fleet = self.fleet
        return build_topology(
            fleet.regions,
            fleet.masters,
            fleet.computers,
            self.workload.people,
            store_roles=ROLES_BY_STORE[self.store],
        )


def resize(scenario: Scenario, **counts: int | None) -> Scenario:
    """The same with other counts of its fleet; ``None`` leaves one as it is."""
    given = {name: count for name, count in counts.items() if count is not None}
    if "regions" in given:
        given["copies"] = min(scenario.fleet.copies, given["regions"])
    return evolve(scenario, fleet=evolve(scenario.fleet, **given))


_TOML_PLACE = re.compile(r" \(at line (\d+), column \d+\)")
"""How the reader of TOML says where something is wrong."""

SECTIONS: Mapping[str, type] = MappingProxyType(
    {
        "agents": Agents,
        "workload": Workload,
        "faults": FaultProfile,
        "durations": Durations,
        "recovery": Recovery,
    }
)


def read_scenario(text: str, name: str) -> Scenario:
    """Read a file; ``BadInput`` names it, the line, and what is allowed there."""
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        told = _TOML_PLACE.search(str(error))
        place = f"{name}:{told[1]}" if told else name
        sentence = _TOML_PLACE.sub("", str(error))
        raise BadInput(f"{place}: this is not TOML: {sentence}") from error
    try:
        return decode_scenario(document)
    except BadInput as error:
        line = line_in_toml(text, error.path)
        raise BadInput(f"{name}:{line}: {error}") from error


def decode_scenario(document: Mapping[str, Any]) -> Scenario:
    """The same of what TOML or JSON say."""
    tables = ("fleet", *SECTIONS)
    texts = {key: value for key, value in document.items() if key not in tables}
    fields = {
        name: _read_table(kind(), name, document.get(name, {}))
        for name, kind in SECTIONS.items()
    }
    fields["fleet"] = _read_fleet(document.get("fleet", {}))
    for key, value in texts.items():
        if key not in ("title", "store"):
            allowed = ", ".join(("title", "store", *tables))
            raise BadInput(f"no key {key!r}; there are {allowed}", key)
        if not isinstance(value, str):
            raise BadInput(f"{key} must be a text", key)
    if "title" not in texts:
        raise BadInput("there is no title: say what the scenario shows")
    try:
        return Scenario(**texts, **fields)
    except BadInput as error:
        key = str(error).partition(":")[0]
        sections = {"kinds": ("faults",), "fault_seconds": ("recovery",)}
        raise BadInput(str(error), *sections.get(key, ()), key) from error


def encode_scenario(scenario: Scenario) -> dict[str, Any]:
    """As TOML or JSON, without what is as by default."""
    document: dict[str, Any] = {"title": scenario.title, "store": scenario.store}
    for name in ("fleet", *SECTIONS):
        section = getattr(scenario, name)
        defaults = attrs.asdict(type(section)())
        table = {
            key: value
            for key, value in attrs.asdict(section).items()
            if value != defaults[key]
        }
        if table:
            document[name] = table
    return document


def _read_fleet(table: object) -> Fleet:
    """Read a fleet: a named one, with what the file says of it beside the name."""
    if isinstance(table, dict) and "name" in table:
        table = dict(table)
        name = table.pop("name")
        if name not in FLEETS:
            allowed = ", ".join(FLEETS)
            raise BadInput(f"no fleet {name!r}; there are {allowed}", "fleet", "name")
        return _read_table(FLEETS[name], "fleet", table)
    return _read_table(Fleet(), "fleet", table)


def _read_table(default: T, section: str, table: object) -> T:
    """The default with the values of a table."""
    if not isinstance(table, dict):
        raise BadInput(f"{section} must be a table", section)
    known = attrs.asdict(default, recurse=False)  # type: ignore[arg-type] # of SECTIONS
    given = {}
    for key, value in table.items():
        if key not in known:
            allowed = ", ".join(known)
            raise BadInput(
                f"{section} has no key {key!r}; there are {allowed}", section, key
            )
        given[key] = _checked(value, known[key], section, key)
    try:
        return evolve(default, **given)  # type: ignore[misc] # as above
    except BadInput as error:
        # A sentence about one key begins with it; else the table's own line is named.
        key = str(error).partition(" ")[0]
        raise BadInput(str(error), section, key) from error


def _checked(value: Any, like: object, section: str, key: str) -> Any:
    """The value, if it is of the kind of another one."""
    if isinstance(like, tuple):
        is_right = isinstance(value, list | tuple) and all(
            isinstance(each, str) for each in value
        )
        value, kind = tuple(value) if is_right else value, "a list of texts"
    elif isinstance(like, dict):
        is_right = isinstance(value, dict) and all(
            type(each) in (int, float) for each in value.values()
        )
        kind = "a table of numbers"
    elif isinstance(like, int):
        is_right, kind = type(value) is int, "a whole number"
    else:
        is_right, kind = type(value) in (int, float), "a number"
    if not is_right:
        raise BadInput(f"{key} must be {kind}, not {value!r}", section, key)
    return value
