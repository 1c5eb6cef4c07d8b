"""``make demo`` as a person runs it, with namespaces and on a machine without.

Each step of the tour judges what it sees; here it is judged that all of them passed in
time and that nothing is left.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

from slapcluster.commands.play import COMMANDS_TO_TYPE
from slapcluster.play.tour import STEPS
from slapcluster.release import Sources
from tests.capabilities import needs_ipv6, needs_namespaces
from tests.programs import run
from tests.releases import copy_release
from tests.source_tree import TOP

COMMAND_SECONDS_MAX = 540
"""A minute alone on two cores; a run of all tests shares them."""

COMMAND = "from slapcluster.cli import main; main()"


def a_checkout(tmp_path: Path) -> Path:
    """Copy what a release is made of: a cloud writes its record beside it."""
    checkout = tmp_path / "checkout"
    sources = Sources(TOP)
    files = [*sources.project_files(), *sources.profile_files(), Path("versions.cfg")]
    for file in files:
        copy = checkout / file
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(TOP / file, copy)
    if sources.wheels.is_dir():
        (checkout / ".make" / "cache").mkdir(parents=True)
        (checkout / ".make" / "cache" / "dist").symlink_to(sources.wheels)
    return checkout


def places() -> set[Path]:
    """Return the places of all clouds of this machine."""
    return {*Path("/tmp").glob("slapcluster-play-*")}


def processes_that_name(place: str) -> list[str]:
    """Return the command lines that hold a path."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = file.read_bytes().decode(errors="replace")
        except OSError:
            continue
        if place in command:
            found.append(command)
    return found


def play(
    checkout: Path,
    command: str,
    *argv: str,
    seconds_max: float = COMMAND_SECONDS_MAX,
) -> Any:
    """Type a command of ``slapcluster play``; its answer."""
    ended = run(
        (
            *(sys.executable, "-c", COMMAND, "--output", "json", "play", command),
            *("--checkout", str(checkout), *argv),
        ),
        directory=TOP,
        timeout_seconds=seconds_max,
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def assert_nothing_is_left(place: str, checkout: Path) -> None:
    assert Path(place) not in places()
    assert processes_that_name(place) == []
    assert [*(checkout / ".slapcluster").iterdir()] == []


@needs_namespaces
def test_the_demo_shows_all_its_steps_and_leaves_nothing(tmp_path: Path) -> None:
    """Every step is seen, in time; place, processes and record are gone."""
    checkout = a_checkout(tmp_path)

    shown = play(checkout, "demo")

    assert [it["step"] for it in shown[1:]] == [it.title for it in STEPS]
    assert_nothing_is_left(shown[0]["seen"].removeprefix("in "), checkout)


@needs_ipv6
def test_a_cloud_without_namespaces_is_played_with_and_leaves_nothing(
    tmp_path: Path,
) -> None:
    """What somebody types first on a machine that refuses them, up to its end.

    That a release is filled from what a checkout has is seen above.
    """
    checkout = a_checkout(tmp_path)
    copy_release(checkout / "dist" / "release")

    begun = play(checkout, "start", "--no-namespaces")
    try:
        url = f"{begun['master_url']}release/software/hello/software.cfg"
        seen = {}
        for command in COMMANDS_TO_TYPE:
            argv = ("slapcluster", "--output", "json", *command.format(url=url).split())
            seen[command] = play(checkout, "exec", *argv)
    finally:
        ended = play(checkout, "stop")

    instances = seen["service info greeter"]["instances"]
    states = {it["title"]: it["reported_state"] for it in instances}
    assert states == {"greeter": "started", "child-1": "started", "child-2": "started"}
    assert ended == {"place": begun["place"]}
    assert play(checkout, "stop") == {"place": None}
    assert_nothing_is_left(begun["place"], checkout)
