"""Certificates of instances: the repository alone, and with the whole agent."""

from __future__ import annotations

import itertools

import pytest
from attrs import evolve, frozen
from twisted.internet.defer import Deferred

from labsim.lives.dying import Died, Fate, dying, outlive
from labsim.models.buildout import BuildoutModel, simulated_platform
from labsim.world.world import World
from runtime.ports import FileStatus, Runtime
from slap import calls
from slap.model import (
    Certificate,
    Partition,
    PartitionInstance,
    PartitionKey,
    RequestedState,
)
from slapgrid.identity import Identity
from slapgrid.instance.certificates import (
    PEM_BYTES_MAX,
    BadCertificate,
    CertificateRepository,
    KeyPaths,
)
from slapgrid.instance.partitions import Partitions
from slapgrid.software.releases import Releases
from slapgrid.warm.servers import WarmServers
from tests.unit.slapgrid.test_agent_in_world import URL, SmallCloud

PKI = "/etc/pki/partitions"
OWNER = Identity(1001, 1002)
FIRST = Certificate("the certificate", "the secret")
SECOND = Certificate("another certificate", "another secret")
NONE = Certificate("", "")
ASKED = b"GET /getComputerPartitionCertificate"


@frozen
class Kept:
    """What others see of a file."""

    content: bytes
    mode: int
    uid: int
    gid: int


@frozen
class Bench:
    """One formatted partition, and an instance to be installed there."""

    world: World
    cloud: SmallCloud
    wanted: Partition

    def partitions(
        self, runtime: Runtime, urls: tuple[str, ...] = (), **changes: str
    ) -> Partitions:
        config, platform = evolve(self.cloud.config, **changes), simulated_platform()
        releases = Releases(config, runtime, platform)
        warm = WarmServers(config, runtime, platform)
        return Partitions(
            config, runtime, platform, releases, warm, find_urls=lambda: urls
        )

    def live(self, fate: Fate) -> bool:
        """Install the instance, then destroy it; whether that came to its end."""
        partitions = self.partitions(dying(self.cloud.computer.runtime, fate))

        async def living() -> None:
            await partitions.install(self.wanted, FIRST)
            await partitions.destroy("slappart0")

        results = outlive(Deferred.fromCoroutine(living()))
        self.world.run_until(lambda: bool(results), 100)
        self.world.run_for(1)  # a removal that was begun goes on without its agent
        return results == [None]

    def content(self) -> set[str]:
        """The names in the partition that have somebody come back to destroy it."""
        tree = self.cloud.computer.runtime.file_tree("/srv/instances/slappart0")
        return set(tree.list()) - {".slapos-resource"}


def a_bench(world: World) -> Bench:
    cloud = SmallCloud(world, certificate_directory=PKI)
    cloud.start_agent()
    cloud.supply()
    world.run_for(100)
    world.result(cloud.computer.stop_services())
    wanted = Partition(
        PartitionKey("COMP-1", "slappart0"),
        RequestedState.STARTED,
        instance=PartitionInstance("guid", "first", "root", URL, "default", "1"),
    )
    return Bench(world, cloud, wanted)


class ListeningWorld(World):
    """A world that keeps all lines of its logs."""

    def __init__(self, seed: int) -> None:
        self.lines: list[str] = []
        super().__init__(seed=seed)

    def log(self, host: str, text: str) -> None:
        self.lines.append(text)
        super().log(host, text)


@pytest.fixture
def world() -> ListeningWorld:
    return ListeningWorld(seed=20261123)


@pytest.fixture
def runtime(world: World) -> Runtime:
    return world.host("computer").runtime


def kept(runtime: Runtime) -> dict[str, Kept]:
    """The files of the repository."""
    tree = runtime.file_tree(PKI)
    if tree.status("") is None:
        return {}

    def seen(name: str, status: FileStatus) -> Kept:
        return Kept(tree.read(name), status.mode, status.uid, status.gid)

    return {name: seen(name, status) for name, status in tree.entries().items()}


def pair(
    certificate: Certificate, partition_id: str = "slappart0", owner: Identity = OWNER
) -> dict[str, Kept]:
    """What is to be seen of a certificate."""
    assert owner.uid is not None
    assert owner.gid is not None
    return {
        f"{partition_id}.{kind}": Kept(text.encode(), 0o400, owner.uid, owner.gid)
        for kind, text in (("crt", certificate.certificate), ("key", certificate.key))
    }


