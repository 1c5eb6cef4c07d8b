"""Commands against a real mini-master, in simulated time."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from master_cluster.config import Config
from slap import calls
from slap.errors import NotFound
from slap.model import ComputerDefinition, InstanceRequest, PartitionDefinition
from slap.replicas import ListedReplica
from slapcluster.cli import DEFAULT_MASTER_URL, cli, slapgrid
from slapcluster.outcomes import ExitCode
from tests.unit.slapcluster.desk import RELEASE_URL, Desk, a_desk, a_key

GOLDEN_WHY = Path(__file__).parents[2] / "golden" / "slapcluster" / "why.txt"

GREETER = ("request", "greeter", RELEASE_URL, "--node", "computer_guid=local")


def a_supplied_desk(desk: Desk) -> Desk:
    desk.format()
    desk.read("supply", RELEASE_URL, "local")
    return desk


def test_supply_waits_for_the_build() -> None:
    """``supply --wait`` ends when the computer reports the release as available."""
    with a_desk() as desk:
        desk.format()
        desk.later(3, calls.report_building(RELEASE_URL, "local"))
        desk.later(500, calls.report_available(RELEASE_URL, "local"))

        answer = desk.read("supply", RELEASE_URL, "local", "--wait")

        assert answer.pop("reported_at") > 0
        assert answer == {
            "computer_id": "local",
            "software_release_url": RELEASE_URL,
            "requested_state": "available",
            "reported_state": "available",
            "message": "",
        }


def test_supply_shows_the_end_of_the_log_of_a_failed_build() -> None:
    """A release that does not build is exit code 1 and the last lines of its log."""
    log = "\n".join(f"line {number}" for number in range(1000))
    with a_desk() as desk:
        desk.format()
        desk.later(3, calls.report_software_error(RELEASE_URL, "local", log))

        result = desk.type("supply", RELEASE_URL, "local", "--wait")

        assert result.exit_code == ExitCode.FAILED
        assert result.stdout == ""
        assert result.stderr.endswith("line 998\nline 999\n")
        assert "line 950\n" not in result.stderr


def test_supply_that_takes_too_long_is_pending() -> None:
    """When ``--timeout`` is over the exit code says that it goes on."""
    with a_desk() as desk:
        desk.format()

        result = desk.type("supply", RELEASE_URL, "local", "--wait", "--timeout", "9")

        assert result.exit_code == ExitCode.PENDING
        assert "waiting for local to begin" in result.stderr


def test_a_release_is_removed() -> None:
    """``remove --wait`` ends when the computer has reported the removal."""
    with a_desk() as desk:
        a_supplied_desk(desk)
        desk.later(5, calls.report_removed(RELEASE_URL, "local"))

        answer = desk.read("remove", RELEASE_URL, "local", "--wait")

        assert answer["reported_state"] == "destroyed"
        assert desk.read("computer", "info", "local")["installations"] == []


def test_request_gives_the_partition() -> None:
    """The answer of ``request`` is the instance, with its parameters."""
    with a_desk() as desk:
        a_supplied_desk(desk)

        answer = desk.read(*GREETER, "--parameters", "greeting=Hello=you")

        assert answer["key"] == {"computer_id": "local", "partition_id": "slappart0"}
        assert answer["parameters"] == {"greeting": "Hello=you"}
        assert set(answer) == {
            *("key", "software_release_url", "software_type", "instance_guid"),
            *("requested_state", "timestamp", "parameters", "connection_parameters"),
            *("addresses", "routes"),
        }


def test_request_waits_for_the_tree_and_shows_what_it_publishes() -> None:
    """``request --wait`` ends with the connection parameters of a started tree."""
    with a_desk() as desk:
        a_supplied_desk(desk)
        url = {"url": "http://[fd00::]:20000/"}
        desk.later(5, calls.publish_connection(a_key(), url))
        desk.later(6, calls.report_instance_error(a_key(), "not yet"))
        desk.later(60, calls.report_started(a_key()))

        answer = desk.read(*GREETER, "--wait")

        assert answer["connection_parameters"] == url


def test_request_takes_parameters_from_a_file(tmp_path) -> None:
    """A JSON object gives parameters; options win; what is no text stays JSON."""
    file = tmp_path / "parameters.json"
    file.write_text('{"greeting": "Hi", "count": 3, "list": [1, "a"]}')
    with a_desk() as desk:
        a_supplied_desk(desk)

        answer = desk.read(
            *GREETER, "--parameters-file", str(file), "--parameters", "greeting=Hello"
        )

        assert answer["parameters"] == {
            "count": "3",
            "greeting": "Hello",
            "list": '[1, "a"]',
        }


def test_a_service_is_stopped_with_its_parameters_unchanged() -> None:
    """``service stop`` changes the wanted state and nothing else."""
    with a_desk() as desk:
        a_supplied_desk(desk)
        desk.read(*GREETER, "--parameters", "greeting=Hello", "--type", "default")
        desk.later(5, calls.report_stopped(a_key()))

        desk.read("service", "stop", "greeter", "--wait")

        (root,) = desk.read("service", "info", "greeter")["instances"]
        assert root["requested_state"] == root["reported_state"] == "stopped"
        assert root["parameters"] == {"greeting": "Hello"}


def test_a_destroyed_service_frees_its_partition() -> None:
    """``service destroy --wait`` ends when the partition is free."""
    with a_desk() as desk:
        a_supplied_desk(desk)
        desk.read(*GREETER)
        desk.later(5, calls.report_destroyed(a_key()))

        desk.read("service", "destroy", "greeter", "--wait")

        assert desk.read("service", "list") == []
        (computer,) = desk.read("computer", "list")
        assert computer["free_count"] == computer["partition_count"] == 3


def test_status_shows_failures_with_the_end_of_their_logs() -> None:
    """What fails reaches ``status``, with the reason."""
    with a_desk() as desk:
        a_supplied_desk(desk)
        desk.read(*GREETER)
        desk.perform(
            calls.report_software_error(RELEASE_URL, "local", "no such file"),
            calls.report_instance_error(a_key(), "promise hello failed"),
        )

        answer = desk.read("status")

        assert answer == {
            "computers": [
                {
                    "computer_id": "local",
                    "partition_count": 3,
                    "free_count": 2,
                    "installation_count": 1,
                    "failing_count": answer["computers"][0]["failing_count"],
                    "certificate": None,
                }
            ],
            "services": [
                {
                    "title": "greeter",
                    "instance_count": 1,
                    "failing_count": 1,
                    "requested_state": "started",
                    "reported_state": "error",
                }
            ],
            "failures": [
                {
                    "subject": RELEASE_URL,
                    "place": "local",
                    "message": "no such file",
                },
                {
                    "subject": "greeter of greeter",
                    "place": "local/slappart0",
                    "message": "promise hello failed",
                },
            ],
            "warnings": [],
            "self_hosted": False,
            "hosted": None,
        }


MASTER_RELEASE = "http://127.0.0.1:5000/release/software/master-cluster/software.cfg"
OWN_URL = DEFAULT_MASTER_URL.rstrip("/")


def test_status_of_a_cloud_that_hosts_itself_says_what_each_end_would_do() -> None:
    """One of three replicas answers; the others are away."""
    config = Config("memory:", announced=ListedReplica(OWN_URL, "paris"))
    urls = {"paris": OWN_URL, "lyon": "http://127.0.0.1:1", "tokyo": ""}
    with a_desk(config=config) as desk:
        desk.format(partition_count=4)
        desk.read("supply", MASTER_RELEASE, "local")
        desk.perform(calls.report_available(MASTER_RELEASE, "local"))
        regions = f"regions={' '.join(urls)}"
        desk.read("request", "cloud", MASTER_RELEASE, "--parameters", regions)
        for number, (name, url) in enumerate(urls.items(), start=1):
            wanted = InstanceRequest(name, MASTER_RELEASE, requester=a_key(0))
            desk.perform(
                calls.request_instance(wanted),
                calls.publish_connection(
                    a_key(number), {"region": name, "replica-url": url}
                ),
                calls.report_started(a_key(number)),
            )

        answer = desk.read("status")

        assert answer["self_hosted"]
        hosted = answer["hosted"]
        assert (hosted["title"], hosted["is_quorum_kept"]) == ("cloud", True)
        assert [
            (it["name"], it["computer_id"], it["replica"], it["if_lost"])
            for it in hosted["regions"]
        ] == [
            (
                *("paris", "local", "ready"),
                "stops: lyon is away already, tokyo has no replica yet",
            ),
            (
                *("lyon", "local", "away"),
                "it is away already; stops: tokyo has no replica yet",
            ),
            ("tokyo", "local", "none", "stops: lyon is away already"),
        ]
        assert hosted["regions"][0]["promises"]["links"] == "kept"
        assert "The cloud hosts itself." in desk.type("status").output


def test_tables_are_plain_when_nobody_looks() -> None:
    """Without a terminal tables have neither borders nor colours and are not cut."""
    with a_desk() as desk:
        desk.format()

        result = desk.type("computer", "list")

        assert result.output == (
            "COMPUTER  PARTITIONS  FREE  RELEASES  FAILING\n"
            "local     3           3     0         0\n"
        )


def test_why_says_which_partition_was_chosen() -> None:
    """``why`` gives the verdict and its conditions."""
    with a_desk() as desk:
        a_supplied_desk(desk)
        desk.read(*GREETER)

        answer = desk.read("why", "greeter")

        assert set(answer) == {
            *("title", "root_title", "verdict", "partition", "conditions")
        }
        assert answer["partition"] == {
            "computer_id": "local",
            "partition_id": "slappart0",
        }


def test_why_counts_what_each_condition_excludes() -> None:
    """Six conditions at once, as the reader sees them."""
    with a_desk() as desk:
        desk.format("COMP-1", 5)
        desk.format("COMP-2", 4)
        desk.format("COMP-3", 3)
        capable = (PartitionDefinition("slappart2", (), ("gpu",)),)
        plain = tuple(PartitionDefinition(f"slappart{number}") for number in range(2))
        desk.perform(
            calls.define_computer(ComputerDefinition("COMP-4", None, None, plain))
        )
        here = {"computer_guid": "COMP-4"}
        for title in ("busy", "left over"):
            desk.perform(
                calls.request_instance(
                    InstanceRequest(title, RELEASE_URL, allocation_filter=here)
                )
            )
        desk.perform(
            calls.define_computer(
                ComputerDefinition("COMP-4", None, None, (*plain[:1], *capable))
            )
        )
        desk.read("computer", "set", "COMP-2", "region=eu")
        desk.read("computer", "set", "COMP-3", "region=eu", "cpu_core=8")
        desk.read(
            *("computer", "set", "COMP-4"),
            *("region=eu", "cpu_core=8", "network_guid=net-1"),
        )
        asked = {"region": "eu", "cpu_core": "8", "mode": "unique_by_network"}
        with pytest.raises(NotFound):
            desk.perform(
                calls.request_instance(
                    InstanceRequest("late", RELEASE_URL, allocation_filter=asked)
                )
            )

        result = desk.type("why", "late")

    assert result.stdout == GOLDEN_WHY.read_text()


def test_a_computer_gets_and_loses_attributes() -> None:
    """``computer set`` says what conditions are tested on; ``info`` shows it."""
    with a_desk() as desk:
        desk.format()
        desk.read("computer", "set", "local", "region=eu", "cpu_core=8")

        desk.read("computer", "set", "local", "group=a", "--unset", "cpu_core")

        assert desk.read("computer", "info", "local")["attributes"] == {
            "group": "a",
            "region": "eu",
        }


def test_a_computer_is_banged() -> None:
    """``computer bang`` reaches the master."""
    with a_desk() as desk:
        desk.format()

        answer = desk.read("computer", "bang", "local", "--message", "look")

        assert answer == {"computer_id": "local", "message": "look"}


@pytest.mark.parametrize(
    ("arguments", "exit_code", "sentence"),
    [
        (("computer", "info", "nowhere"), 1, "slapcluster status"),
        (("service", "info", "nothing"), 1, "nothing"),
        (("computer", "set", "nowhere", "region=eu"), 1, "nowhere"),
        (("computer", "set", "nowhere", "region"), 1, "KEY=VALUE"),
        (("request", "a", RELEASE_URL, "--parameters", "x"), 1, "KEY=VALUE"),
        (("request", "a"), 1, "Missing argument"),
        (("--output", "xml", "status"), 1, "xml"),
        (("frobnicate",), 1, "No such command"),
        (("proxy",), 1, "--store file:PATH"),
        (("proxy", "--store", "memory:", "--listen", "x"), 1, "HOST:PORT"),
        (("proxy", "--store", "memory:", "--listen", "[::]:1"), 1, "loopback"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    arguments: tuple[str, ...], exit_code: int, sentence: str
) -> None:
    """Errors go to standard error, say what to do and show no traceback."""
    with a_desk() as desk:
        result = desk.type(*arguments)

        assert result.exit_code == exit_code
        assert result.stdout == ""
        assert sentence in result.stderr
        assert "Traceback" not in result.stderr


def test_a_master_that_is_away_is_exit_code_3() -> None:
    """Nobody answers: the sentence names the address and the option."""
    with a_desk(has_master=False) as desk:
        result = desk.type("status")

        assert result.exit_code == ExitCode.MASTER_AWAY
        assert "http://127.0.0.1:5000/" in result.stderr
        assert "--master" in result.stderr


def test_the_second_master_is_asked_when_the_first_is_away() -> None:
    """``--master`` may be given several times."""
    with a_desk() as desk:
        masters = ("http://127.0.0.1:4999/", "http://127.0.0.1:5000/")
        options = [word for url in masters for word in ("--master", url)]

        assert desk.type(*options, "computer", "list").exit_code == 0


def all_commands(group: click.Group, names: tuple[str, ...] = ()):
    for name, command in group.commands.items():
        path = (*names, name)
        if isinstance(command, click.Group):
            yield from all_commands(command, path)
        else:
            yield path, command


COMMANDS = [*all_commands(cli), *all_commands(slapgrid, ("slapgrid",))]


@pytest.mark.parametrize(
    ("path", "command"), COMMANDS, ids=[" ".join(path) for path, _ in COMMANDS]
)
def test_each_command_has_a_help_text(path, command) -> None:
    """Every command and every option says what it is for."""
    assert command.help, path
    for option in command.params:
        if isinstance(option, click.Option):
            assert option.help, (path, option.name)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(shell: str) -> None:
    """The script calls slapcluster for the words to offer."""
    with a_desk() as desk:
        result = desk.type("completion", shell)

        assert result.exit_code == 0
        assert "_SLAPCLUSTER_COMPLETE" in result.output


def test_request_waits_until_a_change_is_obeyed() -> None:
    """A report from before a changed parameter does not end ``request --wait``."""
    with a_desk() as desk:
        a_supplied_desk(desk)
        desk.later(5, calls.report_started(a_key()))
        desk.read(*GREETER, "--wait")
        desk.later(500, calls.report_started(a_key()))

        began = desk.seconds()
        desk.read(*GREETER, "--parameters", "greeting=Bonjour", "--wait")

        assert desk.seconds() - began > 499


def test_products_are_curated() -> None:
    """``product add`` makes a release the best one, ``remove`` takes it away."""
    with a_desk() as desk:
        desk.read("product", "add", "hello", "http://x/1")
        added = desk.read("product", "add", "hello", "http://x/2")
        listed = desk.read("product", "list")
        removed = desk.read("product", "remove", "hello")

        assert added == {
            "title": "hello",
            "software_release_urls": ["http://x/2", "http://x/1"],
        }
        assert (listed, removed["software_release_urls"]) == ([added], [])


def test_a_computer_is_registered() -> None:
    """``computer request`` gives the id for its agent, the same at the next time."""
    with a_desk() as desk:
        first = desk.read("computer", "request", "laptop")

        assert first["computer_id"].startswith("COMP-")
        assert desk.read("computer", "request", "laptop") == first
