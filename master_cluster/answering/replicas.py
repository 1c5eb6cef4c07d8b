"""Shell. Which replicas there are: told of at the start, and to whoever polls."""

from __future__ import annotations

from collections.abc import Collection

from twisted.internet.defer import Deferred

from master_cluster.answering.desk import AnswerTable, Desk
from master_cluster.store.callers import Caller, enter
from master_cluster.store.cloud import Cloud
from slap.errors import SlapError
from slap.methods import EXTENSION
from slap.replicas import ListedReplica, ReplicasReport, encode_replicas


class ReplicaAnswers:
    """Methods about replicas."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def table(self) -> AnswerTable:
        return {
            EXTENSION + "replicas": self._report,
            EXTENSION + "replica_forget": self._forget,
        }

    async def _report(self) -> ReplicasReport:
        listed = await self._desk.ask(lambda cloud: cloud.replicas.list())
        return ReplicasReport(listed)

    async def _forget(self, url: str) -> ReplicasReport:
        return await self._desk.decide(lambda cloud, _: cloud.replicas.forget(url))


class ReplicaList:
    """The list as this master knows it, from its start on."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._oids: frozenset[bytes] = frozenset()
        self._untold: ListedReplica | None = None
        self.header = b""
        self.listed: tuple[ListedReplica, ...] = ()

    async def start(self, own: ListedReplica | None) -> ReplicaList:
        """Tell of this replica, if it has an address, and hear of all.

        A state that is frozen is told when it is thawed.
        """
        self._untold = own
        self._oids = await self._desk.ask(
            lambda cloud: frozenset({cloud.replicas.oid, cloud.standing.oid})
        )
        self._desk.listen(self._hear)
        await self._read()
        return self

    def _hear(self, oids: Collection[bytes] | None) -> None:
        if oids is None or not self._oids.isdisjoint(oids):
            Deferred.fromCoroutine(self._read_again())

    async def _read_again(self) -> None:
        enter(Caller())
        try:
            await self._read()
        except SlapError as error:
            # A store that is found again says that everything may have changed.
            self._desk.runtime.log.warn(  # noqa: G010 - Twisted's name
                "the replicas are not read: {error}", error=error
            )

    async def _read(self) -> None:
        own = self._untold
        if own is not None and await self._desk.ask(_is_open):
            await self._desk.decide(lambda cloud, _: cloud.replicas.announce(own))
            self._untold = None
        self.listed = await self._desk.ask(lambda cloud: cloud.replicas.list())
        self.header = encode_replicas(self.listed).encode("ascii")


def _is_open(cloud: Cloud) -> bool:
    return cloud.standing.read().is_open
