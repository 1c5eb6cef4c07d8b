"""A state is taken once, from what is only read, while nobody serves its cloud."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar, cast

import pytest
from attrs import evolve
from click.testing import CliRunner, Result
from twisted.internet.defer import maybeDeferred

from labsim.world.world import World
from master_cluster.authority.issuing import build_root
from master_cluster.store.content import verify
from runtime.files import DirectoryTree
from runtime.holdings import ROOTS, Holding
from runtime.identity_directory import IdentityDirectory
from runtime.ports import IFileTree, Runtime
from slap.errors import Unavailable, Unreachable
from slap.replicas import ListedReplica
from slap.transfer import Standing, TransferReport
from slapcluster.bootstrap.home import STATE_FILE, Home
from slapcluster.bootstrap.logbook import begin_recovery
from slapcluster.bootstrap.mini_master import MiniMaster
from slapcluster.bootstrap.wanted_cloud import WantedCloud, read_cloud
from slapcluster.bootstrap.work import Work
from slapcluster.cli import cli
from slapcluster.outcomes import CommandFailed
from slapcluster.recovery.taking import Source, Taking, recovered_of
from slapcluster.session import Session
from tests.authorities import a_leaf, a_region
from tests.sessions import once
from tests.unit.master_cluster.benches import StoreBench
from tests.unit.replication.left_databases import build_database, outdate

T = TypeVar("T")

URL = "http://127.0.0.1:5000/release/abc/software/master-cluster/software.cfg"
OLD = ListedReplica("https://[2001:db8:1::2]:20003", "paris")
FINGERPRINT = "f" * 64

CLOUD = """\
name = "again"
[mini-master]
listen = "[2001:db8:1::1]:5443"
[computers.paris-1]
region = "paris"
[computers.lyon-1]
region = "lyon"
[computers.tokyo-1]
region = "tokyo"
"""


def a_tree(root: str) -> IFileTree:
    return DirectoryTree(root, maybeDeferred)


class Desk:
    """A directory with a root, a release, a state, and the file of a cloud."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.world = World(1)
        runtime = self.world.host("desk").runtime
        self.runtime = evolve(runtime, file_tree=a_tree)
        self.root = top / "root"
        self.backup = top / "backup.fs"
        self.cloud = top / "cloud.toml"
        self.cloud.write_text(CLOUD)
        (top / "release").mkdir()
        (top / "release" / "fingerprint").write_text(FINGERPRINT)
        self.write_root()
        self._write_state()

    def write_root(self) -> None:
        directory = IdentityDirectory(a_tree(str(self.root)))
        key = directory.make_key(self.runtime.keys.new_private_key, Holding.ROOT)
        self.authority = build_root(key, self.runtime.calendar.now())
        directory.keep_roots(self.authority.certificate)

    def _write_state(self) -> None:
        bench = StoreBench(f"file:{self.backup}")
        now = bench.now()
        region = a_region(self.runtime.keys, now, root=self.authority)
        issued = a_leaf(region, self.runtime.keys.new_private_key(), now)
        bench.format()
        bench.decide(lambda it, _: it.certificates.set_title("COMP-1", "paris-1"))
        bench.decide(lambda it, _: it.certificates.set_computer("COMP-1", issued))
        bench.decide(lambda it, _: it.replicas.announce(OLD))
        bench.request("cloud", software_release_url=URL)
        bench.request("wiki")
        bench.close()

    @property
    def wanted(self) -> WantedCloud:
        return read_cloud(self.cloud.read_text())

    def launch(self, main: Callable[[Runtime], Coroutine[Any, Any, T]], /) -> T:
        return self.world.result(main(self.runtime))

    def type(self, source: Path, *more: str) -> Result:
        argv = (
            *("--output", "json", "recover", str(self.cloud), str(source)),
            *("--root", str(self.root), "--home", str(self.top / "home")),
            *("--release", str(self.top / "release"), *more),
        )
        return CliRunner().invoke(cli, argv, obj=Session(launch=once(self.launch)))

    def work(self, source: Path, *, may_answer: bool = False) -> tuple[Asking, Taking]:
        home = Home(self.runtime, str(self.top / "home"), str(self.root))
        home.tree.make_directory("mini-master", 0o700)
        logbook = begin_recovery(self.wanted, str(source))
        work = Asking(
            *(home, self.wanted, logbook, cast("MiniMaster", None)),
            *(lambda _: None, lambda _: None, 20.0),
        )
        return work, Taking(work, Source(source, str(self.root), may_answer))


class Asking(Work):
    answer: Any = Unreachable("no answer")

    async def ask(self, question: Any, *urls: str) -> Any:  # noqa: ARG002
        assert urls == (OLD.url,)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def digests(directory: Path) -> dict[str, str]:
    return {
        str(it.relative_to(directory)): hashlib.sha256(it.read_bytes()).hexdigest()
        for it in sorted(directory.rglob("*"))
        if it.is_file()
    }


