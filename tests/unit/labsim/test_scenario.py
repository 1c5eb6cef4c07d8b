"""Scenario and plan files: what is refused, with the line and what is allowed."""

from __future__ import annotations

import json

import pytest
from attrs import evolve

from labsim.checkers.violation import Bounds
from labsim.injector import Injector
from labsim.memory import check_fits
from labsim.plan import (
    Plan,
    check_plan,
    decode_plan,
    encode_plan,
    located,
    without_rest,
)
from labsim.refusals import BadInput
from labsim.run import bounds_of, draw_plan
from labsim.scenario import (
    Scenario,
    decode_scenario,
    encode_scenario,
    read_scenario,
    resize,
)
from labsim.schedule import TimedFault
from labsim.topology import Region, Topology
from labsim.workloads.fleets import FLEETS, Fleet
from labsim.workloads.operation import Operation
from tests.source_tree import TOP

GOLDEN = TOP / "tests/golden/labsim/plan.json"

TEXT = """\
title = "A test"

[fleet]
regions = 2
computers = 4

[workload]
requests = 6
updates = 6
destructions = 3
questions = 6
shared_instances = 2
supplies = 2
usage_documents = 2
operator_commands = 2

[faults]
kinds = ["cut", "crash"]

[durations]
fault_seconds = 600
"""


def a_plan(seed: int = 1) -> Plan:
    return draw_plan(read_scenario(TEXT, "test.toml"), seed)


def refusal_of(text: str) -> str:
    with pytest.raises(BadInput) as refused:
        read_scenario(text, "test.toml")
    return str(refused.value)


def test_a_scenario_is_read_with_defaults_for_what_it_does_not_say() -> None:
    scenario = read_scenario(TEXT, "test.toml")

    assert scenario.fleet == Fleet(regions=2, computers=4)
    assert scenario.faults.kinds == ("cut", "crash")
    assert scenario.durations.fault_seconds == 600
    assert scenario.agents == Scenario("").agents


def test_a_scenario_is_read_as_it_was_written() -> None:
    bounds = "[recovery]\nhealed_seconds = 90\nfault_seconds = {crash = 60}\n"
    scenario = read_scenario(TEXT + bounds, "test.toml")

    assert bounds_of(scenario) == Bounds(1800.0, 90, {"crash": 60})
    assert (
        decode_scenario(json.loads(json.dumps(encode_scenario(scenario)))) == scenario
    )


def test_the_fleet_of_the_design_documents_has_a_name() -> None:
    text = 'title = "x"\n[fleet]\nname = "design"\nmasters = 3\n'

    fleet = read_scenario(text, "test.toml").fleet

    assert fleet == evolve(FLEETS["design"], masters=3)
    assert (fleet.regions, fleet.computers, fleet.instance_count) == (10, 267, 1899)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("[fleet]", "[fleet", "test.toml:3: this is not TOML: Expected ']'"),
        (
            "regions = 2",
            "region = 2",
            "test.toml:4: fleet has no key 'region'; there are regions, masters,",
        ),
        ("[faults]", "[fault]", "test.toml:17: no key 'fault'; there are title, store"),
        (
            "regions = 2",
            "regions = 2.5",
            "test.toml:4: regions must be a whole number, not 2.5",
        ),
        (
            "regions = 2",
            "regions = 5",
            "test.toml:3: 4 computers leave some of 5 regions empty",
        ),
        (
            "regions = 2",
            "regions = 2\ncopies = 3",
            "test.toml:3: 3 copies in different regions need as many regions",
        ),
        (
            "computers = 4",
            "computers = 4000",
            "test.toml:5: computers must be 1 to 2000, not 4000",
        ),
        (
            'kinds = ["cut", "crash"]',
            'kinds = ["cut", "crush"]',
            "test.toml:18: kinds: no 'crush'; there are cut, one-way cut,",
        ),
        (
            'kinds = ["cut", "crash"]',
            'kinds = "cut"',
            "test.toml:18: kinds must be a list of texts, not 'cut'",
        ),
        ('title = "A test"', "", "test.toml:1: there is no title"),
        (
            "[fleet]\nregions = 2",
            "[fleet]\nregions = 2\nregions = 3",
            "test.toml:5: this is not TOML: Cannot overwrite a value",
        ),
        (
            "regions = 2",
            f"regions = {'[' * 9999}",
            "test.toml: this is not TOML: maximum",
        ),
        (
            'title = "A test"',
            'title = "A test"\nstore = "disk"',
            "test.toml:2: store: no 'disk'; there are memory",
        ),
        (
            "[durations]",
            "[recovery]\nfault_seconds = {crush = 60}\n\n[durations]",
            "test.toml:21: fault_seconds: no 'crush'; there are cut, one-way cut,",
        ),
        (
            "[durations]",
            "[recovery]\nfault_seconds = {crash = 0.5}\n\n[durations]",
            "test.toml:21: fault_seconds of 'crash' must be 1 to 2.6784e+06, not 0.5",
        ),
        (
            "[durations]",
            "[recovery]\nfault_seconds = 60\n\n[durations]",
            "test.toml:21: fault_seconds must be a table of numbers, not 60",
        ),
        (
            "fault_seconds = 600",
            "fault_seconds = -1",
            "test.toml:21: fault_seconds must be 0 to 2.6784e+06, not -1",
        ),
    ],
)
def test_a_scenario_that_makes_no_sense_is_refused_at_its_line(
    old, new, sentence
) -> None:
    assert old in TEXT
    assert refusal_of(TEXT.replace(old, new)).startswith(sentence)


