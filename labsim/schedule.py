"""Core. Schedules of faults: data that is drawn, printed, edited, replayed and shrunk.

A fault lasts from ``at`` to ``until``; what undoes it is its end, so no part of a
schedule can be dropped without the other. One without ``until`` lasts until the world
settles. Faults may overlap: what several of them break is whole when the last ends.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from attrs import evolve, field, frozen

from labsim.refusals import BadInput, check_known, check_range, inside

FAULTS_MAX = 20_000
"""A schedule of a week with a fault each half minute; more is not read by anybody."""

SECONDS_MAX = 31 * 86400.0
"""A month: agents forget nothing that is younger."""

TARGETS_MAX = 2_000
"""The hosts of the largest fleet."""


def _frozen_settings(value: Mapping[str, float]) -> Mapping[str, float]:
    return MappingProxyType(dict(sorted(value.items())))


@frozen
class TimedFault:
    """``kind`` breaks ``targets``, or what is between them and ``others``.

    Targets are names of hosts and of regions. Without ``others`` it is everything else.
    What ``settings`` mean is of the kind.
    """

    at: float
    kind: str
    targets: tuple[str, ...]
    until: float | None = None
    others: tuple[str, ...] = ()
    settings: Mapping[str, float] = field(factory=dict, converter=_frozen_settings)

    def __attrs_post_init__(self) -> None:
        check_range("at", self.at, 0, SECONDS_MAX)
        if self.until is not None:
            check_range("until", self.until, self.at, SECONDS_MAX)
        check_range("the number of targets", len(self.targets), 1, TARGETS_MAX)
        check_range("the number of others", len(self.others), 0, TARGETS_MAX)

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.targets, *self.others)


Schedule = tuple[TimedFault, ...]
"""In the order in which they begin; a fault's number is its place."""


def is_active(fault: TimedFault, at: float) -> bool:
    """Whether a fault is not undone by then; at its last instant it is."""
    return fault.at <= at and (fault.until is None or fault.until > at)


def active_at(schedule: Schedule, at: float) -> Schedule:
    return tuple(fault for fault in schedule if is_active(fault, at))


def settle_after(schedule: Schedule, at: float) -> Schedule:
    """The same with an end, at ``at`` at the latest, for all that began before it.

    What would begin later is not in it.
    """

    def settled(fault: TimedFault) -> TimedFault:
        is_over = fault.until is not None and fault.until <= at
        return fault if is_over else evolve(fault, until=at)

    return tuple(settled(fault) for fault in schedule if fault.at < at)


def in_order(faults: Iterable[TimedFault]) -> Schedule:
    """A schedule of faults that several packages drew."""
    return tuple(sorted(faults, key=lambda fault: fault.at))


def check_schedule(
    schedule: Schedule, kinds: Collection[str], names: Collection[str]
) -> None:
    """Refuse faults that nobody knows, on hosts that are not there, or out of order."""
    check_range("the number of faults", len(schedule), 0, FAULTS_MAX)
    before = 0.0
    for number, fault in enumerate(schedule):
        with inside("faults", number):
            _check_fault(f"fault {number}", fault, before, kinds, names)
        before = fault.at


def _check_fault(
    place: str,
    fault: TimedFault,
    before: float,
    kinds: Collection[str],
    names: Collection[str],
) -> None:
    check_known(f"{place}: kind", (fault.kind,), kinds)
    if fault.at < before:
        raise BadInput(
            f"{place}: begins at {fault.at:g}, before the one above it at "
            f"{before:g}: faults stand in the order of their beginnings"
        )
    for name in fault.names:
        if name not in names:
            raise BadInput(
                f"{place}: no host or region {name!r}; there are "
                f"{some_of(sorted(names))}"
            )


def some_of(names: Sequence[str], count: int = 12) -> str:
    """The names, or the first of many."""
    more = len(names) - count
    shown = ", ".join(names[:count])
    return f"{shown} and {more} more" if more > 0 else shown


def encode_fault(fault: TimedFault) -> dict[str, Any]:
    """As JSON; what says nothing is left out."""
    document: dict[str, Any] = {"at": fault.at, "kind": fault.kind}
    if fault.until is not None:
        document["until"] = fault.until
    document["targets"] = list(fault.targets)
    if fault.others:
        document["others"] = list(fault.others)
    if fault.settings:
        document["settings"] = dict(fault.settings)
    return document


def decode_fault(document: object) -> TimedFault:
    """Read one fault; ``BadInput`` says what is wrong with it."""
    read = Reader(document, "a fault")
    fault = TimedFault(
        at=read.number("at"),
        kind=read.text("kind"),
        targets=read.texts("targets"),
        until=read.optional_number("until"),
        others=read.texts("others", ()),
        settings=read.numbers("settings"),
    )
    read.check_all_read()
    return fault


class Reader:
    """Reads a JSON object key by key, and says what is missing, odd or unknown."""

    def __init__(self, document: object, noun: str) -> None:
        if not isinstance(document, dict):
            raise BadInput(f"{noun} must be an object, not {_shown(document)}")
        self._document = document
        self._noun = noun
        self._known: list[str] = []

    def number(self, key: str) -> float:
        value = self.get(key)
        if not _is_number(value):
            raise BadInput(f"{key} must be a number, not {_shown(value)}", key)
        return value  # type: ignore[no-any-return]

    def optional_number(self, key: str) -> float | None:
        if key in self._document:
            return self.number(key)
        self._known.append(key)
        return None

    def text(self, key: str, default: str | None = None) -> str:
        value = self.get(key, default)
        if not isinstance(value, str):
            raise BadInput(f"{key} must be a text, not {_shown(value)}", key)
        return value

    def texts(
        self, key: str, default: tuple[str, ...] | None = None
    ) -> tuple[str, ...]:
        value = self.get(key, default)
        if not isinstance(value, list | tuple) or not all(
            isinstance(each, str) for each in value
        ):
            raise BadInput(f"{key} must be a list of texts, not {_shown(value)}", key)
        return tuple(value)

    def numbers(self, key: str) -> dict[str, float]:
        value = self.get(key, {})
        if not isinstance(value, dict) or not all(map(_is_number, value.values())):
            raise BadInput(
                f"{key} must be an object of numbers, not {_shown(value)}", key
            )
        return value

    def get(self, key: str, default: object = None) -> Any:
        self._known.append(key)
        if key in self._document:
            return self._document[key]
        if default is None:
            raise BadInput(f"{self._noun} has no {key!r}")
        return default

    def check_all_read(self) -> None:
        """Refuse keys that nobody asked for."""
        for key in self._document:
            with inside(key):
                check_known(self._noun, (key,), self._known)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:59] + "…"  # noqa: PLR2004 - a line
