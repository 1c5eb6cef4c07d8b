"""Core. What is seen of a neo_cluster and of its regions, and what that means.

``look_at`` puts together what supervisords and admin nodes say; its remarks are
sentences that say what is wrong and what a person can do. The same sentences are shown
by every command.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum

from attrs import evolve, frozen

from replication.answers import (
    MASTER,
    PENDING,
    READABLE,
    RECOVERING,
    RUNNING,
    STORAGE,
    Answer,
    choose_answer,
    primaries_of,
)
from replication.observation import RegionId, build_row, region_of
from replication.programs import ROOM_BYTES, log_file
from replication.quorum import check_majority
from replication.regions import NeoCluster, ProgramKind, Region, split_address

_LISTED = re.compile(r"\[(\d+(?:, \d+)*)\]")
_SINGLE = re.compile(r"\b(region|storage node) (\d+)\b")
"""How ``quorum`` and the neo_masters write regions and storage nodes."""

MEGABYTE = 1024**2

CONNECTED = frozenset({RUNNING, PENDING})
STARTING = "STARTING"


class Standing(StrEnum):
    """In short: all of it, enough of it, or nothing that a client could use."""

    WHOLE = "whole"
    PARTIAL = "partial"
    AWAY = "away"


@frozen
class ProgramSeen:
    """A program as its supervisord has it; ``process_state`` is supervisord's word.

    The kernel knows more: ``is_stopped`` by a signal, ``is_waiting`` for a device,
    which is a disk.
    """

    kind: ProgramKind
    process_state: str
    pid: int | None = None
    said: str = ""
    is_stopped: bool = False
    is_waiting: bool = False

    @property
    def is_running(self) -> bool:
        return self.process_state == RUNNING


@frozen
class SupervisordSeen:
    """A supervisord that answers, and what it runs."""

    pid: int
    programs: tuple[ProgramSeen, ...]


@frozen
class HungProcess:
    """What the kernel knows of a process that does not answer, as of a program."""

    pid: int
    is_stopped: bool
    is_waiting: bool


@frozen
class RegionFound:
    """What is known of a region that no program of it says.

    ``verdict`` is what its neo_master wrote last; ``free_bytes`` are of its disk;
    ``hung_supervisord`` is one that runs and does not answer.
    """

    verdict: str = ""
    free_bytes: int | None = None
    hung_supervisord: HungProcess | None = None


NOTHING = RegionFound()


@frozen
class RegionSeen:
    """A region: without ``supervisord`` it is stopped, was killed, or is beyond answer.

    ``node_state`` is NEO's word for its storage node, ``""`` when nobody tells.
    ``verdict`` is what its neo_master decided last, ``if_lost`` what becomes of the
    others when this region is lost now: ``"goes on"``, or why they stop. In both,
    regions have their names.
    """

    name: str
    supervisord: SupervisordSeen | None
    is_primary: bool
    storage_node_id: str | None
    node_state: str
    readable_count: int
    out_of_date_count: int
    admin_node: str
    verdict: str = ""
    if_lost: str = ""
    free_bytes: int | None = None

    @property
    def is_full(self) -> bool:
        """Whether a storage node would not begin on its disk."""
        return self.free_bytes is not None and self.free_bytes < ROOM_BYTES

    @property
    def is_whole(self) -> bool:
        return (
            self.supervisord is not None
            and all(
                it.is_running and not it.is_stopped for it in self.supervisord.programs
            )
            and self.node_state == RUNNING
            and self.out_of_date_count == 0
        )


@frozen
class NeoClusterSeen:
    """All that is seen; ``cluster_state`` is ``""`` when no admin node answers."""

    name: str
    directory: str
    store_uri: str
    cluster_state: str
    last_transaction: str | None
    epoch: int | None
    partition_count: int
    standing: Standing
    regions: tuple[RegionSeen, ...]
    remarks: tuple[str, ...]

    @property
    def waits_for(self) -> tuple[str, ...]:
        """The regions of which a recovery needs one or more; none if it goes on."""
        if self.cluster_state != RECOVERING:
            return ()
        present = [it for it in self.regions if it.node_state in CONNECTED]
        if 2 * len(present) > len(self.regions) and any(
            it.readable_count for it in present
        ):
            return ()
        return tuple(it.name for it in self.regions if it not in present)


def look_at(
    neo_cluster: NeoCluster,
    directory: str,
    supervisords: Mapping[str, SupervisordSeen | None],
    answers: Sequence[Answer],
    found: Mapping[str, RegionFound] | None = None,
) -> NeoClusterSeen:
    """Return what is seen; ``supervisords`` and ``found`` are by region names."""
    answer = choose_answer(answers)
    known = {it.name: (found or {}).get(it.name, NOTHING) for it in neo_cluster.regions}
    regions = tuple(
        evolve(
            _region(it, supervisords[it.name], answer),
            verdict=name_regions(known[it.name].verdict, neo_cluster),
            if_lost=name_regions(say_if_lost(it.number, answer), neo_cluster),
            free_bytes=known[it.name].free_bytes,
        )
        for it in neo_cluster.regions
    )
    seen = NeoClusterSeen(
        neo_cluster.name,
        directory,
        neo_cluster.store_uri,
        answer.cluster_state if answer else "",
        answer.last_transaction if answer else None,
        answer.epoch if answer else None,
        neo_cluster.partition_count,
        _standing(answer, regions),
        regions,
        remarks=(),
    )
    hung = {
        name: it.hung_supervisord for name, it in known.items() if it.hung_supervisord
    }
    return _with_remarks(seen, neo_cluster, answers, hung)


def name_regions(sentence: str, neo_cluster: NeoCluster) -> str:
    """Return what a neo_master says with the names of regions: it knows numbers."""
    # One that moves is there twice: the one that has cells is meant.
    regions = sorted(neo_cluster.regions, key=lambda it: it.storage_node_id is not None)
    names = {it.number: it.name for it in regions}

    def name(number: str) -> str:
        region = region_of(int(number))
        if region:
            return f"S{number} of {names.get(region, region)}"
        return names.get(int(number), number)

    for region in regions:
        host, port = split_address(region.neo_master)
        sentence = re.sub(rf"{re.escape(host)} port {port}\b", region.name, sentence)
    sentence = _LISTED.sub(
        lambda found: ", ".join(map(name, found[1].split(", "))), sentence
    )
    return _SINGLE.sub(lambda found: f"{found[1]} {name(found[2])}", sentence)


def _region(
    region: Region, supervisord: SupervisordSeen | None, answer: Answer | None
) -> RegionSeen:
    nodes = answer.nodes_of(STORAGE) if answer else ()
    found = next((it for it in nodes if it.address == region.storage_node), None)
    node_id = found.node_id if found else region.storage_node_id
    # One that has not come since the primary started has no address yet.
    known = found or next((it for it in nodes if it.node_id == node_id), None)
    cells = [it for it in answer.cells if it.node_id == node_id] if answer else []
    readable_count = sum(it.cell_state in READABLE for it in cells)
    return RegionSeen(
        region.name,
        supervisord,
        is_primary=answer is not None and answer.primary_address == region.neo_master,
        storage_node_id=node_id,
        node_state=known.node_state if known else "",
        readable_count=readable_count,
        out_of_date_count=len(cells) - readable_count,
        admin_node=region.admin_node,
    )


def say_if_lost(number: RegionId, answer: Answer | None) -> str:
    """Say what the others do when a region is lost now; ``""`` when nothing runs."""
    if answer is None or not answer.is_running:
        return ""
    left = {
        it.storage
        for it in answer.nodes_of(STORAGE)
        if it.node_state == RUNNING and region_of(it.storage) != number
    }
    rows = [
        build_row(
            (it.storage for it in row),
            (it.storage for it in row if it.cell_state not in READABLE),
        )
        for row in answer.rows
    ]
    verdict = check_majority(rows, left)
    if not verdict:
        return f"stops: {verdict.reason}"
    if not all(row.readable & left for row in rows):
        return "stops: nobody else has all, until the replication ends"
    return "goes on"


def _standing(answer: Answer | None, regions: Sequence[RegionSeen]) -> Standing:
    if answer is None or not answer.is_running:
        return Standing.AWAY
    is_whole = all(region.is_whole for region in regions)
    return Standing.WHOLE if is_whole else Standing.PARTIAL


def _with_remarks(
    seen: NeoClusterSeen,
    neo_cluster: NeoCluster,
    answers: Sequence[Answer],
    hung: Mapping[str, HungProcess],
) -> NeoClusterSeen:
    remarks: list[str] = []
    if not neo_cluster.is_created:
        remarks.append(
            "Its creation was not completed: repeat `slapcluster storage create` with "
            "the same arguments."
        )
    elif not hung and all(region.supervisord is None for region in seen.regions):
        remarks.append(f"Nothing of it runs: `{start_command(seen.directory)}`.")
    else:
        for region in seen.regions:
            remarks += _remarks_of_programs(region, seen.directory, hung)
            remarks += _remarks_of_disk(region)
        remarks += _remarks_of_answers(seen, answers)
        remarks += _remarks_of_silence(seen, neo_cluster, answers)
        for region in seen.regions:
            remarks += _remarks_of_cells(region, seen)
        remarks += [
            f"Region {it.name} is not there yet: repeat `slapcluster storage region`, "
            "which was interrupted."
            for it in neo_cluster.regions
            if it.storage_node_id is None
        ]
    return evolve(seen, remarks=tuple(remarks))


def start_command(directory: str, region: str = "") -> str:
    words = ["slapcluster", "storage", "start", directory]
    return shlex.join([*words, "--region", region] if region else words)


def _remarks_of_programs(
    region: RegionSeen, directory: str, hung: Mapping[str, HungProcess]
) -> list[str]:
    if region.supervisord is None:
        command = start_command(directory, region.name)
        if region.name in hung:
            process = hung[region.name]
            otherwise = (
                f"`kill -9 {process.pid}` ends it and its programs, then `{command}`"
            )
            sentence = (
                f"{region.name}: its supervisord, process {process.pid}, runs and does "
                f"not answer: {_why_hung(process) or otherwise}."
            )
            return [sentence]
        return [f"Region {region.name} is stopped or was killed: `{command}`."]
    return [
        f"{region.name}: the {it.kind} has just started."
        if it.process_state == STARTING
        else f"{region.name}: the {it.kind} is {it.process_state}"
        + (f" ({it.said})" if it.said else "")
        + f"; the end of {directory}/{region.name}/{log_file(it.kind)} says why."
        for it in region.supervisord.programs
        if not it.is_running
    ]


def _remarks_of_disk(region: RegionSeen) -> list[str]:
    if region.free_bytes is None or not region.is_full:
        return []
    left, needed = (it // MEGABYTE for it in (region.free_bytes, ROOM_BYTES))
    sentence = (
        f"{region.name}: its disk is full, {left} MB are left: make room. A storage "
        "node that cannot write ends; it begins again by itself when "
        f"{needed} MB are free."
    )
    return [sentence]


def _remarks_of_answers(seen: NeoClusterSeen, answers: Sequence[Answer]) -> list[str]:
    primaries = primaries_of(answers)
    if len(primaries) > 1:
        them = " and ".join(primaries)
        sentence = (
            f"There are {len(primaries)} primaries, {them}: they do not reach each "
            "other. At most one of them can acknowledge anything; mend the network."
        )
        return [sentence]
    if not seen.cluster_state:
        reasons = sorted({it.failure.rstrip(".") for it in answers})
        return [f"No admin node answers: {'; '.join(reasons) or 'none runs'}."]
    if seen.cluster_state != RECOVERING:
        return []
    verdicts = sorted({it.verdict for it in seen.regions if it.is_primary} - {""})
    waited = " and ".join(seen.waits_for)
    without = f", without the storage node of {waited}" if waited else ""
    verdicts = sorted({it.verdict for it in seen.regions if it.is_primary} - {""})
    told = f" ({'; '.join(verdicts)})" if verdicts else ""
    sentence = (
        f"It is {RECOVERING}{without}{told}: it starts by itself as soon as a majority "
        "of regions is there."
    )
    return [sentence]


def _remarks_of_silence(
    seen: NeoClusterSeen, neo_cluster: NeoCluster, answers: Sequence[Answer]
) -> list[str]:
    """Name programs that run and that others do not hear."""
    answer = choose_answer(answers)
    silent = {it.admin_node: ProgramKind.ADMIN_NODE for it in answers if it.is_silent}
    heard = {it.primary_address for it in answers if not it.is_primary_silent}
    deaf = set()
    for told in answers:
        if told.is_primary_silent and told.primary_address in heard:
            deaf.add(told.admin_node)
        elif told.is_primary_silent:
            silent[told.primary_address] = ProgramKind.NEO_MASTER
    for found in answer.nodes if answer else ():
        if found.node_state not in CONNECTED:
            silent[found.address] = _KINDS[found.kind]
    remarks = []
    for region in seen.regions:
        addresses = neo_cluster.region(region.name).addresses
        running = region.supervisord.programs if region.supervisord else ()
        remarks += [
            f"{region.name}: the {it.kind}, process {it.pid}, runs and is not heard: "
            f"{_why_silent(region, it)}."
            for it in running
            if it.is_running
            # Others notice one that is stopped later than the kernel.
            and (it.is_stopped or silent.get(addresses[it.kind]) is it.kind)
        ]
        if region.admin_node in deaf:
            remarks.append(
                f"{region.name}: its admin_node does not hear the primary, others do: "
                "the network of this region is cut."
            )
    return remarks


def _why_silent(region: RegionSeen, program: ProgramSeen) -> str:
    if region.is_full and program.kind is ProgramKind.STORAGE_NODE:
        return "it waits for room on its disk"
    unknown = "it is stopped, its disk hangs, or the network is cut"
    return _why_hung(program) or unknown


def _why_hung(process: ProgramSeen | HungProcess) -> str:
    """Say it with what to do; ``""`` when the kernel does not know."""
    if process.is_stopped:
        return f"a signal stopped it; `kill -CONT {process.pid}` lets it go on"
    return "it waits for its disk, which does not answer" if process.is_waiting else ""


_KINDS = {STORAGE: ProgramKind.STORAGE_NODE, MASTER: ProgramKind.NEO_MASTER}


def _remarks_of_cells(region: RegionSeen, seen: NeoClusterSeen) -> list[str]:
    if not region.out_of_date_count:
        return []
    count = region.readable_count + region.out_of_date_count
    why = (
        "it replicates what it missed"
        if region.node_state == RUNNING and seen.cluster_state == RUNNING
        else "it catches up when it is back"
    )
    told = f"{region.out_of_date_count} of {count} cells are out of date"
    return [f"{region.name}: {told}; {why}."]


def is_settled(seen: NeoClusterSeen, started: Collection[str]) -> bool:
    """Whether nothing more will come of having started these regions.

    It runs with all programs of them; or it recovers, all of those are there, and it
    waits for others.
    """
    regions = [it for it in seen.regions if it.name in started]
    for region in regions:
        programs = region.supervisord.programs if region.supervisord else ()
        if not programs or not all(it.is_running for it in programs):
            return False
    if seen.cluster_state == RUNNING:
        return all(it.node_state == RUNNING for it in regions)
    waited = set(seen.waits_for)
    are_there = all(it.node_state in CONNECTED for it in regions)
    return bool(waited) and are_there and not waited & set(started)


def is_failing(seen: NeoClusterSeen, started: Collection[str]) -> bool:
    """Whether a program of these regions ended by itself, or its supervisord did."""
    return any(
        region.supervisord is None
        or any(
            not (it.is_running or it.process_state == STARTING)
            for it in region.supervisord.programs
        )
        for region in seen.regions
        if region.name in started
    )
