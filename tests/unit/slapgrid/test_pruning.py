"""Shared parts: what keeps one, and what a kill leaves."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess  # noqa: TID251 - a program to kill
import sys
from pathlib import Path

import pytest
from attrs import field, frozen

import slapgrid.shims
from slapgrid.shims.prune_shim import LOCKED, choose_parts, hashes
from tests import programs

SHIM = Path(slapgrid.shims.__file__).with_name("prune_shim.py")


def digit(letter: str) -> str:
    return letter * 32


@frozen
class Computer:
    """A computer with two directories of shared parts; the second is written."""

    root: Path
    additional: list[str] = field(factory=list)

    @property
    def shared(self) -> Path:
        return self.root / "shared"

    def write(self, path: str, text: str) -> Path:
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        return target

    def share(self, letter: str, signature: str = "", where: str = "shared") -> Path:
        """A part whose hash is this letter; its files are read-only."""
        part = self.root / where / "openssl" / digit(letter)
        self.write(str(part / "lib" / "x.so"), "binary")
        (part / ".buildout-shared.json").write_text(signature)
        (part / "lib").chmod(0o500)
        part.chmod(0o500)
        return part

    def wanted(self, *, is_dry: bool) -> str:
        return json.dumps(
            {
                "shared": [str(self.root / "read-only"), str(self.shared)],
                "software": [str(self.root / "software"), *self.additional],
                "instances": str(self.root / "instances"),
                "is_dry": is_dry,
            }
        )

    def prune(self, *, is_dry: bool = False) -> list[str]:
        """The letters of what was pruned."""
        done = programs.run([sys.executable, str(SHIM), self.wanted(is_dry=is_dry)])
        assert done.returncode == 0, done.stdout + done.stderr
        told = [json.loads(line) for line in done.stdout.splitlines()]
        return [each["part"][-1] for each in told if "part" in each]

    def left(self) -> str:
        return "".join(sorted(path.name[-1] for path in self.shared.glob("*/*")))


@pytest.fixture
def computer(tmp_path: Path) -> Computer:
    computer = Computer(tmp_path)
    (tmp_path / "shared").mkdir()
    return computer


def test_what_nothing_names_goes_and_a_dry_run_tells(computer: Computer) -> None:
    computer.share("a")
    computer.share("b")
    computer.write("software/x/.installed.cfg", f"location = {digit('b')}")

    assert computer.prune(is_dry=True) == ["a"]
    assert computer.left() == "ab"
    assert computer.prune() == ["a"]
    assert computer.left() == "b"
    assert computer.prune() == []


def test_every_place_that_may_name_a_part_keeps_it(computer: Computer) -> None:
    """Installed parts, scripts, partitions, nested agents, longer digits."""
    for letter in "0123456789abcdef":
        computer.share(letter)
    computer.write("software/x/.installed.cfg", digit("0"))
    computer.write("software/x/bin/python", f"#!/shared/python/{digit('1')}/bin/python")
    (computer.root / "software/x/bin/link").symlink_to(f"/shared/{digit('2')}/bin/x")
    computer.write("instances/slappart0/.installed.cfg", digit("3"))
    computer.write("instances/slappart0/etc/service/x", f"exec {digit('4')}")
    inner = computer.root / "instances/slappart1/srv"
    computer.write(
        str(inner / "slapos.cfg"),
        f"[slapos]\nsoftware_root = {inner}/soft\ninstance_root = {inner}/inst\n",
    )
    computer.write(str(inner / "soft/y/.installed.cfg"), digit("5"))
    computer.write(str(inner / "inst/slappart0/bin/x"), digit("6"))
    computer.write("elsewhere/z/.installed.cfg", digit("7"))
    computer.additional.append(str(computer.root / "elsewhere"))
    computer.write("software/x/bin/sum", f"f00{digit('8')}ba5")
    computer.share("e", digit("a"), where="read-only")

    assert computer.prune() == ["9", "b", "c", "d", "e", "f"]


def test_a_part_keeps_those_that_it_was_made_with_and_no_longer(
    computer: Computer,
) -> None:
    """A chain goes at once when its end is named no more."""
    computer.share("a", digit("b"))
    computer.share("b", digit("c"))
    computer.share("c")
    installed = computer.write("software/x/.installed.cfg", digit("a"))
    assert computer.prune() == []

    installed.write_text("")

    assert computer.prune() == ["a", "b", "c"]


def test_what_is_no_part_stays(computer: Computer) -> None:
    """Other names, files and links, whoever put them there."""
    computer.write("shared/openssl/notes", "x")
    computer.write(f"shared/openssl/{digit('a')}", "a file")
    computer.write("outside/x", "x")
    (computer.shared / "openssl" / digit("b")).symlink_to(computer.root / "outside")
    computer.write(f"shared/{digit('c')}", "x")

    assert computer.prune() == []
    assert (computer.root / "outside/x").exists()


def test_a_build_keeps_pruning_out(computer: Computer) -> None:
    """Its lock is shared: builds do not keep each other out."""
    computer.share("a")
    held = os.open(computer.shared, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_SH)

    done = programs.run([sys.executable, str(SHIM), computer.wanted(is_dry=False)])

    os.close(held)
    assert (done.returncode, json.loads(done.stdout)["note"]) == (
        LOCKED,
        f"a build uses {computer.shared}: prune when it has ended",
    )
    assert computer.left() == "a"


def test_pruning_that_was_killed_is_finished_by_the_next(computer: Computer) -> None:
    """SIGKILL between any two parts, and in the middle of one."""
    for letter in "abcdef":
        part = computer.share(letter)
        part.chmod(0o700)
        for number in range(300):
            (part / f"{number}").touch()
    argv = [sys.executable, str(SHIM), computer.wanted(is_dry=False)]
    for _ in range(4):
        with subprocess.Popen(argv, stdout=subprocess.PIPE) as running:
            assert running.stdout is not None
            running.stdout.readline()
            running.send_signal(signal.SIGKILL)
        for part in computer.shared.glob("openssl/[a-f]*"):
            assert (part / ".buildout-shared.json").exists()

    computer.prune()

    assert list(computer.shared.iterdir()) == []


@pytest.mark.parametrize("leftover", [f".pruned-{digit('a')}/lib", "."])
def test_nothing_is_left_of_a_kill_after_the_last_part(
    computer: Computer, leftover: str
) -> None:
    """Before its tree is gone, and before the directory that it stood in."""
    (computer.shared / "openssl" / leftover).mkdir(parents=True)

    assert computer.prune() == []

    assert list(computer.shared.iterdir()) == []


def test_a_hash_is_found_within_longer_digits() -> None:
    text = b"0" + b"a" * 31 + b"bz" + b"c" * 31

    assert list(hashes(text)) == ["0" + "a" * 31, "a" * 31 + "b"]


def test_parts_that_name_each_other_and_nothing_else_go(tmp_path: Path) -> None:
    """A circle cannot be made by buildout, and would not be kept."""
    parts = {}
    for letter, other in ("ab", "ba"):
        part = tmp_path / digit(letter)
        part.mkdir()
        (part / ".buildout-shared.json").write_text(digit(other))
        parts[f"x/{digit(letter)}"] = str(part)

    assert choose_parts(parts, set(), set()) == sorted(parts)
