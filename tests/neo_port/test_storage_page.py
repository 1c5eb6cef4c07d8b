"""An operator who has never seen NEO types what docs/storage.md says, in its order."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess  # noqa: TID251 - what a run gives
from typing import Any

import pytest
from attrs import define, field

from tests import programs
from tests.interop.stock import CHECKOUT
from tests.pages import commands_of
from tests.programs import eventually

PAGE = CHECKOUT / "docs" / "storage.md"
SYMPTOM = re.compile(r"^\| `(.*?)` \|", re.MULTILINE)
DIRECTORY = "/srv/slapcluster/neo"
#: Where the page restores a backup.
RESTORED = "/srv/slapcluster/restored"
REQUESTER = Path(__file__).with_name("requester.py")
REGIONS = ("paris", "lyon", "tokyo")
COMMAND_SECONDS_MAX = 120
SECONDS_MAX = 30

SCRIPT = """\
#!{python}
import sys
sys.path[:0] = {path!r}
from {module} import main
main()
"""

COMMIT = """\
import sys, transaction
from neo.client.Storage import Storage
from ZODB import DB
db = DB(Storage(master_nodes=sys.argv[1], name="slapcluster"))
root = db.open().root()
for key in sys.argv[2:]:
    root[key] = b"x" * 1000
    transaction.commit()
