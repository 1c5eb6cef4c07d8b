"""Which requests go to another master, and under which title."""

from __future__ import annotations

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from master_cluster.config import read_reference_config
from master_cluster.errors import Misconfigured
from master_cluster.forwarding import (
    FORWARDED_PER_TREE_MAX,
    HOPS_MAX,
    REMOTE_TITLE_LENGTH_MAX,
    ForwardedInstance,
    ForwardView,
    Masters,
    OtherMaster,
    choose_master,
    comparable_url,
    decide_forward,
    forwarded_request,
    refuse_loop,
    remote_title,
    settle_answer,
    settle_error,
)
from slap.errors import BadRequest, NotFound, NotReady, OtherMasterAway, SlapError
from slap.model import PartitionKey, RequestedInstance, RequestedState
from tests.builders import a_record, an_instance_request

CENTRAL = OtherMaster("http://[fd00::1]:5000/", "http://[fd00::1]:5000/")
LISTED = OtherMaster(
    "http://10.0.0.2:5000",
    "http://10.0.0.2:5000",
    software_release_urls=("http://release/frontend.cfg",),
)
MASTERS = Masters((CENTRAL, LISTED), ("http://127.0.0.1:5000/",))
GUID = "SOFTINST-0123456789abcdef01234567"

titles = st.text(st.characters(codec="utf-8"), max_size=300)
guids = st.one_of(
    st.just(""),
    st.integers(0, 2**96 - 1).map(lambda it: f"SOFTINST-{it:024x}"),
    st.text("ab_-", min_size=1, max_size=20),
)


def asking(**overrides: str):
    return an_instance_request(title="db", allocation_filter=overrides)


def a_forwarded(**overrides) -> ForwardedInstance:
    fields = {
        "title": "db",
        "root_guid": "",
        "requester_guid": None,
        "master_url": CENTRAL.url,
        "remote_title": "user_db",
        "software_release_url": "http://release/db.cfg",
        "software_type": "default",
    }
    return ForwardedInstance(**{**fields, **overrides})


def an_answer(**overrides) -> RequestedInstance:
    fields = {
        "key": PartitionKey("FAR", "slappart7"),
        "software_release_url": "http://release/db.cfg",
        "software_type": "default",
        "instance_guid": "SOFTINST-far",
    }
    return RequestedInstance(**{**fields, **overrides})


@given(guids, titles, guids, titles)
def test_two_requesters_never_meet_in_one_title(
    guid: str, title: str, other_guid: str, other_title: str
) -> None:
    one, other = remote_title(guid, title), remote_title(other_guid, other_title)

    assert (one == other) == ((guid, title) == (other_guid, other_title))
    assert len(one) <= REMOTE_TITLE_LENGTH_MAX


def test_no_title_can_be_made_to_meet_a_cut_one() -> None:
    cut = remote_title("", "x" * 500)

    assert len(cut) == REMOTE_TITLE_LENGTH_MAX
    assert remote_title("", cut.removeprefix("user_")) != cut


def test_what_a_person_forwards_has_the_title_of_the_reference() -> None:
    assert remote_title("", "my_db") == "user_my_db"


@pytest.mark.parametrize(
    ("wanted", "known", "expected"),
    [
        (asking(), None, None),
        (asking(master_url=CENTRAL.url), None, CENTRAL),
        (asking(master_url="http://[FD00::1]:5000"), None, CENTRAL),
        (asking(master_url="http://127.0.0.1:5000"), None, None),
        (asking(), a_forwarded(), CENTRAL),
        (asking(master_url=LISTED.url), a_forwarded(), CENTRAL),
        (
            an_instance_request(software_release_url="http://release/frontend.cfg"),
            None,
            LISTED,
        ),
        (
            an_instance_request(
                software_release_url="http://release/frontend.cfg",
                allocation_filter={"master_url": "http://127.0.0.1:5000"},
            ),
            None,
            None,
        ),
    ],
)
def test_who_answers(wanted, known, expected) -> None:
    assert choose_master(wanted, MASTERS, known) == expected


@pytest.mark.parametrize("url", ["http://10.9.9.9/", "https://10.0.0.2:5000", "x:y:z"])
def test_a_master_that_is_not_listed_is_not_found(url: str) -> None:
    assert isinstance(choose_master(asking(master_url=url), MASTERS, None), NotFound)


def test_a_forwarded_instance_whose_master_is_not_listed_any_more_is_not_found() -> (
    None
):
    known = a_forwarded(master_url="http://10.9.9.9/")

    assert isinstance(choose_master(asking(), MASTERS, known), NotFound)


