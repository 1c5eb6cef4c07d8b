"""The choices of ``play``, and the processes of its namespaces."""

from __future__ import annotations

import os
import subprocess  # noqa: TID251 - a driver that is killed
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest
from attrs import evolve

from slapcluster.outcomes import CommandFailed
from slapcluster.play import confinement, namespaces, places, settings
from slapcluster.play.confinement import SYSTEM_PATH
from slapcluster.play.places import Identity, Parent, Record, Way
from slapgrid.config import read_config
from tests.capabilities import needs_namespaces
from tests.programs import eventually, run
from tests.unit.slapcluster.desk import Desk

GIB = 1024**3


def a_record(**overrides) -> Record:
    fields = {
        "place": "/tmp/slapcluster-play-12345678",
        "identity": Identity(61200, 61200),
        "is_started_by_root": True,
        "way": Way.ROOT_NAMESPACES,
        "network": "fd12:3456:789a::/64",
        "master_port": 5000,
    }
    return Record(**{**fields, **overrides})


def test_the_user_of_a_cloud_is_nobody_else() -> None:
    """Users that have a name or processes are not taken."""
    taken = set(places.UIDS) - {65000}

    assert places.choose_identity(taken, salt=7) == Identity(65000, 65000)


def test_clouds_that_start_together_choose_different_users() -> None:
    """The salt decides where the search begins."""
    chosen = {places.choose_identity(frozenset(), salt).uid for salt in range(100)}

    assert len(chosen) == 100


def test_no_free_user_is_a_sentence() -> None:
    with pytest.raises(CommandFailed, match="ordinary user"):
        places.choose_identity(frozenset(places.UIDS), salt=0)


def test_the_place_is_where_programs_may_run_and_there_is_room() -> None:
    """A directory that is mounted noexec or full is passed over."""
    parents = (
        Parent("/tmp", is_executable=False, free_bytes=9 * GIB),
        Parent("/small", is_executable=True, free_bytes=1000),
        Parent("/var/tmp", is_executable=True, free_bytes=9 * GIB),
    )

    assert places.choose_parent(parents) == "/var/tmp"


def test_no_place_says_why_of_each() -> None:
    parents = (
        Parent("/tmp", is_executable=False, free_bytes=9 * GIB),
        Parent("/var/tmp", is_executable=True, free_bytes=1024**2),
    )

    with pytest.raises(CommandFailed) as refused:
        places.choose_parent(parents)

    assert "/tmp is mounted noexec; /var/tmp has 1 MiB free" in str(refused.value)


def test_paths_of_sockets_in_the_place_are_short() -> None:
    """A unix socket has at most 107 bytes of path."""
    place = places.choose_place("/var/tmp", Random(1))

    assert len(f"{place}/srv/slappart9/var/run/some-service.sock") < 108


def test_each_partition_and_the_computer_have_an_address() -> None:
    network = places.choose_network(Random(1))

    addresses = places.addresses_of(network)

    assert network.startswith("fd")
    assert len(set(addresses)) == 11
    assert [address.rpartition(":")[2] for address in addresses] == list("123456789ab")


def test_the_python_of_the_wheels_is_read_from_their_names() -> None:
    """A wheel for one Python decides; those for any do not."""
    names = ["attrs-26.1.0-py3-none-any.whl", "lxml-6.1-cp312-cp312-linux_x86_64.whl"]

    assert places.wheels_abi(names) == "cp312"
    assert places.wheels_abi(names[:1]) is None


@pytest.mark.parametrize("way", list(Way))
def test_a_record_is_read_as_it_was_written(way: Way) -> None:
    record = a_record(way=way, outer_pid=17, outer_start_ticks=99)

    assert places.decode_record(places.encode_record(record)) == record


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        places.encode_record(a_record(place="/home/somebody")),
        places.encode_record(a_record(place="/tmp/slapcluster-play-1/../../etc")),
    ],
)
def test_a_record_that_is_none_removes_nothing(content: bytes) -> None:
    """``stop`` removes what the record names: only a place of play is taken."""
    with pytest.raises(CommandFailed):
        places.decode_record(content)


