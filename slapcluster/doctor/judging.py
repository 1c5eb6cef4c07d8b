"""Core. What is wrong with the computers of a cloud, and what to do about it.

A *failure* keeps the cloud from beginning, or from going on when a region is lost; with
a *warning* it works, and less well than it could.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum

from attrs import frozen

from slap.freshness import CLOCKS_SECONDS
from slapcluster.bootstrap.wanted_cloud import WantedCloud, WantedComputer
from slapcluster.doctor.encounters import HERE, Outcome
from slapcluster.doctor.examination import DiskFound, Examination, Listener
from slapcluster.hosting.judging import DISK_BYTES_MIN
from stunnel_conf.links import Endpoint

CLOCK_WARNING_SECONDS = 1.0
"""A clock that NTP keeps is off by some milliseconds: with more, nobody keeps it."""

FLUSH_WARNING_SECONDS = 0.02
"""The median. A commit waits for two flushes, one after the other, and the rest of it
takes 4 ms: with more, the disk is what everybody waits for."""

FLUSH_FAILURE_SECONDS = 0.5
"""The median. A change would take a second, and calls are given up after four."""

FLUSH_WORST_SECONDS = 1.0
"""Of twenty writes. A proof that the store is there is due within three seconds."""

FLUSH_TOO_FAST_SECONDS = 0.000_01
"""No disk has stored anything in ten microseconds."""

SOFTWARE_BYTES_MIN = 2 * 1024**3
"""The agent keeps 1 GB free, and the release of the master has some hundred MB, built
beside the one before when it is upgraded."""

FILE_COUNT_MIN = 100_000
"""A release has 20,000 files, and there are two of them while it is upgraded."""

STUNNEL = "stunnel 5."
"""As the release `master-cluster` wants it."""

LOOPBACK = "::1"

_MIB = 1024**2


class Verdict(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    FAILURE = "failure"


@frozen
class Finding:
    """What was found, and what to do; ``subject`` is a computer, or several."""

    subject: str
    check: str
    verdict: Verdict
    sentence: str


@frozen
class Heard:
    """What a computer answered, or why nothing came of it.

    Between ``begun_at`` and ``ended_at``, by the calendar of the doctor, it read its
    clock.
    """

    begun_at: float
    ended_at: float
    examination: Examination | None = None
    failure: str = ""

    @property
    def ahead_at_least(self) -> float:
        """Return by how much its clock is ahead of ours at least; below 0 behind."""
        return 0.0 if self.examination is None else self.examination.now - self.ended_at

    @property
    def ahead_at_most(self) -> float:
        return 0.0 if self.examination is None else self.examination.now - self.begun_at


def judge_examination(title: str, examination: Examination) -> Iterator[Finding]:
    """Judge what one computer says of itself alone."""

    def finding(check: str, verdict: Verdict, sentence: str) -> Finding:
        return Finding(title, check, verdict, sentence)

    if examination.settings_trouble:
        yield finding(
            "settings",
            Verdict.FAILURE,
            f"{examination.settings}: {examination.settings_trouble}",
        )
    yield _judge_stunnel(title, examination.stunnel)
    yield from _judge_space(title, examination)
    yield _judge_flushes(title, examination.instances)
    yield _judge_addresses(title, examination)
    yield _judge_listeners(title, examination.listeners)
    count = examination.partition_count
    yield finding(
        "partitions",
        Verdict.OK if count else Verdict.FAILURE,
        f"{count} by its settings"
        if count
        else "none by its settings: set partition_amount of [slapformat]",
    )


def _judge_stunnel(title: str, told: str) -> Finding:
    if not told:
        verdict = Verdict.FAILURE
        sentence = "it is not installed: install the package stunnel4, or stunnel"
    elif STUNNEL not in told:
        verdict = Verdict.FAILURE
        sentence = f"it says {told!r}, and version 5 is wanted: install that"
    else:
        verdict, sentence = Verdict.OK, told
    return Finding(title, "stunnel", verdict, sentence)


def _judge_space(title: str, examination: Examination) -> Iterator[Finding]:
    wanted = (
        ("software disk", examination.software, SOFTWARE_BYTES_MIN),
        ("instance disk", examination.instances, DISK_BYTES_MIN),
    )
    for check, disk, bytes_min in wanted:
        free = f"{disk.free_bytes // _MIB} MiB are free at {disk.path}"
        files = disk.file_count_free
        verdict = Verdict.FAILURE
        if disk.free_bytes < bytes_min:
            sentence = f"{free}, and {bytes_min // _MIB} are wanted: make room"
        elif files is not None and files < FILE_COUNT_MIN:
            sentence = (
                f"{files} more files fit at {disk.path}, and {FILE_COUNT_MIN} are"
                " wanted: remove some, or take a file system with more"
            )
        else:
            verdict, sentence = Verdict.OK, free
        yield Finding(title, check, verdict, sentence)


def _judge_flushes(title: str, disk: DiskFound) -> Finding:
    check = "fsync"
    median, worst = disk.median_seconds, disk.worst_seconds
    if median is None or worst is None:
        sentence = f"not tried at {disk.path}: {disk.trouble}; run it as who may write"
        return Finding(title, check, Verdict.WARNING, sentence)
    took = f"median {_milliseconds(median)}, worst {_milliseconds(worst)}"
    if median > FLUSH_FAILURE_SECONDS:
        verdict = Verdict.FAILURE
        why = "each change waits for two of them: use another disk for instances"
    elif worst > FLUSH_WORST_SECONDS:
        verdict = Verdict.WARNING
        why = "the region would seem lost meanwhile: see what else uses this disk"
    elif median > FLUSH_WARNING_SECONDS:
        verdict = Verdict.WARNING
        why = "changes wait for this disk: one that is made for databases is faster"
    elif median < FLUSH_TOO_FAST_SECONDS:
        verdict = Verdict.WARNING
        why = (
            "that is memory and no disk: a power loss everywhere would lose what was"
            " acknowledged"
        )
    else:
        return Finding(title, check, Verdict.OK, took)
    return Finding(title, check, verdict, f"{took}: {why}")


def _judge_addresses(title: str, examination: Examination) -> Finding:
    check = "addresses"
    if examination.network_trouble:
        return Finding(title, check, Verdict.WARNING, examination.network_trouble)
    ipv6 = [it for it in examination.addresses if ":" in it]
    lasting = [it for it in ipv6 if it != LOOPBACK]
    if lasting:
        return Finding(title, check, Verdict.OK, ", ".join(lasting))
    sentence = "no lasting IPv6 address: regions reach each other by IPv6; give it one"
    # A cloud of play has all of its computers on one.
    verdict = Verdict.WARNING if ipv6 else Verdict.FAILURE
    return Finding(title, check, verdict, sentence)


def _judge_listeners(title: str, listeners: tuple[Listener, ...]) -> Finding:
    strangers = [it for it in listeners if not it.is_own]
    if not strangers:
        sentence = "of the agent itself alone" if listeners else "all free"
        return Finding(title, "ports", Verdict.OK, sentence)
    told = ", ".join(_place(it) for it in strangers[:5])
    more = f" and {len(strangers) - 5} more" if len(strangers) > 5 else ""  # noqa: PLR2004 - as told
    sentence = f"{told}{more}: have them listen elsewhere, as a cloud needs it"
    return Finding(title, "ports", Verdict.FAILURE, sentence)


def _place(listener: Listener) -> str:
    by = f" is taken by {listener.program}" if listener.program else " is taken"
    return f"{Endpoint(listener.host, listener.port)}{by}"


def judge_computers(wanted: WantedCloud, heard: Mapping[str, Heard]) -> list[Finding]:
    """Judge what each computer says, and what they say together."""
    found: list[Finding] = []
    for it in wanted.computers:
        at = heard.get(it.title)
        if at is None:
            found.append(_no_command(it))
        elif at.examination is None:
            found.append(Finding(it.title, "command", Verdict.FAILURE, at.failure))
        else:
            found += judge_examination(it.title, at.examination)
            found += _judge_own_address(it, at.examination)
    found += _judge_clocks(heard)
    found += _judge_versions(heard)
    found += _judge_room(wanted, heard)
    return found


def _no_command(computer: WantedComputer) -> Finding:
    words = " ".join(computer.words("examine"))
    sentence = f"the file has no command for it: type there: slapcluster {words}"
    return Finding(computer.title, "command", Verdict.WARNING, sentence)


def _judge_own_address(
    computer: WantedComputer, examination: Examination
) -> Iterator[Finding]:
    address = computer.address
    is_known = not address or address in examination.addresses
    if not is_known and not examination.network_trouble:
        yield Finding(
            computer.title,
            "address",
            Verdict.FAILURE,
            f"none of its interfaces has {address}: mend the file, or add it",
        )


def _judge_clocks(heard: Mapping[str, Heard]) -> Iterator[Finding]:
    """Judge the two whose clocks differ most, whatever their answers took."""
    bounds = {HERE: (0.0, 0.0)} | {
        title: (it.ahead_at_least, it.ahead_at_most)
        for title, it in heard.items()
        if it.examination is not None
    }
    if len(bounds) == 1:
        return
    first = max(bounds, key=lambda it: bounds[it][0])
    last = min(bounds, key=lambda it: bounds[it][1])
    apart = bounds[first][0] - bounds[last][1]
    unsure = max(most - least for least, most in bounds.values())
    told = f"{first} is at least {apart:.1f} s ahead of {last}"
    if apart > CLOCKS_SECONDS:
        verdict = Verdict.FAILURE
        sentence = (
            f"{told}, and {CLOCKS_SECONDS:g} s are borne: have NTP keep both clocks"
        )
    elif apart > CLOCK_WARNING_SECONDS:
        verdict, sentence = Verdict.WARNING, f"{told}: have NTP keep both clocks"
    else:
        verdict = Verdict.OK
        sentence = f"no difference is seen; an answer took up to {unsure:.1f} s"
    yield Finding("all", "clocks", verdict, sentence)


def _judge_versions(heard: Mapping[str, Heard]) -> Iterator[Finding]:
    versions = {
        title: it.examination.version
        for title, it in heard.items()
        if it.examination is not None
    }
    if len(set(versions.values())) > 1:
        told = ", ".join(f"{title} has {it}" for title, it in versions.items())
        sentence = f"{told}: install the same on all"
        yield Finding("all", "version", Verdict.WARNING, sentence)


def _judge_room(wanted: WantedCloud, heard: Mapping[str, Heard]) -> Iterator[Finding]:
    """Judge whether the master finds its partitions, if everybody answered."""
    count = 0
    for it in wanted.computers:
        at = heard.get(it.title)
        if at is None or at.examination is None:
            return
        count += at.examination.partition_count
    needed = len(wanted.regions) + 1
    if count < needed:
        yield Finding(
            "all",
            "partitions",
            Verdict.FAILURE,
            f"{count} in all, and the master needs {needed}: one in each region, and"
            " one for its root",
        )


def judge_outcomes(
    wanted: WantedCloud,
    heard: Mapping[str, Heard],
    outcomes: Mapping[str, tuple[Outcome, ...]],
) -> list[Finding]:
    """Judge what came of visits; ``outcomes`` by visitor."""
    regions = {it.title: it.region for it in wanted.computers}
    found = []
    for visitor, visits in outcomes.items():
        for title in dict.fromkeys(it.title for it in visits):
            of_title = tuple(it for it in visits if it.title == title)
            if title == HERE:
                found.append(_judge_mini_master(visitor, of_title, heard))
            else:
                about = f"{visitor} ({regions[visitor]}) to {title} ({regions[title]})"
                found.append(_judge_way(about, of_title, heard.get(title)))
    found += [
        Finding(
            it.title,
            "way",
            Verdict.WARNING,
            "the file has no address for it: nobody tries to reach it",
        )
        for it in wanted.computers
        if not it.address
    ]
    return found


def _judge_way(
    subject: str, visits: tuple[Outcome, ...], visited: Heard | None
) -> Finding:
    own = _own_ports(visited)
    missed = [it for it in visits if it.failure]
    strangers = [it for it in visits if it.is_stranger and it.port not in own]
    if missed:
        ports = ", ".join(str(it.port) for it in missed)
        sentence = (
            f"{missed[0].host} is not reached at {ports}: {missed[0].failure}; let TCP"
            " through, on routers and firewalls of both"
        )
        return Finding(subject, "way", Verdict.FAILURE, sentence)
    if strangers:
        ports = ", ".join(str(it.port) for it in strangers)
        sentence = f"another program answers at {strangers[0].host}, {ports}: end it"
        return Finding(subject, "way", Verdict.FAILURE, sentence)
    seconds = [it.seconds for it in visits if it.seconds is not None]
    if not seconds:
        return Finding(subject, "way", Verdict.OK, "reached; the master is there")
    sentence = f"reached; there and back in {_milliseconds(min(seconds))}"
    return Finding(subject, "way", Verdict.OK, sentence)


def _own_ports(visited: Heard | None) -> set[int]:
    if visited is None or visited.examination is None:
        return set()
    return {it.port for it in visited.examination.listeners if it.is_own}


def _judge_mini_master(
    visitor: str, visits: tuple[Outcome, ...], heard: Mapping[str, Heard]
) -> Finding:
    """Judge the way to the mini-master, which nobody needs that has joined."""
    missed = next((it for it in visits if it.failure), None)
    subject = f"{visitor} to the mini-master"
    if missed is None:
        return Finding(subject, "way", Verdict.OK, "reached")
    examination = heard[visitor].examination
    has_joined = examination is not None and bool(examination.computer_id)
    sentence = (
        f"{missed.host} is not reached at {missed.port}: {missed.failure}; let TCP"
        " through, or listen elsewhere (mini-master.listen)"
    )
    verdict = Verdict.WARNING if has_joined else Verdict.FAILURE
    return Finding(subject, "way", verdict, sentence)


def _milliseconds(seconds: float) -> str:
    return f"{1000 * seconds:.3g} ms"
