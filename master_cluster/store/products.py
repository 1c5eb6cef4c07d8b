"""Shell. Software products as they are kept."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping

from master_cluster.products import (
    ProductRecord,
    decide_addition,
    decide_removal,
    with_configured,
)
from master_cluster.store.schema import Stored, hashed
from slap.products import ProductReport, ProductsReport, ReleaseQuestion


class Products:
    """The products of one snapshot."""

    def __init__(self, stored: MutableMapping[str, Stored]) -> None:
        self._stored = stored

    def add(self, title: str, software_release_url: str) -> ProductReport:
        """Make a release the best one of a product."""
        known = self._find(title)
        product = decide_addition(known, title, software_release_url, len(self._stored))
        if known is None:
            self._stored[hashed(title)] = Stored(product)
        elif known != product:
            self._stored[hashed(title)].write(product)
        return _report(product)

    def remove(self, title: str, software_release_url: str) -> ProductReport:
        """Take a release from a product; without an address, all of them."""
        product = decide_removal(self._find(title), title, software_release_url)
        if product.software_release_urls:
            self._stored[hashed(title)].write(product)
        else:
            self._stored.pop(hashed(title)).is_gone = True
        return _report(product)

    def report(self, configured: Mapping[str, str]) -> ProductsReport:
        """Report every product, by title."""
        return ProductsReport(tuple(_report(it) for it in self._all(configured)))

    def releases_of(
        self, question: ReleaseQuestion, configured: Mapping[str, str]
    ) -> tuple[str, ...]:
        """Return the releases of a product, or of the first one that has a release."""
        title = question.product_title
        if title is not None:
            product = with_configured(self._find(title), title, configured)
            return product.software_release_urls
        for it in self._all(configured):
            if question.software_release_url in it.software_release_urls:
                return it.software_release_urls
        return ()

    def _find(self, title: str) -> ProductRecord | None:
        stored = self._stored.get(hashed(title))
        return None if stored is None else stored.read(ProductRecord)

    def _all(self, configured: Mapping[str, str]) -> list[ProductRecord]:
        stored = (it.read(ProductRecord) for it in self._stored.values())
        found = {it.title: it for it in stored}
        return [
            with_configured(found.get(title), title, configured)
            for title in sorted({*found, *configured})
        ]


def _report(product: ProductRecord) -> ProductReport:
    return ProductReport(product.title, product.software_release_urls)