def test_the_settings_of_a_cloud_are_understood_by_its_agent() -> None:
    config = read_config(settings.render_agent(a_record()))

    assert config.format.partition_amount == places.PARTITION_COUNT
    assert (
        config.format.partition_address(0)
        == places.addresses_of("fd12:3456:789a::/64")[1]
    )


def test_without_namespaces_partitions_share_an_address() -> None:
    shared = a_record(way=Way.NONE, network="")

    config = read_config(settings.render_agent(shared))

    assert config.format.partition_address(3) == "::1"


OWN_WAY = Way.ROOT_NAMESPACES if os.geteuid() == 0 else Way.USER_NAMESPACES

END_SECONDS = 10

DRIVER = """
import signal, sys
from slapcluster.play import confinement, namespaces, places
record = places.decode_record(sys.stdin.buffer.read())
script = confinement.first_script(
    record, [], {"PATH": confinement.SYSTEM_PATH}, ("sleep", "600"), is_bound=True
)
argv = confinement.bound_to_driver(confinement.opening(record.way, script))
pid = namespaces.spawn(argv, {"PATH": confinement.SYSTEM_PATH}, sys.argv[1])
print(pid, flush=True)
signal.pause()
"""


@pytest.mark.parametrize(
    "way", [pytest.param(OWN_WAY, marks=needs_namespaces), Way.NONE]
)
def test_nothing_outlives_a_driver_that_is_killed(
    way: Way, open_directory: Path
) -> None:
    """SIGKILL of the driver ends every process of its cloud, which is not root's."""
    record = a_record_in(open_directory, way)
    with a_driver(record, open_directory / "log") as (driver, opened):
        first_pid = eventually(lambda: sleeping(opened), END_SECONDS, "the program")
        runs_as = Path(f"/proc/{first_pid}").stat().st_uid
        seen = run(
            confinement.entering(opened, first_pid, {"PATH": SYSTEM_PATH}, ("id", "-u"))
        )
        driver.kill()

    eventually(
        lambda: namespaces.start_ticks(first_pid) is None, END_SECONDS, "its end"
    )
    eventually(lambda: not namespaces.is_alive(opened), END_SECONDS, "the outer end")
    assert runs_as == int(seen.stdout) == record.identity.uid != 0


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that an unprivileged user can enter; those of pytest are closed."""
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


@contextmanager
def a_driver(
    record: Record, log: Path
) -> Iterator[tuple[subprocess.Popen[bytes], Record]]:
    """A process that opens a cloud and waits; it is killed when the block is left."""
    driver = subprocess.Popen(
        (sys.executable, "-c", DRIVER, str(log)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"PYTHONPATH": os.pathsep.join(sys.path), "PATH": SYSTEM_PATH},
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


def a_record_in(directory: Path, way: Way) -> Record:
    """Make a place, and its record."""
    is_root = os.geteuid() == 0
    uid, gid = (65321, 65321) if is_root else (os.geteuid(), os.getegid())
    place = directory / "slapcluster-play-0"
    place.mkdir()
    return a_record(
        place=str(place),
        identity=Identity(uid, gid),
        is_started_by_root=is_root,
        way=way,
    )


def sleeping(record: Record) -> int | None:
    """Return the first process once it has become the program."""
    pid = namespaces.first_pid(record)
    if pid is None:
        return None
    command = Path(f"/proc/{pid}/cmdline").read_bytes()
    return pid if command.startswith(b"sleep\0") else None


def test_a_cloud_on_neo_has_three_regions_and_its_master_is_told_of_them() -> None:
    """The neo_cluster is made inside, before there is any other program."""
    record = a_record()

    argv = settings.creation_of_neo(record)
    master = settings.programs_of(record, "neo:x@127.0.0.1:1")["master"]
    conf = settings.render_supervisord(record.place, {})

    assert argv[-7] == f"{record.place}/neo"
    assert argv[-6::2] == ("--region",) * 3
    assert argv[-5::2] == ("paris", "lyon", "tokyo")
    assert master[master.index("--store") + 1] == "neo:x@127.0.0.1:1"
    assert "[program:" not in conf


def test_a_store_that_is_none_is_refused() -> None:
    refused = Desk(has_master=False).type("play", "demo", "--store", "zeo")

    assert refused.exit_code == 1
    assert "'zeo' is not one of 'file', 'neo'" in refused.stderr
