"""Tallies of what went wrong with partitions, kept through restarts of the agent."""

from __future__ import annotations

from collections.abc import Iterable
from types import MappingProxyType

from runtime.ports import Runtime
from slapgrid.collecting.measures import Measure
from slapgrid.collecting.readings import Counters
from slapgrid.collecting.records import RecordRefused, decode_tallies, encode_tallies
from slapgrid.config import Config
from slapgrid.convergence.plans import Action, ReviveProgram
from slapgrid.convergence.retrying import Effort, Outcome
from slapgrid.layout import USAGE_DIRECTORY, USAGE_INCIDENTS

#: A row for each kind and partition.
TALLY_BYTES_MAX = 4 * 1024 * 1024
_PROVING = frozenset({Effort.PROVE, Effort.CHECK})


class Incidents:
    """Counts up only; who reads it compares with what it read before."""

    def __init__(self, config: Config, runtime: Runtime) -> None:
        self._runtime = runtime
        self._tree = runtime.file_tree(config.instance_root)
        self._tallies: dict[tuple[str, Measure], float] | None = None
        self._failing: set[str] = set()

    def note(self, actions: Iterable[Action], outcomes: Iterable[Outcome]) -> None:
        """Count what these actions and how they ended say of their partitions.

        A promise that keeps failing is one incident, until it holds again.
        """
        happened = [
            (action.name, Measure.PROGRAMS_RESTARTED, len(action.programs))
            for action in actions
            if isinstance(action, ReviveProgram)
        ]
        for outcome in outcomes:
            if outcome.effort not in _PROVING:
                continue
            if outcome.failure is None:
                self._failing.discard(outcome.name)
            elif outcome.name not in self._failing:
                self._failing.add(outcome.name)
                happened.append((outcome.name, Measure.PROMISES_FAILED, 1))
        if happened:
            self._count(happened)

    def read(self) -> Counters:
        """All tallies."""
        return MappingProxyType(dict(self._recall()))

    def _count(self, happened: list[tuple[str, Measure, int]]) -> None:
        tallies = self._recall()
        for partition_id, measure, count in happened:
            key = partition_id, measure
            tallies[key] = tallies.get(key, 0.0) + count
        try:
            self._tree.make_directory(USAGE_DIRECTORY, 0o700)
            self._tree.write(USAGE_INCIDENTS, encode_tallies(tallies), 0o600)
        except OSError as error:
            # It is in memory, and written with the next one.
            self._runtime.log.warn(  # noqa: G010 - Twisted's name
                "incidents not saved: {error}", error=error
            )

    def _recall(self) -> dict[tuple[str, Measure], float]:
        if self._tallies is None:
            try:
                content = self._tree.read(USAGE_INCIDENTS, TALLY_BYTES_MAX)
                self._tallies = dict(decode_tallies(content))
            except (OSError, RecordRefused):
                self._tallies = {}
        return self._tallies
