"""Core. What the page of a run draws, as a document of JSON.

A lane is a host or a client; lanes stand in regions. Instants are milliseconds since
the beginning of the history. Marks of a lane that stand closer than a resolution are
one mark with a count, and the resolution doubles until all fit: a page of a long run of
many hosts is a few megabytes, and what is close in time becomes one pixel anyway.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attrs import define, field

from labsim.checkers.violation import Violation
from labsim.history import (
    Applied,
    CallBegan,
    CallEnded,
    Committed,
    Doubted,
    Ending,
    Epoch,
    FaultBegan,
    FaultEnded,
    Happening,
    Life,
    Outcome,
    PhaseBegan,
    Placed,
)

MARKS_MAX = 60_000
"""Some 40 bytes each: half of what a page may weigh."""

RESOLUTION_MAX = 2**32
"""Longer than any run: what does not fit then are lanes."""

FAULTS_MAX = 5_000
"""Bands beyond that are thinner than a pixel; the schedule has them all."""

ELSEWHERE = "elsewhere"
"""The region of what nobody placed in one."""

PALETTE = (
    "#4e79a7",
    "#f28e2b",
    "#b07aa1",
    "#76b7b2",
    "#edc948",
    "#9c755f",
    "#ff9da7",
    "#bab0ac",
)
"""Of kinds of faults that are given no colour."""

OUTCOMES = tuple(Outcome)
OPEN = len(OUTCOMES)
"""The outcome of a call that did not end."""


@define
class _Mark:
    """``row`` is what stands in the document after its instants and its count.

    Its texts stand there as numbers. What has another ``sort`` is never joined.
    """

    at: int
    until: int
    row: tuple[str | int, ...]
    sort: int = 0
    count: int = 1


@define
class _Lane:
    name: str
    region: str
    calls: list[_Mark] = field(factory=list)
    commits: list[_Mark] = field(factory=list)
    documents: list[_Mark] = field(factory=list)
    places: list[_Mark] = field(factory=list)
    epochs: list[list[int]] = field(factory=list)
    down: list[list[int]] = field(factory=list)

    @property
    def rank(self) -> int:
        """Masters first, then clients, then computers."""
        if self.epochs or self.commits:
            return 0
        return 1 if self.calls else 2

    def kinds(self) -> tuple[list[_Mark], ...]:
        return (self.calls, self.commits, self.documents, self.places)


@define
class _Fault:
    kind: str
    at: int
    until: int | None
    targets: tuple[str, ...]
    number: int


class _Drawing:
    def __init__(self, regions: Mapping[str, Sequence[str]]) -> None:
        self._start: float | None = None
        self.end = 0
        self.regions = dict.fromkeys(regions)
        self.lanes: dict[str, _Lane] = {}
        self.phases: list[tuple[int, str]] = []
        self.faults: dict[int, _Fault] = {}
        self.endings: list[tuple[int, str, str, str]] = []
        self._calls: dict[tuple[str, int], CallBegan] = {}
        for region, names in regions.items():
            for name in names:
                self.lanes[name] = _Lane(name, region)

    def instant(self, at: float) -> int:
        if self._start is None:
            self._start = at
        return round(1000 * (at - self._start))

    def lane(self, name: str) -> _Lane:
        if name not in self.lanes:
            self.regions.setdefault(ELSEWHERE)
            self.lanes[name] = _Lane(name, ELSEWHERE)
        return self.lanes[name]

    def take(self, happening: Happening) -> None:
        at = self.instant(happening.at)
        self.end = max(self.end, at)
        match happening:
            case CallBegan():
                self._calls[happening.client, happening.number] = happening
                self.lane(happening.client)
            case CallEnded():
                key = (happening.client, happening.number)
                if key in self._calls:
                    self._call(
                        self._calls.pop(key), at, OUTCOMES.index(happening.outcome)
                    )
            case Committed() | Doubted():
                tid = happening.tid if isinstance(happening, Committed) else ""
                commit = _Mark(at, at, (tid, len(happening.writes)))
                self.lane(happening.master).commits.append(commit)
            case Applied():
                document = _Mark(at, at, (happening.tid,))
                self.lane(happening.computer).documents.append(document)
            case Placed():
                place = _Mark(at, at, (happening.partition, happening.instance))
                self.lane(happening.computer).places.append(place)
            case _:
                self._take_rare(happening, at)

    def _take_rare(self, happening: Happening, at: int) -> None:
        match happening:
            case PhaseBegan():
                self.phases.append((at, happening.phase.value))
            case Epoch():
                self.lane(happening.host).epochs.append([at, happening.epoch])
            case Life():
                self._live(happening, at)
            case FaultBegan():
                self.faults[happening.number] = _Fault(
                    happening.fault, at, None, happening.targets, happening.number
                )
            case FaultEnded():
                if happening.number in self.faults:
                    self.faults[happening.number].until = at
            case Ending():
                if happening.found != happening.wanted:
                    self.endings.append(
                        (at, happening.subject, happening.wanted, happening.found)
                    )

    def _live(self, life: Life, at: int) -> None:
        down = self.lane(life.host).down
        is_down = bool(down) and down[-1][1] < 0
        if not life.is_up and not is_down:
            down.append([at, -1])
        elif life.is_up and is_down:
            down[-1][1] = at

    def _call(self, began: CallBegan, until: int, outcome: int) -> None:
        row = (outcome, began.verb, began.subject, began.wanted)
        # A question is drawn fainter than a change.
        sort = 2 * outcome + bool(began.wanted)
        mark = _Mark(self.instant(began.at), until, row, sort)
        self.lane(began.client).calls.append(mark)

    def finish(self) -> None:
        for began in self._calls.values():
            self._call(began, self.end, OPEN)
        for lane in self.lanes.values():
            for span in lane.down:
                span[1] = self.end if span[1] < 0 else span[1]
            lane.calls.sort(key=lambda mark: mark.at)


def draw(
    history: Iterable[Happening],
    regions: Mapping[str, Sequence[str]],
    violations: Sequence[Violation] = (),
    colours: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """``regions`` has the hosts and clients of each; ``colours`` those of faults."""
    drawing = _Drawing(regions)
    for happening in history:
        drawing.take(happening)
    drawing.finish()
    shown = [drawing.instant(violation.at) for violation in violations]
    marked = [
        [
            (name, drawing.instant(happening.at))
            for happening in violation.happenings
            for name in places_of(happening)
        ]
        for violation in violations
    ]
    for name in (name for marks in marked for name, _ in marks):
        if name not in drawing.regions:
            drawing.lane(name)
    resolution = thin(
        [kind for lane in drawing.lanes.values() for kind in lane.kinds()]
    )
    names = list(drawing.regions)
    lanes = sorted(
        drawing.lanes.values(), key=lambda it: (names.index(it.region), it.rank)
    )
    places = {lane.name: place for place, lane in enumerate(lanes)}
    faults = sorted(drawing.faults.values(), key=lambda it: it.at)[:FAULTS_MAX]
    kinds = list(dict.fromkeys(fault.kind for fault in faults))
    words: dict[str, int] = {}
    return {
        "end": max([drawing.end, *shown, 1]),
        "resolution": resolution,
        "phases": drawing.phases,
        "regions": names,
        "kinds": [
            [kind, (colours or {}).get(kind, PALETTE[number % len(PALETTE)])]
            for number, kind in enumerate(kinds)
        ],
        "faults": [
            [
                kinds.index(it.kind),
                it.at,
                drawing.end if it.until is None else it.until,
                [places[name] for name in it.targets if name in places],
                [names.index(name) for name in it.targets if name in names],
                it.number,
            ]
            for it in faults
        ],
        "lanes": [_encode_lane(lane, names, words) for lane in lanes],
        "words": list(words),
        "violations": [
            [
                at,
                violation.checker,
                violation.sentence,
                [[places[name], when] for name, when in marks if name in places],
            ]
            for at, violation, marks in zip(shown, violations, marked, strict=True)
        ],
        "endings": drawing.endings,
    }


def places_of(happening: Happening) -> tuple[str, ...]:
    """The hosts and clients where it happened."""
    match happening:
        case CallBegan() | CallEnded():
            return (happening.client,)
        case Committed() | Doubted():
            return (happening.master,)
        case Applied() | Placed():
            return (happening.computer,)
        case Epoch() | Life():
            return (happening.host,)
        case FaultBegan():
            return happening.targets
    return ()


def _encode_lane(
    lane: _Lane, regions: Sequence[str], words: dict[str, int]
) -> dict[str, Any]:
    """``words`` gets what is new in it: each text stands in the document once."""
    document: dict[str, Any] = {
        "name": lane.name,
        "region": regions.index(lane.region),
        "rank": lane.rank,
    }
    if lane.epochs:
        document["epochs"] = lane.epochs
    if lane.down:
        document["down"] = lane.down
    names = ("calls", "commits", "documents", "places")
    for name, marks in zip(names, lane.kinds(), strict=True):
        if marks:
            document[name] = [
                [
                    *(mark.at, mark.until - mark.at, mark.count),
                    *(
                        words.setdefault(it, len(words)) if isinstance(it, str) else it
                        for it in mark.row
                    ),
                ]
                for mark in marks
            ]
    return document


def thin(kinds: Sequence[list[_Mark]], marks_max: int = MARKS_MAX) -> int:
    """Make one mark of several that are close, as few as must be; in place.

    Returns the resolution, in milliseconds, 0 where each mark is one happening. What
    has another sort stays apart, and each lane keeps a mark of each sort.
    """
    resolution = 0
    while sum(map(len, kinds)) > marks_max and resolution < RESOLUTION_MAX:
        resolution = 2 * resolution or 1
        for marks in kinds:
            marks[:] = _joined(marks, resolution)
    return resolution


def _joined(marks: Iterable[_Mark], resolution: int) -> list[_Mark]:
    joined: list[_Mark] = []
    last: dict[int, _Mark] = {}
    for mark in marks:
        before = last.get(mark.sort)
        if before is not None and mark.at // resolution == before.at // resolution:
            before.until = max(before.until, mark.until)
            before.count += mark.count
        else:
            last[mark.sort] = mark
            joined.append(mark)
    return joined
