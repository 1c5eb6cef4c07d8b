"""What a person tells programs: start, stop, start again. The agent may differ."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from attrs import frozen

from slapgrid.convergence.views import ProgramState, ProgramStatus
from slapgrid.supervision.conf import program_name
from slapgrid.supervision.port import (
    GroupStatus,
    ISupervision,
    ProgramKey,
    groups_by_partition,
)
from slapgrid.supervision.verbs import Verb

ALL = "all"
#: A program in one of these was told to start and did not.
_NOT_BEGUN = frozenset({ProgramState.STOPPED, ProgramState.FATAL, ProgramState.UNKNOWN})


@frozen
class Told:
    """A program that was told something, as it is now; ``failure`` is why not.

    Without a state there is no such program.
    """

    partition_id: str
    program: str
    program_state: ProgramState | None
    failure: str | None = None


async def tell_programs(
    supervision: ISupervision,
    verb: Verb,
    words: tuple[str, ...],
    partition_ids: Collection[str],
) -> tuple[Told, ...]:
    """Tell the programs that ``words`` name; raises ``SupervisionError``."""
    chosen, unknown = choose_programs(words, await supervision.observe(), partition_ids)
    failures: dict[str, str] = {}
    if chosen and verb is not Verb.START:
        failures.update(await supervision.stop(chosen))
    if chosen and verb is not Verb.STOP:
        failures.update(await supervision.start(chosen))
    states = _states(await supervision.observe())
    return tuple(
        Told(
            key.partition_id,
            key.program,
            states.get(key),
            _judge(verb, key, states.get(key), failures),
        )
        for key in chosen
    ) + tuple(
        Told(word.partition(":")[0], word.partition(":")[2], None, "no such program")
        for word in unknown
    )


def choose_programs(
    words: Iterable[str], groups: Iterable[GroupStatus], partition_ids: Collection[str]
) -> tuple[tuple[ProgramKey, ...], tuple[str, ...]]:
    """The programs that words name, and the words that name none.

    A word is ``PARTITION``, ``PARTITION:PROGRAM`` or ``all``; groups beside those of
    partitions, as of what runs when an instance is destroyed, are named or left alone.
    """
    groups = tuple(groups)
    by_group = {each.partition_id: each.programs for each in groups}
    ordinary = {
        name: found.programs or ()
        for name, found in groups_by_partition(groups, partition_ids).items()
    }
    chosen: list[ProgramKey] = []
    unknown = []
    for word in words:
        group, _, program = word.partition(":")
        if word == ALL:
            found = _keys(ordinary)
        else:
            wanted = program_name(program)
            found = [
                key
                for key in _keys({group: by_group.get(group, ())})
                if wanted in {"", "*", key.program}
            ]
        chosen += found
        if not found:
            unknown.append(word)
    return tuple(dict.fromkeys(chosen)), tuple(unknown)


def _keys(programs: Mapping[str, Iterable[ProgramStatus]]) -> list[ProgramKey]:
    return [ProgramKey(name, each.name) for name in programs for each in programs[name]]


def _states(groups: Iterable[GroupStatus]) -> dict[ProgramKey, ProgramState]:
    return {
        ProgramKey(group.partition_id, program.name): program.program_state
        for group in groups
        for program in group.programs
    }


def _judge(
    verb: Verb,
    key: ProgramKey,
    program_state: ProgramState | None,
    failures: Mapping[str, str],
) -> str | None:
    # Failures are known by partition; each begins with its program.
    reason = failures.get(key.partition_id, "")
    program, _, sentence = reason.partition(": ")
    if program == key.program:
        return sentence
    if verb is not Verb.STOP and program_state in _NOT_BEGUN:
        return f"it is {program_state} and not begun"
    return None
