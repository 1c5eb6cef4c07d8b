"""Bootstraps a cloud in a place that has nothing but a wheelhouse, and kills it often.

``python bootstrap_driver.py PLACE`` runs in namespaces that ``test_bootstrap`` made.
Three computers wait to join. Somebody adds releases of products all the time and notes
which ones were acknowledged. What was seen is printed as JSON.
Only what the wheelhouse installed can be imported here, and no test code.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess  # noqa: TID251 - tests watch the product's programs from outside
import sys
import threading  # noqa: TID251 - writes while the others die
import time
from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

REGIONS = ("paris", "lyon", "tokyo")
MINI_MASTER_URL = "https://[fd00:1::1]:5443"
BOOTSTRAP_SECONDS_MAX = 900
COMMAND_SECONDS_MAX = 60
ALIVE_SECONDS_MAX = 90
BACK_SECONDS_MAX = 180

now = time.monotonic  # noqa: TID251

CFG = """\
[slapos]
software_root = {place}/{region}/soft
instance_root = {place}/{region}/srv
poll_interval = 1
software_min_free_space = 1M
instance_min_free_space = 1M
release_listen = 127.0.0.1:5000

[slapformat]
partition_amount = 3
ipv6_network = fd00:{number}::/64
ipv4_address = 127.0.0.{number}
"""

AGENT = """\
until grep -q computer_id {home}/slapos.cfg; do sleep 0.3; done
exec {command} node run --cfg {home}/slapos.cfg
"""

CLOUD = """\
name = "cloud"

[mini-master]
listen = "[fd00:1::1]:5443"
"""

COMPUTER = """
[computers.{region}-1]
region = "{region}"
command = ["{command}"]
settings = "{home}/slapos.cfg"
"""

WRITER = """\
import sys
import time

from slap.errors import SlapError
from slapcluster.asking import ask
from slapcluster.running import launch

identity, *urls = sys.argv[1:]


async def main(runtime):
    async def add(master):
        number = 0
        while True:
            begun = time.monotonic()
            title, url = f"product-{number // 100}", f"http://[::1]/{number}.cfg"
            try:
                await master.add_product_release(title, url)
            except SlapError as error:
                print("refused", error.sentence, flush=True)
                await master.pause(0.3)
                continue
            print("acknowledged", url, round(time.monotonic() - begun, 2), flush=True)
            number += 1
            await master.pause(0.3)

    await ask(runtime, tuple(urls), add, identity)


launch(main)
"""


class Place:
    """Three computers of one machine, and the operator who bootstraps them."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.command = str(Path(sys.executable).parent / "slapcluster")
        self.home = top / "home"
        self.cloud = top / "cloud.toml"
        self.seconds: dict[str, float] = {}

    def computer(self, region: str) -> Path:
        return self.top / region

    @property
    def identity(self) -> Path:
        return self.home / "operator"

    def logbook(self) -> dict[str, Any]:
        try:
            return dict(json.loads((self.home / "logbook.json").read_text()))
        except FileNotFoundError:
            return {"done": [], "replica_urls": {}}

    def bootstrap_argv(self) -> tuple[str, ...]:
        release = str(self.top / "release")
        return (
            *(self.command, "--output", "json", "bootstrap", str(self.cloud)),
            *("--home", str(self.home), "--release", release),
            *("--timeout", "300", "--detach"),
        )

    def tell(self, *words: str, may_fail: bool = False) -> Any:
        urls = self.logbook()["replica_urls"].values()
        masters = [word for url in urls for word in ("--master", url)]
        argv = (self.command, "--output", "json", *masters)
        ended = subprocess.run(
            (*argv, "--identity", str(self.identity), *words),
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS_MAX,
            check=False,
        )
        assert may_fail or ended.returncode == 0, (words, ended.stderr, ended.stdout)
        return json.loads(ended.stdout) if ended.stdout else None

    def until(self, what: str, seconds: float, look: Callable[[], Any]) -> Any:
        begun = now()
        while True:
            seen = look()
            if seen:
                self.seconds[what] = round(now() - begun, 1)
                return seen
            assert now() - begun < seconds, f"{what}\n{self.explain()}"
            time.sleep(0.2)  # noqa: TID251

    def explain(self) -> str:
        """The ends of all that could say why."""
        told = []
        for pattern in (
            "*/srv/slappart*/.slapgrid-*error.log",
            "*/srv/slappart*/.slappart*.log",
            "*/srv/slappart*/.slapgrid/promise/result/*.json",
            "*.log",
            "home/mini-master/log",
        ):
            for path in sorted(self.top.glob(pattern)):
                lines = path.read_text(errors="replace").splitlines()[-12:]
                told.append("\n".join((f"== {path}", *lines)))
        return "\n".join(told)

    @contextmanager
    def running(self, name: str, *argv: str):
        with (self.top / f"{name}.log").open("ab") as log:
            program = subprocess.Popen(argv, stdout=log, stderr=log)
        try:
            yield program
        finally:
            # An agent would end the work that it is in the middle of.
            program.kill()
            program.wait(COMMAND_SECONDS_MAX)

    def agent(self, region: str):
        script = AGENT.format(home=self.computer(region), command=self.command)
        return self.running(region, "/bin/sh", "-c", script)


