"""What a NEO cluster does with input that is not for it, and with broken databases.

Two clusters of real processes are shared: one is sent garbage, the databases of the
other are broken. After each test all daemons of it are those that were started.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import socket
import sqlite3
import struct
import subprocess  # noqa: TID251 - what runs
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

import pytest

from tests import programs
from tests.interop.stock import neo_environment
from tests.neo_port.test_cluster import HERE, NAME, SECONDS_MAX, NeoCluster

#: Another one: another run of garbage and flips.
SEED = 1
#: What a start that is refused takes: SQLite waits 5 s for a lock.
REFUSAL_SECONDS_MAX = 20
#: Silence is 8 s, and two cores are busy.
STRANGER_SECONDS_MAX = 25
PING = 2
ROOT_SIZE = 50
PAGE_SIZE = 4096
STRANGER_COUNT = 500
#: ``ListeningConnection.STRANGERS_MAX``, and the daemon's own files and nodes.
DESCRIPTORS_MAX = 256 + 40
NOBODY = 65534
#: In units of a transaction id: four hours.
LATER = 2**40
#: Each client asks one of two storage nodes, by chance.
READS_MAX = 30
VERSION = struct.pack("!L", 6)

#: SQLite without shared memory for its journal: the filesystem of some.
NO_WAL = """\
import sqlite3
connect = sqlite3.connect
sqlite3.connect = lambda path, **kw: connect(
    path if path == ":memory:" else f"file:{path}?vfs=unix-dotfile", uri=True, **kw)
from neo.scripts.neostorage import main
main()
"""
DURABILITY = """\
import sys
from neo.storage.database.sqlite import SQLiteDatabaseManager
database = SQLiteDatabaseManager(sys.argv[1])
for pragma in "journal_mode", "synchronous":
    print(pragma, *database.query(f"PRAGMA {pragma}").fetchone())
"""
READ = """\
import sys
from neo.client.Storage import Storage
from ZODB import DB
db = DB(Storage(master_nodes=sys.argv[1], name=sys.argv[2]))
root = db.open().root()
print(sorted(set(root.values())), len(root))
db.close()
"""
#: Each flip is refused with a sentence, or it starts; a traceback is neither.
FLIPS = """\
import random, shutil, sqlite3, sys
from neo.storage.app import Application
from neo.storage.database import DatabaseFailure
good, bad, seed, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
chance = random.Random(seed)
whole = open(good, "rb").read()
ends = {"refused": 0, "started": 0}
for _ in range(count):
    content = bytearray(whole)
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    open(bad, "wb").write(content)
    app = None
    try:
        app = Application({"cluster": "probe", "masters": [], "wait": 0,
            "adapter": "SQLite", "database": bad, "bind": ("127.0.0.1", 0)})
        app.loadPartitionTable()
        ends["started"] += 1
    except (SystemExit, DatabaseFailure, sqlite3.Error):
        ends["refused"] += 1
    finally:
        app is None or app.dm.close()
import json
print(json.dumps(ends))
"""


@pytest.fixture(scope="module")
def environment() -> Path:
    return neo_environment()


def build_cluster(
    environment: Path, factory: pytest.TempPathFactory
) -> Iterator[NeoCluster]:
    with ExitStack() as stack:
        neo_cluster = NeoCluster(factory.mktemp("neo"), environment, stack)
        neo_cluster.commit(0, ROOT_SIZE)
        yield neo_cluster


@pytest.fixture(scope="module")
def shared_cluster(
    environment: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[NeoCluster]:
    yield from build_cluster(environment, tmp_path_factory)


@pytest.fixture(scope="module")
def broken_cluster(
    environment: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[NeoCluster]:
    yield from build_cluster(environment, tmp_path_factory)


@pytest.fixture(scope="module")
def databases(
    environment: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Path]]:
    """The databases of a cluster by node id, whole and each in one file."""
    with ExitStack() as stack:
        neo_cluster = NeoCluster(tmp_path_factory.mktemp("db"), environment, stack)
        neo_cluster.commit(0, ROOT_SIZE)
        for storage in neo_cluster.storages:
            kill(storage)
        found = [folded(it) for it in neo_cluster.home.glob("*.sqlite")]
        yield {node_id(it): it for it in found}


@pytest.fixture(scope="module")
def database(databases: dict[str, Path]) -> Path:
    return databases["1"]


def folded(path: Path) -> Path:
    """With what is in the journal."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


