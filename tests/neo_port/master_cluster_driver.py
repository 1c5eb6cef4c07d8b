"""Runs the release master-cluster in a place that has nothing but a wheelhouse.

``python master_cluster_driver.py PLACE`` runs in namespaces that
``test_master_cluster`` made. It starts a mini-master and three agents, one for each
region, with the commands of an operator, and prints as JSON what it saw and when.
Only what the wheelhouse installed can be imported here, and no test code.
"""

from __future__ import annotations

import json
import os
import signal
import ssl
import subprocess  # noqa: TID251 - tests watch the product's programs from outside
import sys
import threading  # noqa: TID251 - writes while the others die
import time
from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from http.client import HTTPSConnection
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

REGIONS = ("paris", "lyon", "tokyo")
MASTER = "127.0.0.1:4999"
RELEASE = "http://127.0.0.1:5000/release/software/master-cluster/software.cfg"
"""Relayed by the first agent, for all three: they share a loopback."""

BUILD_SECONDS_MAX = 400
READY_SECONDS_MAX = 400
ALIVE_SECONDS_MAX = 90
COMMAND_SECONDS_MAX = 60

now = time.monotonic  # noqa: TID251

CFG = """\
[slapos]
computer_id = {region}
master_url = http://127.0.0.1:4999/
release_listen = 127.0.0.1:5000
software_root = {place}/{region}/soft
instance_root = {place}/{region}/srv
poll_interval = 1
software_min_free_space = 1M
instance_min_free_space = 1M

[slapformat]
partition_amount = 2
ipv6_network = fd00:{number}::/64
ipv4_address = 127.0.0.{number}
"""

WRITER = """\
import sys
import time
from pathlib import Path

import transaction
from master_cluster.store.neo_client import NeoStorage
from master_cluster.store.neo_uri import parse_neo_uri
from ZODB.DB import DB

database = DB(NeoStorage(parse_neo_uri(sys.argv[1])))
count = 0
while True:
    begun = time.monotonic()
    try:
        with database.transaction() as connection:
            connection.root()["count"] = count = connection.root().get("count", 0) + 1
    except Exception as error:
        print("failed", repr(error), flush=True)
        time.sleep(0.2)
        continue
    print("acknowledged", count, round(time.monotonic() - begun, 2), flush=True)
    time.sleep(0.05)
"""


class Place:
    """Three computers of one machine, and the commands of an operator."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.bin = Path(sys.executable).parent
        self.seconds: dict[str, float] = {}
        self.begun = now()

    def home(self, region: str) -> Path:
        return self.top / region

    def tell(self, *words: str, may_fail: bool = False) -> Any:
        command = (str(self.bin / "slapcluster"), "--master", f"http://{MASTER}/")
        argv = (*command, "--output", "json", *words)
        ended = subprocess.run(
            argv,
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
            time.sleep(1)  # noqa: TID251

    def explain(self) -> str:
        """The ends of all that could say why."""
        told = [str(self.tell("status", may_fail=True))]
        for pattern in (
            "*/srv/slappart*/.slapgrid-*error.log",
            "*/srv/slappart*/.slappart*.log",
            "*/srv/slappart*/.slapgrid/promise/result/*.json",
            "*.log",
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
        argv = ("node", "run", "--cfg", str(self.home(region) / "slapos.cfg"))
        return self.running(region, str(self.bin / "slapcluster"), *argv)

    def partition_of(self, region: str) -> Path:
        """Where the instance of a region runs: its computer may have the root too."""
        (found,) = self.home(region).glob("srv/slappart*/etc/region.json")
        return found.parent.parent

    def promises(self, partition: Path) -> dict[str, list[object]]:
        results = {}
        for file in sorted(partition.glob(".slapgrid/promise/result/*.status.json")):
            told = json.loads(file.read_text())["result"]
            results[file.name.split(".")[0]] = [not told["failed"], told["message"]]
        return results


def processes_of(home: Path) -> list[int]:
    """Everything of a computer: agent, supervisord and programs have its path."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            line = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if f"{home}/".encode() in line:
            found.append(int(entry.name))
    return found