def test_the_user_of_a_partition_reads_its_certificate_and_nobody_else(
    runtime: Runtime,
) -> None:
    """Users pass through the repository, which is made when it is missing."""
    repository = CertificateRepository(runtime, PKI)

    paths = repository.keep("slappart0", FIRST, OWNER)

    assert paths == KeyPaths(f"{PKI}/slappart0.key", f"{PKI}/slappart0.crt")
    assert kept(runtime) == pair(FIRST)
    directory = runtime.file_tree(PKI).status("")
    assert directory is not None
    assert directory.mode == 0o711


def test_what_is_as_it_should_be_is_not_touched(runtime: Runtime) -> None:
    """By whichever life of the agent."""
    CertificateRepository(runtime, PKI).keep("slappart0", FIRST, OWNER)
    fate = Fate(0)

    CertificateRepository(dying(runtime, fate), PKI).keep("slappart0", FIRST, OWNER)

    assert fate.effect_count == 0


def test_what_somebody_changed_is_as_it_should_be_again(runtime: Runtime) -> None:
    """Content, mode, owner, and what is no file any more."""
    repository = CertificateRepository(runtime, PKI)
    repository.keep("slappart0", FIRST, OWNER)
    tree = runtime.file_tree(PKI)
    tree.change("slappart0.crt", mode=0o644, uid=7, gid=7)
    tree.link("slappart0.key", "/etc/passwd")

    repository.keep("slappart0", FIRST, OWNER)

    assert kept(runtime) == pair(FIRST)


def test_a_master_without_certificates_leaves_no_files(runtime: Runtime) -> None:
    """Nor those of the master before; a repository is not made for nothing."""
    repository = CertificateRepository(runtime, PKI)
    repository.remove("slappart0")
    assert repository.keep("slappart0", NONE, OWNER) is None
    assert runtime.file_tree(PKI).status("") is None
    repository.keep("slappart0", FIRST, OWNER)
    repository.keep("slappart1", SECOND, OWNER)

    assert repository.keep("slappart0", Certificate("\n", ""), OWNER) is None

    assert kept(runtime) == pair(SECOND, "slappart1")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (Certificate("", "the secret"), "only one of certificate and key: revoke"),
        (Certificate("the secret", " "), "only one of certificate and key: revoke"),
        (Certificate("c", "the secret" * PEM_BYTES_MAX), "more than 65536 bytes"),
    ],
)
def test_what_no_instance_can_use_is_refused(
    runtime: Runtime, given: Certificate, sentence: str
) -> None:
    """What is there stays, and the sentence tells no secret."""
    repository = CertificateRepository(runtime, PKI)
    repository.keep("slappart0", FIRST, OWNER)

    with pytest.raises(BadCertificate, match=sentence) as refused:
        repository.keep("slappart0", given, OWNER)

    assert "the secret" not in f"{refused.value} {refused.value!r}"
    assert kept(runtime) == pair(FIRST)


def test_a_printed_certificate_shows_no_key() -> None:
    """Whoever logs one logs no secret."""
    assert repr(FIRST) == "Certificate(certificate='the certificate')"


@pytest.mark.parametrize("is_after", [False, True])
def test_a_kill_at_any_write_is_made_good_by_the_next_life(
    runtime: Runtime, *, is_after: bool
) -> None:
    """Of the first certificate, of its successor, and of the removal of that."""

    def live(life: Runtime) -> None:
        repository = CertificateRepository(life, PKI)
        repository.remove("slappart0")
        repository.keep("slappart0", FIRST, OWNER)
        repository.keep("slappart0", SECOND, OWNER)

    for effects_left in itertools.count():
        assert effects_left < 30
        CertificateRepository(runtime, PKI).remove("slappart0")
        try:
            live(dying(runtime, Fate(effects_left, is_after=is_after)))
        except Died:
            CertificateRepository(runtime, PKI).keep("slappart0", SECOND, OWNER)
            assert kept(runtime) == pair(SECOND), effects_left
        else:
            break
    assert effects_left > 5


