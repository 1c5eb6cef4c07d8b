"""Core. What of a bootstrap or a recovery is done, and what comes next.

Steps are done in their order. Each may be done again: it finds what it did and changes
nothing. So a step is written down when it is done, and not when it begins, but for
those two that nothing may follow but their end: see ``Step``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import Enum
from typing import Any

from attrs import evolve, field, frozen

from slapcluster.bootstrap.wanted_cloud import WantedCloud

FORMAT = 1
"""Grows when an older version could not go on with what is written."""


class Step(Enum):
    """The steps in their order, by what a person is told of each.

    Up to ``COPY`` the mini-master has the state, and can be given its work back. From
    the moment that ``OPEN`` begins another master may have acknowledged something, so
    nobody goes back: what is left is to have everybody ask the new one.
    """

    IDENTIFY = "the authority of the cloud"
    TAKE = "the state that is left begins a new history"
    LEAVE = "whether the lost cloud answers"
    JOIN = "computers join the mini-master"
    CLEAR = "the lost master is gone from its computers"
    SUPPLY = "the master is built as a release"
    REQUEST = "an instance of it in each region"
    SIGN = "the keys of regions are signed"
    SETTLE = "regions are linked, NEO has cells, replicas wait"
    COPY_AHEAD = "most of the state goes into NEO"
    FREEZE = "the mini-master takes no more changes"
    COPY = "its state is copied and verified"
    RECEIVE = "the rest of the state goes into NEO"
    OPEN = "the new master opens"
    MOVE = "computers ask the new master"
    RETIRE = "the mini-master is gone"


class Undertaking(Enum):
    """What the steps are done for, by the name of its command."""

    BOOTSTRAP = "bootstrap"
    RECOVER = "recover"

    @property
    def steps(self) -> tuple[Step, ...]:
        """Return its steps in their order."""
        return tuple(
            it for it in Step if self is Undertaking.RECOVER or it not in _OF_RECOVERIES
        )


_OF_RECOVERIES = frozenset({Step.TAKE, Step.LEAVE, Step.CLEAR})


class Otherwise(Exception):
    """What is wanted is not what was begun; the sentence says what to do."""


@frozen
class Logbook:
    """What is done. ``seconds`` are those that each step took.

    ``description`` is what the steps were begun for. ``computer_ids`` are by title,
    ``digest`` is of the state that is transferred, ``replica_urls`` are those of the
    new master. ``is_opening`` once the new master may have opened.

    Of a recovery: ``recovered`` is what is told of the state that was taken, ``joined``
    has the titles of computers that came back.
    """

    description: Mapping[str, object]
    done: tuple[Step, ...] = ()
    seconds: Mapping[Step, float] = field(factory=dict)
    computer_ids: Mapping[str, str] = field(factory=dict)
    digest: str = ""
    replica_urls: Mapping[str, str] = field(factory=dict)
    is_opening: bool = False
    undertaking: Undertaking = Undertaking.BOOTSTRAP
    recovered: Mapping[str, Any] = field(factory=dict)
    joined: tuple[str, ...] = ()

    @property
    def steps(self) -> tuple[Step, ...]:
        return self.undertaking.steps

    @property
    def next_step(self) -> Step | None:
        """Return the first step that is not done; ``None`` when all are."""
        return next((it for it in self.steps if it not in self.done), None)

    @property
    def is_self_hosted(self) -> bool:
        return self.next_step is None

    @property
    def has_begun_moving(self) -> bool:
        """Whether the state is somewhere else already, or may be."""
        return self.is_opening or Step.OPEN in self.done

    def with_done(self, step: Step, seconds: float) -> Logbook:
        """Return it with a step that is done; the seconds of all its turns count."""
        spent = {**self.seconds, step: self.seconds.get(step, 0.0) + seconds}
        done = self.done if step in self.done else (*self.done, step)
        return evolve(self, done=done, seconds=spent)


def describe(wanted: WantedCloud, source: str = "") -> dict[str, object]:
    """Return what may not change between two turns; how computers join may."""
    of_recovery = {"source": source} if source else {}
    return {
        "name": wanted.name,
        "mini_master": wanted.mini_master_url,
        "release": wanted.release_url,
        "regions": list(wanted.regions),
        "neo_partitions": wanted.neo_partition_count,
        **of_recovery,
    }


def begin(wanted: WantedCloud) -> Logbook:
    return Logbook(describe(wanted))


def begin_recovery(wanted: WantedCloud, source: str) -> Logbook:
    """Return that of a recovery from what is at an absolute path."""
    return Logbook(describe(wanted, source), undertaking=Undertaking.RECOVER)


def check_same(logbook: Logbook, asked: Logbook) -> None:
    """See that a logbook is of what is asked; ``Otherwise`` names what differs."""
    if logbook.undertaking is not asked.undertaking:
        raise Otherwise(
            f"it is of `slapcluster {logbook.undertaking.value}`, which is another"
            " command: name another home"
        )
    for key, value in asked.description.items():
        was = logbook.description.get(key)
        if was != value:
            raise Otherwise(
                f"it was begun with {key.replace('_', '-')} = {was!r}, and now it is "
                f"{value!r}: put that back, or name another home"
            )


def render_logbook(logbook: Logbook) -> bytes:
    document = {
        "format": FORMAT,
        "description": dict(logbook.description),
        "done": [it.name for it in logbook.done],
        "seconds": {it.name: round(at, 1) for it, at in logbook.seconds.items()},
        "computer_ids": dict(logbook.computer_ids),
        "digest": logbook.digest,
        "replica_urls": dict(logbook.replica_urls),
        "is_opening": logbook.is_opening,
        "undertaking": logbook.undertaking.name,
        "recovered": dict(logbook.recovered),
        "joined": list(logbook.joined),
    }
    return json.dumps(document, indent=1, sort_keys=True).encode() + b"\n"


def parse_logbook(content: bytes) -> Logbook:
    """Read it; ``Otherwise`` for what another version wrote, or nobody of us."""
    try:
        document = json.loads(content)
        if document["format"] != FORMAT:
            raise Otherwise(
                f"it is of format {document['format']!r}, and this version knows "
                f"{FORMAT}: go on with the version that began it"
            )
        return Logbook(
            document["description"],
            tuple(Step[it] for it in document["done"]),
            {Step[name]: float(at) for name, at in document["seconds"].items()},
            document["computer_ids"],
            document["digest"],
            document["replica_urls"],
            document["is_opening"],
            Undertaking[document.get("undertaking", Undertaking.BOOTSTRAP.name)],
            document.get("recovered", {}),
            tuple(document.get("joined", ())),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Otherwise(
            f"it is damaged ({error!r}): put a copy of it back; while the mini-master "
            "has the state, removing it begins the steps anew"
        ) from error
