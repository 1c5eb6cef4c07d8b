"""Instances installed by warm processes and by cold ones, everything else real.

Run by ``test_agent.py``, as an ordinary user.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from attrs import evolve, frozen
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from slap.model import Computer, Partition
from slapgrid.instance.partitions import Partitions
from slapgrid.layout import release_directory
from slapgrid.passes import Agent
from slapgrid.service import observe_platform
from slapgrid.software.releases import Releases
from slapgrid.warm.servers import WarmServers
from tests.contract.test_processes import is_gone
from tests.emulation.agent_scenarios import (
    Cloud,
    begin_pass,
    build_cloud,
    instance_report,
    pass_until_reported,
    requested,
    supplied,
)
from tests.emulation.wheels import unpack_wheels
from tests.interop.stock import recipe_wheels
from tests.reactor import ReactorBench
from tests.releases import copy_release

COLD = 10**6
WARM = 0

INDEX_SOFTWARE = """\
[buildout]
parts = eggs instance
find-links = {wheels}
index = {wheels}
allow-hosts =
[eggs]
recipe = zc.recipe.egg
eggs = slapos.cookbook
  plone.recipe.command
[instance]
recipe = slapos.recipe.template
url = {template}
output = ${{buildout:directory}}/instance.cfg
"""

INDEX_INSTANCE = """\
[buildout]
eggs-directory = ${buildout:eggs-directory}
develop-eggs-directory = ${buildout:develop-eggs-directory}
parts = shell publish service promise
[slap-configuration]
recipe = slapos.cookbook:slapconfiguration
computer = $${slap-connection:computer-id}
partition = $${slap-connection:partition-id}
url = $${slap-connection:server-url}
key = $${slap-connection:key-file}
cert = $${slap-connection:cert-file}
[directory]
recipe = slapos.cookbook:mkdirectory
etc = $${buildout:directory}/etc
service = $${:etc}/service
promise = $${:etc}/promise
[service]
recipe = slapos.cookbook:wrapper
command-line = /bin/sleep 1000
wrapper-path = $${directory:service}/sleeper
[promise]
recipe = slapos.cookbook:wrapper
command-line = /bin/true
wrapper-path = $${directory:promise}/fine
[publish]
recipe = slapos.cookbook:publish
url = http://[$${slap-configuration:ipv6-random}]:8080/
greeting = $${slap-configuration:configuration.greeting}
[shell]
recipe = plone.recipe.command
command = echo made $$$$PPID > made-by-a-shell
update-command = echo updated > made-by-a-shell
location = $${buildout:directory}/made-by-a-shell
stop-on-error = true
"""

INSTANCE = """\
[buildout]
parts = code
eggs-directory = ${buildout:eggs-directory}
develop-eggs-directory = ${buildout:develop-eggs-directory}
[code]
recipe = tiny_recipe:code
"""


@pytest.fixture
def cloud(tmp_path: Path, run_real: ReactorBench) -> Cloud:
    return build_cloud(tmp_path, run_real)


@frozen
class Bench:
    """Installs in the partitions of a cloud."""

    cloud: Cloud
    wanted: Computer

    def servers(self, cold_runs: int) -> WarmServers:
        return WarmServers(
            self.cloud.config, self.cloud.runtime, observe_platform(), cold_runs
        )

    def partitions(self, warm: WarmServers) -> Partitions:
        config, runtime = self.cloud.config, self.cloud.runtime
        platform = observe_platform()
        releases = Releases(config, runtime, platform)
        return Partitions(config, runtime, platform, releases, warm)

    async def install(self, servers: WarmServers, number: int = 0) -> str | None:
        return await self.partitions(servers).install(self.partition(number))

    def with_timeout(self, seconds: float) -> Bench:
        instance = evolve(self.cloud.config.instance, timeout_seconds=seconds)
        config = evolve(self.cloud.config, instance=instance)
        return evolve(self, cloud=evolve(self.cloud, config=config))

    def partition(self, number: int = 0) -> Partition:
        return self.wanted.partitions[number]

    def code(self, code: str, number: int = 0) -> None:
        """What the recipe does in this partition."""
        (self.cloud.partition(number) / "code").write_text(code)


async def prepare(cloud: Cloud, agent: Agent, url: str, count: int = 1) -> Bench:
    """Build a release and request instances, up to before their installation."""
    await agent.format()
    await cloud.perform(supplied(url))
    built = await agent.software_pass()
    assert built.exit_status == 0, built
    for number in range(count):
        await cloud.perform(requested(url, title=f"title{number}", greeting="hey"))
    return Bench(cloud, await agent.poll())


@frozen
class Outcome:
    """What an installation left: all that another one is compared by."""

    installed: bytes
    files: tuple[str, ...]
    steps: tuple[str, ...]


def outcome(cloud: Cloud) -> Outcome:
    top = cloud.partition()
    log = (top / ".slapgrid/log/instance.log").read_text().splitlines()
    verbs = ("Installing", "Updating", "Uninstalling")
    return Outcome(
        (top / ".installed.cfg").read_bytes(),
        tuple(sorted(str(path.relative_to(top)) for path in top.rglob("*"))),
        tuple(line for line in log if line.startswith(verbs)),
    )


async def outcomes(bench: Bench, runs: tuple[WarmServers, ...]) -> list[Outcome]:
    """Of installations one after the other, from an empty partition on."""
    await bench.partitions(runs[0]).destroy("slappart0")
    seen = []
    for servers in runs:
        failure = await bench.install(servers)
        assert failure is None, failure
        seen.append(outcome(bench.cloud))
    return seen


async def compare(bench: Bench) -> None:
    """Either kind, first and after either kind, gives the same bytes and steps."""
    cold, warm = bench.servers(COLD), bench.servers(WARM)
    try:
        expected = await outcomes(bench, (cold, cold, cold))
        for order in ((warm, warm, cold), (cold, warm, warm)):
            assert await outcomes(bench, order) == expected
        later = [step for each in expected[1:] for step in each.steps]
        assert later
        assert all(step.startswith("Updating") for step in later)
    finally:
        await warm.stop()


def test_recipes_of_the_package_index_leave_the_same_bytes_warm_and_cold(
    cloud: Cloud,
) -> None:
    """A profile on slapos.cookbook and slapos.recipe.template, with a shell recipe.

    It needs all four repairs: eggs with a ``.dist-info`` found offline, their folder
    named once, options that are no strings, and doubled dollars.
    """
    template = cloud.root / "instance.cfg.in"
    template.write_text(INDEX_INSTANCE)
    profile = cloud.root / "index.cfg"
    profile.write_text(INDEX_SOFTWARE.format(wheels=recipe_wheels(), template=template))
    release = cloud.root / "s" / release_directory(str(profile))
    unpack_wheels(recipe_wheels(), release / "eggs")

    async def scenario(agent: Agent) -> None:
        await compare(await prepare(cloud, agent, str(profile)))
        await pass_until_reported(cloud, agent, "started", "title0")
        published = (await instance_report(cloud, "title0")).connection_parameters
        assert published == {"greeting": "hey", "url": "http://[::1]:8080/"}

    cloud.run(scenario)


MISBEHAVIOURS = {
    "it kills itself": ("import os; os.kill(os.getpid(), 9)", "ended by signal 9"),
    "it kills its server": (
        "import os; os.killpg(os.getpgid(os.getppid()), 9)",
        "it ended the process that it was forked from",
    ),
    "it hangs": ("import time; time.sleep(1000)", "took too long"),
    "it raises": ("raise RuntimeError('no disc')", "no disc"),
    "it leaves": ("import os; os._exit(7)", "status 7"),
}
LEAKS = """\
import os, threading, sys
os.close(3)
os.open("mine", os.O_CREAT | os.O_RDWR)
held = [os.open("/", os.O_RDONLY) for _ in range(100)]
sys.modules["held"] = bytearray(50_000_000)
os.environ.clear()
os.umask(0)
os.chdir("/")
sys.path.clear()
threading.Thread(target=lambda: None).start()
"""
OBSERVES = """\
import os, sys
umask = os.umask(0); os.umask(umask)
print("seen", oct(umask), os.getcwd() == os.environ["HOME"], "held" in sys.modules,
    len(os.listdir("/proc/self/fd")) < 12)
