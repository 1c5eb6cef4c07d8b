"""Proving what is deployed: promises of many partitions, as actions of a plan."""

from __future__ import annotations

from attrs import frozen

from slap.model import Computer
from slapgrid.convergence.plans import Action, CheckPromises
from slapgrid.convergence.retrying import Effort, Outcome
from slapgrid.identity import IdentityRefused
from slapgrid.instance.partitions import InstanceRefused, Partitions
from slapgrid.promises.jobs import PromiseMode
from slapgrid.promises.running import PromiseRound, PromiseRunner, unkept
from slapgrid.software.releases import Releases
from slapgrid.together import all_of


@frozen
class Proving:
    """Runs promises towards one document of the master."""

    partitions: Partitions
    releases: Releases
    runner: PromiseRunner
    desired: Computer

    async def prove(self, partition_id: str, titles: frozenset[str]) -> str | None:
        """Test these promises; the first failure, or why no result is kept."""
        wanted = self._round(partition_id, titles, PromiseMode.TEST)
        runs = await self.runner.run(wanted)
        failures = (run.failure for run in runs)
        return next((each for each in failures if each is not None), unkept(runs))

    async def test(self, partition_ids: tuple[str, ...]) -> list[Outcome]:
        """Test all promises of these partitions, however long that takes."""
        outcomes: list[Outcome] = []

        async def test_one(partition_id: str) -> None:
            found = self.partitions.promises(partition_id)
            titles = frozenset(each.title for each in found)
            try:
                failure = await self.prove(partition_id, titles)
            except (OSError, IdentityRefused, InstanceRefused) as error:
                failure = str(error)
            outcomes.append(Outcome(Effort.PROVE, partition_id, failure=failure))

        await all_of(test_one(each) for each in partition_ids)
        return sorted(outcomes, key=lambda each: each.name)

    async def check(self, actions: tuple[Action, ...]) -> list[Outcome]:
        """Check promises of many partitions; what is left over stays due."""
        outcomes: list[Outcome] = []
        rounds: list[PromiseRound] = []
        checked: list[Action] = []
        for action in actions:
            assert isinstance(action, CheckPromises), action
            titles = frozenset(action.promises)
            try:
                wanted = self._round(action.name, titles, PromiseMode.ANOMALY)
            except (OSError, IdentityRefused, InstanceRefused) as error:
                outcomes.append(action.ended(str(error)))
            else:
                rounds.append(wanted)
                checked.append(action)
        batch = await self.runner.run_batch(tuple(rounds))
        for action, runs in zip(checked, batch, strict=True):
            if runs is not None:
                outcomes.append(action.ended(unkept(runs)))
        return outcomes

    def _round(
        self, partition_id: str, titles: frozenset[str], mode: PromiseMode
    ) -> PromiseRound:
        instance = next(
            each.instance
            for each in self.desired.partitions
            if each.key.partition_id == partition_id
        )
        assert instance is not None, "only an instance has promises to run"
        found = self.partitions.promises(partition_id)
        promises = tuple(each for each in found if each.title in titles)
        has_plugins = any(each.is_plugin for each in promises)
        try:
            warmth = self.releases.warmth(instance.software_release_url)
        except OSError:
            if has_plugins:
                raise
            warmth = None
        return PromiseRound(
            partition_id,
            self.partitions.files(partition_id),
            self.partitions.identity(partition_id),
            warmth,
            promises,
            mode,
        )
