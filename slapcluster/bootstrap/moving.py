"""Shell. The second half of a bootstrap: the state goes where it stays.

1. A first copy goes into NEO while the mini-master goes on: a store takes some tens of
   transactions a second, and nobody is to wait for all of them. The second one, which
   has the first as its beginning, adds what was changed meanwhile.
2. The mini-master is frozen before its state is copied again: so this copy has all that
   it acknowledged, and nothing is acknowledged that the copy has not.
3. The new master opens when it has all of the copy, and its digest is that of the copy.
   That it may have opened is written down before it is asked to.
4. Only then is the mini-master moved: it answers nobody any more but who took over.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from itertools import cycle

from attrs import evolve

from slap.errors import MasterAway, Unreachable
from slap.replicas import ListedReplica
from slap.transfer import PIECE_BYTES_MAX, Piece, Standing, TransferReport
from slapcluster.bootstrap.home import IDENTITY, MINI_MASTER
from slapcluster.bootstrap.work import Work
from slapcluster.master import Master
from slapcluster.outcomes import CommandFailed
from slapcluster.pausing import pause

PAUSE_SECONDS = 1.0
"""Between two questions to replicas that cannot go on yet."""

PATIENCE_SECONDS = 60.0
"""With a replica that is there and says that it cannot: a first copy of thousands of
transactions takes so long."""


class Moving:
    """These steps of one bootstrap."""

    def __init__(self, work: Work) -> None:
        self._work = work

    async def copy_ahead(self) -> None:
        """Put a copy of now into NEO; one that was begun is finished."""
        if not self._work.logbook.digest:
            await self.copy()
        await self.receive()

    async def freeze(self) -> None:
        await self._work.ask(lambda master: master.freeze())

    async def copy(self) -> None:
        """Copy the state of the mini-master as it is now, and verify the copy."""
        work = self._work
        digest = await work.mini_master.copy_state()
        work.write(evolve(work.logbook, digest=digest))

    async def receive(self) -> None:
        """Have one of the new replicas put the copy into NEO, whichever does."""
        await self._with_any(self._send)

    async def open(self) -> None:
        """Open the new master, and wait until most of its replicas serve."""
        work = self._work
        work.write(evolve(work.logbook, is_opening=True))
        await self._with_any(self._open)
        urls = tuple(work.logbook.replica_urls.values())
        needed = len(urls) // 2 + 1

        async def look(_: Master) -> int:
            return sum([await self._is_open(it) for it in urls])

        await work.wait(
            look,
            lambda count: "" if count >= needed else f"{count} of {len(urls)} serve",
            *urls,
        )

    async def move(self) -> None:
        """Have everybody ask the new master, and wait until all computers do."""
        work = self._work
        urls = work.logbook.replica_urls
        listed = tuple(ListedReplica(url, region) for region, url in urls.items())
        await work.ask(lambda master: master.move(listed))
        for title, computer_id in work.logbook.computer_ids.items():

            async def look(_: Master, it: str = computer_id) -> bool:
                for url in urls.values():
                    if await self._has_heard(url, it):
                        return True
                return False

            def activity(is_heard: bool, it: str = title) -> str:
                return "" if is_heard else f"the new master has not heard {it} yet"

            await work.wait(look, activity, *urls.values())

    async def retire(self) -> None:
        """End the mini-master and remove all of it, its keys first."""
        work = self._work
        await work.mini_master.stop()
        await work.home.tree.remove_tree(IDENTITY)
        await work.home.tree.remove_tree(MINI_MASTER)

    async def _with_any(self, act: Callable[[Master], Awaitable[None]]) -> None:
        """Have a replica do it, within the bound of a step.

        Another one is asked when one is not there, or says for a while that it cannot:
        one that fills the store is not to be joined by a second one.
        """
        work = self._work
        clock = work.home.runtime.clock
        deadline = clock.seconds() + work.limit_seconds
        for url in cycle(work.logbook.replica_urls.values()):
            patient_until = clock.seconds() + PATIENCE_SECONDS
            while True:
                try:
                    await work.ask(act, url)
                except MasterAway as error:
                    if clock.seconds() > deadline:
                        raise
                    work.show(error.sentence)
                    if isinstance(error, Unreachable):
                        break
                    if clock.seconds() > patient_until:
                        break
                else:
                    return
                await pause(clock, PAUSE_SECONDS)
            await pause(clock, PAUSE_SECONDS)

    async def _send(self, master: Master) -> None:
        """Send what a replica lacks, and wait until all of it is in the store."""
        work = self._work
        digest = work.logbook.digest
        mini_master = work.mini_master
        byte_count = mini_master.copy_byte_count()
        deadline = master.seconds() + work.limit_seconds
        while True:
            report = await master.transfer()
            if master.seconds() > deadline:
                raise CommandFailed(
                    f"Not there after {work.limit_seconds:g} s: {report.sentence}."
                )
            self._check_receiving(report)
            if report.digest == digest and report.is_whole:
                return
            offset = report.received_byte_count if report.digest == digest else 0
            if offset < byte_count:
                content = mini_master.read_copy(offset, PIECE_BYTES_MAX)
                await master.receive(Piece(digest, byte_count, offset, content))
                work.show(f"{100 * offset // byte_count} % sent")
            else:
                work.show(report.sentence)
                await master.pause(PAUSE_SECONDS)

    def _check_receiving(self, report: TransferReport) -> None:
        if report.standing == Standing.RECEIVING:
            return
        if report.digest == self._work.logbook.digest:
            # It was opened, and whoever opened it was killed before saying so.
            return
        raise CommandFailed(
            f"The new master has another state already ({report.sentence}): it is of "
            "another cloud. Remove its instances, or name another home."
        )

    async def _open(self, master: Master) -> None:
        # Whoever received it may be away, and this one the next that is asked.
        await self._send(master)
        await master.open_received(self._work.logbook.digest)

    async def _is_open(self, url: str) -> bool:
        try:
            report = await self._work.ask(lambda master: master.transfer(), url)
        except MasterAway:
            return False
        return report.standing == Standing.OPEN

    async def _has_heard(self, url: str, computer_id: str) -> bool:
        try:
            status = await self._work.ask(
                lambda master: master.computer_status(computer_id), url
            )
        except MasterAway:
            return False
        return status.is_known
