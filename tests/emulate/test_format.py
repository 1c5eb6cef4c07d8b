"""format as root: accounts, owners and the network together, on copies."""

from __future__ import annotations

import json
import shlex
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.emulate.figures import tell
from tests.emulate.private_host import run_privately
from tests.source_tree import TOP

DRIVER = TOP / "tests" / "emulation" / "format_driver.py"
GIVE_ADDRESS = "ip address add fd98:1::1/48 dev lo"
FIRST_SECONDS_MAX = 30.0
SECOND_SECONDS_MAX = 2.0


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory in memory that every user may enter."""
    with tempfile.TemporaryDirectory(prefix="emulate-", dir="/dev/shm") as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


def write_config(place: Path, partition_amount: int) -> Path:
    path = place / "slapos.cfg"
    path.write_text(
        "[slapos]\ncomputer_id = COMP-1\nmaster_url = http://127.0.0.1:1/\n"
        f"software_root = {place}/software\ninstance_root = {place}/instances\n"
        f"[slapformat]\ninterface_name = lo\npartition_amount = {partition_amount}\n"
        f"create_tun = true\ncomputer_xml = {place}/computer.xml\n"
    )
    return path


def driver(*arguments: object) -> str:
    return shlex.join([sys.executable, str(DRIVER), *map(str, arguments)])


def answers(output: str) -> list[dict[str, Any]]:
    return [json.loads(it) for it in output.splitlines() if it.startswith("{")]


def test_a_hundred_partitions_are_formatted_in_time(place: Path) -> None:
    """With users, taps and tuns; the second time nothing is done."""
    config = write_config(place, 100)

    output = run_privately(place, [GIVE_ADDRESS, *[driver("format", config)] * 2])

    first, second = answers(output)
    tell(
        "format of 100 partitions",
        first_seconds=first["seconds"],
        first_cpu_seconds=first["cpu_seconds"],
        second_seconds=second["seconds"],
        second_cpu_seconds=second["cpu_seconds"],
    )
    assert (first["changed"], second["changed"]) == (100, 0)
    assert second["actions"] == []
    assert first["seconds"] < FIRST_SECONDS_MAX
    assert second["seconds"] < SECOND_SECONDS_MAX


def test_users_are_made_and_mended(place: Path) -> None:
    """Nothing of them is changed twice, and what an operator added stays."""
    config = write_config(place, 2)
    before = Path("/etc/passwd").read_bytes()

    output = run_privately(
        place,
        [
            GIVE_ADDRESS,
            driver("format", config),
            "groupadd extra",
            "usermod --groups extra slapuser0",
            "usermod --home /elsewhere slapuser1",
            "usermod --password x slapuser1",
            "rm -r $HOME/instances/slappart1",
            driver("format", config),
            driver("format", config),
            "id -nG slapuser0 | tr ' ' '\\n' | sort | xargs",
            "getent passwd slapuser1 | cut -d: -f6-",
            "passwd --status slapuser1 | cut -d' ' -f2",
            "stat -c '%a %U %G' $HOME/instances/slappart? $HOME/software",
            "cd $HOME/instances",
            "stat -c '%a %U' . slappart1/.slapos-resource",
        ],
    )

    mended = answers(output)[1]
    assert [it.replace(str(place), "") for it in mended["actions"]] == [
        "usermod --append --groups slapsoft slapuser0",
        "usermod --home /instances/slappart1 slapuser1",
        "usermod --lock slapuser1",
        "make the directory /instances/slappart1, mode 750 of slapuser1",
        "write /instances/slappart1/.slapos-resource",
    ]
    assert answers(output)[2]["actions"] == []
    assert output.splitlines()[3:] == [
        "extra slapsoft slapuser0",
        f"{place}/instances/slappart1:/bin/sh",
        "L",
        "750 slapuser0 slapuser0",
        "750 slapuser1 slapuser1",
        "755 slapsoft slapsoft",
        "755 root",
        "644 root",
    ]
    assert Path("/etc/passwd").read_bytes() == before


def test_a_format_by_root_that_is_interrupted_is_continued(place: Path) -> None:
    """After each action, and killed at random instants while users are made too."""
    config = write_config(place, 3)

    output = run_privately(place, [GIVE_ADDRESS, driver("trials", config, 20, 3)])

    (answer,) = answers(output)
    tell("interrupted formats by root", trials=answer["trials"])
    assert answer["trials"] >= 20 + answer["actions"] // 3
