"""Core. What an admin node of NEO tells of its neo_cluster, as values.

The words of the states are those of NEO: a neo_cluster is RECOVERING, VERIFYING or
RUNNING, a node is RUNNING, PENDING or DOWN, a cell UP_TO_DATE or OUT_OF_DATE.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from attrs import frozen

from replication.observation import StorageId, decode_table_id, parse_storage_id

RUNNING = "RUNNING"
RECOVERING = "RECOVERING"
PENDING = "PENDING"
UP_TO_DATE = "UP_TO_DATE"
FEEDING = "FEEDING"
OUT_OF_DATE = "OUT_OF_DATE"
STORAGE = "STORAGE"
MASTER = "MASTER"

NO_ANSWER = "no answer"
"""How the failure begins of an admin node that took the question."""

READABLE = frozenset({UP_TO_DATE, FEEDING})


@frozen
class NodeSeen:
    """A node as the primary knows it; ``address`` is ``""`` when it never came."""

    node_id: str
    kind: str
    address: str
    node_state: str

    @property
    def storage(self) -> StorageId:
        """The number of a storage node."""
        return parse_storage_id(self.node_id)


@frozen
class CellSeen:
    """A copy of a neo_partition on a storage node."""

    node_id: str
    cell_state: str

    @property
    def storage(self) -> StorageId:
        return parse_storage_id(self.node_id)


@frozen
class Answer:
    """What one admin node said; with a ``failure`` it said nothing else.

    ``rows`` has the cells of each neo_partition; ``epoch`` is that of their table.
    ``last_transaction`` is its id in hexadecimal, ``None`` while nothing runs, or when
    the primary, which alone knows it, did not answer: ``is_primary_silent``.
    """

    admin_node: str
    failure: str = ""
    cluster_state: str = ""
    primary: str = ""
    nodes: tuple[NodeSeen, ...] = ()
    rows: tuple[tuple[CellSeen, ...], ...] = ()
    last_transaction: str | None = None
    epoch: int | None = None
    is_primary_silent: bool = False

    @property
    def cells(self) -> tuple[CellSeen, ...]:
        return tuple(cell for row in self.rows for cell in row)

    @property
    def is_silent(self) -> bool:
        return self.failure.startswith(NO_ANSWER)

    @property
    def is_running(self) -> bool:
        return self.cluster_state == RUNNING

    def nodes_of(self, kind: str) -> tuple[NodeSeen, ...]:
        return tuple(it for it in self.nodes if it.kind == kind)

    def node_at(self, address: str) -> NodeSeen | None:
        return next((it for it in self.nodes if it.address == address), None)

    @property
    def primary_address(self) -> str:
        found = (it.address for it in self.nodes if it.node_id == self.primary)
        return next(found, "")


def decode_answers(output: bytes) -> tuple[Answer, ...]:
    """Read what ``replication.neo.neoctl`` writes: its last line."""
    lines = output.decode(errors="replace").splitlines()
    try:
        documents = json.loads(lines[-1] if lines else "")
    except ValueError:
        documents = None
    if not isinstance(documents, list):
        said = " ".join(lines[-3:]) or "nothing"
        return (Answer("", failure=f"the question was not put: {said}"),)
    return tuple(_answer(document) for document in documents)


def _answer(document: dict[str, object]) -> Answer:
    return Answer(
        str(document["admin_node"]),
        str(document.get("failure", "")),
        str(document.get("cluster_state", "")),
        str(document.get("primary", "")),
        tuple(NodeSeen(*it) for it in _rows(document.get("nodes"))),
        tuple(
            tuple(CellSeen(*it) for it in _rows(row))
            for row in _rows(document.get("rows"))
        ),
        _text_or_none(document.get("last_transaction")),
        _epoch(document.get("table_number")),
        document.get("is_primary_silent") is True,
    )


def _rows(value: object) -> Iterable[Sequence[Any]]:
    return value if isinstance(value, list) else ()


def _epoch(number: object) -> int | None:
    return decode_table_id(number)[0].epoch if isinstance(number, int) else None


def _text_or_none(value: object) -> str | None:
    return None if value is None else str(value)


def choose_answer(answers: Iterable[Answer]) -> Answer | None:
    """The one to believe: of a neo_cluster that runs, else of one that is there.

    Who follows a primary that is silent tells how things were.
    """
    told = [answer for answer in answers if not answer.failure]
    heard = [answer for answer in told if not answer.is_primary_silent]
    told = heard or told
    return next((it for it in told if it.is_running), told[0] if told else None)


def primaries_of(answers: Iterable[Answer]) -> tuple[str, ...]:
    """The addresses of all primaries that are followed: more than one is a split.

    One that is silent and still followed is a primary of before.
    """
    found = (
        it.primary_address for it in answers if not (it.failure or it.is_primary_silent)
    )
    return tuple(sorted({address for address in found if address}))
