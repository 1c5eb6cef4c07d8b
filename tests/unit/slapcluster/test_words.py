"""The cores of the command line: parameters, tables, documents, verdicts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slap import errors
from slap.model import NetworkAddress, PartitionKey
from slap.reports import (
    ComputerReport,
    InstallationReport,
    InstanceReport,
    TreeReport,
)
from slapcluster import settling
from slapcluster.commands.serving import parse_listen
from slapcluster.documents import document_of
from slapcluster.outcomes import CommandFailed, ExitCode, judge
from slapcluster.parameters import merge, parse_document, parse_pairs
from slapcluster.tables import Table, fold, fold_left, line, render_plain

URL = "http://releases.example/software.cfg"


def an_instance(**overrides) -> InstanceReport:
    fields = {
        "title": "greeter",
        "root_title": "greeter",
        "instance_guid": "I-1",
        "requester_title": None,
        "software_release_url": URL,
        "software_type": "default",
        "is_shared": False,
        "requested_state": "started",
        "reported_state": "started",
        "reported_at": 100.0,
        "partition": PartitionKey("local", "slappart0"),
    }
    return InstanceReport(**{**fields, **overrides})


@pytest.mark.parametrize(
    ("error", "exit_code"),
    [
        (errors.NotReady("wait"), ExitCode.PENDING),
        (errors.Unreachable("refused"), ExitCode.MASTER_AWAY),
        (errors.Unavailable("busy"), ExitCode.MASTER_AWAY),
        (errors.ServerError("broken"), ExitCode.MASTER_AWAY),
        (errors.NotFound("no"), ExitCode.FAILED),
        (errors.BadRequest("no"), ExitCode.FAILED),
        (errors.Forbidden("no"), ExitCode.FAILED),
        (errors.MethodNotAllowed("no", "POST"), ExitCode.FAILED),
        (FileNotFoundError(2, "No such file", "x.cfg"), ExitCode.FAILED),
        (KeyError("defect"), ExitCode.FAILED),
    ],
)
def test_each_error_has_an_exit_code_and_a_sentence(error, exit_code) -> None:
    failed = judge(error)

    assert failed.exit_code == exit_code
    assert failed.sentence.endswith(".")


@given(
    st.dictionaries(
        st.text(st.characters(exclude_characters="="), min_size=1), st.text()
    )
)
def test_parameters_are_read_as_they_were_typed(parameters) -> None:
    pairs = [f"{key}={value}" for key, value in parameters.items()]

    assert parse_pairs(pairs, "--parameters") == parameters


@pytest.mark.parametrize("content", [b"", b"[1]", b"3", b"{", b"\xff"])
def test_a_file_without_an_object_is_refused(content: bytes) -> None:
    with pytest.raises(CommandFailed, match=r"file\.json"):
        parse_document(content, "file.json")


def test_later_parameters_win() -> None:
    assert merge({"a": "1", "b": "1"}, {"b": "2"}) == {"a": "1", "b": "2"}


@pytest.mark.parametrize(
    ("text", "address"),
    [("127.0.0.1:80", ("127.0.0.1", 80)), ("[::1]:5000", ("::1", 5000))],
)
def test_an_address_to_listen_on_is_read(text, address) -> None:
    assert parse_listen(text) == address


def test_each_line_of_a_plain_table_has_the_same_words() -> None:
    table = Table(("a", "long"), (line(None, "x y"), line("yes", "")))

    assert render_plain(table) == "A    LONG\n-    x y\nyes  -"


def test_a_long_message_is_its_first_line_shortened() -> None:
    assert fold("abcdefgh\nsecond", 5) == "abcd…"
    assert fold("abc\nsecond", 5) == "abc"


def test_a_long_address_is_its_end() -> None:
    assert fold_left("http://host/software/hello.cfg", 10) == "…hello.cfg"
    assert fold_left("short", 10) == "short"


def test_a_document_has_the_names_of_the_fields() -> None:
    report = ComputerReport(
        "local", installations=(InstallationReport(URL, "available"),)
    )

    assert document_of((report, NetworkAddress("lo", "::1"))) == [
        {
            "computer_id": "local",
            "address": None,
            "partitions": [],
            "installations": [
                {
                    "software_release_url": URL,
                    "requested_state": "available",
                    "reported_state": "",
                    "message": "",
                    "reported_at": None,
                    "earlier": [],
                }
            ],
            "attributes": {},
            "usage_document_count": 0,
            "last_usage": None,
            "certificate": None,
        },
        {"interface": "lo", "address": "::1"},
    ]


@pytest.mark.parametrize(
    ("instance", "activity"),
    [
        (an_instance(), ""),
        (an_instance(partition=None), "waits for a partition"),
        (an_instance(reported_state=""), "to be started"),
        (an_instance(requested_state="stopped"), "to be stopped"),
        (an_instance(reported_state="error", message="no disk\n"), "fails: no disk"),
        (an_instance(reported_at=40.0), "to be changed"),
        (an_instance(is_shared=True), "waits for its host"),
        (an_instance(is_shared=True, connection_parameters={"url": "x"}), ""),
    ],
)
def test_an_instance_says_what_it_waits_for(instance, activity) -> None:
    assert settling.instance_activity(instance, changed_at=50.0) == activity


def test_a_tree_is_there_when_all_its_instances_are() -> None:
    tree = TreeReport("greeter", (an_instance(), an_instance(title="child")))
    waiting = TreeReport(
        "greeter", (an_instance(), an_instance(title="child", reported_state=""))
    )

    assert settling.tree_activity(tree, changed_at=None) == ""
    assert settling.tree_activity(waiting, None) == "1 of 2 ready; child to be started"
    assert settling.tree_activity(TreeReport("greeter"), None)


def test_a_tree_is_gone_when_it_occupies_nothing() -> None:
    assert settling.gone_activity(TreeReport("greeter")) == ""
    assert "local/slappart0" in settling.gone_activity(
        TreeReport("greeter", (an_instance(),))
    )


def test_a_timestamp_of_another_master_says_nothing() -> None:
    assert settling.changed_at_of("1500000") == 1.5
    assert settling.changed_at_of("1795217576.05") is None
    assert settling.changed_at_of(None) is None