def kill(program: subprocess.Popen[bytes]) -> None:
    program.send_signal(signal.SIGKILL)
    program.wait()


def daemons(neo_cluster: NeoCluster) -> dict[str, tuple[str, subprocess.Popen[bytes]]]:
    """An address to connect to and the process, for each kind of daemon."""
    primary = neo_cluster.primary()
    by_role = {
        "primary" if it is primary else "secondary": (address, it)
        for address, it in neo_cluster.neo_masters.items()
    }
    return {
        **by_role,
        "storage": (neo_cluster.addresses[0], neo_cluster.storages[0]),
        "admin": (neo_cluster.admin, neo_cluster.neoadmin),
    }


def assert_it_serves(neo_cluster: NeoCluster, *, count: int) -> None:
    """By the daemons that were started, with all that was committed."""
    for address, program in daemons(neo_cluster).values():
        assert program.poll() is None, address
    assert neo_cluster.commit(ROOT_SIZE, 1)[-1] == str(count)


def connected(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=SECONDS_MAX)


def refusal(
    argv: tuple[str, ...],
    user: int | None = None,
) -> str:
    """The last line that it wrote before it ended, which was not a success."""
    done = subprocess.run(
        argv,
        check=False,
        capture_output=True,
        text=True,
        timeout=REFUSAL_SECONDS_MAX,
        user=user,
    )
    assert done.returncode not in {0, -signal.SIGKILL}, done
    assert "Traceback" not in done.stderr, done.stderr
    return done.stderr.strip().splitlines()[-1]


def storage_argv(
    environment: Path, database: Path, *options: str, name: str = NAME
) -> tuple[str, ...]:
    """Of a storage node that would look for a neo_master that nobody runs."""
    return (
        *(str(environment / "neostorage"), "--cluster", name),
        *("--masters", "127.0.0.1:1", "--bind", "127.0.0.1:0"),
        *("--database", str(database), *options),
    )


# Garbage.


@pytest.mark.parametrize("role", ["admin", "primary", "secondary", "storage"])
def test_garbage_costs_the_connection_that_brought_it(
    shared_cluster: NeoCluster, role: str
) -> None:
    """Bytes, other protocols, packets of each kind: whole, mutated, cut."""
    address, _ = daemons(shared_cluster)[role]
    python = str(shared_cluster.bin / "python")

    sent = programs.run(
        (python, str(HERE / "garbage.py"), address, NAME, str(SEED)),
        timeout_seconds=SECONDS_MAX,
    )

    assert sent.returncode == 0, f"seed {SEED}: {sent.stdout} {sent.stderr}"
    counts = json.loads(sent.stdout)
    refused = {"bytes", "http", "tls", "other version", "huge", "error"}
    assert not {f"{it}: kept" for it in refused} & counts.keys()
    assert sum(counts.values()) > 1000
    assert_it_serves(shared_cluster, count=ROOT_SIZE + 1)


