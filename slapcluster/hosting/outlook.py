"""Core. How a cloud stands that hosts its own master, and what each region's end does.

What is known is little, and old where it is told by agents: the readiness of each
replica is asked of it now; a broken promise was reported by its agent within minutes.
Whatever follows from neither is unknown, and said to be.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from enum import StrEnum

from attrs import evolve, frozen

from slap.replicas import ListedReplica
from slap.reports import InstanceReport, TreeReport, TreeSummary
from slapcluster.hosting.layout import PROMISES
from slapcluster.hosting.numbering import Misasked, in_order, read_wanted_numbers

RELEASE_PATH = "/software/master-cluster/software.cfg"
"""How the address of the release of the master ends, wherever it is served."""

INSTANCE_COUNT_MIN = 4
"""Of a tree of the master: its root, and three regions."""

TREES_LOOKED_AT_MAX = 100
"""Each is a call; those of the master are among the first ones of a cloud."""

_BROKEN = re.compile(r"Promise '([a-z]+)' failed with output: (.*)", re.DOTALL)


class Readiness(StrEnum):
    """What a replica said of itself just now."""

    READY = "ready"
    NOT_READY = "not ready"
    AWAY = "away"
    NONE = "none"
    """The region has published none."""
    UNKNOWN = "unknown"
    """It could not be asked."""


class Keeping(StrEnum):
    """What was heard of a promise."""

    KEPT = "kept"
    BROKEN = "broken"
    UNKNOWN = "unknown"


@frozen
class ReplicaAnswer:
    """The answer of one replica, with the reason when it is not ready."""

    readiness: Readiness
    reason: str = ""


@frozen
class RegionOutlook:
    """One region. ``goes_on`` is what is left when it ends now; ``None``: unknown.

    ``promises`` are by their names; ``trouble`` is what its agent reported last.
    """

    name: str
    computer_id: str
    replica_url: str
    replica: Readiness
    reason: str
    promises: Mapping[str, Keeping]
    trouble: str = ""
    goes_on: bool | None = None
    if_lost: str = ""

    @property
    def counts(self) -> bool | None:
        """Whether the store can count on it; ``None`` when nobody knows."""
        if self.promises["lag"] is Keeping.BROKEN:
            return False
        return None if self.replica is Readiness.UNKNOWN else self.is_ready

    @property
    def is_ready(self) -> bool:
        return self.replica is Readiness.READY

    @property
    def absence(self) -> str:
        """Return why the store cannot count on it."""
        if self.promises["lag"] is Keeping.BROKEN:
            return f"{self.name} has not everything yet"
        if self.replica is Readiness.AWAY:
            return f"{self.name} is away already"
        if self.replica is Readiness.NONE:
            return f"{self.name} has no replica yet"
        return f"{self.name} is not ready"


@frozen
class CloudOutlook:
    """The service that the master is. ``is_quorum_kept`` is ``None`` when unknown."""

    title: str
    is_quorum_kept: bool | None
    quorum: str
    regions: tuple[RegionOutlook, ...]


def candidates(trees: Iterable[TreeSummary]) -> tuple[str, ...]:
    """Return the services that may be the master."""
    large = (it.title for it in trees if it.instance_count >= INSTANCE_COUNT_MIN)
    return tuple(large)[:TREES_LOOKED_AT_MAX]


def is_of_master(tree: TreeReport, listed: Collection[ListedReplica]) -> bool:
    """Whether replicas of this tree are those that serve the cloud.

    A mini-master knows such a tree too, and lists none of its replicas.
    """
    if not tree.instances or not _is_release(tree.instances[0]):
        return False
    urls = {it.url.rstrip("/") for it in listed}
    return any(it in urls for it in replica_urls(tree))


def replica_urls(tree: TreeReport) -> tuple[str, ...]:
    """Return the addresses of replicas that regions published."""
    return tuple(filter(None, (_replica_url(it) for it in tree.instances[1:])))


def foresee(tree: TreeReport, answers: Mapping[str, ReplicaAnswer]) -> CloudOutlook:
    """Return how the cloud stands; ``answers`` are by the address of the replica."""
    instances = {_region(it): it for it in tree.instances[1:]}
    names = _names(tree.instances[0], instances)
    found = [_look(name, instances.get(name), answers) for name in names]
    regions = tuple(_with_loss(it, found) for it in found)
    is_kept, sentence = _judge_quorum(regions)
    return CloudOutlook(tree.title, is_kept, sentence, regions)


def _names(root: InstanceReport, published: Iterable[str]) -> tuple[str, ...]:
    try:
        numbers = read_wanted_numbers(root.parameters.get("regions", ""))
    except Misasked:
        return tuple(sorted(filter(None, published)))
    return in_order(numbers)


def _look(
    name: str, instance: InstanceReport | None, answers: Mapping[str, ReplicaAnswer]
) -> RegionOutlook:
    url = _replica_url(instance) if instance is not None else ""
    known = (
        answers.get(url, ReplicaAnswer(Readiness.UNKNOWN))
        if url
        else ReplicaAnswer(Readiness.NONE)
    )
    computer_id = trouble = ""
    if instance is not None:
        computer_id = instance.partition.computer_id if instance.partition else ""
        trouble = instance.message.strip() if _has_error(instance) else ""
    return RegionOutlook(
        name,
        computer_id,
        url,
        known.readiness,
        known.reason,
        _promises(instance, known, trouble),
        trouble,
    )


def _promises(
    instance: InstanceReport | None, answer: ReplicaAnswer, trouble: str
) -> dict[str, Keeping]:
    """Return what is known of promises: an agent reports the first that is broken."""
    matched = _BROKEN.match(trouble)
    broken = matched[1] if matched else ""
    is_heard = answer.readiness in {Readiness.READY, Readiness.NOT_READY}
    is_started = instance is not None and instance.reported_state == "started"
    others = Keeping.KEPT if is_started and is_heard else Keeping.UNKNOWN
    return {it: Keeping.BROKEN if it == broken else others for it in PROMISES}


def _with_loss(
    region: RegionOutlook, all_of: Collection[RegionOutlook]
) -> RegionOutlook:
    """Say what happens when it ends now."""
    others = [it for it in all_of if it.name != region.name]
    needed = len(all_of) // 2 + 1
    left = [it.name for it in others if it.counts]
    unknown = [it.name for it in others if it.counts is None]
    goes_on: bool | None
    if len(left) >= needed:
        goes_on, sentence = True, f"goes on with {_and(left)}"
    elif len(left) + len(unknown) >= needed:
        goes_on, sentence = None, f"unknown: {_and(unknown)} could not be asked"
    else:
        absent = ", ".join(it.absence for it in others if it.counts is False)
        goes_on, sentence = False, f"stops: {absent}"
    if region.replica is Readiness.AWAY:
        sentence = f"it is away already; {sentence}"
    return evolve(region, goes_on=goes_on, if_lost=sentence)


def _judge_quorum(regions: Collection[RegionOutlook]) -> tuple[bool | None, str]:
    """Judge by the replicas: one is ready when the store answers it, by a majority."""
    ready = [it.name for it in regions if it.is_ready]
    if ready:
        return True, f"{_and(ready)} of {len(regions)} regions reach a majority"
    unknown = [it.name for it in regions if it.replica is Readiness.UNKNOWN]
    if unknown:
        return None, f"{_and(unknown)} could not be asked"
    return False, "no replica that was asked reaches a majority of the regions"


def _is_release(instance: InstanceReport) -> bool:
    return instance.software_release_url.endswith(RELEASE_PATH)


def _region(instance: InstanceReport) -> str:
    parameters = instance.parameters.get("region", "")
    return instance.connection_parameters.get("region", "") or parameters


def _replica_url(instance: InstanceReport) -> str:
    return instance.connection_parameters.get("replica-url", "").rstrip("/")


def _has_error(instance: InstanceReport) -> bool:
    return instance.reported_state == "error"


def _and(names: Collection[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
