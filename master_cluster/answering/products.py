"""Shell. How software products are asked about and curated."""

from __future__ import annotations

from collections.abc import Mapping

from master_cluster.answering.desk import AnswerTable, Desk
from slap.methods import EXTENSION
from slap.products import ProductReport, ProductsReport, ReleaseQuestion


class ProductAnswers:
    """Methods about software products; see ``products`` for ``configured``."""

    def __init__(self, desk: Desk, configured: Mapping[str, str]) -> None:
        self._desk = desk
        self._configured = configured

    def table(self) -> AnswerTable:
        return {
            "getSoftwareReleaseListFromSoftwareProduct": self._get_releases,
            EXTENSION + "products": self._report_products,
            EXTENSION + "product_add": self._add_release,
            EXTENSION + "product_remove": self._remove_release,
        }

    async def _get_releases(self, question: ReleaseQuestion) -> tuple[str, ...]:
        return await self._desk.ask(
            lambda cloud: cloud.products.releases_of(question, self._configured)
        )

    async def _report_products(self) -> ProductsReport:
        return await self._desk.ask(
            lambda cloud: cloud.products.report(self._configured)
        )

    async def _add_release(
        self, title: str, software_release_url: str
    ) -> ProductReport:
        return await self._desk.decide(
            lambda cloud, _: cloud.products.add(title, software_release_url)
        )

    async def _remove_release(
        self, title: str, software_release_url: str
    ) -> ProductReport:
        return await self._desk.decide(
            lambda cloud, _: cloud.products.remove(title, software_release_url)
        )
