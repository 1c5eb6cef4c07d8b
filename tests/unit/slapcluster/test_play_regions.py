"""Three computers of a cloud of play: their addresses, files, power and callers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess  # noqa: TID251 - a driver that is killed
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv6Address, IPv6Network
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve, fields

from master_cluster import records
from runtime.real import build_runtime
from slapcluster.bootstrap.wanted_cloud import read_cloud
from slapcluster.outcomes import CommandFailed
from slapcluster.play import (
    computers,
    confinement,
    namespaces,
    places,
    power,
    second_release,
)
from slapcluster.play import three_regions as switches
from slapcluster.play.calls import Answered, longest_gap, missing_titles
from slapcluster.play.cloud import run_inside
from slapcluster.play.computers import REGIONS
from slapcluster.play.places import Identity, Record, Way
from slapgrid.config import read_config
from tests.capabilities import needs_namespaces
from tests.programs import eventually, run
from tests.reactor import ReactorBench
from tests.source_tree import TOP
from tests.unit.slapcluster.desk import Desk

END_SECONDS = 10


def a_record(**overrides) -> Record:
    fields = {
        "place": "/tmp/slapcluster-play-12345678",
        "identity": Identity(61200, 61200),
        "is_started_by_root": True,
        "way": Way.ROOT_NAMESPACES,
        "network": "fd12:3456:789a::/64",
        "master_port": 5000,
        "computers": {
            region: Identity(number, number)
            for number, region in enumerate(REGIONS, start=61201)
        },
    }
    return Record(**{**fields, **overrides})


def test_each_computer_and_each_partition_has_an_address_of_its_own() -> None:
    """All of them are in one network, that of each computer apart from the others."""
    record = a_record()

    of_regions = [computers.addresses_of(record, it) for it in REGIONS]

    networks = [IPv6Network(computers.network_of(record, it)) for it in REGIONS]
    assert not any(a.overlaps(b) for a, b in combinations(networks, 2))
    known = {computers.operator_address(record), *(a for it in of_regions for a in it)}
    assert len(known) == 1 + len(REGIONS) * (record.partition_count + 1)
    link = IPv6Network("fd12:3456:789a::/48")
    assert all(IPv6Address(it) in link for it in known)


def test_an_address_says_which_region_it_is_of() -> None:
    record = a_record()
    address = computers.addresses_of(record, "lyon")[2]

    assert computers.region_at(record, address) == "lyon"
    assert computers.region_at(record, computers.operator_address(record)) is None


@pytest.mark.parametrize("region", REGIONS)
def test_the_settings_of_a_computer_are_understood_by_its_agent(region: str) -> None:
    record = a_record()

    joined = computers.render_agent(record, region).replace(
        "[slapos]", "[slapos]\ncomputer_id = COMP-1\nmaster_url = http://[::1]/"
    )
    config = read_config(joined)

    first = computers.addresses_of(record, region)[1]
    assert config.region == region
    assert config.format.partition_amount == record.partition_count
    assert config.format.partition_address(0) == first


def test_the_file_of_the_cloud_is_what_bootstrap_reads() -> None:
    record = a_record()

    wanted = read_cloud(computers.render_cloud(record))

    assert wanted.regions == REGIONS
    assert wanted.host == computers.operator_address(record)
    assert [it.settings for it in wanted.computers] == [
        computers.settings_path(record, it) for it in REGIONS
    ]


def test_the_example_is_a_cloud_of_three_regions() -> None:
    """Of the same form as the file of play, for computers of their own."""
    wanted = read_cloud((TOP / "examples" / "three-regions.toml").read_text())

    assert wanted.regions == REGIONS
    assert [it.title for it in wanted.computers] == [*map(computers.title_of, REGIONS)]


def test_what_bootstrap_asks_for_is_typed_on_the_computer_that_it_names() -> None:
    url = "https://[fd12::1]:5443"
    wanted = read_cloud(computers.render_cloud(a_record())).computers[1]
    words = wanted.words("join", url, "TOKEN", "--title", wanted.title)
    line = f"On {wanted.title}, type: slapcluster {' '.join(words)}"

    assert computers.read_asked(line) == ("lyon", ("slapcluster", *words))
    assert computers.read_asked("cloud: computers join the mini-master") is None


def test_a_record_with_computers_is_read_as_it_was_written() -> None:
    record = a_record(replica_urls=("https://[fd12::2]:20003",))

    assert places.decode_record(places.encode_record(record)) == record


def test_a_record_of_before_there_were_regions_is_of_one_computer() -> None:
    """`make stop` ends what an older version left running."""
    old = places.encode_record(a_record(computers={}))
    kept = json.loads(old)
    del kept["computers"], kept["replica_urls"]

    assert places.decode_record(json.dumps(kept).encode()).computers == {}


def test_only_the_operator_is_told_of_the_masters_of_the_cloud() -> None:
    """Computers have them in their settings."""
    begun = a_record()
    hosted = evolve(begun, replica_urls=("https://[fd12::2]:1", "https://[fd12::3]:1"))

    told = confinement.environment_of(hosted)

    assert told["SLAPCLUSTER_MASTER"] == "https://[fd12::2]:1 https://[fd12::3]:1"
    assert told["SLAPCLUSTER_IDENTITY"] == hosted.operator_identity
    for silent in (
        confinement.environment_of(begun),
        confinement.environment_of(hosted, hosted.account_of("lyon")),
    ):
        assert not {"SLAPCLUSTER_MASTER", "SLAPCLUSTER_IDENTITY"} & set(silent)


@pytest.mark.parametrize(
    ("instants", "since", "gap"),
    [
        ((), 0, 0),
        ((1,), 0, 0),
        ((1, 2, 9, 10), 3, 7),
        ((1, 2, 9, 10), 9, 1),
        ((1, 8, 9, 12), 8.5, 3),
    ],
)
def test_the_gap_is_the_longest_one_that_ended_after_an_instant(
    instants: tuple[float, ...], since: float, gap: float
) -> None:
    """What was refused in it does not make it shorter."""
    answers = [Answered(f"guest-{at}", at) for at in instants]
    refused = Answered("guest-5", 5, is_granted=False)

    assert longest_gap([*answers[:2], refused, *answers[2:]], since) == gap


def test_what_was_refused_is_not_missed() -> None:
    answers = [Answered("a", 1), Answered("b", 2, is_granted=False), Answered("c", 3)]

    assert missing_titles(answers, ["a", "z"]) == ["c"]


@pytest.mark.parametrize(
    "words",
    [
        ("demo", "--full"),
        ("demo", "--regions", "3", "--store", "neo"),
        ("start", "--regions", "3", "--no-namespaces"),
        ("start", "--regions", "2"),
    ],
)
def test_what_does_not_go_together_is_refused(words: tuple[str, ...]) -> None:
    refused = Desk(has_master=False).type("play", *words)

    assert refused.exit_code == 1
    assert "regions" in refused.stderr


DRIVER = """
import signal, sys
from slapcluster.play import confinement, namespaces, places, power
record = places.decode_record(sys.stdin.buffer.read())
script = power.first_script(record, [])
argv = confinement.bound_to_driver(confinement.opening(record.way, script))
pid = namespaces.spawn(argv, {"PATH": confinement.SYSTEM_PATH}, sys.argv[1])
print(pid, flush=True)
signal.pause()
"""

PROGRAM = """\
#!/bin/sh
# Has a child that belongs to nobody, as the programs of partitions do.
setsid sleep 600 &
while :; do sleep 600; done
"""


@needs_namespaces
def test_a_computer_dies_whole_comes_back_and_outlives_nobody(
    open_directory: Path,
) -> None:
    """Its power takes all of it, its neighbours keep theirs, the driver takes all."""
    record = a_cloud_in(open_directory)
    with a_driver(record, open_directory / "log") as (driver, opened):
        for region in REGIONS:
            switches.give_power(opened, region)
        pids = {it: until_on(opened, it) for it in REGIONS}
        users = {it: Path(f"/proc/{pid}").stat().st_uid for it, pid in pids.items()}
        seen = look_around(opened, "lyon", pids["lyon"])
        eventually(
            lambda: len(namespaces.processes_of(opened)) >= 2 * len(REGIONS),
            END_SECONDS,
            "their programs",
        )

        switches.take_power(opened, "lyon")
        eventually(lambda: not is_lit(opened, "lyon"), END_SECONDS, "its end")
        assert namespaces.first_pid_of(opened, "lyon") is None
        assert namespaces.first_pid_of(opened, "paris") == pids["paris"]
        switches.give_power(opened, "lyon")
        again = until_on(opened, "lyon")
        driver.kill()

    for pid in (*pids.values(), again):
        eventually(lambda it=pid: has_ended(it), END_SECONDS, "the end of all")
    assert users == {it: who.uid for it, who in record.computers.items()}
    assert seen == ["eth0", "lo", "nothing of paris", "nothing of tokyo", "alone"]


LOOK = """
import os, socket, sys
place, own = sys.argv[1:]
print(*sorted(name for _, name in socket.if_nameindex()), sep="\\n")
for other in ("paris", "lyon", "tokyo"):
    path = f"{place}/{other}"
    if other != own:
        shown = os.listdir(path) if os.access(path, os.R_OK) else []
        print(shown or f"nothing of {other}")