"""


def test_what_a_recipe_does_wrong_harms_its_partition_alone(
    cloud: Cloud,
) -> None:
    """It kills itself or its server, hangs, leaks: the next one finds all as it was."""
    url = cloud.release("software", INSTANCE)

    async def scenario(agent: Agent) -> None:
        bench = await prepare(cloud, agent, url, count=3)
        warm = bench.servers(WARM)
        # The others, and who works beside, have what a busy machine takes.
        impatient = bench.with_timeout(3.0)
        try:
            for name, (code, sentence) in MISBEHAVIOURS.items():
                bench.code(code)
                bench.code("import time; time.sleep(0.5)", 1)
                beside = Deferred.fromCoroutine(bench.install(warm, 1))
                installing = impatient if name == "it hangs" else bench
                assert sentence in (await installing.install(warm) or "")
                assert await beside is None
            bench.code(LEAKS)
            assert await bench.install(warm) is None
            assert (cloud.partition() / "mine").read_bytes() == b""
            bench.code(OBSERVES, 1)
            assert await bench.install(warm, 1) is None
            log = cloud.partition(1) / ".slapgrid/log/instance.log"
            assert "seen 0o27 True False True\n" in log.read_text()
        finally:
            await warm.stop()

    cloud.run(scenario)


def command_of_parent(pid: int) -> bytes:
    """The command line of the parent of a process."""
    status = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return Path(f"/proc/{status[1]}/cmdline").read_bytes()


def test_a_warm_installation_goes_on_when_its_agent_is_killed(
    cloud: Cloud,
) -> None:
    """The next agent waits for it, even if the server is killed next."""
    url = cloud.release("software", INSTANCE)
    code = "import os, time; open('begun', 'a').write(f'{os.getpid()}\\n')\n"

    async def scenario(agent: Agent) -> None:
        bench = await prepare(cloud, agent, url, count=2)
        for number in range(2):
            other = cloud.partition(1 - number) / "begun"
            waiting = f"if os.path.exists({str(other)!r}): time.sleep(4)\n"
            bench.code(code + waiting, number)
        passing = begin_pass(cloud, "instance_pass")
        begun = [cloud.partition(number) / "begun" for number in range(2)]
        while not all(each.exists() and each.read_text() for each in begun):
            assert passing.poll() is None, (cloud.root / "passes.log").read_text()
            await deferLater(cloud.runtime.clock, 0.05)
        # The first one was cold and has ended, the second one lasts.
        pids = [int(each.read_text()) for each in begun]
        second = 0 if is_gone(pids[1]) else 1
        passing.kill()
        passing.wait()
        assert b"fork_server.py" in command_of_parent(pids[second])
        # Its output has nobody to read it: it may fail, but nobody runs beside it.
        bench.code(code, second)
        assert await bench.install(bench.servers(COLD), second) is None
        assert is_gone(pids[second])
        assert begun[second].read_text().split()[0] == str(pids[second])

    cloud.run(scenario)


def test_hello_leaves_the_same_bytes_warm_and_cold(
    cloud: Cloud,
) -> None:
    """The release of this project, from its own wheelhouse."""
    output = cloud.root / "release"
    copy_release(output)
    cloud = evolve(cloud, release_directory=str(output))
    url = f"{cloud.config.master_urls[0]}/release/software/hello/software.cfg"

    async def scenario(agent: Agent) -> None:
        bench = await prepare(cloud, agent, url)
        # What it asks of the master the first time is answered the same from then on.
        assert await bench.install(bench.servers(COLD)) is None
        await compare(bench)

    cloud.run(scenario)
