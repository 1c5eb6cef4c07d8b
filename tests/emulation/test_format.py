"""format in user and network namespaces: the kernel is real, the host is not touched.

Accounts are not in namespaces: what format does with them is in ``tests/emulate``.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.capabilities import needs_format_namespaces
from tests.programs import run
from tests.source_tree import TOP

DRIVER = Path(__file__).with_name("format_driver.py")
pytestmark = needs_format_namespaces

UNSHARE = (
    *("unshare", "--user", "--map-user=1000", "--map-group=1000"),
    *("--keep-caps", "--net", "--mount"),
)
LOOPBACK = ("ip link set lo up", "ip address add fd98:1::1/48 dev lo")
NEIGHBOURS = (
    "ip link add eth0 type veth peer eth1",
    "ip link set eth0 up",
    "ip link set eth1 up",
    "ip address add fd98:1::1/48 dev eth0 nodad",
)


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory in memory: the trials make the disk write out hundreds of times."""
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(
        prefix="format-", dir=memory if memory.is_dir() else None
    ) as directory:
        yield Path(directory)


def write_config(place: Path, partition_amount: int, **settings: str) -> Path:
    """Settings of a computer, in a directory of its own."""
    known = {
        "interface_name": "lo",
        "partition_amount": str(partition_amount),
        "create_tun": "true",
        "computer_xml": f"{place}/computer.xml",
    }
    lines = [f"{key} = {value}" for key, value in (known | settings).items()]
    path = place / f"slapos-{partition_amount}.cfg"
    path.write_text(
        "[slapos]\ncomputer_id = COMP-1\nmaster_url = http://127.0.0.1:1/\n"
        f"software_root = {place}/software\ninstance_root = {place}/instances\n"
        "[slapformat]\n" + "\n".join(lines) + "\n"
    )
    return path


def driver(*arguments: object) -> str:
    return shlex.join([sys.executable, str(DRIVER), *map(str, arguments)])


def in_namespaces(place: Path, lines: Sequence[str]) -> list[dict[str, Any]]:
    """Run lines of shell; return the answers of the drivers among them."""
    script = "\n".join(["set -e", *lines])
    environment = {
        "PATH": os.environ["PATH"],  # noqa: TID251
        "PYTHONPATH": str(TOP),
        "HOME": str(place),
    }
    ended = run(
        [*UNSHARE, "sh", "-c", script],
        environment,
        directory=place,
        timeout_seconds=500,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return [json.loads(it) for it in ended.stdout.splitlines() if it.startswith("{")]


def test_a_computer_is_formatted_once(place: Path) -> None:
    """The second format changes nothing; more partitions change only themselves."""
    three, five = write_config(place, 3), write_config(place, 5)

    first, second, third = in_namespaces(
        place, [*LOOPBACK, *(driver("format", it) for it in (three, three, five))]
    )

    assert (first["changed"], second["changed"], third["changed"]) == (3, 0, 2)
    assert second["actions"] == []
    assert third["addresses"][:6] == first["addresses"]
    assert not any("slaptap0" in it or "fd98:1::2/" in it for it in third["actions"])


def test_an_address_that_a_neighbour_has_is_replaced(place: Path) -> None:
    """The kernel asks the neighbours; nobody sleeps. The replacement is kept."""
    config = write_config(place, 2, interface_name="eth0")

    first, second = in_namespaces(
        place,
        [
            "ip link set lo up",
            *NEIGHBOURS,
            "ip address add fd98:1::3/48 dev eth1 nodad",
            driver("format", config),
            "ip address del fd98:1::3/48 dev eth1",
            driver("format", config),
        ],
    )

    assert first["addresses"][1] == "fd98:1::2/48"
    assert first["addresses"][3] not in {"fd98:1::2/48", "fd98:1::3/48"}
    assert first["addresses"][3].startswith("fd98:1::")
    assert (second["addresses"], second["actions"]) == (first["addresses"], [])


def test_a_format_that_is_interrupted_anywhere_is_continued(place: Path) -> None:
    """After each action, and killed at random instants."""
    config = write_config(place, 2)

    (answer,) = in_namespaces(place, [*LOOPBACK, driver("trials", config, 6)])

    assert answer["trials"] == answer["actions"] + 6
    assert answer["actions"] > 25


@pytest.mark.parametrize("setting", ["interface_name = eth9", "create_tap = maybe"])
def test_the_program_says_what_is_wrong(place: Path, setting: str) -> None:
    """In a sentence, with the exit code of a failure."""
    key, value = setting.split(" = ")
    config = write_config(place, 1, **{key: value})
    program = shlex.join(
        [str(TOP / "bin" / "slapcluster"), "node", "format", "--cfg", str(config)]
    )

    with pytest.raises(AssertionError, match=r"eth9|create_tap must be true or false"):
        in_namespaces(place, ["ip link set lo up", f"{program} 1>&2"])
