"""Shell. Finding what a person looks for, in one snapshot."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from master_cluster.browsing import (
    Found,
    FoundComputer,
    FoundInstallation,
    FoundInstance,
    FoundTree,
    Kind,
    Location,
    Search,
)
from master_cluster.store.cloud import Cloud
from slap.errors import NotFound


def search(cloud: Cloud, wanted: Search) -> tuple[Found, ...]:
    """Return what is found, in a stable order, and no more than is wanted."""
    searches = {
        Kind.TREE: _trees,
        Kind.INSTANCE: _instances,
        Kind.COMPUTER: _computers,
        Kind.INSTALLATION: _installations,
    }
    return tuple(islice(searches[wanted.kind](cloud, wanted), wanted.found_count_max))


def look(cloud: Cloud, location: Location) -> Found:
    """Return what is at a location with all that is shown of it, or ``NotFound``."""
    if location.kind is Kind.COMPUTER:
        return _whole_computer(cloud, location.name)
    if location.kind is Kind.INSTALLATION:
        installation = cloud.installation(location.software_release_url, location.name)
        if installation is None:
            url, where = location.software_release_url, location.name
            raise NotFound(f"{url} is not supplied to {where}")
        return FoundInstallation(installation)
    instance = cloud.find_instance(location.name)
    if instance is None:
        raise NotFound(f"no instance {location.name!r}")
    if location.kind is Kind.INSTANCE:
        return FoundInstance(instance)
    if not instance.is_root:
        raise NotFound(f"{location.name!r} is not the root of a tree")
    return FoundTree(instance, (instance, *cloud.children(instance.instance_guid)))


def _trees(cloud: Cloud, wanted: Search) -> Iterator[Found]:
    if wanted.title is None:
        yield from map(FoundTree, cloud.roots())
        return
    root = cloud.root(wanted.title)
    if root is not None:
        yield FoundTree(root)


def _instances(cloud: Cloud, wanted: Search) -> Iterator[Found]:
    root = cloud.root(wanted.tree_title or "")
    if root is not None:
        yield FoundInstance(root)
        yield from map(FoundInstance, cloud.children(root.instance_guid))


def _computers(cloud: Cloud, wanted: Search) -> Iterator[Found]:
    certificates = cloud.certificates
    computer_ids = cloud.computer_ids()
    if wanted.computer_id is not None:
        is_known = cloud.has_computer(wanted.computer_id)
        computer_ids = (wanted.computer_id,) if is_known else ()
    for computer_id in computer_ids:
        title = certificates.title(computer_id)
        if wanted.title in (None, title):
            yield FoundComputer(computer_id, title)


def _installations(cloud: Cloud, wanted: Search) -> Iterator[Found]:
    for found in _computers(cloud, wanted):
        assert isinstance(found, FoundComputer)
        yield from map(FoundInstallation, cloud.installations(found.computer_id))


def _whole_computer(cloud: Cloud, computer_id: str) -> FoundComputer:
    occupants = (
        cloud.find_instance(it.occupant_guid) for it in cloud.partitions(computer_id)
    )
    return FoundComputer(
        computer_id,
        cloud.certificates.title(computer_id),
        tuple(it for it in occupants if it is not None),
    )