@pytest.mark.parametrize("role", ["admin", "primary", "secondary", "storage"])
def test_strangers_who_stay_take_nothing_from_others(
    shared_cluster: NeoCluster, role: str
) -> None:
    """Half of them say nothing, half of them one byte of what they should."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    address, program = daemons(shared_cluster)[role]
    with ExitStack() as stack:
        for number in range(STRANGER_COUNT):
            stranger = stack.enter_context(connected(address))
            if number % 2:
                stranger.sendall(VERSION[:1])

        assert_it_serves(shared_cluster, count=ROOT_SIZE + 1)
        descriptors = list(Path(f"/proc/{program.pid}/fd").iterdir())
        assert len(descriptors) < DESCRIPTORS_MAX


def test_a_stranger_who_does_not_say_who_he_is_is_left(
    shared_cluster: NeoCluster,
) -> None:
    """After the silence: also one whose bytes never end."""
    found = daemons(shared_cluster)
    addresses = [found[it][0] for it in ("primary", "secondary", "storage")]
    with ExitStack() as stack:
        silent = [stack.enter_context(connected(it)) for it in addresses]
        slow = [stack.enter_context(connected(it)) for it in addresses]
        for stranger in slow:
            stranger.sendall(VERSION)

        for stranger in silent:
            stranger.settimeout(STRANGER_SECONDS_MAX)
            while stranger.recv(1024):
                pass
        for stranger in slow:
            programs.eventually(
                partial(is_left, stranger), STRANGER_SECONDS_MAX, "it is left"
            )


def is_left(stranger: socket.socket) -> bool:
    """Whether another ping finds the connection closed."""
    try:
        stranger.sendall(struct.pack("!LHL", 1, PING, 0))
    except (ConnectionResetError, BrokenPipeError):
        return True
    return False


def test_a_stranger_who_does_not_read_is_not_answered_for_ever(
    shared_cluster: NeoCluster,
) -> None:
    """Pings, and nobody takes the answers."""
    pings = struct.pack("!LHL", 1, 2, 0) * 10_000
    for address, _ in daemons(shared_cluster).values():
        with connected(address) as stranger:
            stranger.sendall(VERSION)
            with pytest.raises((ConnectionResetError, BrokenPipeError)):
                stranger.sendall(pings * 1000)
    assert_it_serves(shared_cluster, count=ROOT_SIZE + 1)


def test_a_client_with_another_name_is_told_so(shared_cluster: NeoCluster) -> None:
    python = str(shared_cluster.bin / "python")
    argv = (python, "-c", READ, shared_cluster.master_nodes, "another")

    done = programs.run(argv, timeout_seconds=REFUSAL_SECONDS_MAX)

    assert done.returncode != 0
    assert done.stderr.strip().endswith("invalid cluster name")
    assert_it_serves(shared_cluster, count=ROOT_SIZE + 1)


def test_a_storage_node_with_another_name_is_not_let_in(
    shared_cluster: NeoCluster, tmp_path: Path
) -> None:
    """It says why each second; its neo_masters may be started later."""
    log = tmp_path / "log"
    argv = storage_argv(shared_cluster.bin, tmp_path / "db", name="another")
    argv += ("--masters", shared_cluster.master_nodes)
    with programs.running(argv, log):
        programs.eventually(
            lambda: "invalid cluster name" in log.read_text(), SECONDS_MAX, "it says so"
        )
    assert "S3" not in shared_cluster.tell("print", "node")


# A start that is refused.


@pytest.mark.parametrize("command", ["neomaster", "neostorage", "neoadmin"])
def test_a_port_in_use_is_named(
    environment: Path, tmp_path: Path, command: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        bound = f"127.0.0.1:{taken.getsockname()[1]}"
        argv = (str(environment / command), "--cluster", NAME, "--bind", bound)
        argv += ("--masters", bound)
        if command == "neostorage":
            argv += ("--database", str(tmp_path / "db"))
        host, _, port = bound.rpartition(":")
        assert refusal(argv) == (
            f"error: cannot listen on {host} port {port}: Address already in use"
        )


@pytest.mark.parametrize("adapter", ["MySQL", "Importer"])
def test_other_databases_than_sqlite_are_refused(
    environment: Path, tmp_path: Path, adapter: str
) -> None:
    said = refusal(storage_argv(environment, tmp_path / "db", "--adapter", adapter))
    assert "has not been ported to Python 3: only SQLite can be used" in said


def test_a_database_of_another_cluster_is_refused(
    environment: Path, database: Path
) -> None:
    said = refusal(storage_argv(environment, database, name="another"))
    assert said == "error: the database is of the cluster 'probe', not of 'another'"


def cut(size: int) -> Callable[[Path], object]:
    return lambda path: os.truncate(path, size)


def cut_to_half(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def write_over(offset: int, content: bytes) -> Callable[[Path], object]:
    def write(path: Path) -> None:
        with path.open("r+b") as file:
            file.seek(offset)
            file.write(content)

    return write


def write_over_tree(path: Path) -> None:
    """The first page of the objects, which no start would read."""
    with closing(sqlite3.connect(path)) as connection:
        ((page,),) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name='obj'"
        )
    write_over((page - 1) * PAGE_SIZE, bytes(20))(path)


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def replace_by_tables_of_others(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE accounts (name TEXT)")


NOT_ONE = "file is not a database"
DAMAGED = ("malformed", "damaged:", NOT_ONE)
BROKEN: dict[str, tuple[Callable[[Path], object], tuple[str, ...]]] = {
    "empty": (cut(0), ("the file is empty; remove it to begin anew",)),
    "cut in the header": (cut(99), DAMAGED),
    "cut after a page": (cut(PAGE_SIZE), DAMAGED),
    "cut in a page": (cut(PAGE_SIZE + 1), DAMAGED),
    "cut to half": (cut_to_half, DAMAGED),
    "another header": (write_over(0, b"X"), (NOT_ONE,)),
    "another size of pages": (write_over(16, b"\x03"), (NOT_ONE,)),
    "another schema": (write_over(PAGE_SIZE - 100, b"\xff" * 90), DAMAGED),
    "a page of objects": (write_over_tree, DAMAGED),
    "a text": (lambda path: path.write_text("hello\n" * 99), (NOT_ONE,)),
    "a folder": (replace_by_folder, ("unable to open database file",)),
    "tables of others": (replace_by_tables_of_others, ("not one of NEO",)),
    "missing folder": (lambda path: shutil.rmtree(path.parent), ("unable to open",)),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_database_is_refused(
    environment: Path, database: Path, tmp_path: Path, how: str
) -> None:
    """With a sentence that names it and says what is wrong."""
    break_it, reasons = BROKEN[how]
    folder = tmp_path / "folder"
    folder.mkdir()
    broken = Path(shutil.copy(database, folder))
    break_it(broken)

    said = refusal(storage_argv(environment, broken))

    assert said.startswith(f"error: database {broken}: "), said
    assert any(it in said for it in reasons), said


@pytest.mark.skipif(os.getuid() != 0, reason="only root becomes somebody else")
def test_a_database_that_may_not_be_read_is_refused(
    environment: Path, database: Path, tmp_path: Path
) -> None:
    hidden = Path(shutil.copy(database, tmp_path))
    hidden.chmod(0o600)
    said = refusal(storage_argv(environment, hidden), user=NOBODY)
    assert said == f"error: database {hidden}: unable to open database file"


def test_a_bit_that_flips_is_refused_or_not_noticed(
    environment: Path, database: Path, tmp_path: Path
) -> None:
    """SQLite has no checksums: in a number or a value of objects it is not seen."""
    argv = (str(environment / "python"), "-c", FLIPS, str(database))
    argv += (str(tmp_path / "db"), str(SEED), "60")

    done = programs.run(argv, timeout_seconds=SECONDS_MAX)

    assert done.returncode == 0, f"seed {SEED}: {done.stderr[-2000:]}"
    assert sum(json.loads(done.stdout).values()) == 60


def test_a_filesystem_without_a_write_ahead_log_is_refused(
    environment: Path, tmp_path: Path
) -> None:
    argv = storage_argv(environment, tmp_path / "db")
    said = refusal((str(environment / "python"), "-c", NO_WAL, *argv[1:]))
    assert "journal_mode=delete" in said
    assert "the filesystem refuses WAL" in said


def test_a_database_that_others_read_in_another_mode_is_refused(
    environment: Path, database: Path, tmp_path: Path
) -> None:
    copy = Path(shutil.copy(database, tmp_path))
    with closing(sqlite3.connect(copy, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
        connection.execute("BEGIN EXCLUSIVE")
        said = refusal(storage_argv(environment, copy))
    assert said == f"error: database {copy}: database is locked"


def test_what_is_committed_is_on_the_disk(environment: Path, tmp_path: Path) -> None:
    """Read back on a connection of a storage node: 2 is FULL."""
    argv = (str(environment / "python"), "-c", DURABILITY, str(tmp_path / "db"))
    assert programs.run(argv).stdout.splitlines() == [
        "journal_mode wal",
        "synchronous 2",
    ]


# A cluster whose databases are broken while it runs.


def replicated(neo_cluster: NeoCluster) -> None:
    programs.eventually(
        lambda: set(neo_cluster.cells()) == {"U"}, SECONDS_MAX, "all cells are readable"
    )


def stop_second(neo_cluster: NeoCluster) -> Path:
    """Kill the second storage node; its database."""
    kill(neo_cluster.storages[1])
    programs.eventually(lambda: "O" in neo_cluster.cells(), SECONDS_MAX, "it is missed")
    return neo_cluster.home / "1.sqlite"


def start_second(neo_cluster: NeoCluster) -> None:
    neo_cluster.storages[1] = neo_cluster.start_storage(1)
    replicated(neo_cluster)


def read(neo_cluster: NeoCluster) -> subprocess.CompletedProcess[str]:
    python = str(neo_cluster.bin / "python")
    return programs.run((python, "-c", READ, neo_cluster.master_nodes, NAME))


def said_by(neo_cluster: NeoCluster, number: int) -> str:
    """What a storage node wrote, in all of its lives."""
    address = neo_cluster.addresses[number]
    return (neo_cluster.home / f"neostorage-{address}.log").read_text()


def node_id(path: Path) -> str:
    with closing(sqlite3.connect(path)) as connection:
        ((found,),) = connection.execute("SELECT value FROM config WHERE name='nid'")
    return str(found)


def move_transactions(path: Path, by: int) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE trans SET tid = tid + ?", (by,))
        connection.execute("UPDATE obj SET tid = tid + ?", (by,))
        connection.commit()


def replace(path: Path, content: bytes) -> None:
    """Without the journal of what was there."""
    for file in files_of(path):
        file.unlink()
    path.write_bytes(content)


def files_of(path: Path) -> list[Path]:
    return sorted(path.parent.glob(f"{path.name}*"))


def test_two_storage_nodes_do_not_share_a_database(broken_cluster: NeoCluster) -> None:
    """The second is refused; once the first is killed, it starts at once."""
    path = broken_cluster.home / "1.sqlite"
    replicated(broken_cluster)

    said = refusal(storage_argv(broken_cluster.bin, path))

    assert said == f"error: database is locked: another neostorage has {path}"
    stop_second(broken_cluster)
    start_second(broken_cluster)
    assert_it_serves(broken_cluster, count=ROOT_SIZE + 1)


def test_a_journal_that_is_torn_is_made_good_by_the_others(
    broken_cluster: NeoCluster,
) -> None:
    """The node is at an earlier transaction than it acknowledged; it replicates."""
    broken_cluster.commit(0, ROOT_SIZE)
    path = stop_second(broken_cluster)
    journal = path.with_name(f"{path.name}-wal")
    size = journal.stat().st_size
    assert size > 2 * PAGE_SIZE
    write_over(size // 2, bytes(99))(journal)

    start_second(broken_cluster)

    kill(broken_cluster.storages[0])
    assert read(broken_cluster).stdout.strip().endswith(str(ROOT_SIZE + 1))
    broken_cluster.storages[0] = broken_cluster.start_storage(0)
    replicated(broken_cluster)


def test_the_cluster_goes_on_without_a_node_whose_database_is_broken(
    broken_cluster: NeoCluster,
) -> None:
    """It is refused, however often it is started; the right one is taken again."""
    path = stop_second(broken_cluster)
    aside = broken_cluster.home / "aside"
    aside.mkdir()
    for file in files_of(path):
        shutil.copy(file, aside)
    folded(path)
    cut_to_half(path)

    for _ in range(2):
        again = broken_cluster.start_storage(1)
        assert again.wait(REFUSAL_SECONDS_MAX) == 1

    assert_it_serves(broken_cluster, count=ROOT_SIZE + 1)
    for file in aside.iterdir():
        shutil.copy(file, broken_cluster.home)
    start_second(broken_cluster)


def test_a_value_that_is_corrupt_is_not_served(broken_cluster: NeoCluster) -> None:
    """Its checksum is wrong: the client asks the other storage node."""
    right = read(broken_cluster).stdout
    path = stop_second(broken_cluster)
    good = path.read_bytes()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE data SET value = zeroblob(length(value))")
        connection.commit()
    start_second(broken_cluster)

    for _ in range(READS_MAX):
        done = read(broken_cluster)
        assert done.stdout == right
        if "wrong checksum" in done.stderr:
            break
    else:
        pytest.fail("no client asked the storage node with other values")

    stop_second(broken_cluster)
    replace(path, good)
    start_second(broken_cluster)


def test_a_later_database_of_the_same_name_is_refused(
    broken_cluster: NeoCluster, databases: dict[str, Path]
) -> None:
    """Of another cluster, with transactions that this one never had."""
    path = stop_second(broken_cluster)
    good = folded(path).read_bytes()
    replace(path, databases[node_id(path)].read_bytes())
    move_transactions(path, LATER)

    started = broken_cluster.start_storage(1)

    assert started.wait(SECONDS_MAX) == 1
    assert "it is of another cluster of that name" in said_by(broken_cluster, 1)
    replace(path, good)
    start_second(broken_cluster)
    assert_it_serves(broken_cluster, count=ROOT_SIZE + 1)


def test_an_earlier_database_of_the_same_name_is_taken_for_a_node_that_was_away(
    broken_cluster: NeoCluster, databases: dict[str, Path]
) -> None:
    """Nothing in the protocol tells. Nothing mends it: the last of this cluster."""
    path = stop_second(broken_cluster)
    replace(path, databases[node_id(path)].read_bytes())
    move_transactions(path, -LATER)

    start_second(broken_cluster)

    assert_it_serves(broken_cluster, count=ROOT_SIZE + 1)


def test_a_neo_master_with_other_options_changes_nothing(
    shared_cluster: NeoCluster,
) -> None:
    """They are for the creation of a cluster; this one has its partition table."""
    known = daemons(shared_cluster)
    cells = shared_cluster.cells()
    (secondary, program), (primary, _) = known["secondary"], known["primary"]
    kill(program)
    other = ("--replicas", "0", "--partitions", "7")
    shared_cluster.neo_masters[secondary] = shared_cluster.run(
        "neomaster", secondary, *other
    )
    kill(shared_cluster.neo_masters[primary])
    shared_cluster.neo_masters[primary] = shared_cluster.run(
        "neomaster", primary, *other
    )

    assert shared_cluster.commit(0, 1)[-1] == str(ROOT_SIZE + 1)
    assert shared_cluster.cells() == cells


def test_a_value_that_is_corrupt_everywhere_is_an_error(
    shared_cluster: NeoCluster,
) -> None:
    """The storage node that copies it says so; no client gets it."""
    stop_second(shared_cluster)
    shared_cluster.commit(0, 1)
    with closing(sqlite3.connect(shared_cluster.home / "0.sqlite")) as connection:
        connection.execute("UPDATE data SET value = zeroblob(length(value))")
        connection.commit()

    start_second(shared_cluster)

    assert "wrong checksum" in said_by(shared_cluster, 1)
    done = read(shared_cluster)
    assert done.returncode != 0
    assert "no storage available" in done.stderr
