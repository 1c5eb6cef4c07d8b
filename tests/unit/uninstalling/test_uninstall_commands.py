"""``node uninstall`` over a real disk: whole, twice, killed anywhere, refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from slapcluster.outcomes import CommandFailed
from slapcluster.uninstalling.performing import foresee, uninstall
from slapcluster.uninstalling.planning import Plan
from slapgrid.neighbours.lock import InstanceRootLock
from tests.mortal import Killed
from tests.unit.slapcluster.safe import Safe

RELEASE = "0123456789abcdef0123456789abcdef"


class Computer(Safe):
    """A computer with a release, two partitions, an identity, and files of others."""

    def __init__(self, place: Path) -> None:
        super().__init__(place)
        self.settings = place / "etc" / "slapos.cfg"
        self.own = place / "own"
        self.fill()

    def fill(self) -> None:
        identity = self.place / "etc" / "identity"
        self.write("etc/slapos.cfg", self._text(identity))
        for name in ("own.key", "own.crt", "root.crt"):
            self.write(f"etc/identity/{name}", name)
        self.write(f"own/opt/{RELEASE}/bin/run", "")
        self.write("own/srv/slappart0/.slapos-resource", "{}")
        self.write("own/srv/slappart0/srv/database", "precious")
        self.write("own/srv/slappart7/.slapos-resource", "{}")
        self.write("own/srv/var/slapgrid/computer.xml", "")
        self.write("own/srv/var/log/software/build.log", "")
        self.write("own/srv/var/xml_report/a", "")
        self.write("own/srv/var/log/supervisord.log.1", "")
        self.write("own/certificates/slappart0.key", "")

    def _text(self, identity: Path) -> str:
        files = f"key_file = {identity}/own.key\ncert_file = {identity}/own.crt\n"
        return (
            f"[slapos]\ncomputer_id = COMP-1\nmaster_url = https://[::1]:5443/\n{files}"
            f"master_ca_file = {identity}/root.crt\n"
            f"software_root = {self.own}/opt\ninstance_root = {self.own}/srv\n"
            f"pidfile_software =\npidfile_instance =\npidfile_report =\n"
            f"certificate_repository_path = {self.own}/certificates\n"
            "[slapformat]\npartition_amount = 2\n"
        )

    def write(self, name: str, text: str) -> None:
        path = self.place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def uninstall(self, *options: str) -> Any:
        words = ("node", "uninstall", "--cfg", str(self.settings), *options)
        result = self.type("--output", "json", *words)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    def uninstall_until(self, count: int) -> bool:
        """Be killed before that removal; whether it came so far."""
        left = [count]

        def show(_: str) -> None:
            if not left[0]:
                raise Killed
            left[0] -= 1

        try:
            self._launch(lambda runtime: uninstall(runtime, self.settings, show))
        except Killed:
            return True
        return False

    def foresee(self) -> Plan:
        return self._launch(lambda runtime: foresee(runtime, self.settings))

    def present(self) -> list[str]:
        return sorted(
            str(it.relative_to(self.place))
            for it in self.place.rglob("*")
            if it != self.own and (it.is_file() or not any(it.iterdir()))
        )


@pytest.fixture
def computer(tmp_path: Path) -> Iterator[Computer]:
    computer = Computer(tmp_path)
    yield computer
    computer.world.finish()


def test_a_dry_run_changes_nothing(computer: Computer) -> None:
    before = computer.present()

    said = computer.uninstall()

    assert computer.present() == before
    assert not said["is_done"]
    assert {"kind": "directory", "what": f"{computer.own}/srv/slappart0"} in said[
        "removals"
    ]


def test_nothing_is_left_and_again_there_is_nothing_to_do(computer: Computer) -> None:
    done = computer.uninstall("--yes")

    assert computer.present() == []
    assert (done["is_done"], done["left"]) == (True, [])
    assert computer.uninstall("--yes")["removals"] == []


def test_what_is_of_others_stays(computer: Computer) -> None:
    others = [
        *("etc/identity/region.key", "own/opt/nginx/conf", "own/srv/etc/hosts"),
        *("own/srv/photos/1.jpg", "own/srv/var/log/mine.log"),
    ]
    for name in others:
        computer.write(name, "mine")

    computer.uninstall("--yes")

    assert computer.present() == sorted(others)


def test_killed_before_any_removal_the_next_run_ends_it(computer: Computer) -> None:
    count = 0
    while computer.uninstall_until(count):
        computer.uninstall("--yes")
        assert computer.present() == [], f"killed before removal {count}"
        computer.fill()
        count += 1

    assert count > 12


def test_once_it_has_begun_no_agent_finds_its_settings(computer: Computer) -> None:
    computer.uninstall_until(1)

    assert not computer.settings.exists()
    run = computer.type("node", "run", "--cfg", str(computer.settings))
    assert run.exit_code == 1
    assert "there is no file" in run.output
    computer.uninstall("--yes")


def test_a_root_of_nobody_of_ours_is_refused(computer: Computer) -> None:
    (computer.own / "srv/var/slapgrid/computer.xml").unlink()
    (computer.own / "srv/var/slapgrid").rmdir()
    before = computer.present()

    for options in ((), ("--yes",)):
        words = ("node", "uninstall", "--cfg", str(computer.settings), *options)
        result = computer.type(*words)
        assert result.exit_code == 1
        assert "of no agent of ours" in " ".join(result.output.split())
    assert computer.present() == before


def test_settings_that_came_meanwhile_are_of_another_computer(computer) -> None:
    computer.uninstall_until(3)
    computer.write("etc/slapos.cfg", "[slapos]\n")

    with pytest.raises(CommandFailed, match="it is another one's"):
        computer.foresee()

    computer.settings.unlink()
    computer.uninstall("--yes")


def test_two_at_once_do_not_end_each_other(computer: Computer) -> None:
    computer.uninstall_until(1)
    lock = InstanceRootLock(f"{computer.own}/srv/var/slapgrid/lock")
    try:
        words = ("node", "uninstall", "--cfg", str(computer.settings), "--yes")
        assert computer.type(*words).exit_code == 10
    finally:
        lock.release()

    computer.uninstall("--yes")
    assert computer.present() == []
