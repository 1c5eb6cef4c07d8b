"""Core. Software products: names for ordered lists of releases, best first.

An operator makes a release the best one of a product, or takes it away. A product is
there as long as it has a release.

A configuration may give a release to a product too: it is the last one, because what an
operator says of a running master is newer. It goes with its line and not by a command.
"""

from __future__ import annotations

from collections.abc import Mapping

from attrs import evolve, frozen

from slap.errors import BadRequest, NotFound

PRODUCT_COUNT_MAX = 1_000
"""Products are curated by hand, and looked through when a release is asked about."""

RELEASE_COUNT_MAX = 100
"""A product keeps the releases that somebody may still want, in one record."""


@frozen
class ProductRecord:
    """A product and the addresses of its releases, the best one first."""

    title: str
    software_release_urls: tuple[str, ...] = ()


def with_configured(
    product: ProductRecord | None, title: str, configured: Mapping[str, str]
) -> ProductRecord:
    """Return a product with its release of the configuration, if there is one."""
    known = product or ProductRecord(title)
    urls = known.software_release_urls
    url = configured.get(title)
    if url is None or url in urls:
        return known
    return evolve(known, software_release_urls=(*urls, url))


def decide_addition(
    product: ProductRecord | None,
    title: str,
    software_release_url: str,
    product_count: int,
) -> ProductRecord:
    """Decide that a release is the best one of a product, which may be new."""
    if not title or not software_release_url:
        raise BadRequest("a product needs a title, and a release an address")
    if product is None and product_count >= PRODUCT_COUNT_MAX:
        raise BadRequest(f"there are at most {PRODUCT_COUNT_MAX} products")
    known = product or ProductRecord(title)
    others = (it for it in known.software_release_urls if it != software_release_url)
    changed = evolve(known, software_release_urls=(software_release_url, *others))
    if len(changed.software_release_urls) > RELEASE_COUNT_MAX:
        raise BadRequest(f"a product has at most {RELEASE_COUNT_MAX} releases")
    return changed


def decide_removal(
    product: ProductRecord | None, title: str, software_release_url: str
) -> ProductRecord:
    """Decide that a product loses a release, or all of them when none is named."""
    if product is None:
        raise NotFound(f"no product {title!r}")
    if not software_release_url:
        return evolve(product, software_release_urls=())
    if software_release_url not in product.software_release_urls:
        raise NotFound(f"{title!r} has no release {software_release_url}")
    urls = product.software_release_urls
    return evolve(
        product,
        software_release_urls=tuple(it for it in urls if it != software_release_url),
    )
