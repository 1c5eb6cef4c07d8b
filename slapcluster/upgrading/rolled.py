"""Core. How far the instances of the master are with a release that is wanted.

The root is asked for a release; it asks its regions, one after the other. A region has
taken it up when it was asked for it, published that its programs are of it, and, where
its leg has a number, that all promises were kept in it (``hosting.rolling``).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from attrs import frozen

from master_cluster.reporting import BANG
from slap.reports import ComputerReport, InstanceReport, TreeReport
from slapcluster.hosting.outlook import RELEASE_PATH
from slapcluster.hosting.rolling import LEG_KEY, RELEASE_KEY, SETTLED_KEY
from slapcluster.settling import find_installation, instance_activity, log_end

TROUBLE_WIDTH_MAX = 300
"""The end of an error, in which its reason stands."""


@frozen
class InstanceRolled:
    """An instance of the master; ``runs`` is the release that it has, as is known.

    ``is_in_leg`` when it was asked for the wanted release and has not taken it up.
    """

    title: str
    computer_id: str
    runs: str
    is_done: bool
    is_in_leg: bool
    sentence: str


def rolled(
    tree: TreeReport, wanted_url: str, changed_at: float | None
) -> tuple[InstanceRolled, ...]:
    """Return how far each instance is, the root first.

    Reports of the root from before ``changed_at`` speak of what it was.
    """
    return tuple(
        _look(it, wanted_url, changed_at if index == 0 else None)
        for index, it in enumerate(tree.instances)
    )


def _look(
    instance: InstanceReport, wanted_url: str, changed_at: float | None
) -> InstanceRolled:
    is_asked = instance.software_release_url == wanted_url
    published = instance.connection_parameters
    runs = published.get(RELEASE_KEY, "") or instance.software_release_url
    activity = instance_activity(instance, changed_at)
    if instance.reported_state == "error":
        # A bang is told as an error, until the next report.
        is_banged = instance.message.startswith(BANG)
        said = "is processed again: " if is_banged else "fails: "
        activity = f"{said}{_trouble(instance.message)}"
    is_proved = instance.parameters.get(LEG_KEY, "") == published.get(SETTLED_KEY, "")
    if not is_asked:
        sentence = f"{activity}; its turn comes" if activity else "its turn comes"
    elif activity:
        sentence = activity
    elif runs != wanted_url:
        sentence = "its programs are of the release before"
    elif not is_proved:
        sentence = "its promises are looked at"
    else:
        sentence = ""
    return InstanceRolled(
        instance.title,
        instance.partition.computer_id if instance.partition else "",
        runs,
        is_done=not sentence,
        is_in_leg=is_asked and bool(sentence),
        sentence=sentence or "runs it",
    )


def holding(instances: Collection[InstanceRolled]) -> InstanceRolled | None:
    """Return the instance that the others wait for; ``None`` when all are done.

    The root tells of its regions in its own promise, so one of them is named first.
    """
    root, *regions = instances
    begun = [it for it in regions if it.is_in_leg]
    left = [*begun, root, *regions] if not root.is_in_leg else [*begun, root]
    return next((it for it in left if not it.is_done), None)


def _trouble(message: str) -> str:
    lines = log_end(message).strip().splitlines()
    return lines[-1][-TROUBLE_WIDTH_MAX:] if lines else "no reason was told"


def former_releases(
    tree: TreeReport, computers: Mapping[str, ComputerReport], wanted_url: str = ""
) -> tuple[str, ...]:
    """Return the releases to which the master may go back, the last one first.

    While a roll goes on that is what instances still have. Else it is what is
    installed wherever the master has an instance.
    """
    root = tree.instances[0]
    now = wanted_url or root.software_release_url
    others = [it.software_release_url for it in tree.instances[1:]]
    before = tuple(dict.fromkeys(it for it in others if it != now))
    if before:
        return before
    hosts = [it for it in hosts_of(tree) if it in computers]
    if not hosts:
        return ()
    urls = [it.software_release_url for it in computers[hosts[0]].installations]
    return tuple(
        url
        for url in reversed(urls)
        if url not in {now, root.software_release_url}
        and url.endswith(RELEASE_PATH)
        and all(is_built(computers[it], url) for it in hosts)
    )


def hosts_of(tree: TreeReport) -> tuple[str, ...]:
    """Return the computers of the instances of a tree, that of the root first."""
    places = (it.partition for it in tree.instances)
    return tuple(dict.fromkeys(it.computer_id for it in places if it))


def is_built(computer: ComputerReport, url: str) -> bool:
    """Whether a release is there, and is to stay."""
    found = find_installation(computer, url)
    return (
        found is not None
        and found.reported_state == "available"
        and found.requested_state == "available"
    )


def is_supplied(computer: ComputerReport, url: str) -> bool:
    found = find_installation(computer, url)
    return found is not None and found.requested_state == "available"
