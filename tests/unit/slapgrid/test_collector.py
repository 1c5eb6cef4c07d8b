"""Collections on a computer of a simulated world, killed wherever it hurts."""

from __future__ import annotations

import json

import pytest
from attrs import define, field
from twisted.internet.defer import Deferred

from labsim.lives.dying import Died, Fate, dying
from labsim.models.kernel import KernelModel, ModelProcess
from labsim.world.world import World
from runtime.ports import Exit, IFileTree, Program, Runtime
from slap.tioxml import decode_journal
from slapgrid.collecting.collector import Collected, Collector
from slapgrid.collecting.incidents import Incidents
from slapgrid.collecting.measures import Measure
from slapgrid.collecting.readings import COMPUTER
from slapgrid.collecting.settings import CollectingSettings
from slapgrid.config import Config
from slapgrid.convergence.plans import ReviveProgram
from slapgrid.convergence.retrying import Effort, Outcome
from slapgrid.format.settings import FormatSettings
from slapgrid.layout import USAGE_DAYS, USAGE_LEDGER

DAY = 86400.0
JOURNALS = "var/xml_report/COMP-1"
CONFIG = Config(
    computer_id="COMP-1",
    master_urls=("http://[fd00::1]:5000",),
    software_root="/srv/software",
    instance_root="/srv/instances",
    format=FormatSettings(partition_amount=2),
    collecting=CollectingSettings(retention_days=3),
)


@define
class SmallComputer:
    """Two partitions, each of a user of its own, or both of one."""

    world: World
    uids: tuple[int, int] = (1001, 1002)
    config: Config = CONFIG
    kernel: KernelModel = field(init=False)
    collector: Collector = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.kernel = KernelModel(self.world.host("computer"))
        self.files.make_directory("")
        for index, uid in enumerate(self.uids):
            self.files.make_directory(f"slappart{index}", 0o750)
            self.files.change(f"slappart{index}", uid=uid, gid=uid)
        self.restart()
        self.world.run_for(10)

    @property
    def runtime(self) -> Runtime:
        return self.world.host("computer").runtime

    @property
    def files(self) -> IFileTree:
        return self.runtime.file_tree("/srv/instances")

    def incidents(self) -> Incidents:
        return Incidents(self.config, self.runtime)

    def restart(self, fate: Fate | None = None) -> None:
        """Another process collects, one that dies if it has a fate."""
        runtime = self.runtime if fate is None else dying(self.runtime, fate)
        incidents = Incidents(self.config, runtime)
        self.collector = Collector(self.config, runtime, incidents, agent_uid=0)

    def collect(self, after_seconds: float = 60.0) -> Collected:
        self.world.run_for(after_seconds)
        self.kernel.show()
        return self.world.result(self.collector.collect())

    def run_to_midnight(self) -> None:
        self.world.run_for(DAY - self.runtime.calendar.now() % DAY + 1)

    def journals(self) -> dict[str, str]:
        try:
            names = self.files.list(JOURNALS)
        except FileNotFoundError:
            return {}
        return {name: self.files.read(f"{JOURNALS}/{name}").decode() for name in names}

    def cpu_seconds_told(self, partition_id: str = "slappart0") -> float:
        return sum(
            float(movement.quantity)
            for document in self.journals().values()
            for entry in decode_journal(document).entries
            for movement in entry.movements
            if movement.resource == "service_module/cpu_time"
            and movement.reference == partition_id
        )

    def cpu_seconds_open(self, partition_id: str = "slappart0") -> float:
        ledger = json.loads(self.files.read(USAGE_LEDGER))
        return sum(
            day["amounts"].get(partition_id, {}).get("cpu_seconds", 0.0)
            for day in ledger["days"]
        )


@pytest.fixture
def computer() -> SmallComputer:
    return SmallComputer(World(seed=1))


def used(collected: Collected, partition_id: str, measure: Measure) -> float | None:
    assert collected.latest is not None, collected.reason
    return collected.latest.amounts.get(partition_id, {}).get(measure)


def test_a_computer_without_proc_measures_nothing_and_says_so() -> None:
    world = World(seed=1)
    computer = SmallComputer(world)

    collected = world.result(computer.collector.collect())

    assert collected.latest is None
    assert "/proc tells nothing here" in collected.reason
    assert computer.files.status("var") is None


def test_processes_belong_to_the_partition_of_their_user(
    computer: SmallComputer,
) -> None:
    first = computer.kernel.start(ModelProcess(100, 1001))
    second = computer.kernel.start(ModelProcess(200, 1002))
    computer.kernel.start(ModelProcess(300, 0, "HOME=/srv/instances/slappart0"))
    computer.collect()
    first.own_ticks, second.own_ticks = 150, 300
    computer.kernel.processes[300].own_ticks = 9000

    collected = computer.collect()

    assert used(collected, "slappart0", Measure.CPU_SECONDS) == 1.5
    assert used(collected, "slappart1", Measure.CPU_SECONDS) == 3.0
    assert collected.latest is not None
    assert collected.latest.levels["slappart0"][Measure.PROCESSES] == 1
    assert collected.latest.levels[COMPUTER][Measure.PROCESSES] == 3
    assert collected.reason == "measured 2 partitions"