def test_a_fleet_is_resized_by_options() -> None:
    scenario = read_scenario('title = "x"\n[fleet]\nname = "design"\n', "test.toml")

    resized = resize(scenario, regions=2, computers=6, partitions=None)

    assert resized.fleet == evolve(FLEETS["design"], regions=2, computers=6, copies=2)


def test_a_plan_is_read_as_it_was_written() -> None:
    plan = a_plan()

    assert plan.faults
    assert {it.verb for it in plan.operations} == {
        "request", "update", "destroy", "ask", "share", "supply", "use", "operate",
    }  # fmt: skip
    assert decode_plan(encode_plan(plan), "plan") == plan


def test_one_seed_draws_one_plan_and_faults_leave_the_work_as_it_is() -> None:
    scenario = read_scenario(TEXT, "test.toml")
    calm = evolve(scenario, faults=evolve(scenario.faults, kinds=()))

    assert draw_plan(scenario, 3) == draw_plan(scenario, 3)
    assert draw_plan(calm, 3).operations == draw_plan(scenario, 3).operations


def test_a_seed_draws_the_plan_that_it_always_drew(pytestconfig) -> None:
    """Whoever changes what is drawn changes what all seeds mean: see the file."""
    short = read_scenario(TEXT.replace("600", "60"), "test.toml")
    if pytestconfig.getoption("rewrite"):
        GOLDEN.write_text(encode_plan(draw_plan(short, 1)))

    assert encode_plan(draw_plan(short, 1)) == GOLDEN.read_text()


def test_each_subject_belongs_to_one_client() -> None:
    owners: dict[str, set[str]] = {}
    for operation in a_plan().operations:
        owners.setdefault(operation.subject, set()).add(operation.client)

    assert {len(clients) for clients in owners.values()} == {1}


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ('"format": 1', '"format": 2', "plan:2: format 2 is another version's, and"),
        ('"seed"', '"sead"', "plan:1: a plan has no 'seed'"),
        ('"kind": "cut"', '"kind": 3', "plan:{fault}: fault {index}: kind must be a t"),
        ('"verb": "ask"', '"verb": "nag"', "plan:{ask}: operation {number}: verb: no "),
        ('"format"', "format", "plan:2: this is not JSON: Expecting property name"),
        ('"format": 1', '"format": "1"', "plan:2: format must be a number, not '1'"),
        ('"seed": 1', '"seed": 1.5', "plan:3: seed must be a whole number, not 1.5"),
        ('"seed": 1', '"seed": 1e999', "plan:3: seed must be a whole number, not inf"),
        ('"seed": 1', f'"seed": {"9" * 5000}', "plan: this is no plan: Exceeds"),
        ('"seed": 1', '"seed": ' + "[" * 100_000, "plan: this is no plan: maximum"),
        ('"seed": 1', '"seed": 1,\n"sad": 2', "plan:4: a plan: no 'sad'; there are "),
        (
            '"computers": 4',
            '"computer": 4',
            "plan:9: fleet has no key 'computer'; ther",
        ),
        ('"name": "r2"', '"named": 2', "plan:{r2}: region 1: a region has no 'name'"),
        ('"name": "r2"', '"name": "r1"', "plan:{regions}: two of one name: r1"),
        (
            '"at": 0.0, "client"',
            '"at": 9000, "client"',
            "plan:{second}: operation 1: b",
        ),
        (
            '"targets": ["',
            '"targets": ["moon", "',
            "plan:{first}: fault 0: no host or ",
        ),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused_at_its_line(old, new, sentence) -> None:
    plan = a_plan()
    text = encode_plan(plan)
    lines = text.splitlines()
    index = next(n for n, it in enumerate(plan.faults) if it.kind == "cut")
    number = next(n for n, it in enumerate(plan.operations) if it.verb == "ask")
    places = {
        "index": index,
        "number": number,
        "fault": 1 + next(n for n, it in enumerate(lines) if '"kind": "cut"' in it),
        "regions": 1 + lines.index('"regions": ['),
        "r2": 3 + lines.index('"regions": ['),
        "first": 2 + lines.index('"faults": ['),
        "second": 3 + lines.index('"operations": ['),
        "ask": 1 + next(n for n, it in enumerate(lines) if '"verb": "ask"' in it),
    }

    assert old in text
    with pytest.raises(BadInput) as refused:
        read_and_check(text.replace(old, new, 1))

    assert str(refused.value).startswith(sentence.format(**places))


