"""Core. Plans: everything that a run follows from, in one file that people can edit.

A scenario and a seed make a plan, and so does what is left of one that was shrunk.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from typing import Any, TypeVar

from attrs import evolve, frozen

from labsim.faults.table import PACKAGES, check_verbs
from labsim.refusals import BadInput
from labsim.scenario import Scenario, decode_scenario, encode_scenario
from labsim.schedule import (
    Reader,
    Schedule,
    check_schedule,
    decode_fault,
    encode_fault,
)
from labsim.topology import Region, Topology
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
                f"fault {number}: lasts longer than until {end:g}, when all is healed"
            )


def encode_plan(plan: Plan) -> str:
    """A JSON text with one line for each fault and operation."""
    scenario = json.dumps(encode_scenario(plan.scenario), indent=1)
    regions = [
        {
            "name": it.name,
            "masters": list(it.masters),
            "computers": list(it.computers),
            "people": list(it.people),
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
    read = _placed(f"{name}:1", lambda: Reader(document, "a plan"))
    version = _placed(f"{name}:1", lambda: read.number("format"))
    if version != FORMAT:
        raise BadInput(
            f"{name}:{_line(text, 'format')}: format {version:g} is another version's, "
            f"and this one reads {FORMAT}: run the scenario again with its seed"
        )
    seed = _placed(f"{name}:1", lambda: read.number("seed"))
    scenario = _placed(
        f"{name}:{_line(text, 'scenario')}",
        lambda: decode_scenario(_table(read.get("scenario"))),
    )
    topology = _placed(
        f"{name}:{_line(text, 'regions')}",
        lambda: Topology(_decoded(read.get("regions"), _decode_region)),
    )
    faults = _Entries(text, name, "faults").decode(read, decode_fault)
    operations = _Entries(text, name, "operations").decode(read, decode_operation)
    _placed(f"{name}:1", read.check_all_read)
    return Plan(int(seed), scenario, topology, faults, operations)


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


@frozen
class _Entries:
    """A list of a plan file, of which each entry is told by one key."""

    text: str
    name: str
    key: str

    def decode(self, read: Reader, decode: Callable[[object], T]) -> tuple[T, ...]:
        place = f"{self.name}:{_line(self.text, self.key)}"
        entries = _placed(place, lambda: _listed(read.get(self.key, [])))
        decoded = []
        for number, entry in enumerate(entries):
            try:
                decoded.append(decode(entry))
            except BadInput as error:
                noun = f"{self.key[:-1]} {number}"
                line = line_of_entry(self.text, f"{noun}:")
                raise BadInput(f"{self.name}:{line}: {noun}: {error}") from error
        return tuple(decoded)


def _decode_region(document: object) -> Region:
    read = Reader(document, "a region")
    region = Region(
        read.text("name"),
        read.texts("masters", ()),
        read.texts("computers", ()),
        read.texts("people", ()),
    )
    read.check_all_read()
    return region


def _decoded(document: object, decode: Callable[[object], T]) -> tuple[T, ...]:
    return tuple(decode(entry) for entry in _listed(document))


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


def _placed(place: str, read: Callable[[], T]) -> T:
    try:
        return read()
    except BadInput as error:
        raise BadInput(f"{place}: {error}") from error


def line_of_entry(text: str, sentence: str) -> int:
    """The line of the plan that a sentence as of ``check_plan`` is about."""
    noun, _, rest = sentence.partition(" ")
    number = rest.partition(":")[0]
    mark = {"fault": '"kind":', "operation": '"verb":'}.get(noun)
    if mark is None or not number.isdigit():
        return 1
    position = -1
    for _ in range(int(number) + 1):
        position = text.find(mark, position + 1)
    return text.count("\n", 0, max(0, position)) + 1


def _line(text: str, key: str) -> int:
    """The line of a key of the plan itself: its last, for a scenario has some too."""
    return text.count("\n", 0, max(0, text.rfind(f'"{key}":'))) + 1
