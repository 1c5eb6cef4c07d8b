"""Usage documents: kept exactly once, listed, and never dropped."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from twisted.internet.defer import Deferred, gatherResults

from master_cluster import usage
from master_cluster.store import decisions
from master_cluster.usage import find_lack_of_room, record_usage
from slap import calls
from slap.errors import BadRequest, NotFound
from slap.tioxml import decode_journal
from slap.usage import UsageList, UsageReport, UsageSummary
from tests.builders import COMPUTER_ID, a_computer_definition, a_usage_document
from tests.unit.master_cluster.benches import StoreBench, WebBench


@pytest.fixture
def web() -> Iterator[WebBench]:
    bench = WebBench()
    bench.perform(calls.define_computer(a_computer_definition()))
    yield bench
    bench.close()


def kept(web: WebBench, since: float = 0.0) -> tuple[UsageSummary, ...]:
    answer = web.perform(calls.list_usage(COMPUTER_ID, since))
    assert isinstance(answer, UsageList)
    return answer.documents


def test_a_delivered_document_is_kept_as_it_came(web: WebBench) -> None:
    document = a_usage_document("42.5")

    web.perform(calls.send_usage(COMPUTER_ID, document))

    (summary,) = kept(web)
    answer = web.perform(calls.get_usage_document(COMPUTER_ID, summary.document_id[:8]))
    assert answer == UsageReport(
        COMPUTER_ID, summary, decode_journal(document), document
    )
    assert (summary.references, summary.movement_count) == (("COMP-1",), 1)


def test_the_same_bytes_again_are_one_document(web: WebBench) -> None:
    """A delivery whose answer was lost is repeated, now or after others."""
    first, second = a_usage_document("1"), a_usage_document("2")
    for document in (first, second, first, first):
        web.perform(calls.send_usage(COMPUTER_ID, document))

    assert len(kept(web)) == 2


def test_the_same_movements_sent_later_are_kept_and_name_the_first(
    web: WebBench,
) -> None:
    """A stock node dates a repeated report anew: nobody can tell it from new usage."""
    for stop_date in ("2026-11-20 at 23:00:00", "2026-11-20 at 23:05:00"):
        web.perform(calls.send_usage(COMPUTER_ID, a_usage_document("1", stop_date)))

    first, second = kept(web)
    assert (first.repeats, second.repeats) == ("", first.document_id)


def test_equal_consumption_of_two_spans_repeats_nothing(web: WebBench) -> None:
    for day in ("2026-11-19", "2026-11-20"):
        document = a_usage_document("1", stop_date=day, start_date=day)
        web.perform(calls.send_usage(COMPUTER_ID, document))

    assert [it.repeats for it in kept(web)] == ["", ""]


def test_an_invalid_document_is_refused_with_its_line_and_changes_nothing(
    web: WebBench,
) -> None:
    flawed = a_usage_document("many")

    with pytest.raises(BadRequest, match=r"line 2: <quantity> 'many'"):
        web.perform(calls.send_usage(COMPUTER_ID, flawed))

    assert kept(web) == ()


def test_usage_of_an_unknown_computer_is_not_found(web: WebBench) -> None:
    with pytest.raises(NotFound):
        web.perform(calls.send_usage("COMP-9", a_usage_document()))
    with pytest.raises(NotFound):
        web.perform(calls.list_usage("COMP-9"))


@pytest.mark.parametrize("document_id", ["", "abc", "f" * 64, "~"])
def test_a_document_that_is_not_named_is_not_found(
    web: WebBench, document_id: str
) -> None:
    web.perform(calls.send_usage(COMPUTER_ID, a_usage_document()))

    with pytest.raises((NotFound, BadRequest)):
        web.perform(calls.get_usage_document(COMPUTER_ID, document_id))


@pytest.mark.parametrize("since", ["nan", "-1", "soon", "inf", "1e300"])
def test_a_since_that_is_no_instant_is_refused(web: WebBench, since: str) -> None:
    body = f'{{"computer_id": "{COMPUTER_ID}", "since": "{since}", "after": ""}}'

    reply = web.send("POST", "slapcluster.v0.usage", body=body.encode())

    assert reply.status == 400


def test_listing_goes_on_where_it_ended() -> None:
    bench = StoreBench()
    bench.format()
    for number in range(5):
        keep(bench, str(number), now=100.0 + number)

    listed = []
    after = ""
    while True:
        found, after = bench.ask(
            lambda it, after=after: it.usage(COMPUTER_ID).summaries(101.0, after, 2)
        )
        listed.append([it.received_at for it in found])
        if not after:
            break

    assert listed == [[101.0, 102.0], [103.0, 104.0]]
    bench.close()


def keep(bench: StoreBench, quantity: str, now: float) -> None:
    document = a_usage_document(quantity)
    bench.decide(lambda it, _: decisions.keep_usage(it, COMPUTER_ID, document, now))


@pytest.mark.parametrize("seed", range(10))
def test_two_deliveries_at_once_keep_one_document(seed: int) -> None:
    """Whatever the order of commits: the loser of a conflict finds it kept."""
    bench = StoreBench(seed=seed)
    bench.format()

    async def deliver_all() -> None:
        deliveries = [
            bench.store.decide(
                lambda it, _, document=document: decisions.keep_usage(
                    it, COMPUTER_ID, document, 1.0
                )
            )
            for document in [a_usage_document(it) for it in "010101"]
        ]
        await gatherResults([Deferred.fromCoroutine(it) for it in deliveries])

    bench.world.result(deliver_all())

    assert bench.ask(lambda it: it.usage(COMPUTER_ID).document_count) == 2
    bench.close()


def test_without_room_a_document_is_refused_and_the_oldest_stays() -> None:
    assert find_lack_of_room(usage.DOCUMENT_COUNT_MAX, usage.BYTES_MAX) == ""
    assert "documents of it are kept" in find_lack_of_room(
        usage.DOCUMENT_COUNT_MAX + 1, 0
    )
    assert "bytes of its usage" in find_lack_of_room(1, usage.BYTES_MAX + 1)


def test_the_identity_of_a_document_is_its_text() -> None:
    document = a_usage_document()
    journal = decode_journal(document)

    one = record_usage(document, journal, 1.0)
    other = record_usage(document + "\n", journal, 1.0)

    assert one.document_id != other.document_id
    assert one.likeness == other.likeness
