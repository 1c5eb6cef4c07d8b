"""The doctor over three computers, each in a network of its own with one router.

``python -m tests.emulation.doctor_driver PLACE`` is run by root of a namespace
(``APART``). The network from the first region to the second is severed, another program
listens where an instance of the second would, and what was found is printed as JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.neo_port.three_regions import inside, make_networks, sever
from tests.programs import run, running
from tests.source_tree import TOP

TITLES = {1: "paris-1", 2: "lyon-1", 3: "tokyo-1"}
PYTHON = str(TOP / ".venv" / "bin" / "python")
SLAPCLUSTER = str(TOP / "bin" / "slapcluster")
WITHOUT_COMMAND = 3
TAKEN_PORT = 20002
DOCTOR_SECONDS_MAX = 120

LISTEN = f"""\
import socket, time
it = socket.create_server(("127.0.0.1", {TAKEN_PORT}))
time.sleep({DOCTOR_SECONDS_MAX})
"""


def write_cloud(place: Path) -> Path:
    """Write the file of a cloud of three, and the settings of each computer."""
    lines = ['name = "cloud"', "[mini-master]", 'listen = "[fd00:1::ff]:5443"']
    for region, title in TITLES.items():
        settings = place / f"{title}.cfg"
        settings.write_text(
            f"[slapos]\nsoftware_root = {place}/{title}/opt\n"
            f"instance_root = {place}/{title}/srv\n"
            "[slapformat]\npartition_amount = 2\n"
        )
        lines += [
            f"[computers.{title}]",
            f'region = "{title.removesuffix("-1")}"',
            f'address = "fd00:{region}::1"',
            f'settings = "{settings}"',
        ]
        if region != WITHOUT_COMMAND:
            command = json.dumps(inside(region, (SLAPCLUSTER,)))
            lines.append(f"command = {command}")
    file = place / "cloud.toml"
    file.write_text("\n".join(lines) + "\n")
    return file


def main(place: Path) -> None:
    make_networks()
    sever([(1, 2)])
    file = write_cloud(place)
    other = inside(2, (PYTHON, "-c", LISTEN))
    argv = (SLAPCLUSTER, "--output", "json", "doctor", str(file))
    with running(other, place / "other.log"):
        ended = run(argv, timeout_seconds=DOCTOR_SECONDS_MAX)
    written = [str(it.relative_to(place)) for it in sorted(place.rglob("*"))]
    answer = json.loads(ended.stdout) if ended.stdout else {}
    seen = {
        "status": ended.returncode,
        "said": ended.stderr,
        "findings": answer.get("findings", []),
        "written": written,
    }
    json.dump(seen, sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
