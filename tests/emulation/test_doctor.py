"""The doctor with everything real: networks, programs, stunnel, a disk."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tests.capabilities import needs_ipv6, needs_nft
from tests.neo_port.three_regions import APART
from tests.programs import run
from tests.source_tree import TOP

TAKEN = "127.0.0.1:20002 is taken by python"
ELSEWHERE = "have them listen elsewhere, as a cloud needs it"
TYPED = "the file has no command for it: type there: slapcluster node --cfg"


@needs_ipv6
@needs_nft
def test_a_doctor_finds_what_is_wrong_and_leaves_nothing(tmp_path: Path) -> None:
    """One way is severed, one port is taken, one computer has no command."""
    argv = (*APART, sys.executable, "-m", "tests.emulation.doctor_driver")

    ended = run((*argv, str(tmp_path)), directory=TOP)

    seen = json.loads(ended.stdout or "{}")
    assert seen, ended.stderr
    found = {
        (it["subject"], it["check"]): (it["verdict"], it["sentence"])
        for it in seen["findings"]
    }
    bad = {key: said for key, said in found.items() if said[0] != "ok"}
    lost = "no answer within 5 s; let TCP through, on routers and firewalls of both"
    ports = "is not reached at 20000, 20001, 20003"
    assert bad == {
        ("paris-1 (paris) to lyon-1 (lyon)", "way"): (
            "failure",
            f"fd00:2::1 {ports}: {lost}",
        ),
        ("lyon-1 (lyon) to paris-1 (paris)", "way"): (
            "failure",
            f"fd00:1::1 {ports}: {lost}",
        ),
        ("lyon-1", "ports"): ("failure", f"{TAKEN}: {ELSEWHERE}"),
        ("tokyo-1", "command"): ("warning", f"{TYPED} {tmp_path}/tokyo-1.cfg examine"),
    }
    assert found["paris-1 to the mini-master", "way"] == ("ok", "reached")
    assert found["all", "clocks"][0] == "ok"
    assert seen["status"] == 1
    assert seen["written"] == [
        *("cloud.toml", "lyon-1.cfg", "other.log", "paris-1.cfg", "tokyo-1.cfg")
    ]
