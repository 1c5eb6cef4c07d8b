"""Core. Plans: everything that a run follows from, in one file that people can edit.

A scenario and a seed make a plan, and so does what is left of one that was shrunk.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from attrs import evolve, frozen

from labsim.faults.table import PACKAGES, check_verbs
from labsim.lines import line_in_json
from labsim.refusals import BadInput, inside
from labsim.scenario import (
    ROLES_BY_STORE,
    Scenario,
    decode_scenario,
    encode_scenario,
)
from labsim.schedule import (
    Reader,
    Schedule,
    check_schedule,
    decode_fault,
    encode_fault,
)
from labsim.topology import ROLES, ROLES_OF_STORES, Region, Topology
from labsim.workloads import table as work_table
from labsim.workloads.operation import (
    OPERATIONS_MAX,
    Operation,
    decode_operation,
    encode_operation,
)

T = TypeVar("T")

FORMAT = 1
"""Of plan files; another one is refused."""

PLAN_BYTES_MAX = 64 * 1024 * 1024
"""As many operations and faults as there may be."""


@frozen
class Plan:
    """What is built, and all that happens to it; the rest follows from the seed."""

    seed: int
    scenario: Scenario
    topology: Topology
    faults: Schedule = ()
    operations: tuple[Operation, ...] = ()

    def __attrs_post_init__(self) -> None:
        store, topology = self.scenario.store, self.topology
        wanted = ROLES_BY_STORE[store]
        for role in ROLES_OF_STORES:
            is_there = bool(getattr(topology, role))
            if is_there and role not in wanted:
                raise BadInput(f"a store {store!r} has no {role}")
            if role in wanted and not is_there:
                raise BadInput(f"a store {store!r} needs {role}")
        for it in topology.regions:
            if "stunnels" in wanted and it.hosts and len(it.stunnels) != 1:
                raise BadInput(f"a store {store!r} needs a stunnel in {it.name}")

    @property
    def size(self) -> str:
        """As a report says it."""
        minutes = self.scenario.durations.healed_at / 60
        return (
            f"{len(self.topology.hosts)} hosts in {len(self.topology.regions)} regions,"
            f" {len(self.faults)} faults, {len(self.operations)} operations,"
            f" {minutes:.0f} min"
        )


def check_plan(plan: Plan, verbs: Collection[str]) -> None:
    """Refuse what a world with these verbs cannot play."""
    check_schedule(plan.faults, tuple(PACKAGES), plan.topology.names())
    check_verbs(tuple(fault.kind for fault in plan.faults), verbs)
    work_table.check_operations(plan.operations, plan.topology)
    end = plan.scenario.durations.healed_at
    for number, fault in enumerate(plan.faults):
        if fault.until is None or fault.until > end:
            raise BadInput(
                f"fault {number}: lasts longer than until {end:g}, when all is healed",
                "faults",
                number,
            )


def encode_plan(plan: Plan) -> str:
    """A JSON text with one line for each fault and operation."""
    scenario = json.dumps(encode_scenario(plan.scenario), indent=1)
    regions = [
        {"name": it.name}
        | {
            role: list(getattr(it, role))
            for role in ROLES
            if getattr(it, role) or role not in ROLES_OF_STORES
        }
        for it in plan.topology.regions
    ]
    faults = [encode_fault(fault) for fault in plan.faults]
    operations = [encode_operation(operation) for operation in plan.operations]
    return (
        f'{{\n"format": {FORMAT},\n"seed": {plan.seed},\n"scenario": {scenario},\n'
        f'"regions": {_lines(regions)},\n"faults": {_lines(faults)},\n'
        f'"operations": {_lines(operations)}\n}}\n'
    )


def decode_plan(text: str, name: str) -> Plan:
    """Read a file; ``BadInput`` names it, the line, and what is allowed there."""
    if len(text) > PLAN_BYTES_MAX:
        raise BadInput(f"{name}: a plan has at most {PLAN_BYTES_MAX} bytes")
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise BadInput(
            f"{name}:{error.lineno}: this is not JSON: {error.msg}"
        ) from error
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{name}: this is no plan: {error}") from error
    with located(text, name):
        return _decode(document)


@contextmanager
def located(text: str, name: str) -> Iterator[None]:
    """What is refused of a plan is refused with the line of its file."""
    try:
        yield
    except BadInput as error:
        line = line_in_json(text, error.path)
        raise BadInput(f"{name}:{line}: {error}") from error


def _decode(document: object) -> Plan:
    read = Reader(document, "a plan")
    version = read.number("format")
    if version != FORMAT:
        raise BadInput(
            f"format {version:g} is another version's, and this one reads {FORMAT}: "
            "run the scenario again with its seed",
            "format",
        )
    seed = read.get("seed")
    if type(seed) is not int:
        raise BadInput(f"seed must be a whole number, not {seed!r}", "seed")
    with inside("scenario"):
        scenario = decode_scenario(_table(read.get("scenario")))
    with inside("regions"):
        topology = Topology(_decoded(read.get("regions"), "region", _decode_region))
    with inside("faults"):
        faults = _decoded(read.get("faults", []), "fault", decode_fault)
    with inside("operations"):
        operations = _decoded(read.get("operations", []), "operation", decode_operation)
    read.check_all_read()
    with inside("regions"):
        return Plan(seed, scenario, topology, faults, operations)


def without_rest(plan: Plan) -> Plan:
    """The same without faults and operations on what is not there."""
    names = plan.topology.names()
    people = set(plan.topology.people)
    faults = []
    for fault in plan.faults:
        targets = tuple(name for name in fault.targets if name in names)
        others = tuple(name for name in fault.others if name in names)
        if targets and bool(others) == bool(fault.others):
            faults.append(evolve(fault, targets=targets, others=others))
    operations = tuple(
        it
        for it in plan.operations
        if it.client in people and (not it.place or it.place in names)
    )
    return evolve(plan, faults=tuple(faults), operations=operations)


def _lines(entries: list[dict[str, Any]]) -> str:
    inner = ",\n".join(f"  {json.dumps(entry)}" for entry in entries)
    return f"[\n{inner}\n]" if entries else "[]"


def _decode_region(document: object) -> Region:
    read = Reader(document, "a region")
    hosts = {role: read.texts(role, ()) for role in ROLES}
    region = Region(read.text("name"), **hosts)
    read.check_all_read()
    return region


def _decoded(
    document: object, noun: str, decode: Callable[[object], T]
) -> tuple[T, ...]:
    decoded = []
    for number, entry in enumerate(_listed(document)):
        try:
            decoded.append(decode(entry))
        except BadInput as error:
            sentence = f"{noun} {number}: {error}"
            raise BadInput(sentence, number, *error.path) from error
    return tuple(decoded)


def _listed(document: object) -> list[Any]:
    if not isinstance(document, list):
        raise BadInput("this must be a list")
    if len(document) > OPERATIONS_MAX:
        raise BadInput(f"this may have at most {OPERATIONS_MAX} entries")
    return document


def _table(document: object) -> dict[str, Any]:
    if not isinstance(document, dict):
        raise BadInput("scenario must be an object")
    return document
