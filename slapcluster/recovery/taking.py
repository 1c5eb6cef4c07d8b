"""Shell. The steps that a recovery has besides those of a bootstrap.

1. The state is taken into the home, and begins its new history there. Until that is
   written down the mini-master does not begin, so it is done anew after a kill.
2. Nobody may serve the lost cloud: a replica of it that answers for its store would
   acknowledge what the new one never hears of. It is asked before anything is told to
   computers, and once more before the new master opens.
3. The new master needs the partitions of the lost one, which computers empty first.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import cattrs
from attrs import evolve, frozen
from twisted.internet.defer import Deferred, gatherResults

from master_cluster.store.succeeding import LeftCloud, Succession, begin_history
from master_cluster.succeeding import check_name, number_of
from runtime.certificates import BadCertificate, check_chain
from runtime.identity_directory import IdentityDirectory
from runtime.threads import work_in_thread
from slap.errors import NotFound, SlapError
from slap.replicas import ListedReplica
from slap.reports import TreeReport
from slap.transfer import Standing
from slapcluster.bootstrap.home import MINI_MASTER, STATE_FILE
from slapcluster.bootstrap.moving import Moving
from slapcluster.bootstrap.wanted_cloud import WantedCloud
from slapcluster.bootstrap.work import Work
from slapcluster.documents import document_of
from slapcluster.hosting.outlook import RELEASE_PATH
from slapcluster.outcomes import CommandFailed
from slapcluster.recovery.comparing import (
    ComputerFound,
    Recovered,
    split_computers,
)
from slapcluster.recovery.sources import FoundState, find_state, take_state

SAME_INSTANT_SECONDS = 60.0
"""Before its end a certificate is looked at as it was then: it may be over now."""


@frozen
class Source:
    """What is taken, at an absolute path, and where the root of its cloud is.

    ``may_answer`` when the operator leaves a cloud behind that answers.
    """

    path: Path
    root_path: str
    may_answer: bool = False


class Taking:
    """These steps of one recovery."""

    def __init__(self, work: Work, source: Source) -> None:
        self._work = work
        self._source = source
        self._moving = Moving(work)

    async def take(self) -> None:
        """Have the mini-master begin with the state, in its new history."""
        work = self._work
        recovered = await work_in_thread(work.home.runtime.threads, self._take)
        document = document_of(recovered)
        assert isinstance(document, dict)
        work.write(evolve(work.logbook, recovered=document))

    def _take(self) -> Recovered:
        home, wanted = self._work.home, self._work.wanted
        watch = work_watch(self._work.show)
        state_file = Path(home.below(STATE_FILE))
        with tempfile.TemporaryDirectory(dir=state_file.parent) as place:
            found = find_state(self._source.path, Path(place), watch)
            check_found(found.left, wanted, IdentityDirectory(home.root_tree).roots())
            part = Path(place) / "state.fs"
            take_state(found, part, watch)
            begin_history(
                part,
                home.runtime.calendar,
                Succession(
                    wanted.name,
                    str(self._source.path),
                    ListedReplica(wanted.mini_master_url, MINI_MASTER),
                    RELEASE_PATH,
                    frozenset(it.title for it in wanted.computers),
                ),
            )
            # What another turn left beside it is of no use.
            for left in state_file.parent.glob(f"{state_file.name}*"):
                left.unlink()
            take_state(evolve(found, path=part), state_file, watch)
            return describe_found(found, wanted, self._source.path)

    async def leave(self) -> None:
        """See that no replica of the lost cloud answers for its store."""
        recovered = recovered_of(self._work.logbook.recovered)
        if self._source.may_answer:
            return
        asked = [
            Deferred.fromCoroutine(self._is_served(url)) for url in recovered.replicas
        ]
        answered = await gatherResults(asked)
        serving = [
            f"{url} ({region})"
            for (url, region), is_served in zip(
                recovered.replicas.items(), answered, strict=True
            )
            if is_served
        ]
        if serving:
            raise CommandFailed(
                f"The cloud is not lost: there answers {', '.join(serving)}, with a"
                " majority of its regions. What it acknowledges from now on would be"
                " lost; use it, or end it, or say --leave-it-behind."
            )

    async def _is_served(self, url: str) -> bool:
        try:
            report = await self._work.ask(lambda master: master.transfer(), url)
        except SlapError:
            return False
        return report.standing == Standing.OPEN

    async def clear(self) -> None:
        """Wait until computers have emptied the partitions of the lost master."""
        present = set(self._work.logbook.computer_ids.values())
        for title in recovered_of(self._work.logbook.recovered).masters:

            async def look(_: object, title: str = title) -> TreeReport:
                try:
                    return await self._work.ask(lambda master: master.tree(title))
                except NotFound:
                    return TreeReport(title)

            await self._work.wait(look, lambda tree: clear_activity(tree, present))

    async def open(self) -> None:
        if not self._work.logbook.is_opening:
            await self.leave()
        await self._moving.open()

    async def retire(self) -> None:
        """Nobody is told of the mini-master any more; then it goes."""
        work = self._work
        url = work.wanted.mini_master_url
        await work.ask(
            lambda master: master.forget_replica(url),
            *work.logbook.replica_urls.values(),
        )
        await self._moving.retire()


def clear_activity(tree: TreeReport, present: set[str]) -> str:
    """Tell which partitions of a tree that ends are not empty yet.

    A root stays as long as a child does, and a child on a computer that is not here
    stays until that comes back.
    """
    placed = [(it, it.partition.computer_id) for it in tree.instances if it.partition]
    has_absent = any(computer_id not in present for _, computer_id in placed)
    waiting = [
        f"{it.title} on {computer_id}"
        for number, (it, computer_id) in enumerate(placed)
        if computer_id in present and not (has_absent and number == 0)
    ]
    return f"{', '.join(waiting)} is to go" if waiting else ""


def check_found(left: LeftCloud, wanted: WantedCloud, roots: str) -> None:
    """Refuse a state under a name that it knows, or of another root's cloud."""
    refusal = check_name(wanted.name, left.histories, (*left.masters, *left.services))
    if refusal:
        raise CommandFailed(f"{refusal}.")
    certified = [it for it in left.computers if it.certificate]
    foreign = 0
    for it in certified:
        try:
            check_chain(it.certificate, roots, it.expires_at - SAME_INSTANT_SECONDS)
        except BadCertificate:
            foreign += 1
    if certified and foreign == len(certified):
        raise CommandFailed(
            "The root is that of another cloud: no computer of this state was certified"
            " under it. Name the directory of its own root by --root."
        )


def describe_found(found: FoundState, wanted: WantedCloud, source: Path) -> Recovered:
    left = found.left
    computers = tuple(
        ComputerFound(it.computer_id, it.title, it.services) for it in left.computers
    )
    titles = tuple(it.title for it in wanted.computers)
    joining, new, absent = split_computers(computers, titles)
    number = number_of(left.histories)
    return Recovered(
        str(source),
        found.kind,
        found.content.digest,
        left.last_tid,
        left.last_at,
        number + 1,
        number,
        left.masters,
        left.services,
        joining,
        new,
        absent,
        {it.url: it.region for it in left.replicas},
        found.warnings,
    )


def recovered_of(document: Mapping[str, object]) -> Recovered:
    """Return what a logbook has of it."""
    return cattrs.structure(document, Recovered)


def work_watch(show: Callable[[str], None]) -> Callable[[int, int], None]:
    return lambda done, total: show(f"{100 * done // max(total, 1)} %")
