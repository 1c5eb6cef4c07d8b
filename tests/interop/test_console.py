"""What is written for the stock console runs in ours, as real processes."""

from __future__ import annotations

import sys

from tests import programs
from tests.interop.stock_cloud import COMPUTER, OUR_COMMAND, RELEASE, Cloud

SCRIPT = f"""\
supply("{RELEASE}", "{COMPUTER}")
instance = request("{RELEASE}", "first", partition_parameter_kw={{"greeting": "hey"}})
computer = slap.registerComputer("{COMPUTER}")
for p in computer.getComputerPartitionList():
    print(p.getId(), p.getState(), p.getInstanceParameterDict()
          .get("greeting") if p.getState() == "started" else None)

for r in computer.getSoftwareReleaseList():
    print(r.getURI(), r.getState())

"""


def test_one_script_says_the_same_in_both_consoles(cloud: Cloud) -> None:
    """What the stock one prints between its prompts is what ours prints."""
    cloud.format()

    stock = cloud.stock("console", stdin=SCRIPT)
    ours = programs.run(
        [sys.executable, "-c", OUR_COMMAND, "console", "--cfg", str(cloud.cfg)],
        stdin=SCRIPT,
    )

    assert ours.returncode == 0, ours.stderr
    assert ours.stdout.splitlines() == [
        "slappart0 started hey",
        "slappart1 destroyed None",
        f"{RELEASE} available",
    ]
    assert all(line in stock for line in ours.stdout.splitlines())