class Writer:
    """Commits by way of one region, and notes what was acknowledged when."""

    def __init__(self, place: Place, region: str, stack: ExitStack) -> None:
        partition = place.partition_of(region)
        store = json.loads((partition / "etc" / "region.json").read_text())["store_uri"]
        program = subprocess.Popen(
            [sys.executable, "-I", "-c", WRITER, store],
            stdout=subprocess.PIPE,
            stderr=(place.top / f"writer-{region}.log").open("wb"),
            text=True,
        )
        stack.callback(program.wait)
        stack.callback(program.kill)
        self.acknowledged: list[tuple[float, int]] = []
        threading.Thread(target=self._read, args=(program,), daemon=True).start()

    def _read(self, program: subprocess.Popen[str]) -> None:
        assert program.stdout is not None
        for line in program.stdout:
            word, number, *_ = line.split()
            if word == "acknowledged":
                self.acknowledged.append((now(), int(number)))

    def count_since(self, instant: float) -> int:
        return sum(at > instant for at, _ in list(self.acknowledged))

    def longest_gap(self, instant: float) -> float:
        """The longest time without an acknowledgement from here to now."""
        times = [at for at, _ in list(self.acknowledged) if at > instant]
        edges = [instant, *times, now()]
        pairs = pairwise(edges)
        return round(max(late - early for early, late in pairs), 1)

    def gap(self, instant: float) -> float:
        """How long nothing was acknowledged after this."""
        times = [at for at, _ in list(self.acknowledged)]
        before = max((it for it in times if it <= instant), default=instant)
        return round(min(it for it in times if it > instant + 0.5) - before, 1)


def tell(place: Place, stack: ExitStack) -> dict[str, Any]:
    """The story; what was seen at each step."""
    seen: dict[str, Any] = {}
    store, release = f"file:{place.top}/state.fs", f"{place.top}/release"
    command = str(place.bin / "slapcluster")
    argv = ("proxy", "--listen", MASTER, "--store", store)
    stack.enter_context(place.running("master", command, *argv, "--release", release))
    agents = {}
    for number, region in enumerate(REGIONS, start=1):
        home = place.home(region)
        home.mkdir()
        cfg = CFG.format(region=region, number=number, place=place.top)
        (home / "slapos.cfg").write_text(cfg)
        agents[region] = stack.enter_context(place.agent(region))
    place.until("computers are there", 60, lambda: len(computers(place)) == 3)
    for region in REGIONS:
        place.tell("computer", "set", region, f"region={region}")
        place.tell("supply", RELEASE, region, may_fail=True)
    place.until("releases are built", BUILD_SECONDS_MAX, lambda: built(place))
    eggs = place.home("paris").glob("soft/*/eggs/*")
    seen["eggs"] = sorted(it.name.partition("-")[0] for it in eggs)

    request(place)
    place.until(
        "keys of regions wait", READY_SECONDS_MAX, lambda: len(to_sign(place)) == 3
    )
    authority = sign(place)
    request(place, "--parameters", f"authority={json.dumps(authority)}")
    place.until("instances are ready", READY_SECONDS_MAX, lambda: is_whole(place))
    seen["promises"] = {it: place.promises(place.partition_of(it)) for it in REGIONS}
    told = published(place)
    told.pop("certificate-requests")
    seen["published"] = told
    seen["listens"] = listens()
    seen["replicas serve"] = served(place, told["replicas"].split())
    pids = {it: program_pids(place, it) for it in REGIONS}

    writer = Writer(place, "tokyo", stack)
    place.until("commits are acknowledged", 60, lambda: writer.count_since(0) > 20)
    # Nothing of a region runs any more, as when its power is gone.
    died_at, killed_at = now(), time.time()  # noqa: TID251
    for pid in processes_of(place.home("paris")):
        os.kill(pid, signal.SIGKILL)
    place.until(
        "the others acknowledge",
        ALIVE_SECONDS_MAX,
        lambda: writer.count_since(died_at + 1) > 20,
    )
    seen["gap"] = writer.gap(died_at)
    seen["others ran on"] = {
        it: program_pids(place, it) == pids[it] for it in ("lyon", "tokyo")
    }
    stack.enter_context(place.agent("paris"))
    place.until(
        "its promises are kept", READY_SECONDS_MAX, lambda: has_all(place, killed_at)
    )
    before = holders(place, "paris")
    lost_at, seen["gap of a lost disk"] = lose_a_disk(place, stack, writer)
    place.until(
        "what a disk had is copied", READY_SECONDS_MAX, lambda: has_all(place, lost_at)
    )
    after = holders(place, "paris")
    seen["other storage nodes"] = [sorted(before - after), sorted(after - before)]
    place.until(
        "nothing has all copied",
        READY_SECONDS_MAX,
        lambda: not [*place.partition_of("paris").glob("etc/service/copier-*")],
    )
    seen |= lose_a_computer(place, stack, writer)
    counts = [count for _, count in writer.acknowledged]
    seen["missing"] = len(counts) - len(set(counts))
    seen["counted up"] = counts == sorted(counts)
    seen["all disks lost"] = lose_all_disks(place, stack)
    return {**seen, "seconds": place.seconds}