def read_and_check(text: str) -> None:
    """As ``labsim replay`` does it."""
    plan = decode_plan(text, "plan")
    with located(text, "plan"):
        check_plan(plan, Injector.VERBS)


def test_a_plan_of_two_hosts_of_one_name_is_refused() -> None:
    with pytest.raises(BadInput, match="two of one name: r1"):
        Topology((Region("r1", ("master-0",)), Region("r1")))


def test_a_plan_whose_faults_outlast_it_is_refused() -> None:
    plan = evolve(a_plan(), faults=(TimedFault(1, "cut", ("r1",)),))

    with pytest.raises(BadInput, match="fault 0: lasts longer than until 900"):
        check_plan(plan, Injector.VERBS)


def test_a_plan_that_loses_hosts_loses_what_was_about_them() -> None:
    plan = evolve(
        a_plan(),
        faults=(
            TimedFault(1, "cut", ("COMP-0", "COMP-1"), 2),
            TimedFault(2, "crash", ("COMP-1",), 3),
            TimedFault(3, "cut", ("COMP-0",), 4, ("COMP-1",)),
        ),
        operations=(
            Operation(1, "people-0", "supply", "a", "available", "COMP-0"),
            Operation(2, "people-0", "supply", "b", "available", "COMP-1"),
            Operation(3, "people-1", "ask", "c"),
        ),
    )
    kept = evolve(
        plan, topology=plan.topology.keeping({"master-0", "COMP-0", "people-0"})
    )

    rest = without_rest(kept)

    assert rest.faults == (TimedFault(1, "cut", ("COMP-0",), 2),)
    assert rest.operations == plan.operations[:1]


def test_a_run_that_would_not_fit_says_so_before_it_starts() -> None:
    plan = a_plan()

    check_fits(plan, available=1 << 40)
    with pytest.raises(BadInput, match=r"need about 0\.1 GiB, and 0\.1 GiB are free"):
        check_fits(plan, available=100 * 1024**2)


def a_plan_on_neo(store: str = "neo") -> Plan:
    scenario = evolve(a_plan().scenario, store=store)
    return Plan(1, scenario, scenario.topology)


def test_regions_that_are_linked_need_a_stunnel_each() -> None:
    plan = a_plan_on_neo("linked neo")
    hosts = set(plan.topology.hosts) - {"stunnel-1"}

    assert decode_plan(encode_plan(plan), "plan") == plan
    with pytest.raises(BadInput, match="needs a stunnel in r2"):
        evolve(plan, topology=plan.topology.keeping(hosts))


def test_regions_of_a_neo_cluster_have_hosts_for_it_that_a_plan_keeps() -> None:
    plan = a_plan_on_neo()

    assert plan.topology.neo_masters == ("neo-0", "neo-1")
    assert plan.topology.storage_nodes == ("storage-0", "storage-1")
    assert {"neo-0", "storage-1"} <= set(plan.topology.machines)
    assert decode_plan(encode_plan(plan), "plan") == plan


@pytest.mark.parametrize(
    ("store", "hosts", "sentence"),
    [
        ("memory", ("neo-0",), "a store 'memory' has no neo_masters"),
        ("neo", ("neo-0",), "a store 'neo' needs storage_nodes"),
        ("neo", ("storage-0",), "a store 'neo' needs neo_masters"),
        ("linked neo", ("neo-0", "storage-0"), "a store 'linked neo' needs stunnels"),
    ],
)
def test_a_plan_has_the_hosts_of_its_store(store, hosts, sentence) -> None:
    plan = a_plan_on_neo()
    kept = plan.topology.keeping({"master-0", *hosts})

    with pytest.raises(BadInput, match=sentence):
        Plan(1, evolve(plan.scenario, store=store), kept)