named = [it for it in os.listdir("/proc") if it.isdecimal()]
texts = [open(f"/proc/{it}/cmdline").read() for it in named]
print("alone" if not any(f"{place}/tokyo" in it for it in texts) else texts)
"""


def look_around(record: Record, region: str, pid: int) -> list[str]:
    """Return what a program of a computer sees of the others."""
    argv = (python_for_all(), "-I", "-c", LOOK, record.place, region)
    account = record.account_of(region)
    ended = run(confinement.entering(record, pid, {}, argv, account))
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines()


def python_for_all() -> str:
    found = shutil.which("python3", path="/usr/bin:/usr/local/bin") or sys.executable
    return os.path.realpath(found)


def until_on(record: Record, region: str) -> int:
    return eventually(
        lambda: namespaces.first_pid_of(record, region), END_SECONDS, region
    )


def has_ended(pid: int) -> bool:
    return namespaces.start_ticks(pid) is None


def is_lit(record: Record, region: str) -> bool:
    return Path(power.lamp_path(record, region)).exists()


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that an unprivileged user can enter; those of pytest are closed."""
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


def a_cloud_in(directory: Path) -> Record:
    """Make a place whose computers run a shell instead of supervisord."""
    is_root = os.geteuid() == 0
    own = (os.geteuid(), os.getegid())
    uids = range(65321, 65325) if is_root else (own[0],) * 4
    users = [Identity(uid, uid if is_root else own[1]) for uid in uids]
    place = directory / "slapcluster-play-0"
    record = a_record(
        place=str(place),
        identity=users[0],
        is_started_by_root=is_root,
        way=Way.ROOT_NAMESPACES if is_root else Way.USER_NAMESPACES,
        computers=dict(zip(REGIONS, users[1:], strict=True)),
    )
    for name in ("power", "home", "venv/bin"):
        (place / name).mkdir(parents=True)
    program = place / "venv" / "bin" / "supervisord"
    program.write_text(PROGRAM)
    program.chmod(0o755)
    for region, who in record.computers.items():
        home = place / region
        (home / "home").mkdir(parents=True)
        if is_root:
            os.chown(home, who.uid, who.gid)
        home.chmod(0o700)
    return record


