"""Shell. Has the master of a cloud take up another release, step by step."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from attrs import define, evolve, field, frozen

from slap.errors import MasterAway, NotReady
from slap.model import RequestedState, SoftwareInstallation
from slap.reports import ComputerReport, TreeReport
from slapcluster.hosting.finding import find_tree_of_master
from slapcluster.master import Master
from slapcluster.outcomes import CommandFailed, ExitCode
from slapcluster.pushing import CloudReplicas, LocalRelease, list_all, push
from slapcluster.settling import changed_at_of, find_installation
from slapcluster.trees import request_of
from slapcluster.upgrading.planning import (
    WAITING,
    Refused,
    Step,
    Target,
    Verb,
    View,
    plan_all_steps,
    plan_next_step,
)
from slapcluster.upgrading.rolled import (
    InstanceRolled,
    former_releases,
    hosts_of,
    is_supplied,
    rolled,
)

POLL_SECONDS = 1.0
"""Between two looks: some calls each, which nobody else notices."""

Show = Callable[[str, int, int], None]


@frozen
class Upgraded:
    """How it ended, or what would be done."""

    target: Target
    steps: tuple[Step, ...]
    instances: tuple[InstanceRolled, ...]
    former: tuple[str, ...]
    is_done: bool


@frozen
class Found:
    """The service that the master is, and the computers that have its release."""

    tree: TreeReport
    computers: Mapping[str, ComputerReport]

    @property
    def former(self) -> tuple[str, ...]:
        return former_releases(self.tree, self.computers)


async def find(master: Master) -> Found:
    """Return what is to be upgraded."""
    cloud = await master.cloud()
    tree = await find_tree_of_master(master, cloud)
    if tree is None:
        raise CommandFailed(
            "This master is no service of its own cloud: only one that hosts itself is"
            " upgraded so. Others are started anew with another release."
        )
    url = tree.instances[0].software_release_url
    reports = [await master.computer(it.computer_id) for it in cloud.computers]
    hosts = hosts_of(tree)
    chosen = {
        it.computer_id: it
        for it in reports
        if it.computer_id in hosts or is_supplied(it, url)
    }
    return Found(tree, chosen)


@define(eq=False)
class Upgrade:
    """One command. ``limit_seconds`` is for each thing that is waited for."""

    master: Master
    replicas: CloudReplicas
    target: Target
    release: LocalRelease | None
    show: Show
    limit_seconds: float
    _computer_ids: tuple[str, ...] = ()
    _serving: frozenset[str] | None = None
    _changed_at: float | None = None
    _failed_before: Mapping[str, float | None] | None = None
    _steps: list[Step] = field(factory=list)

    async def foresee(self, found: Found) -> Upgraded:
        """Return what would be done; nothing is changed."""
        self._computer_ids = tuple(found.computers)
        view = await self._look(found.tree.title)
        steps = plan_all_steps(self.target, view)
        return self._upgraded(view, steps, is_done=not steps)

    async def perform(self, found: Found) -> Upgraded:
        """Do what is left; return when all instances run the release.

        A master that is away is asked again: its replicas are started anew.
        """
        self._computer_ids = tuple(found.computers)
        subject, since = "", self.master.seconds()
        view: View | None = None
        while True:
            now = self.master.seconds()
            try:
                step, view = await self._advance(found.tree.title)
            except Refused as error:
                raise CommandFailed(f"{error}.") from error
            except MasterAway as error:
                reason = f"the master is away: {error.sentence}"
            else:
                if step.verb is Verb.DONE:
                    return self._upgraded(view, tuple(self._steps), is_done=True)
                if subject != step.about:
                    subject, since = step.about, now
                if step.verb not in WAITING:
                    continue
                reason = step.reason
            self.show(reason, *self._counts(view))
            if now - since >= self.limit_seconds:
                raise CommandFailed(self._late(reason, view), ExitCode.PENDING)
            await self.master.pause(POLL_SECONDS)

    async def _advance(self, title: str) -> tuple[Step, View]:
        """Look, and do what is next; return it, and what was seen before."""
        view = await self._look(title)
        step = plan_next_step(self.target, view)
        if step.verb not in WAITING | {Verb.DONE}:
            self.show(step.about, 0, 0)
            await self._perform(step, view)
        if step.verb is not Verb.DONE:
            self._note(step)
        return step, view

    def _note(self, step: Step) -> None:
        """Keep what is done, and once what is waited for."""
        if step.about not in {it.about for it in self._steps}:
            self._steps.append(step)

    async def _look(self, title: str) -> View:
        tree = await self.master.tree(title)
        if not tree.instances:
            raise CommandFailed(f"The service {title!r} is gone.")
        ids = dict.fromkeys((*hosts_of(tree), *self._computer_ids))
        computers = {it: await self.master.computer(it) for it in ids}
        if self._serving is None:
            self._serving = await self._look_at_replicas()
        if self._failed_before is None:
            self._failed_before = self._failed(computers)
        return View(
            tree,
            computers,
            self._serving,
            frozenset(it.region for it in self.replicas.listed),
            self._changed_at,
            self._failed_before,
        )

    async def _look_at_replicas(self) -> frozenset[str]:
        fingerprint = self.target.fingerprint
        found = await list_all(self.replicas) if fingerprint else ()
        return frozenset(it.region for it in found if fingerprint in it.taken)

    def _failed(
        self, computers: Mapping[str, ComputerReport]
    ) -> dict[str, float | None]:
        url = self.target.release_url
        found = {it: find_installation(report, url) for it, report in computers.items()}
        return {
            name: it.reported_at
            for name, it in found.items()
            if it is not None and it.reported_state == "error"
        }

    async def _perform(self, step: Step, view: View) -> None:
        url = self.target.release_url
        if step.verb is Verb.PUSH:
            assert self.release is not None
            standing = await push(self.replicas, self.release, self.show)
            self._serving = standing.whole_regions
            if not standing.is_spread:
                raise CommandFailed(
                    f"The release is not at most regions: {standing.sentence}. Repeat"
                    " the command when that is mended.",
                    ExitCode.PENDING,
                )
        elif step.verb is Verb.SUPPLY:
            await self.master.supply(SoftwareInstallation(url, step.subject))
        else:
            assert step.verb is Verb.REQUEST
            await self._request(view.tree)

    async def _request(self, tree: TreeReport) -> None:
        """Request the root with all that it has, and the release that is wanted."""
        root = tree.instances[0]
        same = request_of(root, RequestedState(root.requested_state))
        wanted = evolve(same, software_release_url=self.target.release_url)
        try:
            instance = await self.master.request_instance(wanted)
        except NotReady:
            # It is accepted; the next step asks again, for when it was.
            await self.master.pause(POLL_SECONDS)
            return
        self._changed_at = changed_at_of(instance.timestamp) or 0.0

    def _counts(self, view: View | None) -> tuple[int, int]:
        if view is None:
            return 0, 0
        instances = rolled(view.tree, self.target.release_url, self._changed_at)
        return sum(it.is_done for it in instances), len(instances)

    def _late(self, reason: str, view: View | None) -> str:
        late = f"Not there after {self.limit_seconds:g} s: {reason}."
        former: tuple[str, ...] = ()
        if view is not None and self._changed_at is not None:
            url = self.target.release_url
            former = former_releases(view.tree, view.computers, url)
        back = f" To go back: `slapcluster upgrade {former[0]}`." if former else ""
        return f"{late} It goes on without you; the same command follows it.{back}"

    def _upgraded(
        self, view: View, steps: tuple[Step, ...], *, is_done: bool
    ) -> Upgraded:
        url = self.target.release_url
        return Upgraded(
            self.target,
            steps,
            rolled(view.tree, url, self._changed_at),
            former_releases(view.tree, view.computers, url),
            is_done,
        )