def test_without_root_a_process_belongs_to_what_its_environment_names() -> None:
    """And its children with it, whatever they say."""
    computer = SmallComputer(World(seed=1), uids=(1000, 1000))
    kernel = computer.kernel
    kernel.start(ModelProcess(50, 1000, "HOME=/home/someone"))
    named = "SUPERVISOR_SERVER_URL=unix:///srv/instances/sv.sock "
    named += "SUPERVISOR_GROUP_NAME=slappart1"
    kernel.start(ModelProcess(100, 1000, named, 50))
    child = kernel.start(ModelProcess(101, 1000, "CLEAN=yes", 100))
    computer.collect()
    child.own_ticks = 200

    collected = computer.collect()

    assert used(collected, "slappart1", Measure.CPU_SECONDS) == 2.0
    assert used(collected, "slappart0", Measure.CPU_SECONDS) is None


def test_a_tap_is_read_from_the_side_of_its_instance(computer: SmallComputer) -> None:
    """The computer's own traffic is what is left; nobody claims the tap of another."""
    resource = json.dumps({"tap": {"name": "slaptap0"}}).encode()
    computer.files.write("slappart0/.slapos-resource", resource)
    computer.files.write("slappart1/.slapos-resource", resource)
    computer.files.change("slappart1/.slapos-resource", uid=1002)
    computer.kernel.traffic = {"lo": (9, 9), "eth0": (100, 10), "slaptap0": (0, 0)}
    computer.collect()
    computer.kernel.traffic = {"lo": (99, 99), "eth0": (150, 30), "slaptap0": (7, 500)}

    collected = computer.collect()

    assert used(collected, "slappart0", Measure.RECEIVED_BYTES) == 500
    assert used(collected, "slappart0", Measure.SENT_BYTES) == 7
    assert used(collected, COMPUTER, Measure.RECEIVED_BYTES) == 50
    assert used(collected, "slappart1", Measure.RECEIVED_BYTES) is None


def test_a_temperature_is_told_where_there_is_one(computer: SmallComputer) -> None:
    without = computer.collect()
    computer.kernel.celsius = 45.5
    with_one = computer.collect()

    assert without.latest is not None
    assert with_one.latest is not None
    assert Measure.CELSIUS not in without.latest.levels[COMPUTER]
    assert with_one.latest.levels[COMPUTER][Measure.CELSIUS] == 45.5
    assert with_one.latest.facts["celsius"] == {"thermal_zone0": 45.5}


def test_a_restarted_agent_goes_on_from_the_last_reading(
    computer: SmallComputer,
) -> None:
    process = computer.kernel.start(ModelProcess(100, 1001))
    computer.collect()
    process.own_ticks = 500
    computer.restart()

    assert used(computer.collect(), "slappart0", Measure.CPU_SECONDS) == 5.0


def test_after_a_reboot_everything_since_is_counted(computer: SmallComputer) -> None:
    computer.kernel.start(ModelProcess(100, 1001, own_ticks=9000))
    computer.collect()
    computer.kernel.boot()
    process = computer.kernel.start(ModelProcess(100, 1001))
    process.own_ticks = 70

    assert used(computer.collect(), "slappart0", Measure.CPU_SECONDS) == 0.7


def test_a_day_is_told_in_one_document_when_it_is_over(
    computer: SmallComputer,
) -> None:
    process = computer.kernel.start(ModelProcess(100, 1001))
    computer.collect()
    process.own_ticks = 12_300
    computer.collect()
    assert computer.journals() == {}

    computer.run_to_midnight()
    collected = computer.collect()

    assert collected.sealed == ("2023-11-14",)
    assert list(computer.journals()) == ["2023-11-14.xml"]
    assert computer.cpu_seconds_told() == 123.0
    assert computer.collect().sealed == ()


def test_days_on_which_the_agent_was_away_are_told_too(
    computer: SmallComputer,
) -> None:
    process = computer.kernel.start(ModelProcess(100, 1001))
    computer.run_to_midnight()
    computer.collect()
    process.own_ticks = 30_000
    computer.restart()
    computer.collect(3 * DAY)

    assert list(computer.journals()) == [
        "2023-11-15.xml",
        "2023-11-16.xml",
        "2023-11-17.xml",
    ]
    assert computer.cpu_seconds_told() + computer.cpu_seconds_open() == (
        pytest.approx(300, abs=0.01)
    )


def test_a_clock_set_back_makes_no_second_document(computer: SmallComputer) -> None:
    """What is consumed then is told with the next day that is not over."""
    process = computer.kernel.start(ModelProcess(100, 1001))
    computer.collect()
    process.own_ticks = 1000
    computer.collect()
    computer.run_to_midnight()
    computer.collect()
    before = computer.journals()
    computer.world.host("computer").calendar.step(-DAY)
    process.own_ticks = 3000
    computer.collect()
    computer.world.host("computer").calendar.step(3 * DAY)
    computer.collect()

    after = computer.journals()
    assert list(after) == ["2023-11-14.xml", "2023-11-15.xml"]
    assert before.items() <= after.items()
    assert computer.cpu_seconds_told() == 30.0


