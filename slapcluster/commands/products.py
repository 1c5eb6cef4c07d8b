"""Shell. ``product``: names for lists of software releases."""

from __future__ import annotations

from collections.abc import Iterable

import click

from slap.products import ProductReport
from slapcluster.documents import document_of
from slapcluster.session import Session, pass_session
from slapcluster.tables import Table, line

_EPILOG = "JSON: {title, software_release_urls}, the best release first."


@click.group()
def product() -> None:
    """Software products: names for lists of releases, the best one first."""


@product.command("list", epilog="JSON: [{title, software_release_urls}].")
@pass_session
def list_products(session: Session) -> None:
    """List the products and their releases."""
    report = session.ask(lambda master: master.products())
    session.answer(document_of(report.products), _table(report.products))


@product.command(epilog=_EPILOG)
@click.argument("title")
@click.argument("release_url")
@pass_session
def add(session: Session, title: str, release_url: str) -> None:
    """Make a release the best one of a product."""
    report = session.ask(lambda master: master.add_product_release(title, release_url))
    session.answer(document_of(report), _table([report]))


@product.command(epilog=_EPILOG)
@click.argument("title")
@click.argument("release_url", default="")
@pass_session
def remove(session: Session, title: str, release_url: str) -> None:
    """Take a release from a product, or without one the whole product."""
    report = session.ask(
        lambda master: master.remove_product_release(title, release_url)
    )
    session.answer(document_of(report), _table([report]))


def _table(products: Iterable[ProductReport]) -> Table:
    return Table(
        ("product", "rank", "release"),
        tuple(
            line(it.title, rank, url)
            for it in products
            for rank, url in enumerate(it.software_release_urls, start=1)
        ),
    )
