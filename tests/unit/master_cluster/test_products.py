from __future__ import annotations

from collections.abc import Iterator

import pytest

from master_cluster.products import PRODUCT_COUNT_MAX, RELEASE_COUNT_MAX
from slap import calls
from slap.errors import BadRequest, NotFound
from slap.products import ProductReport, ProductsReport, ReleaseQuestion
from tests.unit.master_cluster.benches import StoreBench, WebBench

OLD, NEW = "https://x/1/software.cfg", "https://x/2/software.cfg"


@pytest.fixture
def bench() -> Iterator[WebBench]:
    bench = WebBench()
    yield bench
    bench.close()


def test_the_release_that_was_added_last_is_the_best_one(bench: WebBench) -> None:
    bench.perform(calls.add_product_release("erp5", OLD))
    bench.perform(calls.add_product_release("erp5", NEW))
    by_title = bench.perform(calls.get_releases(ReleaseQuestion("erp5")))
    beside = bench.perform(calls.get_releases(ReleaseQuestion(None, OLD)))
    bench.perform(calls.add_product_release("erp5", OLD))

    assert by_title == beside == (NEW, OLD)
    assert bench.perform(calls.get_products()) == ProductsReport(
        (ProductReport("erp5", (OLD, NEW)),)
    )


def test_a_release_of_the_configuration_is_the_last_one() -> None:
    bench = WebBench(products={"erp5": OLD, "kvm": OLD})
    first = bench.perform(calls.get_releases(ReleaseQuestion("erp5")))
    bench.perform(calls.add_product_release("erp5", NEW))
    by_title = bench.perform(calls.get_releases(ReleaseQuestion("erp5")))
    beside = bench.perform(calls.get_releases(ReleaseQuestion(None, OLD)))
    listed = bench.perform(calls.get_products())
    bench.perform(calls.add_product_release("erp5", OLD))
    preferred = bench.perform(calls.get_releases(ReleaseQuestion("erp5")))
    bench.close()

    assert first == (OLD,)
    assert by_title == beside == (NEW, OLD)
    assert listed == ProductsReport(
        (ProductReport("erp5", (NEW, OLD)), ProductReport("kvm", (OLD,)))
    )
    assert preferred == (OLD, NEW)


def test_no_command_removes_what_the_configuration_says() -> None:
    bench = WebBench(products={"erp5": OLD})

    with pytest.raises(NotFound):
        bench.perform(calls.remove_product_release("erp5", OLD))
    bench.perform(calls.add_product_release("erp5", NEW))
    bench.perform(calls.remove_product_release("erp5"))
    left = bench.perform(calls.get_releases(ReleaseQuestion("erp5")))
    bench.close()

    assert left == (OLD,)


def test_a_product_goes_with_its_last_release(bench: WebBench) -> None:
    for title in ("erp5", "kvm"):
        bench.perform(calls.add_product_release(title, OLD))
        bench.perform(calls.add_product_release(title, NEW))

    left = bench.perform(calls.remove_product_release("erp5", NEW))
    bench.perform(calls.remove_product_release("erp5", OLD))
    bench.perform(calls.remove_product_release("kvm"))

    assert left == ProductReport("erp5", (OLD,))
    assert bench.perform(calls.get_products()) == ProductsReport()


def test_what_is_no_product_has_no_releases(bench: WebBench) -> None:
    bench.perform(calls.add_product_release("erp5", OLD))

    for question in (ReleaseQuestion("kvm"), ReleaseQuestion(None, NEW)):
        assert bench.perform(calls.get_releases(question)) == ()


@pytest.mark.parametrize("query", ["", "software_product_reference=None"])
def test_a_product_or_a_release_is_asked_about(bench: WebBench, query: str) -> None:
    reply = bench.send("GET", f"getSoftwareReleaseListFromSoftwareProduct?{query}")

    assert reply.status == 400


def test_a_product_and_a_release_at_once_are_refused(bench: WebBench) -> None:
    reply = bench.send(
        "GET",
        "getSoftwareReleaseListFromSoftwareProduct"
        "?software_product_reference=a&software_release_url=b",
    )

    assert (reply.status, reply.body) == (
        400,
        b"software_product_reference, software_release_url: give one of them",
    )


@pytest.mark.parametrize(
    ("title", "url"), [("kvm", ""), ("erp5", NEW), ("kvm", OLD), ("", "")]
)
def test_what_is_not_there_is_not_removed(
    bench: WebBench, title: str, url: str
) -> None:
    bench.perform(calls.add_product_release("erp5", OLD))

    with pytest.raises(NotFound):
        bench.perform(calls.remove_product_release(title, url))


@pytest.mark.parametrize(("title", "url"), [("", OLD), ("erp5", "")])
def test_a_product_has_a_title_and_a_release_an_address(
    bench: WebBench, title: str, url: str
) -> None:
    with pytest.raises(BadRequest):
        bench.perform(calls.add_product_release(title, url))


def test_products_and_their_releases_are_bounded() -> None:
    bench = StoreBench()
    for number in range(RELEASE_COUNT_MAX):
        bench.decide(lambda it, _, url=f"{number}": it.products.add("erp5", url))
    with pytest.raises(BadRequest, match="at most 100 releases"):
        bench.decide(lambda it, _: it.products.add("erp5", "more"))
    for number in range(1, PRODUCT_COUNT_MAX):
        bench.decide(lambda it, _, title=f"{number}": it.products.add(title, OLD))

    with pytest.raises(BadRequest, match="at most 1000 products"):
        bench.decide(lambda it, _: it.products.add("more", OLD))

    bench.close()