def test_each_life_writes_out_what_it_or_the_one_before_changed(
    world: World, runtime: Runtime
) -> None:
    """A change of owner is on no disk by itself."""
    BuildoutModel().add_to(world.host("computer"))

    def write_out(repository: CertificateRepository) -> str | None:
        return world.result(Deferred.fromCoroutine(repository.write_out()))

    CertificateRepository(runtime, PKI).keep("slappart0", FIRST, OWNER)
    repository = CertificateRepository(runtime, PKI)
    repository.keep("slappart0", FIRST, OWNER)
    assert write_out(repository) is None
    world.host("computer").crash()
    world.host("computer").boot()

    assert kept(world.host("computer").runtime) == pair(FIRST)
    assert outlive(Deferred.fromCoroutine(repository.write_out())) == [None]


@pytest.mark.parametrize("is_after", [False, True])
def test_no_kill_leaves_a_certificate_without_an_instance_to_destroy(
    world: World, *, is_after: bool
) -> None:
    """Whoever destroys an instance looks at what has content alone."""
    bench = a_bench(world)
    left = set()

    for effects_left in itertools.count():
        assert effects_left < 60
        if bench.live(Fate(effects_left, is_after=is_after)):
            break
        names = set(kept(bench.cloud.computer.runtime))
        left.add(len(names))
        assert not names or bench.content(), effects_left
        assert bench.live(Fate(10**9))
        assert not kept(bench.cloud.computer.runtime)
        assert not bench.content()

    assert left == {0, 1, 2}


def test_an_instance_knows_all_replicas_and_reads_what_they_are_known_by(
    world: World,
) -> None:
    """From the address list of the agent, and a copy of its root certificate."""
    bench = a_bench(world)
    runtime = bench.cloud.computer.runtime
    tree = runtime.file_tree("/")
    tree.make_directory("etc")
    urls = ("https://[fd00::2]:5443", "https://[fd00::1]:5443")
    partitions = bench.partitions(runtime, urls, master_ca_file="/etc/root.crt")
    partition = "/srv/instances/slappart0"

    for roots in (b"the root", b"another root"):
        tree.write("etc/root.crt", roots, 0o600)
        installing = Deferred.fromCoroutine(partitions.install(bench.wanted, FIRST))
        assert world.result(installing) is None
        copy = tree.subtree(partition[1:]).status(".slapgrid/root.crt")
        assert copy is not None
        assert copy.mode == 0o644
        assert tree.read(f"{partition[1:]}/.slapgrid/root.crt") == roots

    lines = tree.read(f"{partition[1:]}/buildout.cfg").decode().splitlines()
    assert f"server-urls = {' '.join(urls)}" in lines
    assert f"master-ca-file = {partition}/.slapgrid/root.crt" in lines
    tree.remove("etc/root.crt")
    failing = Deferred.fromCoroutine(partitions.install(bench.wanted, FIRST))
    with pytest.raises(FileNotFoundError):
        world.result(failing)


def a_cloud(world: World) -> SmallCloud:
    """Two instances are wanted on a computer with a repository."""
    cloud = SmallCloud(world, certificate_directory=PKI)
    cloud.start_agent()
    cloud.supply()
    cloud.request("first")
    cloud.request("second")
    return cloud


def given(cloud: SmallCloud, number: int) -> Certificate:
    """What the master gives an instance."""
    key = PartitionKey("COMP-1", f"slappart{number}")
    certificate = cloud.perform(calls.get_certificate(key))
    assert isinstance(certificate, Certificate)
    assert "PRIVATE KEY" in certificate.key
    return certificate


def pair_of(cloud: SmallCloud, number: int) -> dict[str, Kept]:
    """What is to be seen of the certificate of an instance."""
    user = 1001 + number
    owner = Identity(user, user)
    return pair(given(cloud, number), f"slappart{number}", owner)


def asked(cloud: SmallCloud, number: int) -> int:
    """How often the master was asked for the certificate of an instance."""
    wanted = f"computer_partition_id=slappart{number} ".encode()
    return sum(it.startswith(ASKED) and wanted in it for it in cloud.received)


def profile(cloud: SmallCloud, number: int) -> list[str]:
    """What an instance is told of its keys."""
    tree = cloud.computer.runtime.file_tree(f"/srv/instances/slappart{number}")
    lines = tree.read("buildout.cfg").decode().splitlines()
    return [line for line in lines if line.startswith(("key-file", "cert-file"))]


