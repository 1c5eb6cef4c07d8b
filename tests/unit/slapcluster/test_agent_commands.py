"""The verbs of the agent, as typed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from slapcluster.cli import slapgrid
from slapcluster.session import Session
from slapgrid.layout import LOCK_FILE
from slapgrid.neighbours.lock import InstanceRootLock
from tests.unit.slapcluster.desk import Desk, a_desk


@pytest.fixture
def desk() -> Iterator[Desk]:
    with a_desk() as desk:
        desk.format()
        yield desk


@pytest.fixture
def cfg(tmp_path: Path) -> Path:
    path = tmp_path / "slapos.cfg"
    path.write_text(
        f"""[slapos]
computer_id = local
master_url = http://127.0.0.1:5000/
software_root = {tmp_path}/s
instance_root = {tmp_path}/i
pidfile_software = {tmp_path}/run/sr.pid
pidfile_instance = {tmp_path}/run/cp.pid
pidfile_report = {tmp_path}/run/ur.pid
"""
    )
    return path


@pytest.mark.parametrize(
    "before",
    [
        ("node", "--cfg", "CFG", "software"),
        ("node", "software", "--cfg", "CFG"),
        ("node", "--cfg", "absent.cfg", "software", "--cfg", "CFG"),
    ],
)
def test_the_configuration_may_stand_before_or_after_the_verb(
    desk: Desk, cfg: Path, before: tuple[str, ...]
) -> None:
    words = [str(cfg) if word == "CFG" else word for word in before]

    assert desk.read(*words)["exit_status"] == 0


def test_a_missing_configuration_is_named(desk: Desk) -> None:
    typed = desk.type("node", "--cfg", "/absent/slapos.cfg", "software")

    assert typed.exit_code != 0
    assert "there is no file /absent/slapos.cfg" in typed.output


@pytest.mark.parametrize(
    "words",
    [
        "software --all --now --pidfile /tmp/x.pid --maximal_delay 3600 --once",
        "software --force --only-sr 0123456789abcdef0123456789abcdef",
        "instance --force --only_cp slappart9,slappart8 --promise-timeout 5",
        "report --only-cp slappart9 --now",
        "bang -m because",
        "bang",
    ],
)
def test_options_of_stock_commands_are_understood(
    desk: Desk, cfg: Path, words: str
) -> None:
    """A name that is not of this computer is a failure, not a mistaken command."""
    typed = desk.type("--output", "json", "node", "--cfg", str(cfg), *words.split())

    document = json.loads(typed.stdout)
    is_selective = "--only" in words
    assert typed.exit_code == document["exit_status"] == int(is_selective)
    assert document["reason"].startswith("not of this computer") is is_selective


def test_a_second_agent_is_refused_as_stock_ones_are(desk: Desk, cfg: Path) -> None:
    """With exit code 10 and the number of the first."""
    lock = InstanceRootLock(f"{cfg.parent}/i/{LOCK_FILE}")

    typed = desk.type("node", "--cfg", str(cfg), "software")
    lock.release()

    assert typed.exit_code == 10
    assert "another agent (process" in typed.output.lower()


def test_a_log_is_appended_to_the_file_that_is_named(desk: Desk, cfg: Path) -> None:
    log = cfg.parent / "agent.log"
    log.write_text("before\n")

    desk.read("node", "--cfg", str(cfg), "software", "--logfile", str(log))

    assert log.read_text().startswith("before\n")


def test_a_misspelt_key_is_said_to_the_person(desk: Desk, cfg: Path) -> None:
    cfg.write_text(f"{cfg.read_text()}promise_timout = 4\n")

    typed = desk.type("node", "--cfg", str(cfg), "software")

    assert typed.exit_code == 0
    assert "nobody reads [slapos] promise_timout" in typed.stderr


def test_without_a_master_the_exit_code_says_so(cfg: Path) -> None:
    with a_desk(has_master=False) as desk:
        typed = desk.type("node", "--cfg", str(cfg), "bang")

    assert typed.exit_code == 3


def test_slapgrid_has_the_verbs_of_slapcluster_node() -> None:
    """And one more configuration option than none: it stands before the verb."""
    assert {"run", "format", "software", "instance", "report", "bang", "boot"} <= set(
        slapgrid.commands
    )
    assert Session().is_json is False


def test_a_dry_run_of_format_says_what_it_would_do_and_does_nothing(
    desk: Desk, cfg: Path, tmp_path: Path
) -> None:
    flag = str(os.geteuid() == 0).lower()  # only root makes users
    cfg.write_text(
        f"{cfg.read_text()}[slapformat]\npartition_amount = 1\nalter_user = {flag}\n"
    )

    answer = desk.read("node", "format", "--dry-run", "--cfg", str(cfg))

    said = answer["reason"].splitlines()
    assert answer["exit_status"] == 0, answer
    assert any("i/slappart0, mode 750" in it for it in said)
    assert said[-1] == f"write {tmp_path}/i/slappart0/.slapos-resource"
    assert not (tmp_path / "i").exists()