def test_only_the_newest_days_are_kept(computer: SmallComputer) -> None:
    computer.kernel.start(ModelProcess(100, 1001))
    for _ in range(6):
        computer.kernel.processes[100].own_ticks += 100
        computer.collect(DAY)

    assert computer.files.list(USAGE_DAYS) == (
        "2023-11-17.json",
        "2023-11-18.json",
        "2023-11-19.json",
    )


@pytest.mark.parametrize("is_after", [False, True], ids=["before", "after"])
def test_a_kill_at_any_effect_neither_loses_nor_repeats(is_after: bool) -> None:
    """Over two midnights, each kill followed by another process."""
    truth_seconds = 60.0
    untouched: dict[str, str] = {}
    for effects_left in range(1000):
        computer = SmallComputer(World(seed=1))
        process = computer.kernel.start(ModelProcess(100, 1001))
        computer.collect()
        fate = Fate(effects_left if untouched else 10**9, is_after)
        computer.restart(fate)
        for _ in range(4):
            process.own_ticks += 1500
            try:
                computer.collect(DAY / 2)
            except Died:
                computer.restart()
                computer.collect(0)

        if not untouched:
            untouched = computer.journals()
        assert computer.journals() == untouched
        told = computer.cpu_seconds_told() + computer.cpu_seconds_open()
        assert told == pytest.approx(truth_seconds, abs=0.01)
        if effects_left and fate.effect_count <= effects_left:
            break
    else:
        pytest.fail("it never lived")
    assert len(untouched) == 2


def test_a_ledger_that_cannot_be_read_is_kept_aside(computer: SmallComputer) -> None:
    computer.collect()
    computer.files.write(USAGE_LEDGER, b"{half")
    computer.restart()

    collected = computer.collect()

    assert collected.latest is not None
    assert computer.files.read(f"{USAGE_LEDGER}.unreadable") == b"{half"


def test_a_full_disk_loses_nothing_while_the_agent_lives(
    computer: SmallComputer,
) -> None:
    process = computer.kernel.start(ModelProcess(100, 1001))
    computer.collect()
    process.own_ticks = 100
    computer.kernel.show()
    computer.world.host("computer").disk.fill()
    collected = computer.world.result(computer.collector.collect())
    assert "not saved" in collected.reason

    computer.world.host("computer").disk.empty()
    computer.collect()

    assert computer.cpu_seconds_open() == 1.0


def test_incidents_are_counted_once_through_restarts(computer: SmallComputer) -> None:
    """A promise that keeps failing is one; a bang is one for each mark."""
    computer.collect()
    incidents = computer.incidents()
    incidents.note([ReviveProgram("slappart0", ("a", "b"))], [])
    failed = Outcome(Effort.PROVE, "slappart1", failure="no")
    for _ in range(3):
        incidents.note([], [failed])
    incidents.note([], [Outcome(Effort.PROVE, "slappart1")])
    incidents.note([], [failed])
    computer.files.write("slappart0/.slapos_latest_bang_timestamp", b"1")
    computer.restart()

    collected = computer.collect()
    computer.restart()
    again = computer.collect()

    assert used(collected, "slappart0", Measure.PROGRAMS_RESTARTED) == 2
    assert used(collected, "slappart1", Measure.PROMISES_FAILED) == 2
    assert used(collected, "slappart0", Measure.BANGS) == 1
    assert used(again, "slappart0", Measure.PROGRAMS_RESTARTED) == 0
    assert used(again, "slappart0", Measure.BANGS) is None


def test_disks_are_measured_one_at_a_time_and_once_a_day(
    computer: SmallComputer,
) -> None:
    """One that cannot be measured does not keep the others waiting."""
    walked: list[str] = []

    async def walk(program: Program, process: object) -> Exit:
        del process
        walked.append(program.argv[-1])
        if program.argv[-1].endswith("0"):
            return Exit(1, output=b"du: no such luck\n")
        return Exit(1, output=b"du: a file went\n12\t/srv/instances/slappart1\n")

    host = computer.world.host("computer")
    host.add_behaviour(lambda program: "du" in program.argv, walk)
    computer.runtime.file_tree("/").make_directory("srv")

    def measure() -> float | None:
        return computer.world.result(
            Deferred.fromCoroutine(computer.collector.measure_next_disk())
        )

    assert [measure(), measure(), measure()] == [1.0, 1.0, None]
    collected = computer.collect()

    assert walked == ["/srv/instances/slappart0", "/srv/instances/slappart1"]
    assert collected.latest is not None
    levels = collected.latest.levels
    assert levels["slappart1"][Measure.DISK_BYTES] == 12 * 1024
    assert Measure.DISK_BYTES not in levels.get("slappart0", {})
    computer.world.run_for(DAY)
    assert measure() is not None
