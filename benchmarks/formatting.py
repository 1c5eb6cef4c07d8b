"""A first format of a hundred partitions, and a second one that finds nothing to do.

Real accounts, taps and tuns on a copy of this host when root measures; links and
directories alone, in namespaces, when an ordinary user does.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.result import Figure, Goal, Result
from benchmarks.spread import spread_of
from tests.emulate.private_host import run_privately
from tests.programs import run as run_program
from tests.source_tree import TOP

PARTITION_COUNT = 100
ROUND_COUNT = 3
SECONDS_MAX = 500
#: What the issue asks for.
FIRST_SECONDS_MAX = 30.0

DRIVER = TOP / "tests" / "emulation" / "format_driver.py"
AS_USER = (
    *("unshare", "--user", "--map-user=1000", "--map-group=1000"),
    *("--keep-caps", "--net", "--mount"),
)
GIVE_ADDRESS = "ip address add fd98:1::1/48 dev lo"


def run() -> Result:
    """First and second formats, each pair on a host that was never formatted."""
    pairs = [_format_twice() for _ in range(ROUND_COUNT)]

    def figures(place: int, name: str) -> list[float]:
        return [float(pair[place][name]) for pair in pairs]

    return Result(
        "format_first",
        (
            Figure("first format", "s CPU", spread_of(figures(0, "cpu_seconds"))),
            Figure("second format", "s", spread_of(figures(1, "seconds"))),
            Figure("second format", "s CPU", spread_of(figures(1, "cpu_seconds"))),
        ),
        (
            Goal(
                "first format, s",
                spread_of(figures(0, "seconds")),
                at_most=FIRST_SECONDS_MAX,
            ),
            Goal(
                "things that a second format does",
                spread_of([float(len(pair[1]["actions"])) for pair in pairs]),
                at_most=0,
            ),
        ),
        {
            "partitions": PARTITION_COUNT,
            "things that a first one does": len(pairs[0][0]["actions"]),
            "as root, with accounts": float(os.getuid() == 0),
        },
    )


def _format_twice() -> list[dict[str, Any]]:
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(
        prefix="bench-", dir=memory if memory.is_dir() else None
    ) as name:
        place = Path(name)
        place.chmod(0o755)
        config = _write_config(place)
        format_once = shlex.join([sys.executable, str(DRIVER), "format", str(config)])
        lines = [GIVE_ADDRESS, format_once, format_once]
        output = (
            run_privately(place, lines)
            if os.getuid() == 0
            else _run_in_namespaces(place, lines)
        )
    answers = [json.loads(it) for it in output.splitlines() if it.startswith("{")]
    assert [each["changed"] for each in answers] == [PARTITION_COUNT, 0], output
    return answers


def _write_config(place: Path) -> Path:
    path = place / "slapos.cfg"
    path.write_text(
        "[slapos]\ncomputer_id = COMP-1\nmaster_url = http://127.0.0.1:1/\n"
        f"software_root = {place}/software\ninstance_root = {place}/instances\n"
        f"[slapformat]\ninterface_name = lo\npartition_amount = {PARTITION_COUNT}\n"
        f"create_tun = true\ncomputer_xml = {place}/computer.xml\n"
    )
    return path


def _run_in_namespaces(place: Path, lines: list[str]) -> str:
    script = "\n".join(["set -e", "ip link set lo up", *lines])
    environment = {
        "PATH": os.environ["PATH"],  # noqa: TID251 - tools of the host
        "PYTHONPATH": str(TOP),
        "HOME": str(place),
    }
    done = run_program(
        [*AS_USER, "sh", "-c", script],
        environment,
        directory=place,
        timeout_seconds=SECONDS_MAX,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