def test_an_intention_has_what_was_seen_before_it_and_keeps_it() -> None:
    """What is seen later may know a later intention of others."""
    early, late = b"\0" * 7 + b"\5", b"\0" * 7 + b"\7"
    view = ForwardView()
    first = decide_forward(asking(), view, CENTRAL, 1, early)
    assert isinstance(first, ForwardedInstance)
    known = ForwardView(known=first)

    again = decide_forward(asking(), known, CENTRAL, 1, late)
    other = decide_forward(
        evolve(asking(), parameters={"a": "b"}), known, CENTRAL, 1, late
    )

    assert (first.seen, again.seen, other.seen) == (early, early, late)


@pytest.mark.parametrize(
    ("url", "same"),
    [
        ("http://h", "HTTP://h:80/"),
        ("http://[::1]:5000/a/", "http://[::1]:5000/a"),
    ],
)
def test_addresses_are_compared_by_what_they_mean(url: str, same: str) -> None:
    assert comparable_url(url) == comparable_url(same)


def test_a_person_is_named_in_the_filter_and_the_other_master_is_not() -> None:
    record = decide_forward(
        asking(master_url=CENTRAL.url, computer_guid="FAR"), ForwardView(), CENTRAL
    )
    assert isinstance(record, ForwardedInstance)

    sent = forwarded_request(record, CENTRAL, ("a", "b"))
    as_partition = forwarded_request(
        record, evolve(CENTRAL, requester=PartitionKey("C", "p")), ()
    )

    assert sent.allocation_filter == {
        "computer_guid": "FAR",
        "source_instance_id": "user_db",
    }
    assert (sent.title, sent.requester, sent.forwarded_by) == (
        "user_db",
        None,
        ("a", "b"),
    )
    assert as_partition.allocation_filter == {"computer_guid": "FAR"}
    assert as_partition.requester == PartitionKey("C", "p")


def test_asking_the_same_twice_is_the_same_revision() -> None:
    first = decide_forward(asking(), ForwardView(), CENTRAL)
    assert isinstance(first, ForwardedInstance)
    known = settle_answer(first, first, an_answer()).record

    again = decide_forward(asking(), ForwardView(known=known), CENTRAL)
    changed = decide_forward(
        evolve(asking(), parameters={"a": "b"}), ForwardView(known=known), CENTRAL
    )

    assert again == known
    assert isinstance(changed, ForwardedInstance)
    assert (changed.revision, changed.is_settled) == (2, False)
    assert changed.partition == PartitionKey("FAR", "slappart7")


def test_a_removal_keeps_what_runs() -> None:
    known = a_forwarded(parameters={"a": "b"}, is_new=False)
    wanted = evolve(asking(), requested_state=RequestedState.DESTROYED)

    record = decide_forward(wanted, ForwardView(known=known), CENTRAL)

    assert record == evolve(known, requested_state=RequestedState.DESTROYED, revision=2)


@pytest.mark.parametrize(
    ("wished", "expected"),
    [
        (RequestedState.STARTED, RequestedState.STOPPED),
        (RequestedState.DESTROYED, RequestedState.DESTROYED),
    ],
)
def test_under_a_stopped_root_all_is_stopped_or_removed(
    wished: RequestedState, expected: RequestedState
) -> None:
    root = a_record(requested_state=RequestedState.STOPPED)
    view = ForwardView(root=root, known=a_forwarded(root_guid=root.instance_guid))

    record = decide_forward(evolve(asking(), requested_state=wished), view, CENTRAL)

    assert isinstance(record, ForwardedInstance)
    assert record.requested_state is expected


def test_what_does_not_exist_is_not_destroyed_elsewhere() -> None:
    wanted = evolve(asking(), requested_state=RequestedState.DESTROYED)

    assert isinstance(decide_forward(wanted, ForwardView(), CENTRAL), NotFound)


@pytest.mark.parametrize(
    ("view", "sentence"),
    [
        (
            ForwardView(tree_count=FORWARDED_PER_TREE_MAX),
            f"a tree forwards at most {FORWARDED_PER_TREE_MAX} instances",
        ),
        (
            ForwardView(known=a_forwarded(is_shared=True)),
            "'db' exists and is shared",
        ),
    ],
)
def test_what_cannot_be_forwarded_is_refused(view: ForwardView, sentence: str) -> None:
    refused = decide_forward(asking(), view, CENTRAL)

    assert isinstance(refused, BadRequest)
    assert refused.sentence == sentence


def test_a_full_tree_still_changes_what_it_forwards() -> None:
    known = a_forwarded(is_new=False)
    view = ForwardView(known=known, tree_count=FORWARDED_PER_TREE_MAX)

    changed = decide_forward(evolve(asking(), parameters={"a": "b"}), view, CENTRAL)

    assert isinstance(changed, ForwardedInstance)
    assert changed.parameters == {"a": "b"}


def test_an_address_that_has_no_port_means_itself() -> None:
    assert comparable_url("http://h:99999/") == "http://h:99999/"


