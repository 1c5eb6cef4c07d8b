"""``slapgrid start|stop|restart|tail`` beside a real supervisord."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from runtime.real import build_runtime
from slapgrid.layout import ProgramKind
from slapgrid.supervision.conf import ProgramDefinition, ProgramGroup
from slapgrid.supervision.supervisord import Supervisord, find_account
from tests import programs
from tests.reactor import ReactorBench

COMMAND = "from slapcluster.cli import node_main; node_main()"
SERVICE = "#!/bin/sh\necho began \x1b[31m$$\nexec sleep 1000\n"


def type_verb(home: Path, *words: str) -> tuple[int, str, str]:
    done = programs.run(
        [sys.executable, "-c", COMMAND, "--cfg", str(home / "slapos.cfg"), *words]
    )
    return done.returncode, done.stdout, done.stderr


def read(home: Path, *words: str) -> Any:
    return json.loads(type_verb(home, "--output", "json", *words)[1])


def told(program: str, program_state: str | None, failure: str | None = None) -> object:
    return {
        "partition_id": "slappart0",
        "program": program,
        "program_state": program_state,
        "failure": failure,
    }


def a_computer(home: Path) -> ProgramGroup:
    (home / "slapos.cfg").write_text(
        f"[slapos]\ncomputer_id = local\nmaster_url = http://127.0.0.1:1/\n"
        f"software_root = {home}/s\ninstance_root = {home}/i\n"
        f"[slapformat]\npartition_amount = 1\n"
    )
    directory = home / "i" / "slappart0"
    service = directory / "etc" / "service" / "web"
    service.parent.mkdir(parents=True)
    service.write_text(SERVICE)
    service.chmod(0o755)
    definition = ProgramDefinition("web", ProgramKind.SERVICE)
    account = find_account(os.getuid(), os.getgid())
    return ProgramGroup("slappart0", str(directory), (definition,), account)


def test_programs_are_stopped_started_and_read_by_name(
    tmp_path: Path, run_real: ReactorBench
) -> None:
    """Each verb waits for what it says; a name that is none is exit code 1."""
    group = a_computer(tmp_path)
    log = tmp_path / "i" / "slappart0" / ".slappart0_web.log"
    runtime = build_runtime(run_real.reactor)
    supervision = Supervisord(runtime, runtime.file_tree(str(tmp_path / "i")))

    def line_count() -> int:
        return len(log.read_text().splitlines()) if log.exists() else 0

    async def scenario() -> None:
        away = type_verb(tmp_path, "start", "all")
        assert (away[0], "supervisord does not run" in away[2]) == (1, True)
        try:
            await supervision.define((group,))
            started = read(tmp_path, "start", "slappart0:web")
            assert started["programs"][0]["failure"] is None
            assert started["agent"] is None
            programs.eventually(lambda: line_count() == 1, 10, "the first line")
            assert read(tmp_path, "restart", "slappart0")["programs"] != []
            programs.eventually(lambda: line_count() == 2, 10, "the second line")
            status, shown, warning = type_verb(tmp_path, "stop", "slappart0:web")
            assert (status, shown.split()[3:]) == (0, ["slappart0:web", "STOPPED", "-"])
            assert warning.startswith("The next pass of the agent starts again")
            stopped = read(tmp_path, "stop", "slappart0", "slappart0:db")
            assert stopped["programs"] == [
                told("web", "STOPPED"),
                told("db", None, "no such program"),
            ]
            assert type_verb(tmp_path, "stop", "slappart0:db")[0] == 1
        finally:
            await supervision.shut_down()

    run_real(scenario())
    status, shown, _ = type_verb(tmp_path, "tail", "slappart0", "-n", "1")
    assert (status, shown.startswith("began ?[31m"), shown.count("\n")) == (0, True, 1)
    ends = read(tmp_path, "tail", "slappart0:web")["programs"]
    assert [it["path"] for it in ends] == [str(log)]
    assert ends[0]["text"].count("\n") == 1
    assert type_verb(tmp_path, "tail", "slappart0:absent")[0] == 1
