"""Shell. A state that moves to other masters, on the side of the one that has it."""

from __future__ import annotations

from collections.abc import Callable, Collection

from twisted.internet.defer import Deferred

from master_cluster.answering.desk import AnswerTable, Desk
from master_cluster.store.callers import Caller, enter
from master_cluster.store.cloud import Cloud
from master_cluster.transferring import (
    KeptStanding,
    check_opened,
    decide_freeze,
    decide_move,
    decide_thaw,
)
from slap.errors import Refusal, SlapError
from slap.methods import EXTENSION
from slap.replicas import ListedReplica
from slap.transfer import Piece, TransferReport


class StandingWatch:
    """The standing of the state as this master knows it, from its start on."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._oid = b""
        self._listeners: list[Callable[[KeptStanding], None]] = []
        self.kept = KeptStanding()

    async def start(self) -> StandingWatch:
        self._desk.listen(self._hear)
        await self.look()
        return self

    def listen(self, listener: Callable[[KeptStanding], None]) -> None:
        """Tell ``listener`` the standing of now, and each other one."""
        self._listeners.append(listener)
        listener(self.kept)

    async def look(self) -> None:
        """Know what is so now; whoever listens has been told when this returns."""
        self._oid, kept = await self._desk.ask(
            lambda cloud: (cloud.standing.oid, cloud.standing.read())
        )
        if kept != self.kept:
            self.kept = kept
            for listener in self._listeners:
                listener(kept)

    def _hear(self, oids: Collection[bytes] | None) -> None:
        # Before the first look any change may be one of it.
        if oids is None or not self._oid or self._oid in oids:
            Deferred.fromCoroutine(self._look_again())

    async def _look_again(self) -> None:
        enter(Caller())
        try:
            await self.look()
        except SlapError as error:
            # A store that is found again says that everything may have changed.
            self._desk.runtime.log.warn(  # noqa: G010 - Twisted's name
                "the standing is not read: {error}", error=error
            )


class TransferAnswers:
    """Methods of a transfer, of a master that has a state."""

    def __init__(self, desk: Desk, watch: StandingWatch) -> None:
        self._desk = desk
        self._watch = watch

    def table(self) -> AnswerTable:
        return {
            EXTENSION + "transfer": self._report,
            EXTENSION + "freeze": self._freeze,
            EXTENSION + "thaw": self._thaw,
            EXTENSION + "move": self._move,
            EXTENSION + "receive": self._receive,
            EXTENSION + "open": self._open,
        }

    async def _report(self) -> TransferReport:
        kept = await self._desk.ask(lambda cloud: cloud.standing.read())
        return kept.report()

    async def _freeze(self) -> TransferReport:
        return await self._decide(decide_freeze)

    async def _thaw(self) -> TransferReport:
        return await self._decide(decide_thaw)

    async def _move(self, replicas: tuple[ListedReplica, ...]) -> TransferReport:
        return await self._decide(lambda kept: decide_move(kept, replicas))

    async def _decide(
        self, decide: Callable[[KeptStanding], KeptStanding]
    ) -> TransferReport:
        def decision(cloud: Cloud, _: int) -> KeptStanding:
            decided = decide(cloud.standing.read())
            cloud.standing.write(decided)
            return decided

        decided = await self._desk.decide(decision)
        await self._watch.look()
        return decided.report()

    async def _receive(self, piece: Piece) -> TransferReport:
        raise Refusal(
            f"this master has a state and receives none: not {piece.digest}; a replica"
            " receives that was started with --receive on an empty store"
        )

    async def _open(self, digest: str) -> TransferReport:
        kept = await self._desk.ask(lambda cloud: cloud.standing.read())
        check_opened(kept, digest)
        return kept.report()