LEAVING = a_forwarded(
    requested_state=RequestedState.DESTROYED, revision=2, is_new=False
)


@pytest.mark.parametrize(
    ("present", "error", "kept"),
    [
        (a_forwarded(), NotFound("none"), None),
        (a_forwarded(), BadRequest("what"), None),
        (
            a_forwarded(is_new=False),
            NotFound("none"),
            a_forwarded(is_new=False, sentence="none"),
        ),
        (
            a_forwarded(),
            OtherMasterAway("away"),
            a_forwarded(is_new=False, sentence="away"),
        ),
        (
            a_forwarded(),
            NotReady("soon"),
            a_forwarded(is_new=False, sentence="soon", settled_revision=1),
        ),
        (LEAVING, NotFound("none"), None),
        (LEAVING, NotReady("soon"), None),
        (LEAVING, OtherMasterAway("away"), evolve(LEAVING, sentence="away")),
        (LEAVING, BadRequest("what"), evolve(LEAVING, sentence="what")),
    ],
)
def test_what_is_remembered_of_an_error(present, error: SlapError, kept) -> None:
    assert settle_error(present, present, error).record == kept


def test_a_removal_that_is_accepted_is_forgotten() -> None:
    assert settle_answer(LEAVING, LEAVING, an_answer()).record is None


def test_an_answer_does_not_settle_what_was_wanted_meanwhile() -> None:
    sent = a_forwarded()

    settled = settle_answer(LEAVING, sent, an_answer())

    assert settled.is_overtaken
    assert settled.record == LEAVING
    assert settle_error(LEAVING, sent, NotFound("none")).is_overtaken


@pytest.mark.parametrize("outcome", [an_answer(), OtherMasterAway("away")])
def test_what_was_forgotten_while_it_was_asked_leaves_once_more(outcome) -> None:
    sent = a_forwarded()
    settle = settle_error if isinstance(outcome, SlapError) else settle_answer

    settled = settle(None, sent, outcome)

    assert settled.is_overtaken
    assert settled.record == LEAVING
    assert settle(None, LEAVING, outcome).record is None
    assert settle_error(None, sent, NotFound("none")).record is None


def test_a_circle_of_masters_is_refused_and_so_is_a_long_way() -> None:
    wanted = evolve(asking(), forwarded_by=("a", "b"))
    far = evolve(asking(), forwarded_by=tuple("m" * n for n in range(1, HOPS_MAX + 1)))

    assert refuse_loop(wanted, "c") is None
    looping, late = refuse_loop(wanted, "a"), refuse_loop(far, "c")
    assert isinstance(looping, BadRequest)
    assert looping.sentence.endswith("a -> b -> a")
    assert isinstance(late, BadRequest)


def a_config(section: str) -> str:
    return f"""[slapos]
master_url = http://127.0.0.1:5000
[slapproxy]
database_uri = proxy.db
{section}
"""


def test_the_sections_of_the_reference_are_read() -> None:
    config = read_reference_config(
        a_config(
            """[multimaster/http://[::1]:5001/]
software_release_list =
  http://release/a.cfg
  http://release/b.cfg
computer = COMP-1
partition = slappart3
[multimaster/https://central.example:443]
key = /k
cert = /c
through = http://127.0.0.1:8443
"""
        )
    )

    assert config.masters == Masters(
        (
            OtherMaster(
                "http://[::1]:5001/",
                "http://[::1]:5001/",
                PartitionKey("COMP-1", "slappart3"),
                ("http://release/a.cfg", "http://release/b.cfg"),
            ),
            OtherMaster("https://central.example:443", "http://127.0.0.1:8443"),
        ),
        ("http://127.0.0.1:5000",),
    )


@pytest.mark.parametrize(
    ("section", "reason"),
    [
        ("[multimaster/https://10.0.0.1]", "through"),
        ("[multimaster/http://name.example]", "no numeric address"),
        ("[multimaster/ftp://10.0.0.1]", "http://"),
        ("[multimaster/http://10.0.0.1]\ncert=/c", "certificate"),
        ("[multimaster/http://10.0.0.1]\ncomputer=C", "both"),
        ("[multimaster/http://10.0.0.1:99999]", "port"),
        ("[multimaster/http://10.0.0.1]\n[multimaster/http://10.0.0.1:80/]", "same"),
        (
            (
                "[multimaster/http://10.0.0.1]\nsoftware_release_list = r\n"
                "[multimaster/http://10.0.0.2]\nsoftware_release_list = r"
            ),
            "list of",
        ),
    ],
)
def test_a_section_that_cannot_work_is_named(section: str, reason: str) -> None:
    with pytest.raises(Misconfigured, match=reason):
        read_reference_config(a_config(section))
