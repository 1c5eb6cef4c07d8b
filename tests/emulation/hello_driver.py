"""Builds and runs hello in a place that has nothing but an installed wheelhouse.

``python hello_driver.py PLACE HIDDEN`` runs in namespaces that ``test_hello_build``
made. It starts a mini-master, does by hand what an agent does (the commands of
slapgrid, one after the other), and prints as JSON what it saw and how long it took.
The second release comes by the relay of an agent, from a replica that speaks TLS; the
first replica that this agent knows is dead.
Only what the wheelhouse installed can be imported here, and no test code.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess  # noqa: TID251 - tests watch the product's programs from outside
import sys
import sysconfig
import time
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

from slap import calls
from slap.model import (
    ComputerDefinition,
    InstanceRequest,
    NetworkAddress,
    PartitionDefinition,
    SoftwareInstallation,
)
from slapgrid.layout import (
    PROMISE_CACHE_DIRECTORY,
    PROMISE_LOG_DIRECTORY,
    PROMISE_RESULT_DIRECTORY,
    release_directory,
)
from slapgrid.promises.headers import read_plugin_path
from slapgrid.promises.jobs import (
    PromiseJob,
    PromiseMode,
    WantedPromise,
    decode_answers,
    encode_job,
)
from slapgrid.promises.records import find_promises
from slapgrid.recipe.master_link import MasterLink

COMPUTER_ID = "local"
NETWORK = "fd00:1::"
MASTER_URL = "http://127.0.0.1:5000"
RELAY = ("127.0.0.1", 5001)
REPLICA = ("::1", 5443)
RELEASES = {
    "1.0": f"{MASTER_URL}/release/software/hello/software.cfg",
    "2.0": "http://127.0.0.1:5001/release/software/hello/software-2.cfg",
}
RELAY_CFG = """\
[slapos]
computer_id = COMP-1
master_url = https://[::1]:5442/ https://[::1]:5443/
key_file = {top}/computer/own.key
cert_file = {top}/computer/own.crt
master_ca_file = {top}/computer/root.crt
software_root = {top}/relay/soft
instance_root = {top}/relay/srv
release_listen = 127.0.0.1:5001

