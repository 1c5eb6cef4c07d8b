"""``slapcluster master`` as a process, and commands that ask it."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from slap.identities import Identity, Role
from slapcluster.cli import cli
from tests.certificates import a_region, a_root, write_identity
from tests.unit.slapcluster.test_running import a_command

ROOT = a_root()
REGION = a_region(ROOT)
REPLICA = REGION.issue_to(Identity(Role.REPLICA, "lyon"))
COMPUTER = REGION.issue_to(Identity(Role.COMPUTER, "COMP-1"))


def test_commands_speak_as_whom_they_are_told(tmp_path) -> None:
    homes = {
        name: str(write_identity(tmp_path / name, owner, ROOT))
        for name, owner in (("replica", REPLICA), ("computer", COMPUTER))
    }
    running = ("--store", "memory:", "--listen", "[::1]:0")
    with a_command("master", *running, "--identity", homes["replica"]) as master:
        serving = next(line for line in master.stderr if "serving on" in line)
        port = serving.rpartition("port=")[2].partition(",")[0].strip().rstrip(")")
        asked = ("--master", f"https://[::1]:{port}", "--output", "json")
        with a_command(*asked, "--identity", homes["computer"], "status") as command:
            _, errors = command.communicate(timeout=60)
        master.terminate()
        master.communicate(timeout=30)

    assert command.returncode == 1
    assert "slapcluster.v0.status is not for computer COMP-1" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--store", "memory:"), "Say who this replica is: --identity DIRECTORY"),
        (("--identity", "{home}"), "Say where the state is kept: --store URI."),
        (
            ("--identity", "{home}", "--store", "memory:", "--listen", "5443"),
            "--listen '5443': write HOST:PORT, such as [::]:5443.",
        ),
        (
            ("--identity", "{home}", "--store", "memory:", "--receive"),
            "Say where the copy of the state is kept until it is open: --documents",
        ),
    ],
)
def test_what_is_missing_is_said(tmp_path, arguments, sentence) -> None:
    home = write_identity(tmp_path, REPLICA, ROOT)
    words = [it.format(home=home) for it in arguments]

    outcome = CliRunner().invoke(cli, ["master", *words])

    assert outcome.exit_code == 1
    assert sentence in outcome.output
