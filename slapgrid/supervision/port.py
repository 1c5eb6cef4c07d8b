"""Core. The port to whatever keeps programs running: supervisord, or its model."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Collection, Iterable, Mapping
from types import MappingProxyType

from attrs import field, frozen
from zope.interface import Interface

from slapgrid.convergence.views import ProgramStatus
from slapgrid.layout import SIDE_SUFFIXES
from slapgrid.supervision.conf import ProgramGroup


class SupervisionError(Exception):
    """Supervision does not answer; the sentence says why. Trying later may help."""


@frozen(order=True)
class ProgramKey:
    """A program of a partition."""

    partition_id: str
    program: str


@frozen
class GroupStatus:
    """The programs of a partition, in order of name."""

    partition_id: str
    programs: tuple[ProgramStatus, ...] = ()


def _no_groups() -> Mapping[str, tuple[ProgramStatus, ...]]:
    return MappingProxyType({})


@frozen
class PartitionGroups:
    """What supervision knows of a partition: its programs, and its other groups."""

    programs: tuple[ProgramStatus, ...] | None = None
    side_groups: Mapping[str, tuple[ProgramStatus, ...]] = field(factory=_no_groups)


def groups_by_partition(
    groups: Iterable[GroupStatus], partition_ids: Collection[str]
) -> Mapping[str, PartitionGroups]:
    """Whose each group is, by exact name; ``partition_ids`` are those that are known.

    Groups ``<partition_id>-<suffix>`` belong beside the partition, unless a partition
    is called so itself.
    """
    programs: dict[str, tuple[ProgramStatus, ...]] = {}
    sides: defaultdict[str, dict[str, tuple[ProgramStatus, ...]]] = defaultdict(dict)
    for group in groups:
        name, _, suffix = group.partition_id.rpartition("-")
        if suffix in SIDE_SUFFIXES and group.partition_id not in partition_ids:
            sides[name][group.partition_id] = group.programs
        else:
            programs[group.partition_id] = group.programs
    return MappingProxyType(
        {
            name: PartitionGroups(
                programs.get(name), MappingProxyType(sides.get(name, {}))
            )
            for name in sorted({*programs, *sides, *partition_ids})
        }
    )


class ISupervision(Interface):
    """The programs of all partitions of a computer, in groups named by partition.

    Definitions survive the death of the agent and of supervision itself; programs
    survive the death of the agent. Nothing is ever restarted without being told.

    ``define``, ``start``, ``stop`` and ``remove`` act on many groups at once and answer
    with the reason, by partition id, for each that did not become what was asked; the
    others did. Repeating a call is harmless. Every method raises ``SupervisionError``
    when supervision cannot be reached.
    """

    def observe() -> Awaitable[tuple[GroupStatus, ...]]:
        """Every known group, in order of partition id. Starts supervision if needed."""

    def define(groups: tuple[ProgramGroup, ...]) -> Awaitable[Mapping[str, str]]:
        """Make each group consist of exactly these programs.

        New programs rest. Programs whose definition changed, or that are not in the
        group any more, are stopped; all others are not touched, nor are other groups.
        A group without programs is removed.
        """

    def start(programs: tuple[ProgramKey, ...]) -> Awaitable[Mapping[str, str]]:
        """Start these programs; one that runs is left alone."""

    def stop(programs: tuple[ProgramKey, ...]) -> Awaitable[Mapping[str, str]]:
        """Stop these programs and wait until they have ended; they stay defined.

        Whoever compares them with what is wanted may start them again.
        """

    def remove(partition_ids: tuple[str, ...]) -> Awaitable[Mapping[str, str]]:
        """Forget these groups, stop their programs and wait until they have ended.

        They are forgotten first: after a crash in the middle nothing starts them again.
        """

    def trouble() -> str:
        """What is wrong with supervision itself, as it was observed last.

        A sentence that says what was done about it; empty when nothing is wrong.
        """

    def shut_down() -> Awaitable[None]:
        """Stop every program and supervision itself; definitions stay."""