[slapformat]
partition_amount = 1
ipv6_network = fd00:1::/64
ipv4_address = 127.0.0.1
"""
GREETING = "Hello ${buildout:directory} $$ 'é' %s"
PASSES_MAX = 5
STEP_SECONDS_MAX = 120
PROMISE_STATE = (
    PROMISE_CACHE_DIRECTORY,
    PROMISE_LOG_DIRECTORY,
    PROMISE_RESULT_DIRECTORY,
)

SHIMS = Path(sysconfig.get_path("purelib"), "slapgrid", "shims")


class Place:
    """A computer with four partitions, and the programs that run on it."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.seconds: dict[str, float] = {}
        self.programs: dict[str, tuple[Path, subprocess.Popen[bytes]]] = {}
        self.person = MasterLink(urlsplit(MASTER_URL))

    def perform(self, call: calls.Call) -> object:
        return self.person.perform(call)

    def request(self, title: str, release: str, **parameters: str):
        wanted = InstanceRequest(title, RELEASES[release], parameters=parameters)
        return self.perform(calls.request_instance(wanted))

    def request_shared(self, title: str, release: str, **parameters: str):
        wanted = InstanceRequest(
            title, RELEASES[release], parameters=parameters, is_shared=True
        )
        return self.perform(calls.request_instance(wanted))

    def build(self, release: str) -> list[str]:
        """Build a release; return the eggs that it has of its own."""
        url = RELEASES[release]
        self.perform(calls.supply(SoftwareInstallation(url, COMPUTER_ID)))
        directory = self.top / "soft" / release_directory(url)
        (directory / "extends-cache").mkdir(parents=True)
        profile = f"[buildout]\nextends = {url}\neggs-directory-version =\n"
        (directory / "buildout.cfg").write_text(profile)
        begun = time.monotonic()  # noqa: TID251
        self.run("bootstrap_shim.py", (str(directory),), directory)
        options = (
            *("-U", f"buildout:extends-cache={directory}/extends-cache"),
            *(f"buildout:directory={directory}", "-N", "-c", "buildout.cfg"),
        )
        script = str(directory / "bin" / "buildout")
        self.run("buildout_shim.py", (script, *options), directory)
        self.seconds[f"build of {release}"] = since(begun)
        eggs = (it.name.partition("-")[0] for it in (directory / "eggs").iterdir())
        return sorted(eggs)

    def settle(self) -> None:
        """Process the partitions until none is asked to change."""
        processed: dict[str, str] = {}
        for _ in range(PASSES_MAX):
            computer = self.perform(calls.get_computer(COMPUTER_ID))
            changed = [
                it
                for it in computer.partitions
                if it.instance and it.requested_state == "started"
                if processed.get(it.key.partition_id) != it.instance.timestamp
            ]
            if not changed:
                return
            for partition in changed:
                self.process(partition)
                partition_id = partition.key.partition_id
                processed[partition_id] = partition.instance.timestamp
        raise AssertionError(f"not settled after {PASSES_MAX} passes")

    def process(self, partition) -> None:
        partition_id = partition.key.partition_id
        directory = self.top / "inst" / partition_id
        for name in ("etc", "var"):
            (directory / name).mkdir(parents=True, exist_ok=True)
        release = self.top / "soft"
        release /= release_directory(partition.instance.software_release_url)
        profile = (release / "instance.cfg").read_text() + render_tail(partition)
        (directory / "buildout.cfg").write_text(profile)
        begun = time.monotonic()  # noqa: TID251
        script = str(release / "bin" / "buildout")
        self.run("buildout_shim.py", (script, "-U"), directory)
        self.seconds[f"pass of {partition.instance.title}"] = since(begun)
        (wrapper,) = (directory / "etc" / "service").iterdir()
        self.start(partition_id, wrapper)

    def start(self, partition_id: str, wrapper: Path) -> None:
        """Start a program, again only if it has another name."""
        running, program = self.programs.get(partition_id, (None, None))
        if running == wrapper:
            return
        if program is not None:
            end(program)
        program = subprocess.Popen([str(wrapper)], stderr=subprocess.DEVNULL)
        self.programs[partition_id] = (wrapper, program)

    def promises(self, partition_id: str) -> list[str]:
        """What both promises of a partition say."""
        directory = self.top / "inst" / partition_id
        checked = subprocess.run(
            [str(directory / "etc" / "promise" / "hello")],
            capture_output=True,
            text=True,
            timeout=STEP_SECONDS_MAX,
            check=False,
        )
        for state in PROMISE_STATE:
            (directory / state).mkdir(parents=True, exist_ok=True)
        (file,) = find_promises(("children.py",), ())
        source = (directory / file.path).read_text()
        wanted = (WantedPromise(file, sys_path=read_plugin_path(source)),)
        limit_seconds = float(STEP_SECONDS_MAX)
        job = PromiseJob(str(directory), PromiseMode.TEST, limit_seconds, wanted)
        output = self.run("promise_shim.py", ("RESULT", encode_job(job)), directory)
        (result,) = decode_answers(output, "RESULT").runs
        return [
            f"{checked.returncode} {checked.stdout.strip()}",
            f"{int(result.is_failed)} {result.message}",
        ]

    def run(self, shim: str, arguments: tuple[str, ...], directory: Path) -> str:
        ended = subprocess.run(
            [sys.executable, *shim_options(shim), str(SHIMS / shim), *arguments],
            cwd=directory,
            env={
                "PATH": "/usr/bin:/bin",
                "HOME": str(directory),
                "SLAPGRID_INSTANCE_ROOT": str(self.top / "inst"),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=STEP_SECONDS_MAX,
            check=False,
        )
        assert ended.returncode == 0, f"{shim} {arguments}:\n{ended.stdout}"
        return ended.stdout


def shim_options(shim: str) -> tuple[str, ...]:
    """Buildout must not see what the wheelhouse installed for the agent."""
    return ("-I", "-S") if shim == "buildout_shim.py" else ("-I",)


def render_tail(partition) -> str:
    return f"""
[buildout]
bin-directory = ${{buildout:directory}}/sbin
offline = true
eggs-directory-version =

[slap-connection]
computer-id = {partition.key.computer_id}
partition-id = {partition.key.partition_id}
server-url = {MASTER_URL}
software-release-url = {partition.instance.software_release_url}
key-file =
cert-file =
requested-state = {partition.requested_state}
"""


def since(begun: float) -> float:
    return round(time.monotonic() - begun, 2)  # noqa: TID251


def end(program: subprocess.Popen[bytes]) -> None:
    program.terminate()
    program.wait(STEP_SECONDS_MAX)


def fetch(url: str) -> str:
    parts = urlsplit(url)
    link = HTTPConnection(parts.hostname, parts.port, timeout=10)
    try:
        link.request("GET", parts.path)
        return link.getresponse().read().decode()
    finally:
        link.close()


def program(top: Path, name: str, address: tuple[str, int], *words: str):
    """Run a command of ours until the block is left; it listens when that begins."""
    argv = (f"{Path(sys.executable).parent}/slapcluster", *words)
    return running(top / f"{name}.log", address, argv)


@contextmanager
def running(log: Path, address: tuple[str, int], argv: tuple[str, ...]):
    with log.open("wb") as file:
        started = subprocess.Popen(argv, stdout=file, stderr=file)
    try:
        deadline = time.monotonic() + STEP_SECONDS_MAX  # noqa: TID251
        while True:
            try:
                socket.create_connection(address, timeout=1).close()
                break
            except OSError:
                alive = started.poll() is None
                text = log.read_text()
                assert alive and time.monotonic() < deadline, text  # noqa: PT018, TID251
                time.sleep(0.05)  # noqa: TID251
        yield
    finally:
        end(started)


def master(top: Path):
    store = ("--store", f"file:{top}/state.fs", "--release", f"{top}/release")
    words = ("proxy", "--listen", "127.0.0.1:5000", "--computer-id", COMPUTER_ID)
    return program(top, "master", ("127.0.0.1", 5000), *words, *store)


@contextmanager
def relay(top: Path):
    """A replica that speaks TLS, and the agent of another computer that relays it."""
    words = ("--store", "memory:", "--release", f"{top}/release")
    words = ("master", "--listen", "[::1]:5443", "--identity", f"{top}/replica", *words)
    cfg = top / "relay" / "slapos.cfg"
    cfg.parent.mkdir()
    cfg.write_text(RELAY_CFG.format(top=top))
    with (
        program(top, "replica", REPLICA, *words),
        program(top, "relay", RELAY, "node", "run", "--cfg", str(cfg)),
    ):
        yield


def tell(place: Place, hidden: str) -> dict[str, object]:
    """The story of two releases; what was seen at each step."""
    seen: dict[str, object] = {
        "interfaces": [name for _, name in socket.if_nameindex()],
        "user": os.getuid(),
        "checkout": os.listdir(hidden) if os.access(hidden, os.R_OK) else [],  # noqa: PTH208
    }
    addresses = [f"{NETWORK}{number + 2:x}" for number in range(4)]
    partitions = tuple(
        PartitionDefinition(
            f"slappart{number}", (NetworkAddress(f"slappart{number}", address),)
        )
        for number, address in enumerate(addresses)
    )
    definition = ComputerDefinition(COMPUTER_ID, partitions=partitions)
    place.perform(calls.define_computer(definition))

    seen["eggs"] = place.build("1.0")
    place.request("root", "1.0", greeting=GREETING, children="2")
    place.settle()
    published = place.request("root", "1.0", greeting=GREETING, children="2")
    url = published.connection_parameters["url"]
    seen["published"] = dict(published.connection_parameters)
    seen["page"] = fetch(url)
    children = [line.partition(": ")[2] for line in fetch(url).splitlines()[1:]]
    seen["children"] = [fetch(it).splitlines() for it in children]
    seen["promises"] = place.promises("slappart0")

    place.request_shared("night", "1.0", greeting="Good night")
    place.settle()
    shared = place.request_shared("night", "1.0", greeting="Good night")
    seen["shared"] = fetch(shared.connection_parameters["url"])
    seen["shared by title"] = fetch(f"{url}shared/night")

    before = {key: program.pid for key, (_, program) in place.programs.items()}
    place.request("root", "1.0", greeting="Bonjour", children="1")
    place.settle()
    seen["changed page"] = fetch(url)
    after = {key: program.pid for key, (_, program) in place.programs.items()}
    seen["restarted by a parameter"] = sorted(
        key for key, pid in after.items() if pid != before[key]
    )
    computer = place.perform(calls.get_computer(COMPUTER_ID))
    seen["states"] = {
        it.instance.title: it.requested_state.value
        for it in computer.partitions
        if it.instance
    }

    with relay(place.top):
        place.build("2.0")
    place.request("root", "2.0", greeting="Bonjour", children="1")
    place.settle()
    seen["upgraded promises"] = place.promises("slappart0")
    seen["upgraded page"] = fetch(url)
    seen["about"] = json.loads(fetch(f"{url}about"))["release"]
    end(place.programs["slappart0"][1])
    seen["promises of the dead"] = place.promises("slappart0")
    return seen


def main() -> None:
    place = Place(Path(sys.argv[1]))
    shutil.rmtree(place.top / "soft", ignore_errors=True)
    begun = time.monotonic()  # noqa: TID251
    with master(place.top):
        try:
            seen = tell(place, sys.argv[2])
        finally:
            for _, program in place.programs.values():
                end(program)
    place.seconds["all"] = since(begun)
    print(json.dumps({**seen, "seconds": place.seconds}))  # noqa: T201


if __name__ == "__main__":
    main()
