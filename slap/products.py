"""Core. Software products: names that an operator gives to lists of releases."""

from __future__ import annotations

from attrs import frozen


@frozen
class ReleaseQuestion:
    """Which releases are asked for: those of a product, or those beside a release."""

    product_title: str | None = None
    software_release_url: str | None = None

    def __attrs_post_init__(self) -> None:
        is_one_given = (self.product_title is None) != (
            self.software_release_url is None
        )
        assert is_one_given, "a product or a release"


@frozen
class ProductReport:
    """A product and its releases, the best one first."""

    title: str
    software_release_urls: tuple[str, ...] = ()


@frozen
class ProductsReport:
    """Every product, by title."""

    products: tuple[ProductReport, ...] = ()
