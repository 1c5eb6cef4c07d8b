"""What keeps the agent running."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from slapcluster.cli import node_main
from slapcluster.service_unit import (
    UNIT_NAME,
    AgentProgram,
    render_program,
    render_unit,
)
from tests.programs import run

GOLDEN = Path(__file__).parents[2] / "golden" / "slapcluster"
PROGRAM = AgentProgram("/usr/local/bin/slapgrid", "/etc/opt/slapos/slapos.cfg")


def test_the_unit_is_the_one_that_was_read() -> None:
    """KillMode=process: the services of instances survive the agent."""
    assert render_unit(PROGRAM) == (GOLDEN / UNIT_NAME).read_text()


def test_the_program_of_a_supervisord_is_the_one_that_was_read() -> None:
    """It ends the agent alone too."""
    golden = GOLDEN / "slapgrid-supervisord.conf"

    assert render_program(PROGRAM, "root") == golden.read_text()


def test_a_word_with_blanks_and_signs_is_one_word() -> None:
    program = AgentProgram("/opt/my agent/slapgrid", '/etc/100%"/slapos.cfg')

    start = next(
        each for each in render_unit(program).splitlines() if "ExecStart" in each
    )

    assert start == (
        'ExecStart="/opt/my agent/slapgrid" --cfg "/etc/100%%\\"/slapos.cfg" run'
    )


@pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd is not installed"
)
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    command, config = tmp_path / "slapgrid", tmp_path / "slapos.cfg"
    command.write_text("#!/bin/sh\n")
    command.chmod(0o755)
    config.touch()
    unit = tmp_path / UNIT_NAME
    unit.write_text(render_unit(AgentProgram(str(command), str(config))))

    checked = run(["systemd-analyze", "verify", "--man=no", str(unit)])

    assert (checked.returncode, UNIT_NAME in checked.stderr) == (0, False), (
        checked.stderr
    )


@pytest.mark.skipif(
    shutil.which("systemctl") is None, reason="systemd is not installed"
)
def test_installing_twice_and_removing_leaves_nothing(tmp_path: Path) -> None:
    """Into a system that does not run; each step says what it did."""
    cfg = tmp_path / "slapos.cfg"
    cfg.write_text(
        f"[slapos]\ncomputer_id = x\nmaster_url = http://[::1]:1\n"
        f"software_root = {tmp_path}/s\ninstance_root = {tmp_path}/i\n"
    )
    code = f"from {node_main.__module__} import node_main; node_main()"

    def install(*words: str) -> str:
        argv = ["-c", code, "--cfg", str(cfg), "install-service", "--root"]
        done = run([sys.executable, *argv, str(tmp_path), *words])
        assert done.returncode == 0, done.stderr
        return done.stdout

    unit = tmp_path / "etc/systemd/system" / UNIT_NAME
    wanted = tmp_path / "etc/systemd/system/multi-user.target.wants" / UNIT_NAME
    shown = install("--dry-run")
    before = unit.exists()
    install()
    first = (unit.read_text(), unit.stat().st_mtime_ns, wanted.is_symlink())
    install()
    again = (unit.read_text(), unit.stat().st_mtime_ns, wanted.is_symlink())
    install("--uninstall")

    assert not before
    assert first[0] in shown
    assert first == again
    assert first[2]
    assert (unit.exists(), wanted.is_symlink()) == (False, False)
    assert "nothing to remove" in install("--uninstall")