def test_a_dry_run_says_what_would_be_and_changes_nothing(desk: Desk) -> None:
    before = digests(desk.top)

    result = desk.type(desk.backup, "--dry-run")

    assert result.exit_code == 0, result.output
    answer = json.loads(result.stdout)
    content = verify(desk.backup, lambda done, total: None)  # noqa: ARG005 - unwatched
    recovered = answer["recovered"]
    assert (recovered["history"], recovered["follows_history"]) == (2, 1)
    assert recovered["digest"] == content.digest
    assert recovered["last_transaction"] == content.last_transaction
    assert (recovered["masters"], recovered["services"]) == (["cloud"], ["wiki"])
    assert (recovered["joining"], recovered["new"]) == (
        ["paris-1"],
        ["lyon-1", "tokyo-1"],
    )
    assert recovered["replicas"] == {OLD.url: OLD.region}
    assert not any(it["is_done"] for it in answer["steps"])
    assert digests(desk.top) == before


def test_the_database_of_a_storage_node_is_as_good(desk: Desk) -> None:
    path = desk.top / "database.sqlite"
    build_database(desk.backup, path).close()

    result = desk.type(path, "--dry-run")

    assert result.exit_code == 0, result.output
    recovered = json.loads(result.stdout)["recovered"]
    assert recovered["kind"] == "database of a storage node"
    assert recovered["services"] == ["wiki"]
    assert "after they had lost it" in recovered["warnings"][0]


def _as_it_is(_: Desk) -> None: ...


def _another_root(desk: Desk) -> None:
    shutil.rmtree(desk.root)
    desk.write_root()


def _no_root(desk: Desk) -> None:
    (desk.root / ROOTS).unlink()


def _cut(desk: Desk) -> None:
    os.truncate(desk.backup, desk.backup.stat().st_size - 10)


def _no_state(desk: Desk) -> None:
    desk.backup.write_bytes(b"a letter")


def _never_filled(desk: Desk) -> None:
    copy = desk.top / "copy.fs"
    desk.backup.rename(copy)
    database = build_database(copy, desk.backup)
    outdate(database, {1: None})
    database.close()


def _named(name: str) -> Callable[[Desk], None]:
    def change(desk: Desk) -> None:
        text = desk.cloud.read_text().replace('"again"', f'"{name}"')
        desk.cloud.write_text(text)

    return change


def _of_a_bootstrap(desk: Desk) -> None:
    (desk.top / "home").mkdir()
    logbook = begin_recovery(desk.wanted, str(desk.backup))
    Home(desk.runtime, str(desk.top / "home")).write(
        evolve(logbook, undertaking=type(logbook.undertaking).BOOTSTRAP)
    )


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_another_root, "The root is that of another cloud"),
        (_no_root, "has no root certificate"),
        (_cut, "bytes after its last whole"),
        (_no_state, "is not the file of a store"),
        (_never_filled, "was being filled"),
        (_named("cloud"), 'name = "cloud-2"'),
        (_named("wiki"), "that of a service of the cloud that was lost"),
        (_of_a_bootstrap, "is another command: name another home"),
    ],
)
@pytest.mark.parametrize("is_dry", [True, False])
def test_what_cannot_be_is_refused_with_what_to_do(
    desk: Desk, change: Callable[[Desk], None], told: str, *, is_dry: bool
) -> None:
    change(desk)
    before = desk.backup.read_bytes()

    result = desk.type(desk.backup, *(["--dry-run"] if is_dry else []))

    assert result.exit_code == 1
    assert told in " ".join(result.output.split())
    assert desk.backup.read_bytes() == before


def test_a_state_is_taken_whole_whoever_was_killed_before(desk: Desk) -> None:
    work, taking = desk.work(desk.backup)
    state = Path(work.home.below(STATE_FILE))
    # Of a turn that was killed when all was there but the line in the logbook.
    state.write_bytes(b"something")
    Path(f"{state}.index").write_bytes(b"something")
    before = desk.backup.read_bytes()

    desk.world.result(taking.take())

    first = state.read_bytes()
    recovered = recovered_of(work.logbook.recovered)
    assert recovered.history == 2
    assert desk.backup.read_bytes() == before
    assert first.startswith(before)
    assert sorted(it.name for it in state.parent.iterdir()) == [
        "state.fs",
        "state.fs.lock",
    ]
    bench = StoreBench(f"file:{state}", seed=3)
    (own,) = bench.ask(lambda it: it.replicas.list())
    assert own.url == desk.wanted.mini_master_url
    bench.close()


def test_nobody_goes_on_while_the_lost_cloud_answers(desk: Desk) -> None:
    work, taking = desk.work(desk.backup)
    desk.world.result(taking.take())

    for answer in (
        Unreachable("no answer"),
        Unavailable("the store is away"),
        TransferReport(Standing.RECEIVING),
    ):
        work.answer = answer
        desk.world.result(taking.leave())

    work.answer = TransferReport(Standing.OPEN)
    with pytest.raises(CommandFailed, match="--leave-it-behind"):
        desk.world.result(taking.leave())
    _, leaving = desk.work(desk.backup, may_answer=True)
    leaving._work.logbook = work.logbook  # noqa: SLF001 - what it would read
    desk.world.result(leaving.leave())