class Writer:
    """Adds releases at whichever master answers, and notes what was acknowledged."""

    def __init__(self, place: Place, stack: ExitStack, *urls: str) -> None:
        program = subprocess.Popen(
            [sys.executable, "-I", "-c", WRITER, str(place.identity), *urls],
            stdout=subprocess.PIPE,
            stderr=(place.top / "writer.log").open("ab"),
            text=True,
        )
        stack.callback(program.wait)
        stack.callback(program.kill)
        self.acknowledged: list[tuple[float, str]] = []
        self.refusals: list[str] = []
        threading.Thread(target=self._read, args=(program,), daemon=True).start()

    def _read(self, program: subprocess.Popen[str]) -> None:
        assert program.stdout is not None
        for line in program.stdout:
            word, _, rest = line.strip().partition(" ")
            if word == "acknowledged":
                self.acknowledged.append((now(), rest.split()[0]))
            else:
                self.refusals.append(rest)

    def count_since(self, instant: float) -> int:
        return sum(at > instant for at, _ in list(self.acknowledged))

    def gap(self, instant: float) -> float:
        """How long nothing was acknowledged after this."""
        times = [at for at, _ in list(self.acknowledged)]
        before = max((it for it in times if it <= instant), default=instant)
        return round(min(it for it in times if it > instant + 0.5) - before, 1)


def processes_of(home: Path) -> list[int]:
    """Everything of a computer: agent, supervisord and programs have its path."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            line = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if f"{home}/".encode() in line and int(entry.name) != os.getpid():
            found.append(int(entry.name))
    return found


def bootstrap_killed_after_each_step(place: Place) -> tuple[int, Any]:
    """Run it to its end, killed whenever it wrote down one more step."""
    begun, kill_count, seen = now(), 0, 0
    while True:
        assert now() - begun < BOOTSTRAP_SECONDS_MAX, place.explain()
        with (place.top / "bootstrap.log").open("ab") as log:
            program = subprocess.Popen(
                place.bootstrap_argv(), stdout=subprocess.PIPE, stderr=log, text=True
            )
        while program.poll() is None and len(place.logbook()["done"]) <= seen:
            assert now() - begun < BOOTSTRAP_SECONDS_MAX, place.explain()
            time.sleep(0.02)  # noqa: TID251
        seen = len(place.logbook()["done"])
        if program.poll() is None:
            program.kill()
            kill_count += 1
        output, _ = program.communicate()
        if program.returncode == 0:
            place.seconds["bootstrap"] = round(now() - begun, 1)
            return kill_count, json.loads(output)
        killed = -signal.SIGKILL
        assert program.returncode == killed, (program.returncode, place.explain())


def tell(place: Place, stack: ExitStack) -> dict[str, Any]:
    """The story; what was seen at each step."""
    seen: dict[str, Any] = {}
    cloud = CLOUD
    for number, region in enumerate(REGIONS, start=1):
        home = place.computer(region)
        home.mkdir()
        cfg = CFG.format(region=region, number=number, place=place.top)
        (home / "slapos.cfg").write_text(cfg)
        cloud += COMPUTER.format(region=region, home=home, command=place.command)
        stack.enter_context(place.agent(region))
    place.cloud.write_text(cloud)

    writers: list[Writer] = []

    def write_when_possible() -> None:
        place.until(
            "somebody may write",
            BOOTSTRAP_SECONDS_MAX,
            lambda: "IDENTIFY" in place.logbook()["done"],
        )
        writers.append(Writer(place, stack, MINI_MASTER_URL))

    begins = threading.Thread(target=write_when_possible, daemon=True)
    begins.start()
    seen["kills"], answered = bootstrap_killed_after_each_step(place)
    begins.join()
    (writer,) = writers
    seen["steps"] = {it["step"]: it["seconds"] for it in answered["steps"]}
    seen["is_self_hosted"] = answered["is_self_hosted"]
    seen["mini-master is gone"] = not (place.home / "mini-master").exists()
    urls = answered["replicas"]
    assert set(urls) == set(REGIONS), urls

    opened_at = now()
    place.until("changes go on", 60, lambda: writer.count_since(opened_at) > 20)
    # Nothing of a region runs any more, as when its power is gone.
    died_at = now()
    for pid in processes_of(place.computer("paris")):
        os.kill(pid, signal.SIGKILL)
    place.until(
        "the others acknowledge",
        ALIVE_SECONDS_MAX,
        lambda: writer.count_since(died_at + 1) > 20,
    )
    seen["gap"] = writer.gap(died_at)
    stack.enter_context(place.agent("paris"))
    place.until("the region is back", BACK_SECONDS_MAX, lambda: answers(place, "paris"))

    seen["acknowledged"] = len(writer.acknowledged)
    acknowledged = {url for _, url in list(writer.acknowledged)}
    products = place.tell("product", "list")
    kept = {url for it in products for url in it["software_release_urls"]}
    seen["missing"] = sorted(acknowledged - kept)
    seen["again"] = place.logbook()["done"]
    return {**seen, "seconds": place.seconds}


def answers(place: Place, region: str) -> bool:
    """Whether the replica of a region is ready."""
    url = place.logbook()["replica_urls"][region]
    argv = (place.command, "--output", "json", "--master", url)
    ended = subprocess.run(
        (*argv, "--identity", str(place.identity), "replica", "list"),
        capture_output=True,
        timeout=COMMAND_SECONDS_MAX,
        check=False,
    )
    return ended.returncode == 0


def main() -> None:
    place = Place(Path(sys.argv[1]))
    with ExitStack() as stack:
        print(json.dumps(tell(place, stack)))  # noqa: T201


if __name__ == "__main__":
    main()
