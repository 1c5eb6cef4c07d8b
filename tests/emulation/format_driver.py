"""Formats a computer in namespaces of its own, again and again, interrupted or not.

``format_driver.py format CONFIG`` formats once and prints what it did as JSON.
``format_driver.py trials CONFIG KILL_COUNT STEP`` tries an interruption after every
``STEP`` actions of a first format, then ``KILL_COUNT`` kills of a whole program; after
each one a format must converge to the same host. It prints the number of trials.
"""

from __future__ import annotations

import grp
import json
import os
import pwd
import shutil
import signal
import subprocess  # noqa: TID251 - tests watch the product's programs from outside
import sys
import time
from pathlib import Path
from random import Random
from typing import Any

from runtime.ports import Runtime
from slapcluster.running import launch
from slapgrid.config import Config, read_config
from slapgrid.format.formatting import Formatted, Formatting
from slapgrid.format.observing import observe_network
from slapgrid.format.performing import Performing
from slapgrid.service import observe_platform

SEED = 20261121


async def format_once(config: Config, runtime: Runtime) -> Formatted:
    return await Formatting(config, runtime, observe_platform()).apply()


async def report_format(config: Config, runtime: Runtime) -> dict[str, Any]:
    started = time.monotonic()  # noqa: TID251
    formatted = await format_once(config, runtime)
    return {
        "changed": formatted.changed_count,
        "actions": [str(it) for it in formatted.actions],
        "addresses": [
            str(address)
            for partition in formatted.computer.partitions
            for address in partition.addresses
        ],
        "seconds": time.monotonic() - started,  # noqa: TID251
        "cpu_seconds": sum(os.times()[:4]),
    }


class Trials:
    """Interruptions of a first format, each followed by one that is not interrupted."""

    def __init__(self, config: Config, config_path: str, runtime: Runtime) -> None:
        self._config = config
        self._config_path = config_path
        self._runtime = runtime
        self.count = 0

    async def run(self, kill_count: int, step: int) -> dict[str, Any]:
        self.begin_anew()
        plan = await self.plan()
        started = time.monotonic()  # noqa: TID251
        await format_once(self._config, self._runtime)
        seconds = time.monotonic() - started  # noqa: TID251
        wanted = await self.host()
        for action_count in range(0, len(plan.actions), step):
            self.begin_anew()
            platform = observe_platform()
            root = self._config.instance_root
            performing = Performing(self._runtime, root, platform.find_user)
            await performing.perform(plan.actions[:action_count])
            await self.converge(wanted, f"after {action_count} actions")
        entropy = Random(SEED)
        for number in range(kill_count):
            self.begin_anew()
            self.kill_one_after(entropy.uniform(0, 2 * seconds + 1))
            await self.converge(wanted, f"after kill {number}")
        return {"actions": len(plan.actions), "trials": self.count}

    def kill_one_after(self, seconds: float) -> None:
        argv = [sys.executable, __file__, "format", self._config_path]
        program = subprocess.Popen(
            argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            program.wait(seconds)
        except subprocess.TimeoutExpired:
            program.send_signal(signal.SIGKILL)
            program.wait()

    async def plan(self) -> Formatted:
        formatting = Formatting(self._config, self._runtime, observe_platform())
        return await formatting.plan()

    async def converge(self, wanted: object, when: str) -> None:
        await format_once(self._config, self._runtime)
        found = await self.host()
        assert found == wanted, f"{when}: {found} is not {wanted}"
        again = await format_once(self._config, self._runtime)
        assert again.actions == (), f"{when}: {again.actions}"
        self.count += 1

    async def host(self) -> object:
        network = await observe_network(self._runtime)
        links = {
            link.name: sorted(str(it.interface) for it in link.addresses)
            for link in network.links.values()
        }
        return links, sorted(map(str, network.routes)), self.files()

    def files(self) -> object:
        root = Path(self._config.instance_root)
        modes = {
            str(path): (oct(path.stat().st_mode), path.owner())
            for path in sorted(root.glob("slappart*"))
        }
        contents = {str(it): it.read_text() for it in root.glob("*/.slapos-resource")}
        return modes, contents, Path(self._config.format.computer_xml).read_text()

    def begin_anew(self) -> None:
        """The host as it was before the first format."""
        listing = subprocess.run(
            ["ip", "-json", "link", "show"], check=True, capture_output=True
        )
        lines = [
            f"link del {it['ifname']}"
            for it in json.loads(listing.stdout)
            if it["ifname"].startswith(("slaptap", "slaptun"))
        ]
        lines += [
            "address flush dev lo scope global",
            "-6 address flush dev lo scope global",
            "-6 route flush table local type local proto boot",
        ]
        for line in lines:
            subprocess.run(["ip", *line.split()], check=False, capture_output=True)
        prepare = ["ip", "address", "replace", "fd98:1::1/48", "dev", "lo"]
        subprocess.run(prepare, check=True)
        names = [it.pw_name for it in pwd.getpwall() if it.pw_name.startswith("slap")]
        if os.getuid() == 0:
            for name in sorted(names, reverse=True):
                subprocess.run(["userdel", name], check=True, capture_output=True)
            for group in grp.getgrall():
                if group.gr_name.startswith("slap"):
                    subprocess.run(["groupdel", group.gr_name], check=True)
        shutil.rmtree(self._config.instance_root, ignore_errors=True)
        shutil.rmtree(self._config.software_root, ignore_errors=True)
        for path in Path(self._config.format.computer_xml).parent.glob("computer.xml*"):
            path.unlink()


def main(method: str, config_path: str, kill_count: str = "0", step: str = "1") -> None:
    config = read_config(Path(config_path).read_text())

    async def work(runtime: Runtime) -> dict[str, Any]:
        if method == "format":
            return await report_format(config, runtime)
        return await Trials(config, config_path, runtime).run(
            int(kill_count), int(step)
        )

    print(json.dumps(launch(work)))  # noqa: T201 - its answer


if __name__ == "__main__":
    main(*sys.argv[1:])
