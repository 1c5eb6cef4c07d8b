"""Loses a cloud, and has it go on from a backup, killed after each step.

``python recover_driver.py PLACE`` runs in namespaces that ``test_recover`` made, beside
``bootstrap_driver.py``, whose place it has. What was seen is printed as JSON.
Only what the wheelhouse installed can be imported here, and no test code.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess  # noqa: TID251 - tests watch the product's programs from outside
import sys
import time
import urllib.request
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import bootstrap_driver as driver
from bootstrap_driver import REGIONS, Place, now, processes_of

HELLO_URL = "http://127.0.0.1:5000/release/software/hello/software.cfg"
RECOVER_SECONDS_MAX = 900
GONE_SECONDS_MAX = 60


def say(*words: object) -> None:
    print(round(now()), *words, file=sys.stderr, flush=True)  # noqa: T201


class Lost(Place):
    """A place whose cloud is recovered: each time with another home and file."""

    def __init__(self, top: Path) -> None:
        super().__init__(top)
        self.agents = ExitStack()
        self.root = self.home / "root"

    def begin_agents(self) -> None:
        for region in REGIONS:
            self.agents.enter_context(self.agent(region))

    def lose_all(self) -> None:
        """Kill all computers at once, and remove each database."""
        for region in REGIONS:
            for pid in processes_of(self.computer(region)):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self.agents.close()
        self.until(
            "nothing runs",
            GONE_SECONDS_MAX,
            lambda: not any(processes_of(self.computer(it)) for it in REGIONS),
        )
        for path in self.top.glob("*/srv/slappart*/srv/neo/database.sqlite*"):
            path.unlink()

    def store_uri(self, region: str) -> str:
        (path,) = self.computer(region).glob("srv/slappart*/etc/region.json")
        return str(json.loads(path.read_text())["store_uri"])

    def recover_argv(self, source: Path, *more: str) -> tuple[str, ...]:
        return (
            *(self.command, "--output", "json", "recover", str(self.cloud)),
            *(str(source), "--root", str(self.root), "--home", str(self.home)),
            *("--release", str(self.top / "release"), "--timeout", "300", "--detach"),
            *more,
        )

    def follow(self, number: int) -> None:
        """Have another home, and another name in the file."""
        self.home = self.top / f"home-{number}"
        text = self.cloud.read_text().splitlines()
        text[0] = f'name = "cloud-{number}"'
        self.cloud.write_text("\n".join(text))

    def run(self, argv: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            argv,
            capture_output=True,
            text=True,
            timeout=RECOVER_SECONDS_MAX,
            check=False,
        )

    def recover(self, source: Path, *more: str) -> Any:
        ended = self.run(self.recover_argv(source, *more))
        assert ended.returncode == 0, (ended.stderr, ended.stdout, self.explain())
        return json.loads(ended.stdout)

    def refusal(self, source: Path, home: Path) -> str:
        """What is said when it is not done in that home."""
        before, self.home = self.home, home
        ended = self.run(self.recover_argv(source))
        self.home = before
        assert ended.returncode == 1, (ended.stdout, ended.stderr)
        return " ".join(ended.stderr.split())

    def page(self, url: str) -> str:
        with suppress(OSError), urllib.request.urlopen(url, timeout=5) as answer:
            return str(answer.read().decode())
        return ""


def recover_killed_after_each_step(place: Lost, source: Path) -> tuple[int, Any]:
    begun, kill_count, seen = now(), 0, 0
    while True:
        with (place.top / "recover.log").open("ab") as log:
            program = subprocess.Popen(
                place.recover_argv(source),
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        while program.poll() is None and len(place.logbook()["done"]) <= seen:
            assert now() - begun < RECOVER_SECONDS_MAX, place.explain()
            time.sleep(0.02)  # noqa: TID251
        if len(place.logbook()["done"]) > seen:
            say("done", place.logbook()["done"][-1])
        seen = len(place.logbook()["done"])
        if program.poll() is None:
            program.kill()
            kill_count += 1
        output, _ = program.communicate()
        if program.returncode == 0:
            place.seconds["recovery from a backup, killed often"] = round(
                now() - begun, 1
            )
            return kill_count, json.loads(output)
        assert program.returncode == -signal.SIGKILL, (
            program.returncode,
            place.explain(),
        )


class Story:
    """What happens, one after the other; what was seen is in ``seen``."""

    def __init__(self, place: Lost) -> None:
        self.place = place
        self.seen: dict[str, Any] = {}
        self.backup = place.top / "backup.fs"
        self.url = ""
        self.partition: object = None

    def bootstrap(self) -> None:
        place = self.place
        cloud = driver.CLOUD
        for number, region in enumerate(REGIONS, start=1):
            home = place.computer(region)
            home.mkdir()
            cfg = driver.CFG.format(region=region, number=number, place=place.top)
            (home / "slapos.cfg").write_text(cfg)
            words = {"region": region, "home": home, "command": place.command}
            cloud += driver.COMPUTER.format(**words)
        place.cloud.write_text(cloud)
        place.begin_agents()
        begun = now()
        ended = place.run(place.bootstrap_argv())
        assert ended.returncode == 0, (ended.stderr, place.explain())
        place.seconds["bootstrap"] = round(now() - begun, 1)
        say("bootstrapped")

    def use(self) -> None:
        """Request a service, back up, and change something after that."""
        place = self.place
        computer_id = place.logbook()["computer_ids"]["lyon-1"]
        place.tell("supply", HELLO_URL, computer_id)
        place.until("hello is built", 300, lambda: self._is_built(computer_id))
        words = ("request", "greeting", HELLO_URL, "--parameters", "greeting=Hello")
        node = ("--node", f"computer_guid={computer_id}")
        place.tell(*words, *node, may_fail=True)

        def published() -> Any:
            service = place.tell(*words, *node, may_fail=True) or {}
            return service if service.get("connection_parameters") else None

        service = place.until("hello runs", 300, published)
        self.url, self.partition = (
            service["connection_parameters"]["url"],
            service["key"],
        )
        place.tell("product", "add", "kept", "http://[::1]/kept.cfg")
        uri = place.store_uri("paris")
        begun = now()
        ended = place.run((place.command, "storage", "backup", uri, str(self.backup)))
        assert ended.returncode == 0, ended.stderr
        place.seconds["backup"] = round(now() - begun, 1)
        place.tell("product", "add", "lost", "http://[::1]/lost.cfg")
        say("backed up")

    def _is_built(self, computer_id: str) -> bool:
        report = self.place.tell("computer", "info", computer_id)
        return any(
            it["software_release_url"] == HELLO_URL
            and it["reported_state"] == "available"
            for it in report["installations"]
        )

    def be_refused(self) -> None:
        """In the home of the bootstrap, by its name, and while the cloud lives."""
        place = self.place
        self.seen["same name"] = place.refusal(self.backup, place.top / "refused")
        place.follow(2)
        self.seen["home of a bootstrap"] = place.refusal(self.backup, place.root.parent)
        self.seen["living"] = place.refusal(self.backup, place.home)
        say("refused", self.seen)

    def recover_from_backup(self) -> None:
        place, seen = self.place, self.seen
        begun = now()
        place.lose_all()
        place.begin_agents()
        seen["dry"] = place.recover(self.backup, "--dry-run")["recovered"]
        seen["kills"], answered = recover_killed_after_each_step(place, self.backup)
        place.seconds["from the loss on, backup"] = round(now() - begun, 1)
        seen["steps"] = {it["step"]: it["seconds"] for it in answered["steps"]}
        seen["is_self_hosted"] = answered["is_self_hosted"]
        seen["from a backup"] = self.look()
        say("recovered from a backup")

    def look(self) -> dict[str, Any]:
        """What a visitor sees of the recovered cloud."""
        place = self.place
        place.until("the page is there", 120, lambda: "Hello" in place.page(self.url))
        words = ("--parameters", "greeting=Hello")
        service = place.tell("request", "greeting", HELLO_URL, *words)
        services = {it["title"] for it in place.tell("service", "list")}
        products = place.tell("product", "list")
        releases = (it for x in products for it in x["software_release_urls"])
        return {
            "same partition": service["key"] == self.partition,
            "same url": service["connection_parameters"].get("url") == self.url,
            "services": sorted(services),
            "releases": sorted(releases),
            # All that agents know besides what is in their settings.
            "listed": [
                sorted(url for url, _ in json.loads(it.read_text())[3])
                for it in sorted(place.top.glob("*/srv/var/slapgrid/seen.json"))
            ],
            "replicas": sorted(place.logbook()["replica_urls"].values()),
        }


def main() -> None:
    place = Lost(Path(sys.argv[1]))
    with ExitStack() as stack:
        stack.callback(place.agents.close)
        story = Story(place)
        story.bootstrap()
        story.use()
        story.be_refused()
        story.recover_from_backup()
        print(json.dumps({**story.seen, "seconds": place.seconds}))  # noqa: T201


if __name__ == "__main__":
    main()
