"""``slapgrid prune`` and ``cachelookup``, as typed."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests import programs
from tests.unit.slapcluster.desk import a_desk

COMMAND = "from slapcluster.cli import slapgrid; slapgrid()"


def write_cfg(tmp_path: Path, more: str = "") -> Path:
    path = tmp_path / "slapos.cfg"
    path.write_text(
        f"""[slapos]
computer_id = local
master_url = http://127.0.0.1:5000/
software_root = {tmp_path}/s
instance_root = {tmp_path}/i
{more}
"""
    )
    return path


def slapgrid(*argv: str) -> tuple[int, str, str]:
    done = programs.run([sys.executable, "-c", COMMAND, *argv])
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("is_dry", [True, False])
def test_prune_says_what_it_removes(tmp_path: Path, is_dry: bool) -> None:
    cfg = write_cfg(tmp_path, f"shared_part_list = {tmp_path}/shared")
    part = tmp_path / "shared" / "openssl" / ("a" * 32)
    (part / "lib").mkdir(parents=True)
    options = ["--dry-run"] if is_dry else []

    status, output, _ = slapgrid(
        "--output", "json", "prune", "--cfg", str(cfg), *options
    )

    told = json.loads(output)
    assert (status, told) == (
        0,
        {
            "is_dry": is_dry,
            "bytes": 0,
            "parts": [{"path": str(part), "bytes": 0}],
            "notes": [],
        },
    )
    assert part.exists() is is_dry


def test_prune_needs_shared_parts(tmp_path: Path) -> None:
    status, _, errors = slapgrid("prune", "--cfg", str(write_cfg(tmp_path)))

    assert (status, "shared_part_list names no directory" in errors) == (1, True)


def test_cachelookup_needs_a_cache_that_answers(tmp_path: Path) -> None:
    url = "http://releases.example/software.cfg"
    without = slapgrid("cachelookup", "--cfg", str(write_cfg(tmp_path)), url)
    port = programs.free_port()
    cfg = write_cfg(
        tmp_path,
        f"[networkcache]\ndownload-binary-dir-url = http://127.0.0.1:{port}/dir",
    )
    away = slapgrid("cachelookup", "--cfg", str(cfg), url)

    assert (without[0], "download-binary-dir-url is missing" in without[2]) == (1, True)
    assert (away[0], "Connection refused" in away[2]) == (1, True), away


def test_unsupplied_asks_the_master(tmp_path: Path) -> None:
    """Nothing is on the disk of this desk; without a master nobody knows."""
    cfg = str(write_cfg(tmp_path))
    with a_desk() as desk:
        desk.format()
        assert desk.read("node", "unsupplied", "--cfg", cfg) == {"releases": []}
    with a_desk(has_master=False) as desk:
        assert desk.type("node", "unsupplied", "--cfg", cfg).exit_code == 3
