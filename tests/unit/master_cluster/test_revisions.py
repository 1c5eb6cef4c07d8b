"""The revision of a computer, and what is announced of commits."""

from __future__ import annotations

from collections.abc import Collection

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from master_cluster.records import ReportedState
from master_cluster.store import decisions
from master_cluster.store.cloud import Cloud
from slap.errors import NotFound
from tests.builders import COMPUTER_ID, a_partition_key, an_installation
from tests.unit.master_cluster.benches import StoreBench
from tests.unit.master_cluster.changes import (
    CHANGES,
    COMPUTERS,
    Change,
    apply_change,
    build_small_cloud,
)
from tests.unit.master_cluster.test_interleavings import (
    CHILD,
    NOW,
    Decision,
    Pair,
    define,
    request,
)

HEARD = list[Collection[bytes] | None]


def revision(bench: StoreBench, computer_id: str = COMPUTER_ID) -> bytes:
    """The transaction that wrote the revision last."""

    def serial(cloud: Cloud) -> bytes:
        revision = cloud._computer(computer_id).revision  # noqa: SLF001 - to see it
        revision._p_activate()  # noqa: SLF001 - ZODB's names
        written: bytes = revision._p_serial  # noqa: SLF001
        return written

    return bench.ask(serial)


def report(number: int, reported_state: ReportedState) -> Decision:
    key = a_partition_key(number)
    return lambda cloud, _: decisions.report_instance(
        cloud, key, reported_state, now=NOW
    )


def publish(number: int, **values: str) -> Decision:
    key = a_partition_key(number)
    return lambda cloud, _: decisions.publish_connection(cloud, key, values, None, NOW)


def rename(number: int, title: str) -> Decision:
    key = a_partition_key(number)
    return lambda cloud, _: decisions.rename_instance(cloud, key, title, None)


@pytest.fixture
def pair() -> Pair:
    """Two instances on one computer, and another computer."""
    pair = Pair()
    pair.run(define(40, "COMP-3"))
    pair.run(define(2))
    on_one = {"computer_guid": COMPUTER_ID}
    pair.run(request("root", "r", allocation_filter=on_one))
    pair.run(request("other", "o", allocation_filter=on_one))
    return pair


@pytest.mark.parametrize(
    ("held", "other"),
    [
        (report(0, ReportedState.STARTED), report(1, ReportedState.ERROR)),
        (publish(0, url="http://a/"), publish(1, url="http://b/")),
        (report(0, ReportedState.STARTED), publish(1, url="http://b/")),
        (CHILD, publish(1, url="http://b/")),
    ],
)
def test_two_changes_of_one_computer_do_not_meet_in_its_revision(
    pair: Pair, held: Decision, other: Decision
) -> None:
    pair.run_around(held, other)

    assert pair.attempts == [0]


@pytest.mark.parametrize("children", [0, 1, 100])
def test_a_child_that_is_requested_while_its_root_is_renamed_hears_of_it(
    pair: Pair, children: int
) -> None:
    """A hundred children are more than one bucket of the index holds."""
    pair.run(define(children + 1, "COMP-4"))
    for number in range(children):
        pair.run(
            request(
                f"child {number}",
                f"{number:08x}",
                requester=a_partition_key(0),
                allocation_filter={"computer_guid": "COMP-4"},
            )
        )

    pair.run_around(rename(0, "renamed"), CHILD)

    assert pair.attempts == [0, 1]


def test_revisions_merge_whatever_their_order() -> None:
    pair = Pair()
    pair.run(define(2))

    def advance(cloud: Cloud, _: int) -> None:
        cloud._computer(COMPUTER_ID).revision.advance()  # noqa: SLF001 - alone

    before = pair.run(number_of)
    pair.run_around(advance, advance)

    assert pair.attempts == [0]
    assert pair.run(number_of) == before + 2


def number_of(cloud: Cloud, _: int) -> int:
    number: int = cloud._computer(COMPUTER_ID).revision.number  # noqa: SLF001
    return number


@settings(max_examples=60, deadline=None)
@given(st.lists(CHANGES, min_size=1, max_size=12))
def test_whatever_changes_a_document_changes_its_revision(drawn: list[Change]) -> None:
    bench = build_small_cloud()

    for change in drawn:
        before = [(bench.computer(it), revision(bench, it)) for it in COMPUTERS]
        apply_change(bench, change)
        after = [(bench.computer(it), revision(bench, it)) for it in COMPUTERS]
        for (old, old_revision), (new, new_revision) in zip(before, after, strict=True):
            assert old == new or old_revision != new_revision
    bench.close()


def test_a_commit_is_told_before_its_decision_is_answered() -> None:
    bench = StoreBench()
    bench.format()
    heard: HEARD = []
    bench.store.listen(heard.append)
    oid = bench.ask(lambda it: it.revision_oid(COMPUTER_ID))

    bench.decide(lambda it, _: decisions.supply(it, an_installation()))

    (oids,) = heard
    assert oids is not None
    assert oid in oids
    bench.close()


def test_what_is_not_committed_is_not_told() -> None:
    bench = StoreBench()
    bench.format()
    heard: HEARD = []
    bench.store.listen(heard.append)

    bench.format()
    bench.computer()
    with pytest.raises(NotFound):
        bench.publish(a_partition_key(0), {"v": "1"})

    assert heard == []
    bench.close()


def test_what_the_storage_hears_of_other_processes_is_told() -> None:
    bench = StoreBench()
    heard: HEARD = []
    bench.store.listen(heard.append)
    storage = bench.store._database.storage  # noqa: SLF001 - a storage calls it so

    storage.invalidate(b"\0" * 8, [b"\1" * 8])
    storage.invalidateCache()
    bench.world.run_for(1)

    assert heard == [{b"\1" * 8}, None]
    bench.close()