def computers(place: Place) -> list[Any]:
    found = place.tell("computer", "list", may_fail=True) or []
    return [it for it in found if it["partition_count"] == 2]


def built(place: Place, *computer_ids: str) -> bool:
    infos = [place.tell("computer", "info", it) for it in computer_ids or REGIONS]
    states = [it["reported_state"] for info in infos for it in info["installations"]]
    return states == ["available"] * len(infos)


def lose_a_disk(place: Place, stack: ExitStack, writer: Writer) -> tuple[float, float]:
    """Kill all of a region, and start its computer again with an empty disk.

    When that was, and how long nothing was acknowledged.
    """
    died_at, killed_at = now(), time.time()  # noqa: TID251
    for pid in processes_of(place.home("paris")):
        os.kill(pid, signal.SIGKILL)
    for file in (place.partition_of("paris") / "srv" / "neo").glob("database*"):
        file.unlink()
    stack.enter_context(place.agent("paris"))
    place.until(
        "the others acknowledge without a disk",
        ALIVE_SECONDS_MAX,
        lambda: writer.count_since(died_at + 1) > 20,
    )
    return killed_at, writer.gap(died_at)


def lose_a_computer(place: Place, stack: ExitStack, writer: Writer) -> dict[str, Any]:
    """Have a computer take over from one that never comes back; what was seen."""
    seen: dict[str, Any] = {}
    home = place.home("spare")
    home.mkdir()
    cfg = CFG.format(region="spare", number=4, place=place.top)
    (home / "slapos.cfg").write_text(cfg)
    stack.enter_context(place.agent("spare"))
    place.until("a spare one is there", 60, lambda: len(computers(place)) == 4)
    place.tell("computer", "set", "spare", "region=lyon")
    place.tell("supply", RELEASE, "spare", may_fail=True)
    place.until("it is built", BUILD_SECONDS_MAX, lambda: built(place, "spare"))

    before = holders(place, "tokyo")
    others = ("paris", "tokyo")
    pids = {it: program_pids(place, it) for it in others}
    died_at = now()
    for pid in processes_of(place.home("lyon")):
        os.kill(pid, signal.SIGKILL)
    told = place.tell("computer", "give-up", "lyon", "--never-comes-back")
    seen["placed anew"] = {
        it["title"]: it["partition"]["computer_id"] for it in told["placed"]
    }

    def sign() -> list[str]:
        words = ("region", "sign", "cloud", "--root", str(place.top / "root"))
        return list(place.tell(*words)["regions"])

    seen["signed"] = place.until("its key waits", READY_SECONDS_MAX, sign)
    place.until(
        "lyon is whole elsewhere", READY_SECONDS_MAX, lambda: is_lyon_whole(place)
    )
    after = holders(place, "tokyo")
    seen["lyon elsewhere"] = [sorted(before - after), sorted(after - before)]
    seen["gap of a dead computer"] = writer.longest_gap(died_at)
    seen["nobody was started anew"] = {
        it: pids[it] <= program_pids(place, it) for it in others
    }
    seen["replicas elsewhere"] = place.until(
        "the root tells of its replica",
        READY_SECONDS_MAX,
        lambda: [
            it for it in [published(place)["replicas"].split()] if "[fd00:4:" in str(it)
        ],
    )[0]
    return seen


def is_lyon_whole(place: Place) -> bool:
    """Whether all promises of lyon are kept on the spare computer."""
    if not [*place.home("spare").glob("srv/slappart*/etc/region.json")]:
        return False
    told = place.promises(place.partition_of("spare"))
    return (
        len(told) == 6
        and all(is_kept for is_kept, _ in told.values())
        and told["lag"][1] == "all 12 cells of lyon are up to date"
        and told["quorum"][1] == "NEO runs with all 3 regions"
    )


def holders(place: Place, region: str) -> set[str]:
    """The storage nodes that have cells, as one region knows them."""
    in_force = place.partition_of(region) / "etc" / "region.json"
    admin_node = json.loads(in_force.read_text())["admin_node"]
    argv = (sys.executable, "-I", "-m", "replication.neo.neoctl", "look", admin_node)
    said = subprocess.run(
        argv, capture_output=True, text=True, timeout=COMMAND_SECONDS_MAX, check=True
    )
    (answer,) = json.loads(said.stdout)
    return {storage for row in answer["rows"] for storage, _ in row}


