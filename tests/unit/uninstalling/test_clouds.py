"""``uninstall`` of a cloud: what becomes of the home of its bootstrap."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from runtime.real import build_runtime
from slapcluster.bootstrap.wanted_cloud import WantedCloud, WantedComputer
from slapcluster.outcomes import CommandFailed
from slapcluster.uninstalling.clouds import OfCloud, Wish, uninstall_cloud
from slapgrid.neighbours.lock import hold_directory
from tests.reactor import ReactorBench

FILES = (
    *("logbook.json", "state-of-mini-master.fs", "state-of-mini-master.fs.part"),
    *("operator/own.key", "mini-master/log", "root/root.key", "root/root.crt"),
)
ANSWER = {"is_done": True, "removals": [{"kind": "file", "what": "/a"}], "left": ["b"]}


class Cloud:
    """Three computers, of which two have a command, and a home."""

    def __init__(self, run_real: ReactorBench, place: Path) -> None:
        self._run_real = run_real
        self.home = place / "home"
        self.said = {name: json.dumps(ANSWER, indent=1) for name in ("a", "b")}
        for name in FILES:
            (self.home / name).parent.mkdir(parents=True, exist_ok=True)
            (self.home / name).write_text("")

    def uninstall(self, *, is_done: bool = True, has_root: bool = False) -> OfCloud:
        computers = tuple(
            WantedComputer(
                name, name, (sys.executable, "-c", f"print({said!r})", "slapcluster")
            )
            for name, said in self.said.items()
        )
        wanted = WantedCloud("cloud", "::1", 1, (*computers, WantedComputer("c", "c")))
        wish = Wish(self.home, is_done=is_done, has_root=has_root)
        runtime = build_runtime(self._run_real.reactor)
        return self._run_real(uninstall_cloud(runtime, wanted, wish, lambda _: None))

    def left(self) -> list[str]:
        found = self.home.rglob("*")
        return sorted(str(it.relative_to(self.home)) for it in found if it.is_file())


@pytest.fixture
def cloud(run_real: ReactorBench, tmp_path: Path) -> Cloud:
    return Cloud(run_real, tmp_path)


def test_all_but_the_root_goes(cloud: Cloud) -> None:
    done = cloud.uninstall()

    assert cloud.left() == ["root/root.crt", "root/root.key"]
    a, _, c = done.computers
    assert (a.removals, a.left, a.failure) == (
        ({"kind": "file", "what": "/a"},),
        ("b",),
        "",
    )
    assert c.left == ("no command is known: type slapcluster node uninstall --yes",)


def test_the_root_goes_when_it_is_said_also_later(cloud: Cloud) -> None:
    cloud.uninstall()
    cloud.uninstall(has_root=True)

    assert not cloud.home.exists()
    cloud.uninstall(has_root=True)


def test_a_dry_run_says_it_alone(cloud: Cloud) -> None:
    said = cloud.uninstall(is_done=False, has_root=True)

    assert cloud.left() == sorted(FILES)
    assert len(said.home) == 6


@pytest.mark.parametrize("said", ["no such command", '{\n"left": 1\n}'])
def test_the_home_stays_until_all_computers_are_done(cloud: Cloud, said: str) -> None:
    cloud.said["b"] = said

    done = cloud.uninstall()

    assert done.is_home_kept
    assert done.computers[1].failure
    assert cloud.left() == sorted(FILES)


def test_a_directory_that_is_no_home_is_left(cloud: Cloud) -> None:
    (cloud.home / "logbook.json").unlink()
    (cloud.home / "root" / "root.crt").unlink()
    before = cloud.left()

    assert cloud.uninstall(has_root=True).home == ()
    assert cloud.left() == before


def test_a_bootstrap_that_works_is_not_disturbed(cloud: Cloud) -> None:
    hold = hold_directory(str(cloud.home))
    assert hold is not None
    try:
        with pytest.raises(CommandFailed, match="A bootstrap works in"):
            cloud.uninstall()
    finally:
        hold.release()
    assert cloud.left() == sorted(FILES)