def test_an_instance_is_told_where_its_own_certificate_stands(
    world: ListeningWorld,
) -> None:
    """It is asked for once for each processing; no log has a key."""
    cloud = a_cloud(world)
    cloud.wait_for("first", "started", 200)
    cloud.wait_for("second", "started", 200)
    world.run_for(600)
    assert [asked(cloud, number) for number in (0, 1)] == [1, 1]

    cloud.request("first", RequestedState.STOPPED)
    cloud.wait_for("first", "stopped", 200)

    assert [asked(cloud, number) for number in (0, 1)] == [2, 1]
    assert kept(cloud.computer.runtime) == pair_of(cloud, 0) | pair_of(cloud, 1)
    assert profile(cloud, 1) == [
        f"key-file = {PKI}/slappart1.key",
        f"cert-file = {PKI}/slappart1.crt",
    ]
    assert not any("PRIVATE KEY" in line for line in world.lines)
    cloud.finish()


def test_a_destroyed_instance_takes_its_certificate_with_it(world: World) -> None:
    """The next one in its partition has its own."""
    cloud = a_cloud(world)
    cloud.wait_for("first", "started", 200)
    cloud.wait_for("second", "started", 200)
    before = pair_of(cloud, 0)

    cloud.request("first", RequestedState.DESTROYED)
    world.run_for(120)
    assert kept(cloud.computer.runtime) == pair_of(cloud, 1)
    cloud.request("next")
    cloud.wait_for("next", "started", 200)

    after = pair_of(cloud, 0)
    assert after != before
    assert kept(cloud.computer.runtime) == after | pair_of(cloud, 1)
    cloud.finish()


def test_a_certificate_that_cannot_be_written_is_an_error_of_its_instance(
    world: ListeningWorld,
) -> None:
    """Alone, and until it can; the sentence and the log have no key."""
    runtime = world.host("computer").runtime
    runtime.file_tree(PKI).make_directory("slappart0.key")
    cloud = a_cloud(world)
    cloud.wait_for("first", "error", 200)
    cloud.wait_for("second", "started", 200)
    world.run_for(5)
    message = cloud.reported("first")[1]
    assert "slappart0.key" in message
    assert "PRIVATE" not in message
    assert [each.argv[0] for each in cloud.computer.running_programs] == [
        "/srv/instances/slappart1/etc/service/server"
    ]

    removal = runtime.file_tree(PKI).remove_tree("slappart0.key")
    world.run_for(1)
    assert outlive(removal) == [None]
    cloud.wait_for("first", "started", 900)

    assert kept(cloud.computer.runtime) == pair_of(cloud, 0) | pair_of(cloud, 1)
    assert not any("PRIVATE KEY" in line for line in world.lines)
    cloud.finish()


def test_a_certificate_that_the_master_refuses_is_an_error_of_its_instance(
    world: World,
) -> None:
    """Alone, and until the master gives it."""
    is_refused = True

    def alter(content: bytes) -> bytes:
        if is_refused and content.startswith(ASKED):
            return content.replace(b"=slappart0 ", b"=nowhere ")
        return content

    cloud = SmallCloud(world, alter=alter, certificate_directory=PKI)
    cloud.start_agent()
    cloud.supply()
    cloud.request("first")
    cloud.request("second")
    cloud.wait_for("first", "error", 200)
    cloud.wait_for("second", "started", 200)
    assert cloud.reported("first")[1].startswith("the master refuses: ")

    is_refused = False
    cloud.wait_for("first", "started", 900)

    assert kept(cloud.computer.runtime) == pair_of(cloud, 0) | pair_of(cloud, 1)
    cloud.finish()


def test_power_losses_at_any_second_leave_each_instance_its_certificate(
    world: World,
) -> None:
    """With its owner, which is the last thing to be written."""
    cloud = a_cloud(world)
    entropy = world.entropy("losses")
    for _ in range(20):
        world.run_for(entropy.uniform(0.1, 40))
        cloud.computer.crash()
        world.run_for(1)
        cloud.computer.boot()
    for title in ("first", "second"):
        cloud.wait_for(title, "started", 300)
    cloud.computer.crash()
    cloud.computer.boot()

    assert kept(cloud.computer.runtime) == pair_of(cloud, 0) | pair_of(cloud, 1)