# A master that the page starts has a root of its own.
print(" ".join(sorted(set(root) - {"slapcluster"})))
db.close()
"""


@define
class Operator:
    """Somebody who types what the page says; ``seen`` is all that was written."""

    home: Path
    seen: str = ""
    primary: str = ""
    committed: list[str] = field(factory=list)

    @property
    def directory(self) -> Path:
        return self.home / "neo"

    @property
    def restored(self) -> Path:
        return self.home / "restored"

    def store_uri(self, directory: str) -> str:
        command = f"slapcluster --output json storage status {directory}"
        return str(json.loads(self.try_to(command).stdout)["store_uri"])

    def try_to(self, command: str) -> CompletedProcess[str]:
        for word, instead in (
            (DIRECTORY, str(self.directory)),
            (RESTORED, str(self.restored)),
            ("STORE", self.store_uri(DIRECTORY) if "STORE" in command else ""),
            ("EMPTY", self.store_uri(RESTORED) if "EMPTY" in command else ""),
            ("/backup", f"{self.home}/backup"),
            ("PRIMARY", self.primary),
            ("ANOTHER", next(it for it in REGIONS if it != self.primary)),
            ("ADMIN", self.admin_node() if "ADMIN" in command else ""),
        ):
            command = command.replace(word, instead)
        done = programs.run(
            ("sh", "-ec", command),
            {"PATH": f"{self.home}/bin:/usr/bin:/bin"},
            timeout_seconds=COMMAND_SECONDS_MAX,
        )
        self.seen += done.stdout + done.stderr
        return done

    def type(self, command: str) -> str:
        """Run a command that must succeed; its output."""
        done = self.try_to(command)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def fail(self, command: str, exit_code: int = 1) -> str:
        """Run a command that must be refused; what it says."""
        done = self.try_to(command)
        assert done.returncode == exit_code, f"{command}: {done.stdout}{done.stderr}"
        return done.stderr

    def status(self) -> Any:
        done = self.try_to(f"slapcluster --output json storage status {DIRECTORY}")
        return json.loads(done.stdout)

    def until(self, standing: str) -> Any:
        """Wait for this standing; remember who has the primary."""

        def look() -> Any:
            seen = self.status()
            return seen if seen["standing"] == standing else None

        seen = eventually(look, SECONDS_MAX, standing)
        self.primary = next(
            (it["name"] for it in seen["regions"] if it["is_primary"]), ""
        )
        return seen

    def admin_node(self) -> str:
        """One that answers: of a region that runs."""
        regions = [it for it in self.status()["regions"] if it["supervisord"]]
        return regions[0]["admin_node"]

    def commit(self, *keys: str) -> None:
        """Commit these keys, and find all that were committed before."""
        keys = tuple(re.sub(r"\s", "_", key) for key in keys)
        self.committed += keys
        neo_masters = self.status()["store_uri"].partition("@")[2].replace(",", " ")
        path = os.pathsep.join(sys.path)
        done = programs.run(
            (sys.executable, "-c", COMMIT, neo_masters, *keys),
            {"PYTHONPATH": path},
            timeout_seconds=COMMAND_SECONDS_MAX,
        )
        assert done.stdout.split() == sorted(self.committed), done.stderr

    def logs(self) -> str:
        return "".join(it.read_text() for it in self.directory.glob("*/log/*.log"))


@pytest.fixture
def operator(tmp_path: Path) -> Iterator[Operator]:
    bin_directory = tmp_path / "bin"
    bin_directory.mkdir()
    for name, module in (
        ("slapcluster", "slapcluster.cli"),
        ("neoctl", "neo.scripts.neoctl"),
        ("supervisorctl", "supervisor.supervisorctl"),
    ):
        script = bin_directory / name
        script.write_text(
            SCRIPT.format(python=sys.executable, path=sys.path, module=module)
        )
        script.chmod(0o755)
    operator = Operator(tmp_path)
    yield operator
    for directory in (operator.directory, operator.restored):
        for pid_file in directory.glob("*/supervisord.pid"):
            os.kill(int(pid_file.read_text()), signal.SIGKILL)


def test_the_page_is_true(operator: Operator) -> None:
    """Its commands succeed in their order, nothing acknowledged is ever missing."""
    for section in ("Create", "Watch", "Stop and start a region"):
        for command in commands_of(PAGE, section):
            operator.type(command)
        operator.until("whole")
        operator.commit(section)
    for command in commands_of(PAGE, "Kill things"):
        operator.type(command)
        if "kill" in command:
            is_lost = "supervisord.pid" in command or "-STOP" in command
            operator.until("partial" if is_lost else "whole")
            operator.commit(command)
    operator.until("whole")
    lose_the_region_of_the_primary(operator)
    for section in ("Pack", "Stop and start all"):
        for command in commands_of(PAGE, section):
            operator.type(command)
        operator.commit(section)

    refuse_what_is_wrong(operator)
    lose_a_file(operator)
    back_up_and_restore(operator)
    change_regions(operator)
    told = operator.seen + operator.logs()
    symptoms = SYMPTOM.findall(PAGE.read_text())
    assert [it for it in symptoms if it not in told] == []


def regions_of(*names: str) -> str:
    return " ".join(f"--region {it}" for it in names)


def lose_the_region_of_the_primary(operator: Operator) -> None:
    """The others go on, with what was acknowledged; who is left alone waits."""
    kill, status, start = commands_of(PAGE, "Lose the region of the primary")
    had_it = operator.primary
    operator.type(kill)
    operator.until("partial")
    operator.commit(kill)
    operator.primary = had_it
    for command in (status, start):
        operator.type(command)
    operator.until("whole")
    for region in ("lyon", "tokyo"):
        operator.type(f"slapcluster storage stop {DIRECTORY} --region {region}")
    assert "it waits" in operator.fail("neoctl --address ADMIN start")
    operator.type(f"slapcluster storage start {DIRECTORY}")


def lose_a_file(operator: Operator) -> None:
    """It is damaged; an old copy takes its place, and has everything in the end."""
    paris = operator.directory / "paris"
    operator.type(f"slapcluster storage stop {DIRECTORY}")
    backup = operator.home / "backup" / "paris"
    shutil.copytree(paris, backup, ignore=shutil.ignore_patterns("log", "*conf"))
    operator.type(f"slapcluster storage start {DIRECTORY}")
    operator.commit("after the copy")
    operator.type(f"slapcluster storage stop {DIRECTORY}")
    for path in paris.glob("database.sqlite*"):
        path.unlink()
    (paris / "database.sqlite").write_bytes(b"garbage" * 10_000)
    operator.fail(f"slapcluster storage start {DIRECTORY} --region paris", exit_code=3)
    operator.type(f"slapcluster storage stop {DIRECTORY}")

    for command in commands_of(PAGE, "When the file of a region is lost"):
        if command.startswith("cp "):
            operator.commit("without paris")
        operator.type(command)
    operator.until("whole")
    operator.commit("with paris")
    operator.type(f"slapcluster storage stop {DIRECTORY} --region lyon")
    operator.commit("by paris and tokyo")
    operator.type(f"slapcluster storage start {DIRECTORY}")


def change_regions(operator: Operator) -> None:
    """A disk is lost and replaced, regions come, leave and move."""
    paris = operator.directory / "paris"
    for path in paris.glob("database.sqlite*"):
        path.unlink()
    for command in commands_of(PAGE, "Replace a lost disk"):
        operator.type(command)
    number = operator.status()["regions"][0]["storage_node_id"]
    replace = f"slapcluster storage replace {DIRECTORY} --region paris"
    assert "nothing" in operator.type(replace)
    operator.type(f"slapcluster storage stop {DIRECTORY} --region paris")
    assert "has a database that can be read" in operator.fail(replace)
    told = operator.type(f"{replace} --discard {number} --dry-run")
    assert re.search(rf"of storage node {number}, \d+ bytes: for ever", told)
    operator.type(f"{replace} --discard {number}")
    assert operator.status()["regions"][0]["storage_node_id"] != number
    add = f"slapcluster storage region add {DIRECTORY} nice rome"
    for seconds in range(2, 10):
        operator.try_to(f"timeout -s KILL {seconds} {add} || :")
        remarks = operator.status()["remarks"]
        if remarks:
            break
    assert "is not there yet: repeat" in remarks[-1]
    for command in commands_of(PAGE, "Add, remove and move regions"):
        if " move " in command:
            for name in ("nice", "rome"):
                shutil.rmtree(operator.directory / name)
        operator.type(command)
    operator.until("whole")
    assert "the region nice is there twice" in operator.fail(
        f"slapcluster storage region add {DIRECTORY} nice nice"
    )
    operator.commit("other regions")


def back_up_and_restore(operator: Operator) -> None:
    """A master has been there; then its state is in both, and stays there."""
    operator.until("whole")
    uri = operator.store_uri(DIRECTORY)
    programs.run(
        (sys.executable, str(REQUESTER), uri, "3"),
        {"PYTHONPATH": os.pathsep.join(sys.path)},
        timeout_seconds=COMMAND_SECONDS_MAX,
    )
    for command in commands_of(PAGE, "Back up and restore"):
        operator.type(command)
    shown = operator.type("slapcluster storage backup EMPTY /backup/again.fs")
    assert shown == operator.type("slapcluster storage verify /backup/state.fs")
    living = "slapcluster storage restore /backup/again.fs STORE --force"
    assert "create another one by" in operator.fail(living)


def refuse_what_is_wrong(operator: Operator) -> None:
    """What the table of symptoms has besides; it works again afterwards."""
    start = f"slapcluster storage start {DIRECTORY}"
    stop = f"slapcluster storage stop {DIRECTORY}"
    create = f"slapcluster storage create {DIRECTORY} {regions_of(*'abc')}"
    assert "regions paris lyon tokyo, not a b c" in operator.fail(create)
    operator.type(stop)
    paris = json.loads((operator.directory / "neo_cluster.json").read_text())[
        "regions"
    ][0]
    port = int(paris["storage_node"].rpartition(":")[2])
    with socket.create_server(("127.0.0.1", port)):
        assert f"Port {port} is taken by another program" in operator.fail(start)
    database = operator.directory / "paris" / "database.sqlite"
    database.rename(f"{database}.away")
    assert "is gone: put it back" in operator.fail(start)
    Path(f"{database}.away").rename(database)

    both = operator.try_to(
        f"set +e; {start} & {start}; a=$?; wait $!; echo codes $a $?"
    )
    assert sorted(both.stdout.split("codes ")[1].split()) == ["0", "10"]
    operator.until("whole")
    operator.commit("again")


def test_what_is_killed_at_any_instant_is_repeated(operator: Operator) -> None:
    """A creation, a start and a stop converge from wherever they were killed."""
    words = regions_of(*REGIONS)
    create = f"slapcluster storage create {DIRECTORY} --host ::1 {words}"
    start, stop = (f"slapcluster storage {it} {DIRECTORY}" for it in ("start", "stop"))
    for tenths in (6, 8, 11, 15):
        operator.try_to(f"timeout -s KILL {tenths / 10} {create} || :")
    operator.type(create)
    for tenths in (6, 9, 13):
        operator.try_to(f"timeout -s KILL {tenths / 10} {stop} || :")
        operator.try_to(f"timeout -s KILL {tenths / 10} {start} || :")
    operator.type(start)
    operator.commit("a")
    operator.type(stop)

    assert operator.until("away")["remarks"][0].startswith("Nothing of it runs")
    assert operator.type(stop) == "Nothing ran.\n"
    assert "::1" in operator.status()["store_uri"]
