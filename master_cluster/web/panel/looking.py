"""Shell. The pages that show something: ask the master, render the answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

from master_cluster.answering.desk import Desk
from master_cluster.paging import is_sought, paginate
from master_cluster.store import documents, listings
from master_cluster.web.panel.nesting import nest
from master_cluster.web.panel.pages import Pages
from master_cluster.web.panel.visits import Visit, page_answer
from slap.calls import HttpAnswer
from slap.errors import NotFound
from slap.reports import InstanceReport, TreeReport

PageTable: TypeAlias = Mapping[str, Callable[[Visit], Awaitable[HttpAnswer]]]
"""What answers a page, by its address below the panel's."""

REFUSAL_COUNT_MAX = 20
"""What an overview shows of requests that found no place."""


class LookingPages:
    """Pages that change nothing."""

    def __init__(self, desk: Desk, pages: Pages) -> None:
        self._desk = desk
        self._pages = pages

    def table(self) -> PageTable:
        return {
            "": self._overview,
            "computers": self._computers,
            "computer": self._computer,
            "trees": self._trees,
            "tree": self._tree,
            "instance": self._instance,
            "why": self._why,
        }

    async def _overview(self, _: Visit) -> HttpAnswer:
        computers = await self._desk.read(listings.page_of_computers, "", 1)
        trees = await self._desk.read(listings.page_of_trees, "", 1)
        refusals = await self._desk.read(listings.latest_refusals, REFUSAL_COUNT_MAX)
        return page_answer(self._pages.overview(computers, trees, refusals))

    async def _computers(self, visit: Visit) -> HttpAnswer:
        sought = sought_in(visit)
        computers = await self._desk.read(
            listings.page_of_computers, sought, visit.page_number
        )
        return page_answer(self._pages.computers(computers, sought))

    async def _computer(self, visit: Visit) -> HttpAnswer:
        return await self.show_computer(visit, visit.query.text("computer_id"))

    async def show_computer(
        self,
        visit: Visit,
        computer_id: str,
        *,
        typed_url: str = "",
        error: str = "",
        status: int = 200,
    ) -> HttpAnswer:
        """Answer the page of a computer, with what is wrong in its form."""
        sought = sought_in(visit)
        report = await self._desk.read(documents.report_of_computer, computer_id)
        found = [
            it
            for it in report.partitions
            if is_sought(
                sought,
                (it.partition_id, it.title, it.root_title, it.reported_state),
            )
        ]
        text = self._pages.computer(
            report,
            paginate(found, visit.page_number),
            sought,
            visit.token,
            done=visit.query.text("done", ""),
            heard_at=self._desk.contacts.contact(
                computer_id, self._desk.now()
            ).heard_at,
            typed_url=typed_url,
            error=error,
        )
        return page_answer(text, status)

    async def _trees(self, visit: Visit) -> HttpAnswer:
        sought = sought_in(visit)
        trees = await self._desk.read(listings.page_of_trees, sought, visit.page_number)
        done = visit.query.text("done", "")
        return page_answer(self._pages.trees(trees, sought, done))

    async def _tree(self, visit: Visit) -> HttpAnswer:
        sought = sought_in(visit)
        tree = await self.tree(visit.query.text("title"))
        found = [
            it
            for it in nest(tree.instances)
            if is_sought(sought, _words_of(it.instance))
        ]
        text = self._pages.tree(
            tree.instances[0],
            paginate(found, visit.page_number),
            sought,
            visit.token,
            visit.query.text("done", ""),
        )
        return page_answer(text)

    async def _instance(self, visit: Visit) -> HttpAnswer:
        tree = await self.tree(visit.query.text("tree"))
        guid, title = visit.query.text("guid", ""), visit.query.text("title", "")
        return page_answer(self._pages.instance(_instance_of(tree, guid, title)))

    async def _why(self, visit: Visit) -> HttpAnswer:
        title, root_title = visit.query.text("title"), visit.query.text("tree", "")
        report = await self._desk.read(
            documents.report_of_allocation,
            title,
            root_title,
            self._desk.default_computer_id,
        )
        return page_answer(self._pages.why(report))

    async def tree(self, title: str) -> TreeReport:
        return await self._desk.read(documents.report_of_tree, title)


def sought_in(visit: Visit) -> str:
    """Return what a person looks for in a list."""
    return visit.query.text("sought", "").strip()


def _words_of(report: InstanceReport) -> tuple[str, ...]:
    return report.title, report.software_release_url, report.reported_state


def _instance_of(tree: TreeReport, guid: str, title: str) -> InstanceReport:
    """Return an instance by its guid, else the first of a title: a root comes first."""
    for it in tree.instances:
        if it.instance_guid == guid or (not guid and it.title == title):
            return it
    raise NotFound(f"no instance {guid or title!r} in the tree {tree.title!r}")
