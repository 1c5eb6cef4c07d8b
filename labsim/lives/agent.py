"""Shell. A life of one agent, whose efforts fail, whose calendar and memory are wrong.

Trees of two instances come and go on a computer that asks its master once an hour at
least and looks after itself as seldom: what it does in between follows from what it was
told, and from what it remembers of its own failures. Each round something is wanted
otherwise while its calendar is ahead, its installations fail, its processes are killed,
its master begins with a backup of before, or a block goes bad of a file in which an
agent notes things for itself. Soon after that, everything must be as it is wanted; and
whoever is killed again and again does not try again for that.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from contextlib import suppress
from random import Random
from traceback import format_exception

from attrs import define, field
from ZODB.DB import DB  # type: ignore[import-untyped]
from ZODB.utils import z64  # type: ignore[import-untyped]

from labsim.computers import Computer
from labsim.models.buildout import BuildoutModel
from labsim.world.world import World
from master_cluster import config as master_config
from master_cluster.service import build_service as build_master
from master_cluster.store.storages import MemoryStorage, database_on
from runtime.ports import ICalendar, TcpAddress
from slap import calls
from slap.calls import Call
from slap.errors import NotFound
from slap.model import (
    InstanceRequest,
    PartitionKey,
    RequestedInstance,
    RequestedState,
    SoftwareInstallation,
)
from slap.replicas import Replicas
from slap.reports import InstanceReport, TreeReport
from slapgrid.layout import BOOT_FILE, LAST_PASSES, RETRY_MEMORY, TIMESTAMP_FILE
from slapgrid.passes import ExitStatus
from slapgrid.slap_client import SlapClient

PORT = 5000
COMPUTER = "COMP-0"
RELEASE = "http://releases.example/service.cfg"
PARTITIONS = 4

ROOTS = ("one", "two")
"""Each asks for one child while it is there, as its installation would."""

BUILDING_SECONDS = 10.0
"""Nothing fails before the release is there: builds wait up to an hour."""

ROUNDS = 12
QUIET_SECONDS = 3600.0
"""Between two looks of the agent when nothing is due, and two polls when all rests."""

AHEAD_SECONDS_MAX = 86400.0
WISHED_SECONDS_MAX = 120.0
"""From a wish until the calendar is set back: removals report again after 60."""

FAILING_SECONDS_MAX = 3600.0
KILLED_SECONDS = 60.0
"""Between two kills while installations fail."""

ATTEMPTS_MAX = 16
"""Of one instance in an hour: delays double from 5 s to 600 s, so there are eleven. A
wish that is read in two steps is two."""

SETTLED_SECONDS_MAX = 900.0
"""Installations wait at most 600."""

LOOK_SECONDS = 30.0
PROGRAMS = "running programs"

NOTES = (RETRY_MEMORY, LAST_PASSES, BOOT_FILE)
"""Below the root of instances; beside them there is a time stamp in each partition."""


@define(eq=False)
class Life:
    """A master, an agent, and who wants something of both."""

    world: World
    wanted: dict[str, RequestedState] = field(factory=dict)
    attempts: dict[str, int] = field(factory=dict)
    entropy: Random = field(init=False)
    _computer: Computer = field(init=False)
    _person: SlapClient = field(init=False)
    _storage: MemoryStorage | None = None
    _asked: dict[str, str] = field(factory=dict)
    _asked_at: dict[str, float] = field(factory=dict)
    _installed: dict[str, str] = field(factory=dict)
    _is_failing: bool = False
    _wish_count: int = 0

    def __attrs_post_init__(self) -> None:
        self.entropy = self.world.entropy("agent")
        master = self.world.host("master")
        address = TcpAddress(master.address, PORT)
        config = master_config.Config("memory:", address, is_loopback_only=False)
        master.boot(lambda runtime: build_master(config, runtime, self._open))
        urls = (f"http://[{master.address}]:{PORT}",)
        self._person = SlapClient(self.world.host("person").runtime, Replicas(urls))
        self._computer = Computer(
            self.world.host(COMPUTER),
            urls,
            BuildoutModel(BUILDING_SECONDS / 2, fails=self._fails, has_promises=False),
            PARTITIONS,
            {"poll_seconds": QUIET_SECONDS, "recheck_seconds": QUIET_SECONDS},
        )
        self.world.run_for(1)
        formatted = self.world.result(self._computer.format())
        assert formatted is ExitStatus.OK
        self._computer.boot()
        self._perform(calls.supply(SoftwareInstallation(RELEASE, COMPUTER)))
        self.world.run_for(BUILDING_SECONDS)

    def play(self) -> Iterator[str]:
        """Play all rounds; yield what does not hold."""
        for number in range(ROUNDS):
            self._play_round()
            if not self._settle():
                yield (
                    f"{SETTLED_SECONDS_MAX:g} s after round {number},"
                    f" {self._expected()} is wanted, and there is {self._found()}"
                )
                return
            most = max(self.attempts.values(), default=0)
            if most > ATTEMPTS_MAX:
                yield f"what fails was tried {most} times within an hour"
        self.world.result(self._computer.stop())
        self.world.result(self._person.close())
        self.world.finish()

    def _play_round(self) -> None:
        entropy, host = self.entropy, self._computer.host
        is_ahead, is_failing, is_bad = (entropy.random() < 1 / 2 for _ in range(3))
        ahead_seconds = entropy.uniform(0, AHEAD_SECONDS_MAX) if is_ahead else 0.0
        host.calendar.step(ahead_seconds)
        self._is_failing = is_failing
        self.attempts.clear()
        self._wish()
        kept = self._storage_again() if entropy.random() < 1 / 2 else None
        self.world.run_for(entropy.uniform(0, WISHED_SECONDS_MAX))
        if is_failing:
            for _ in range(
                int(entropy.uniform(0, FAILING_SECONDS_MAX / KILLED_SECONDS))
            ):
                self._kill()
                self.world.run_for(KILLED_SECONDS)
        host.calendar.step(-ahead_seconds)
        self._is_failing = False
        if kept is not None:
            self._restore(kept)
        if is_bad:
            self._break_note()
            self._kill()
            self._wish()

    def _kill(self) -> None:
        """End the agent and all programs; they are started at once."""
        self._computer.host.kill()
        self._computer.host.boot()

    def _open(self, _: str, calendar: ICalendar) -> DB:
        self._storage = self._storage or MemoryStorage(calendar)
        return database_on(self._storage)

    def _storage_again(self) -> MemoryStorage:
        """What a backup has that is made now."""
        again = MemoryStorage(self.world.host("master").calendar)
        serials: dict[bytes, bytes] = {}
        assert self._storage is not None
        for it in self._storage.iterator():
            again.tpc_begin(it, it.tid)
            for record in it:
                serial = serials.get(record.oid, z64)
                again.store(record.oid, serial, record.data, "", it)
                serials[record.oid] = it.tid
            again.tpc_vote(it)
            again.tpc_finish(it)
        while again.new_oid() < max(serials):
            pass  # what is new there must not be called as what is old
        return again

    def _restore(self, kept: MemoryStorage) -> None:
        """Let the master begin with a backup.

        One that knows an earlier report with the same words is not told again.
        """
        self._asked_at.clear()
        master = self.world.host("master")
        master.kill()
        self._storage = kept
        master.boot()
        self.world.run_for(1)

    def _break_note(self) -> None:
        disk, config = self._computer.host.disk, self._computer.config
        tree = self._computer.host.pending_files("/")
        stamps = [f"slappart{it}/{TIMESTAMP_FILE}" for it in range(PARTITIONS)]
        paths = [f"{config.instance_root}/{it}" for it in (*NOTES, *stamps)]
        there = [it for it in paths if tree.status(it.lstrip("/")) is not None]
        is_unreadable = self.entropy.random() < 1 / 2
        disk.corrupt(self.entropy.choice(there), is_unreadable=is_unreadable)

    def _fails(self, directory: str) -> bool:
        """Fail, or install what is wanted: an installation asks for its parameters."""
        partition_id = posixpath.basename(directory)
        if self._is_failing:
            self.attempts[partition_id] = self.attempts.get(partition_id, 0) + 1
        else:
            self._installed[partition_id] = self._asked.get(partition_id, "")
        return self._is_failing

    def _wish(self) -> None:
        """Want another state of a tree; its parameters are others, too."""
        title = self.entropy.choice(ROOTS)
        before = self.wanted.get(title)
        if before is None:
            wish = RequestedState.STARTED
        else:
            wish = self.entropy.choice(tuple(RequestedState))
        self._wish_count += 1
        place = self._request(title, wish)
        if wish is RequestedState.DESTROYED:
            self.wanted.pop(title)
        else:
            assert place is not None
            self.wanted[title] = wish
            self._request(f"child of {title}", RequestedState.STARTED, place)

    def _request(
        self, title: str, wish: RequestedState, requester: PartitionKey | None = None
    ) -> PartitionKey | None:
        parameter = str(self._wish_count)
        wanted = InstanceRequest(
            title,
            RELEASE,
            parameters={"number": parameter},
            requested_state=wish,
            requester=requester,
        )
        answer = self._perform(calls.request_instance(wanted))
        if not isinstance(answer, RequestedInstance):
            return None
        self._asked[answer.key.partition_id] = parameter
        self._asked_at[title] = self.world.host("master").calendar.now()
        return answer.key

    def _settle(self) -> bool:
        """Wait until all is as it is wanted; whether it became so in time."""
        limit = self.world.clock.seconds() + SETTLED_SECONDS_MAX
        while self._found() != self._expected():
            if self.world.clock.seconds() > limit:
                return False
            self.world.run_for(LOOK_SECONDS)
        return True

    def _expected(self) -> dict[str, str]:
        """A child is as its root is, and has a program when that has one."""
        instances = {
            it: f"{wish.value}, all installed"
            for title, wish in self.wanted.items()
            for it in (title, f"child of {title}")
        }
        started = [it for it in self.wanted.values() if it is RequestedState.STARTED]
        return {**instances, PROGRAMS: str(2 * len(started))}

    def _found(self) -> dict[str, str]:
        programs = self._computer.host.running_programs
        found = {PROGRAMS: str(len(programs))}
        for title in ROOTS:
            with suppress(NotFound):
                report = self._perform(calls.get_tree_report(title))
                assert isinstance(report, TreeReport)
                found.update(map(self._describe, report.instances))
        return found

    def _describe(self, it: InstanceReport) -> tuple[str, str]:
        assert it.partition is not None
        installed = self._installed.get(it.partition.partition_id)
        is_new = installed == it.parameters["number"]
        part = "all" if is_new else f"{installed} of {it.parameters['number']}"
        # Reports have whole seconds.
        is_told = (it.reported_at or 0.0) > self._asked_at.get(it.title, 0.0) - 1
        then = "" if is_told else ", reported before"
        return it.title, f"{it.reported_state}, {part} installed{then}"

    def _perform(self, call: Call) -> object:
        return self.world.result(self._person.perform(call))


def find_problem(seed: int) -> str:
    """Play one life; say what is not as it is wanted, ``""`` when all is."""
    try:
        return "\n".join(Life(World(seed)).play())
    except Exception as error:  # noqa: BLE001 - whatever it is, it is a problem
        return "".join(format_exception(error))
