"""Shell. Lists of what there is, in pages, each from one snapshot.

A page costs the lines that it has, not the whole cloud; the titles of all trees are
read to be sorted.
"""

from __future__ import annotations

from master_cluster.describing import summarise_computer, summarise_tree
from master_cluster.paging import Page, is_sought, paginate
from master_cluster.records import RefusalRecord
from master_cluster.store.cloud import Cloud
from master_cluster.store.documents import report_of_computer
from slap.reports import ComputerSummary, TreeSummary


def page_of_computers(cloud: Cloud, sought: str, number: int) -> Page[ComputerSummary]:
    """Sum up the computers of a page of those whose name is sought."""
    names = [it for it in cloud.computer_ids() if is_sought(sought, (it,))]
    return paginate(names, number).transform(
        lambda it: summarise_computer(report_of_computer(cloud, it, is_whole=False))
    )


def page_of_trees(cloud: Cloud, sought: str, number: int) -> Page[TreeSummary]:
    """Sum up the trees of a page of those whose title or release is sought."""
    roots = [
        it
        for it in cloud.roots()
        if is_sought(sought, (it.title, it.software_release_url))
    ]
    return paginate(roots, number).transform(
        lambda it: summarise_tree(it, cloud.children(it.instance_guid))
    )


def latest_refusals(cloud: Cloud, count_max: int) -> tuple[RefusalRecord, ...]:
    """Return the requests that found no place last, the latest first."""
    refusals = sorted(cloud.refusals(), key=lambda it: it.refused_at, reverse=True)
    return tuple(refusals[:count_max])
