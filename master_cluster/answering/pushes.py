"""Shell. How releases are pushed to a replica, and which ones it has.

Files need no store: a replica that receives a state, or whose store is away, takes them
too. It asks its store only which releases are named, before one has to go.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from attrs import evolve
from twisted.internet.defer import DeferredLock

from master_cluster.answering.desk import AnswerTable
from master_cluster.config import Config
from master_cluster.depot import Depot, run_fingerprint
from master_cluster.pushed_releases import (
    check_forgotten,
    choose_leaving,
    is_room_needed,
    named_in,
)
from master_cluster.store.cloud import Cloud
from runtime.ports import Runtime, StoreUnavailable
from runtime.threads import work_in_thread
from slap.errors import Refusal, Unavailable
from slap.methods import EXTENSION
from slap.pushing import (
    FileReport,
    HeldRelease,
    ReleaseOffer,
    ReleasePiece,
    ReleasesReport,
    check_fingerprint,
)

T = TypeVar("T")

FindNamed = Callable[[], Awaitable[frozenset[str]]]
"""Returns the fingerprints that the state names; raises ``MasterAway``."""


class PushAnswers:
    """Methods about pushed releases, of one replica: each has its own.

    ``release_directory`` has the release that the replica runs from, if it serves one.
    Without a depot nothing is taken.
    """

    def __init__(
        self, runtime: Runtime, depot: Depot | None, release_directory: str | None
    ) -> None:
        self._runtime = runtime
        self._depot = depot
        self._release_directory = release_directory
        self._turn = DeferredLock()

    def table(self, find_named: FindNamed) -> AnswerTable:
        return {
            EXTENSION + "releases": self._report,
            EXTENSION + "release_offer": partial(self._offer, find_named),
            EXTENSION + "release_receive": self._receive,
            EXTENSION + "release_forget": partial(self._forget, find_named),
        }

    async def _report(self) -> ReleasesReport:
        depot = self._depot
        held: tuple[HeldRelease, ...] = ()
        if depot is not None:
            held = await self._in_turn(depot.held)
        run = run_fingerprint(self._release_directory)
        marked = tuple(evolve(it, is_run=it.fingerprint == run) for it in held)
        if run and all(it.fingerprint != run for it in held):
            marked = (HeldRelease(run, is_whole=True, is_run=True), *marked)
        return ReleasesReport(depot is not None, marked)

    async def _offer(self, find_named: FindNamed, offer: ReleaseOffer) -> HeldRelease:
        depot = self._taking()
        if offer.fingerprint == run_fingerprint(self._release_directory):
            return HeldRelease(offer.fingerprint, is_whole=True, is_run=True)
        await self._make_room(depot, offer.fingerprint, find_named)
        return await self._in_turn(lambda: depot.offer(offer))

    async def _receive(self, piece: ReleasePiece) -> FileReport:
        depot = self._taking()
        return await self._in_turn(lambda: depot.receive(piece))

    async def _forget(self, find_named: FindNamed, fingerprint: str) -> ReleasesReport:
        check_fingerprint(fingerprint)
        depot = self._taking()
        check_forgotten(fingerprint, await find_named())
        await self._in_turn(lambda: depot.forget(fingerprint))
        return await self._report()

    async def _make_room(
        self, depot: Depot, fingerprint: str, find_named: FindNamed
    ) -> None:
        held = await self._in_turn(depot.held)
        if not is_room_needed(held, fingerprint):
            return
        for leaving in choose_leaving(held, fingerprint, await find_named()):
            await self._in_turn(partial(depot.forget, leaving))
            self._runtime.log.info(
                "release {fingerprint} makes room for another one", fingerprint=leaving
            )

    def _taking(self) -> Depot:
        if self._depot is None:
            raise Refusal(
                "this master takes no releases: one does that was started with"
                " --pushed-releases DIRECTORY"
            )
        return self._depot

    async def _in_turn(self, work: Callable[[], T]) -> T:
        """Do one thing after the other, in a thread; nothing is left half by it."""
        await self._turn.acquire()
        try:
            return await work_in_thread(self._runtime.threads, work)
        except (OSError, StoreUnavailable) as error:
            raise Unavailable(f"a release is not kept: {error}") from error
        finally:
            self._turn.release()


def build_pushes(config: Config, runtime: Runtime) -> PushAnswers:
    """Return the answers of a replica, as its configuration has it."""
    directory = config.pushed_directory
    depot = Depot(Path(directory)) if directory is not None else None
    return PushAnswers(runtime, depot, config.release_directory)


def find_named(cloud: Cloud) -> frozenset[str]:
    """Return the fingerprints that installations and instances of a state name."""
    urls = set()
    for computer_id in cloud.computer_ids():
        urls |= {it.software_release_url for it in cloud.installations(computer_id)}
        guids = (it.occupant_guid for it in cloud.partitions(computer_id))
        urls |= {cloud.instance(it).software_release_url for it in guids if it}
    urls |= {it.software_release_url for it in cloud.roots()}
    return named_in(urls)