def test_an_answer_of_a_thousand_services_is_read_whole(
    tmp_path: Path, run_real: ReactorBench
) -> None:
    """What is run keeps the end of its output alone, and that is no JSON."""
    pid = os.getpid()
    record = a_record(
        place=str(tmp_path),
        way=Way.NONE,
        is_started_by_root=False,
        computers={},
        outer_pid=pid,
        outer_start_ticks=namespaces.start_ticks(pid),
    )
    argv = (sys.executable, "-I", "-c", "print('x' * 200_000)")

    ended = run_real(run_inside(build_runtime(run_real.reactor), record, argv, 30))

    assert ended.output == b"x" * 200_000 + b"\n"


def test_the_other_release_has_a_field_more_in_a_record(tmp_path: Path) -> None:
    """Each place that is changed is there once, and what comes of it is Python."""
    for name, _, _ in second_release.CHANGES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(TOP / name, tmp_path / name)

    second_release.change(tmp_path)

    scope: dict[str, Any] = {"__name__": "other_records"}
    source = (tmp_path / "master_cluster/records.py").read_text()
    exec(compile(source, "records.py", "exec"), scope)
    former = {it.name for it in fields(records.InstanceRecord)}
    assert {it.name for it in fields(scope["InstanceRecord"])} - former == {"colour"}
    compile((tmp_path / "master_cluster/requesting.py").read_text(), "it", "exec")


def test_sources_of_another_version_are_not_changed(tmp_path: Path) -> None:
    for name, _, _ in second_release.CHANGES:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x = 1\n")

    with pytest.raises(CommandFailed, match=r"records\.py has not the one place"):
        second_release.change(tmp_path)


@contextmanager
def a_driver(
    record: Record, log: Path
) -> Iterator[tuple[subprocess.Popen[bytes], Record]]:
    """A process that opens a cloud and waits; it is killed when the block is left."""
    driver = subprocess.Popen(
        (sys.executable, "-c", DRIVER, str(log)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={
            "PYTHONPATH": os.pathsep.join(sys.path),
            "PATH": confinement.SYSTEM_PATH,
        },
    )
    with driver:
        try:
            driver.stdin.write(places.encode_record(record))
            driver.stdin.close()
            pid = int(driver.stdout.readline())
            ticks = namespaces.start_ticks(pid)
            yield driver, evolve(record, outer_pid=pid, outer_start_ticks=ticks)
        except AssertionError as error:
            error.add_note(f"the cloud wrote: {log.read_text()}")
            raise
        finally:
            driver.kill()
