"""Core. What happened in a run, as values in the order in which they happened.

Workloads, agents, stores and faults tell it; checkers judge it, reports draw it, and
two runs of one seed have the same. Instants are seconds of the world.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from attrs import field, frozen


class Outcome(StrEnum):
    """How a call ended for whoever made it."""

    ACKNOWLEDGED = "acknowledged"
    REFUSED = "refused"
    """Nothing was changed by it."""

    UNKNOWN = "unknown"
    """It may have been done, it may be done later, or never."""


class Phase(StrEnum):
    """A run has one after the other, in this order."""

    BEGINNING = "beginning"
    FAULTS = "faults"
    HEALED = "healed"
    ENDED = "ended"


@frozen
class PhaseBegan:
    at: float
    phase: Phase


@frozen
class CallBegan:
    """A client asks for something; ``number`` grows with each of its calls.

    ``subject`` is what it is about, as an instance's title; ``wanted`` what it is to
    become, ``""`` for a question.
    """

    at: float
    client: str
    number: int
    verb: str
    subject: str
    wanted: str = ""


@frozen
class CallEnded:
    """``answer`` is what was found, ``tid`` what the answer knows, if it says so."""

    at: float
    client: str
    number: int
    outcome: Outcome
    answer: str = ""
    tid: str = ""


@frozen
class Committed:
    """A transaction of a master was acknowledged to it.

    ``reads`` has the serial of each object that was read, ``writes`` the objects that
    have the serial ``tid`` now. All are hexadecimal. One that wrote nothing has no tid.
    ``merged`` are those of ``writes`` in which the store itself put together what was
    written with a version that was not read. ``epoch`` is that of the neo_master that
    acknowledged, 0 when nobody knows.
    """

    at: float
    master: str
    tid: str
    reads: Mapping[str, str] = field(factory=dict)
    writes: tuple[str, ...] = ()
    merged: tuple[str, ...] = ()
    epoch: int = 0


@frozen
class Doubted:
    """A transaction of a master had no answer: it is committed, or will be, or never.

    The master does not know under which tid.
    """

    at: float
    master: str
    reads: Mapping[str, str] = field(factory=dict)
    writes: tuple[str, ...] = ()


@frozen
class Applied:
    """An agent took a document of its computer, which knew ``tid``."""

    at: float
    computer: str
    tid: str


@frozen
class Placed:
    """Programs of an instance run in a partition from now on; of none, ``""``."""

    at: float
    computer: str
    partition: str
    instance: str


@frozen
class Epoch:
    """A neo_master runs in an epoch of its table."""

    at: float
    host: str
    epoch: int


@frozen
class Life:
    """A host is up from now on, or down."""

    at: float
    host: str
    is_up: bool


@frozen
class FaultBegan:
    """``number`` is its place in the schedule."""

    at: float
    number: int
    fault: str
    targets: tuple[str, ...]


@frozen
class FaultEnded:
    at: float
    number: int


UNREPORTED = "unreported"
"""Found of what is there, and whose computer does not say what became of it."""


@frozen
class Ending:
    """What was wanted of a subject and what was found when the run ended.

    ``at`` is when it was found so first, and ever since: endings alone are told later.
    """

    at: float
    subject: str
    wanted: str
    found: str


Happening = (
    PhaseBegan
    | CallBegan
    | CallEnded
    | Committed
    | Doubted
    | Applied
    | Placed
    | Epoch
    | Life
    | FaultBegan
    | FaultEnded
    | Ending
)
History = tuple[Happening, ...]