def lose_all_disks(place: Place, stack: ExitStack) -> str:
    """What NEO says after everything died and all databases are gone."""
    homes = ("paris", "spare", "tokyo")
    for region in homes:
        for pid in processes_of(place.home(region)):
            os.kill(pid, signal.SIGKILL)
        for file in (place.partition_of(region) / "srv" / "neo").glob("database*"):
            file.unlink()
    killed_at = time.time()  # noqa: TID251
    for region in homes:
        stack.enter_context(place.agent(region))

    def quorum() -> str:
        partition = place.partition_of("paris")
        (file,) = partition.glob(".slapgrid/promise/result/quorum.status.json")
        told = place.promises(partition)["quorum"]
        is_new = file.stat().st_mtime > killed_at
        return str(told[1]) if is_new and "no cells" in str(told[1]) else ""

    return str(place.until("nothing begins anew", READY_SECONDS_MAX, quorum))


def published(place: Place) -> dict[str, str]:
    told = place.tell("service", "info", "cloud")["instances"][0]
    return dict(told["connection_parameters"])


def to_sign(place: Place) -> dict[str, str]:
    requests = json.loads(published(place).get("certificate-requests", "{}"))
    return {name: it for name, it in requests.items() if it}


def sign(place: Place) -> dict[str, str]:
    """What somebody does who has the root of the cloud; only requests come to it."""
    root = place.top / "root"
    place.tell("authority", "create", str(root))
    signed = {}
    for name, text in to_sign(place).items():
        file = place.top / f"{name}.csr"
        file.write_text(text)
        place.tell("authority", "sign", str(root), "region", name, str(file))
        signed[name] = file.with_suffix(".crt").read_text()
    return signed


def served(place: Place, urls: list[str]) -> list[bool]:
    """Whether each replica serves what all were built from."""
    context = ssl.create_default_context(cafile=place.top / "root" / "root.crt")
    context.check_hostname = False
    wanted = (place.top / "release" / "SHA256SUMS").read_bytes()
    found = []
    for url in urls:
        parts = urlsplit(url)
        host = str(parts.hostname)
        link = HTTPSConnection(host, parts.port, timeout=30, context=context)
        link.request("GET", "/release/SHA256SUMS")
        found.append(link.getresponse().read() == wanted)
        link.close()
    return found


def listens() -> list[str]:
    """Where anything of the regions listens that is for everybody: nowhere."""
    ended = subprocess.run(
        ["ss", "-Hltn"], capture_output=True, text=True, timeout=60, check=True
    )
    hosts = {it.split()[3].rpartition(":")[0] for it in ended.stdout.splitlines()}
    return sorted(hosts & {"0.0.0.0", "[::]", "*"})


def request(place: Place, *options: str) -> Any:
    words = ("request", "cloud", RELEASE, *options, "--parameters", "storage=create")
    names = " ".join(REGIONS)
    return place.tell(*words, "--parameters", f"regions={names}", may_fail=True)


def is_whole(place: Place) -> bool:
    """Whether the root and each region have reported that all promises are kept."""
    (told,) = place.tell("status")["services"]
    is_complete = told["instance_count"] == len(REGIONS) + 1
    return is_complete and told["reported_state"] == "started"


def has_all(place: Place, since: float) -> bool:
    """Whether all promises of paris are kept, asked after this instant of the disk."""
    results = place.partition_of("paris").glob(".slapgrid/promise/result/*.status.json")
    files = list(results)
    told = place.promises(place.partition_of("paris"))
    # One failure of a promise that was kept is no failure of it yet: words count.
    is_whole_again = (
        told["lag"][1] == "all 12 cells of paris are up to date"
        and told["quorum"][1] == "NEO runs with all 3 regions"
    )
    return is_whole_again and all(it.stat().st_mtime > since for it in files)


def program_pids(place: Place, region: str) -> set[int]:
    """The processes of the instance of a region."""
    home = place.partition_of(region)
    names = (b"neo-master", b"storage-node", b"admin-node", b"stunnel.conf")
    return {
        pid
        for pid in processes_of(place.home(region))
        for line in [Path(f"/proc/{pid}/cmdline").read_bytes()]
        if any(it in line for it in names) and str(home).encode() in line
    }


def main() -> None:
    place = Place(Path(sys.argv[1]))
    with ExitStack() as stack:
        print(json.dumps(tell(place, stack)))  # noqa: T201


if __name__ == "__main__":
    main()
