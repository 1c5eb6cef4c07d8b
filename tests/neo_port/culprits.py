"""Something hangs in a neo_cluster, and ``storage status`` says what.

    python -m tests.neo_port.culprits PLACE DISK [CULPRIT ...]

``DISK`` is ``memory`` or ``device``: what the regions have their directories on; only
root of this computer may have devices. Culprits are those of ``CULPRITS``, or all that
the disks allow; ``stunnel`` is another one, of three regions in networks of their own.
To be run by root of a namespace with ``three_regions.APART``.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess  # noqa: TID251 - mounts
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

from attrs import define, evolve

from replication.answers import RUNNING, Answer, choose_answer, decode_answers
from replication.neo.neoctl import python_environment
from replication.regions import NeoCluster, ProgramKind, Region
from replication.sight import ProgramSeen, SupervisordSeen, look_at
from tests import programs
from tests.interop.stock import neo_environment
from tests.neo_port.disks import DISK_BYTES, fill, filler_of, make_disk, mount_of
from tests.neo_port.test_changing_regions import COMMAND, Operator
from tests.neo_port.three_regions import (
    REGIONS,
    ThreeRegions,
    Way,
    inside,
    make_networks,
)

NAMES = ("paris", "lyon", "tokyo")
NAMED_SECONDS_MAX = 60
"""Silence, an election, and answers: 28 s were seen on a machine that is very busy."""

STALL_SECONDS_MAX = 20.0
WHOLE_SECONDS_MAX = 60

Undo = Callable[[], None]


@define
class Fault:
    """What hangs in which region; ``remark`` and ``reason`` is how it has to be named.

    Whatever stands between.
    """

    region: str
    remark: str
    undo: Undo
    reason: str = ""

    def is_named(self, remarks: list[str]) -> bool:
        return any(
            it.startswith(self.remark) and it.endswith(self.reason) for it in remarks
        )


@define
class Scene:
    """A neo_cluster with a client, as the operator sees it."""

    operator: Operator

    def region(self, *, is_primary: bool) -> Any:
        seen = self.operator.status()["regions"]
        return next(it for it in seen if it["is_primary"] is is_primary)

    def disk(self, region: Any) -> Path:
        return self.operator.directory / str(region["name"])

    def is_whole(self) -> bool:
        seen = self.operator.status()
        return (seen["standing"], seen["remarks"]) == ("whole", [])


def pid_of(region: Any, kind: ProgramKind) -> int:
    known = region["supervisord"]["programs"]
    return next(int(it["pid"]) for it in known if it["kind"] == kind)


def _stop(region: Any, kind: ProgramKind) -> Fault:
    name, pid = region["name"], pid_of(region, kind)
    os.kill(pid, signal.SIGSTOP)
    remark = (
        f"{name}: the {kind}, process {pid}, runs and is not heard: a signal stopped "
        f"it; `kill -CONT {pid}` lets it go on."
    )
    return Fault(name, remark, lambda: os.kill(pid, signal.SIGCONT))


def stop_storage(scene: Scene) -> Fault:
    return _stop(scene.region(is_primary=False), ProgramKind.STORAGE_NODE)


def stop_primary(scene: Scene) -> Fault:
    return _stop(scene.region(is_primary=True), ProgramKind.NEO_MASTER)


def stop_follower(scene: Scene) -> Fault:
    return _stop(scene.region(is_primary=False), ProgramKind.NEO_MASTER)


def stop_admin_node(scene: Scene) -> Fault:
    return _stop(scene.region(is_primary=True), ProgramKind.ADMIN_NODE)


def stop_supervisord(scene: Scene) -> Fault:
    region = scene.region(is_primary=False)
    name, pid = region["name"], region["supervisord"]["pid"]
    os.kill(pid, signal.SIGSTOP)
    remark = (
        f"{name}: its supervisord, process {pid}, runs and does not answer: a signal "
        f"stopped it; `kill -CONT {pid}` lets it go on."
    )
    return Fault(name, remark, lambda: os.kill(pid, signal.SIGCONT))


def fill_disk(scene: Scene) -> Fault:
    """Its storage node ends, is started by its supervisord, and waits."""
    region = scene.region(is_primary=False)
    disk = scene.disk(region)
    before = pid_of(region, ProgramKind.STORAGE_NODE)
    fill(disk)

    def has_ended() -> bool:
        return not Path(f"/proc/{before}").exists()

    programs.eventually(has_ended, NAMED_SECONDS_MAX, "its disk is full")
    remark = f"{region['name']}: its disk is full, 0 MB are left: make room."
    return Fault(region["name"], remark, filler_of(disk).unlink)


def hang_disk(scene: Scene) -> Fault:
    region = scene.region(is_primary=False)
    disk = scene.disk(region)
    _do("fsfreeze", "--freeze", str(disk))
    return Fault(
        region["name"],
        # The supervisord hangs too, as soon as it has something for the log.
        f"{region['name']}: ",
        lambda: _do("fsfreeze", "--unfreeze", str(disk)),
        "it waits for its disk, which does not answer.",
    )


CULPRITS: Mapping[str, Callable[[Scene], Fault]] = {
    "storage node stopped": stop_storage,
    "primary stopped": stop_primary,
    "follower stopped": stop_follower,
    "admin node stopped": stop_admin_node,
    "supervisord stopped": stop_supervisord,
    "disk full": fill_disk,
    "disk stuck": hang_disk,
}
OF_DEVICES = frozenset({"disk stuck"})


def play(scene: Scene, name: str) -> None:
    """The culprit is named, alone, while commits go on; then all is well by itself."""
    operator = scene.operator
    fault = CULPRITS[name](scene)
    begun = _seconds()
    try:
        programs.eventually(
            lambda: fault.is_named(operator.status()["remarks"]),
            NAMED_SECONDS_MAX,
            f"{fault.remark} {fault.reason}",
        )
        named = _seconds() - begun
        operator.wait_for_more(1)
        remarks = operator.status()["remarks"]
        shown = _shown(operator)
    finally:
        fault.undo()
    assert fault.is_named(remarks), remarks
    words = " ".join(shown.split())
    assert fault.remark in words and fault.reason in words, shown  # noqa: PT018
    for remark in remarks:
        assert not _is_accused(remark, {*NAMES} - {fault.region}), remark
    stall = _longest_gap(operator, begun)
    assert stall < STALL_SECONDS_MAX, stall
    programs.eventually(scene.is_whole, WHOLE_SECONDS_MAX, "all is well")
    told = {
        "culprit": name,
        "named_seconds": named,
        "stall_seconds": stall,
        "remarks": remarks,
    }
    sys.stdout.write(json.dumps(told) + "\n")


def _longest_gap(operator: Operator, since: float) -> float:
    """Between two acknowledged commits; the clock is that of the committer."""
    rows = map(str.split, operator.log.read_text().splitlines())
    times = [float(it[1]) for it in rows if it[:1] == ["acknowledged"]]
    return max(b - a for a, b in pairwise(times) if b > since)


def _is_accused(remark: str, others: set[str]) -> bool:
    """Whether something is said to be wrong where nothing is."""
    begins = tuple(f"{word}{it}" for it in others for word in ("", "Region "))
    return remark.startswith(begins) or "primaries" in remark


def _shown(operator: Operator) -> str:
    """What a person reads."""
    argv = (sys.executable, "-c", COMMAND, "storage", "status", str(operator.directory))
    done = programs.run(argv, {"PYTHONPATH": os.pathsep.join(sys.path)})
    assert done.returncode in {0, 2, 3}, done.stderr
    return done.stdout


def play_all(place: Path, disk: str, names: tuple[str, ...]) -> None:
    operator = Operator(place, Random(0))
    scene = Scene(operator)
    with ExitStack() as stack:
        operator.create(NAMES)
        operator.do("stop", str(operator.directory))
        for number, name in enumerate(NAMES, start=1):
            directory = operator.directory / name
            _give_disk(place, number, directory, disk)
            stack.callback(_do, "umount", str(directory))
        stack.callback(operator.try_to, "stop", str(operator.directory))
        operator.do("start", str(operator.directory))
        programs.eventually(scene.is_whole, WHOLE_SECONDS_MAX, "it is made")
        with programs.running(operator.committer("0"), operator.log):
            operator.wait_for_more()
            for name in names:
                play(scene, name)
        operator.check()


def _give_disk(place: Path, number: int, directory: Path, disk: str) -> None:
    """Have what is in a directory on a disk of its own, which stands there then."""
    if disk == "device":
        mounted = make_disk(place, number)
    else:
        mounted = mount_of(place, number)
        mounted.mkdir()
        size = f"size={DISK_BYTES}"
        _do("mount", "-t", "tmpfs", "-o", size, "tmpfs", str(mounted))
    shutil.copytree(directory, mounted, dirs_exist_ok=True)
    _do("mount", "--move", str(mounted), str(directory))


def play_tunnel(place: Path) -> None:
    """Of a region whose stunnel is stopped the programs are named, and no others."""
    environment = neo_environment()
    make_networks()
    with ExitStack() as stack:
        regions = ThreeRegions(place, environment, stack, Way.STUNNEL)
        primary = regions.primary_region()
        lost = next(it for it in REGIONS if it != primary)
        neo_cluster = _described(_ask())
        before = _remarks(neo_cluster)
        tunnel = regions.tunnels[lost]
        tunnel.send_signal(signal.SIGSTOP)
        try:
            remarks = programs.eventually(
                lambda: _remarks(neo_cluster), NAMED_SECONDS_MAX, "named"
            )
            # Its own admin node says it first, then the primary misses it.
            later = programs.eventually(
                lambda: _with_storage(_remarks(neo_cluster)), NAMED_SECONDS_MAX, "lost"
            )
        finally:
            tunnel.send_signal(signal.SIGCONT)
        assert before == ()
        begin = f"{NAMES[lost - 1]}: "
        assert all(it.startswith(begin) for it in (*remarks, *later)), (remarks, later)
        assert any("the network is cut" in it for it in later), later
        sys.stdout.write(json.dumps({"culprit": "stunnel", "remarks": later}) + "\n")


def _with_storage(remarks: tuple[str, ...]) -> tuple[str, ...]:
    return remarks if any("the storage_node" in it for it in remarks) else ()


def _remarks(neo_cluster: NeoCluster) -> tuple[str, ...]:
    """As ``storage status``, had these regions been made by ``storage create``."""
    supervisord = SupervisordSeen(
        1, tuple(ProgramSeen(it, RUNNING, 1) for it in ProgramKind)
    )
    seen = look_at(neo_cluster, "/d", dict.fromkeys(NAMES, supervisord), _ask())
    return seen.remarks


def _ask() -> tuple[Answer, ...]:
    """What the admin nodes say, with addresses that ``storage create`` could give."""
    answers = []
    argv = (sys.executable, "-P", "-m", "replication.neo.neoctl", "look")
    for region in REGIONS:
        asked = inside(region, (*argv, "127.0.0.1:2053"))
        output = programs.run(asked, python_environment()).stdout
        for other in REGIONS:
            output = output.replace(f"[fd00:{other}::1]:", f"127.0.0.1:{other}")
        (answer,) = decode_answers(output.encode())
        answers.append(evolve(answer, admin_node=f"127.0.0.1:{region}2053"))
    return tuple(answers)


def _described(answers: tuple[Answer, ...]) -> NeoCluster:
    answer = choose_answer(answers)
    assert answer is not None
    regions = tuple(
        Region(name, number, *(f"127.0.0.1:{number}205{it}" for it in (1, 2, 3)))
        for number, name in enumerate(NAMES, start=1)
    )
    found = {it.address: it.node_id for it in answer.nodes_of("STORAGE")}
    return NeoCluster("lab", 12, regions).numbered(found)


def _seconds() -> float:
    return time.monotonic()  # noqa: TID251 - of real processes


def _do(*argv: str) -> None:
    subprocess.run(argv, check=True)


def main() -> None:
    place, disk, *names = sys.argv[1:]
    if names == ["stunnel"]:
        play_tunnel(Path(place))
        return
    _do("ip", "link", "set", "lo", "up")
    possible = [it for it in CULPRITS if disk == "device" or it not in OF_DEVICES]
    play_all(Path(place), disk, tuple(names or possible))


if __name__ == "__main__":
    main()
